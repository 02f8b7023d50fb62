// Files of the folder MQL5/Files; the data folder is the working folder, $COMMON that of
// FILE_COMMON.
#include "mql5.hpp"
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fnmatch.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {
struct File {
    FILE *f;
    int flags;
    int lock; // another descriptor of the file
};
} // namespace

static std::map<int, File> files;
static int next_file = 1;

static std::string common_folder() {
    const char *named = getenv("COMMON");
    return named ? named : "Common/Files";
}

static std::string path(const string &name, int flags) {
    std::string inside = name.utf8();
    std::ranges::replace(inside, '\\', '/');
    if (inside.find("..") != inside.npos) // outside of the sandbox
        return "/dev/null/none";
    std::string root = flags & FILE_COMMON ? common_folder() : "MQL5/Files";
    return root + "/" + inside;
}

static const char *mode_of(const std::string &path, int flags) {
    bool there = std::filesystem::exists(path);
    if (!(flags & FILE_WRITE))
        return "rb";
    return !(flags & FILE_READ) ? "wb" : there ? "r+b" : "w+b";
}

// What is opened without FILE_SHARE_READ or FILE_SHARE_WRITE is refused to every other handle.
static bool shared(int file, int flags) {
    bool shares = flags & (FILE_SHARE_READ | FILE_SHARE_WRITE);
    return flock(file, (shares ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0;
}

int FileOpen(const string &name, int flags, ushort, uint) {
    std::string p = path(name, flags);
    if (choice("FILES_FAIL"))
        return fail_(5004), INVALID_HANDLE;
    if (flags & FILE_WRITE)
        std::filesystem::create_directories(std::filesystem::path(p).parent_path());
    // Opened twice: "wb" empties the file, which must wait for the lock.
    int lock = open(p.c_str(), flags & FILE_WRITE ? O_RDWR | O_CREAT : O_RDONLY, 0666);
    if (lock < 0)
        return fail_(errno == ENOENT ? 5019 : 5004), INVALID_HANDLE;
    if (!shared(lock, flags)) {
        close(lock);
        return fail_(5004), INVALID_HANDLE;
    }
    FILE *f = fopen(p.c_str(), mode_of(p, flags));
    files[next_file] = {f, flags, lock};
    return next_file++;
}

static FILE *file(int h) {
    auto i = files.find(h);
    if (i == files.end()) {
        fail_(5007);
        return nullptr;
    }
    return i->second.f;
}

void FileClose(int h) {
    if (FILE *f = file(h)) {
        fclose(f);
        close(files[h].lock);
        files.erase(h);
    }
}

void FileFlush(int h) {
    if (FILE *f = file(h))
        fflush(f);
}

ulong FileSize(int h) {
    FILE *f = file(h);
    if (!f)
        return 0;
    fflush(f);
    struct stat s;
    fstat(fileno(f), &s);
    return s.st_size;
}

ulong FileTell(int h) {
    FILE *f = file(h);
    return f ? ftell(f) : 0;
}

bool FileSeek(int h, long at, int w) {
    FILE *f = file(h);
    return f && !fseek(f, at, w);
}

bool FileIsEnding(int h) { return FileTell(h) >= FileSize(h); }

size_t file_read_(int h, void *to, size_t n) {
    FILE *f = file(h);
    return f ? fread(to, 1, n, f) : 0;
}

size_t file_write_(int h, const void *from, size_t n) {
    FILE *f = file(h);
    return f ? fwrite(from, 1, n, f) : 0;
}

bool FileIsExist(const string &n, int c) {
    struct stat s;
    if (stat(path(n, c).c_str(), &s))
        return fail_(5019);
    return S_ISREG(s.st_mode) || fail_(5018);
}

bool FileDelete(const string &n, int c) { return !remove(path(n, c).c_str()) || fail_(5019); }

bool FileMove(const string &a, int c, const string &b, int mode) {
    if (choice("MOVE_FAILS"))
        return fail_(5004);
    struct stat s;
    if (stat(path(a, c).c_str(), &s))
        return fail_(5019);
    if (!stat(path(b, mode).c_str(), &s) && !(mode & FILE_REWRITE))
        return fail_(5020);
    return !rename(path(a, c).c_str(), path(b, mode).c_str()) || fail_(5004);
}

uint FileWriteString(int h, const string &s, int n) {
    auto i = files.find(h);
    if (i == files.end())
        return fail_(5007), 0;
    std::u16string u = s.s.substr(0, n < 0 ? s.s.npos : n);
    std::string b = i->second.flags & FILE_ANSI ? bytes_(u, CP_ACP)
                                                : std::string((const char *)u.data(), u.size() * 2);
    return (uint)fwrite(b.data(), 1, b.size(), i->second.f);
}

string FileReadString(int h, int n) {
    auto i = files.find(h);
    if (i == files.end())
        return fail_(5007), string();
    std::string b;
    int c;
    while ((n < 0 || (int)b.size() < n) && (c = fgetc(i->second.f)) != EOF && (n >= 0 || c != '\n'))
        b.push_back((char)c);
    if (!b.empty() && b.back() == '\r')
        b.pop_back();
    return i->second.flags & FILE_ANSI
               ? made_(units_(b, CP_ACP))
               : made_(std::u16string((const char16_t *)b.data(), b.size() / 2));
}

// ---- folders
bool FolderCreate(const string &name, int common) {
    std::error_code error;
    std::filesystem::create_directories(path(name, common), error);
    return !error || fail_(5002);
}

static std::map<long, std::vector<std::string>> searches; // names that are left, the next one last

long FileFindFirst(const string &filter, string &found, int common) {
    std::filesystem::path pattern = path(filter, common);
    std::vector<std::string> names;
    std::error_code error;
    for (auto &each : std::filesystem::directory_iterator(pattern.parent_path(), error))
        if (fnmatch(pattern.filename().c_str(), each.path().filename().c_str(), 0) == 0)
            names.push_back(each.path().filename());
    if (names.empty())
        return fail_(5019), INVALID_HANDLE;
    std::ranges::sort(names, std::greater());
    long handle = next_file++;
    searches[handle] = names;
    FileFindNext(handle, found);
    return handle;
}

bool FileFindNext(long handle, string &found) {
    auto &names = searches[handle];
    if (names.empty())
        return false;
    found = string::utf8(names.back());
    names.pop_back();
    return true;
}

void FileFindClose(long handle) { searches.erase(handle); }
