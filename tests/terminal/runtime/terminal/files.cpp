// Files of the folder MQL5/Files; the data folder is the working folder, $COMMON that of
// FILE_COMMON.
#include "mql5.hpp"
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {
struct File {
    FILE *f;
    int flags;
};
} // namespace
static std::map<int, File> files;
static int next_file = 1;
static std::string common_folder() {
    const char *named = getenv("COMMON");
    return named ? named : "Common/Files";
}

static std::string path(const string &n, int common = 0) {
    std::string p = n.utf8();
    for (auto &c : p)
        if (c == '\\')
            c = '/';
    if (p.find("..") != p.npos)
        p = "?";
    std::string root = common & FILE_COMMON ? common_folder() + "/" : "MQL5/Files/";
    return root + p;
}
static void make_folders(const std::string &p) {
    std::error_code ignored; // fopen says it
    std::filesystem::create_directories(std::filesystem::path(p).parent_path(), ignored);
}
// Whether others may have it open too. Without FILE_SHARE_* a writer is alone, in this program too.
static bool share(FILE *f, int flags) {
    bool alone = (flags & FILE_WRITE) && !(flags & (FILE_SHARE_READ | FILE_SHARE_WRITE));
    return !flock(fileno(f), (alone ? LOCK_EX : LOCK_SH) | LOCK_NB);
}
int FileOpen(const string &n, int flags, ushort, uint) {
    if (choice("FILES_FAIL"))
        return fail_(5004), INVALID_HANDLE;
    std::string p = path(n, flags);
    FILE *f = nullptr;
    if (flags & FILE_WRITE) {
        make_folders(p);
        if (flags & FILE_READ) {
            f = fopen(p.c_str(), "r+b");
            if (!f)
                f = fopen(p.c_str(), "w+b");
        } else {
            int handle = open(p.c_str(), O_WRONLY | O_CREAT, 0666); // cut once nobody else has it
            f = handle < 0 ? nullptr : fdopen(handle, "wb");
        }
    } else
        f = fopen(p.c_str(), "rb");
    if (!f)
        return fail_(errno == ENOENT ? 5019 : 5004), INVALID_HANDLE;
    bool cut = (flags & FILE_WRITE) && !(flags & FILE_READ);
    if (!share(f, flags) || (cut && ftruncate(fileno(f), 0))) {
        fclose(f);
        return fail_(5004), INVALID_HANDLE;
    }
    files[next_file] = {f, flags};
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
