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

namespace fs = std::filesystem;

namespace {
enum Error {
    CANNOT_CREATE_FOLDER = 5002,
    CANNOT_OPEN = 5004,
    INVALID_FILE_HANDLE = 5007,
    IS_FOLDER = 5018,
    NOT_FOUND = 5019,
    EXISTS_ALREADY = 5020
};

struct File {
    FILE *stream;
    int flags;
    int lock; // another descriptor of the file
};

std::map<int, File> files;
std::map<long, std::vector<std::string>> searches; // names that are left, the next one last
int next_handle = 1;

File *find(int handle) {
    auto found = files.find(handle);
    if (found != files.end())
        return &found->second;
    fail_(INVALID_FILE_HANDLE);
    return nullptr;
}

fs::path path_of(const string &name, int flags) {
    std::string inside = name.utf8();
    std::ranges::replace(inside, '\\', '/');
    if (inside.find("..") != inside.npos) // outside of the sandbox
        return "/dev/null/none";
    const char *common = getenv("COMMON");
    fs::path root = !(flags & FILE_COMMON) ? "MQL5/Files" : common ? common : "Common/Files";
    return root / inside;
}

const char *mode_of(const fs::path &path, int flags) {
    if (!(flags & FILE_WRITE))
        return "rb";
    if (!(flags & FILE_READ))
        return "wb";
    return fs::exists(path) ? "r+b" : "w+b";
}

// What is opened without FILE_SHARE_READ or FILE_SHARE_WRITE is refused to every other handle.
bool shared(int descriptor, int flags) {
    bool shares = flags & (FILE_SHARE_READ | FILE_SHARE_WRITE);
    return flock(descriptor, (shares ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0;
}
} // namespace

// ---- opening and closing
int FileOpen(const string &name, int flags, ushort, uint) {
    fs::path path = path_of(name, flags);
    if (choice("FILES_FAIL"))
        return fail_(CANNOT_OPEN), INVALID_HANDLE;
    if (flags & FILE_WRITE)
        fs::create_directories(path.parent_path());
    // Opened twice: "wb" empties the file, which must wait for the lock.
    int lock = open(path.c_str(), flags & FILE_WRITE ? O_RDWR | O_CREAT : O_RDONLY, 0666);
    if (lock < 0)
        return fail_(errno == ENOENT ? NOT_FOUND : CANNOT_OPEN), INVALID_HANDLE;
    if (!shared(lock, flags)) {
        close(lock);
        return fail_(CANNOT_OPEN), INVALID_HANDLE;
    }
    FILE *stream = fopen(path.c_str(), mode_of(path, flags));
    files[next_handle] = {stream, flags, lock};
    return next_handle++;
}

void FileClose(int handle) {
    File *file = find(handle);
    if (!file)
        return;
    fclose(file->stream);
    close(file->lock);
    files.erase(handle);
}

void FileFlush(int handle) {
    if (File *file = find(handle))
        fflush(file->stream);
}

// ---- places
ulong FileSize(int handle) {
    File *file = find(handle);
    if (!file)
        return 0;
    fflush(file->stream);
    struct stat found;
    fstat(fileno(file->stream), &found);
    return (ulong)found.st_size;
}

ulong FileTell(int handle) {
    File *file = find(handle);
    return file ? (ulong)ftell(file->stream) : 0;
}

bool FileSeek(int handle, long offset, int from) {
    File *file = find(handle);
    return file && fseek(file->stream, offset, from) == 0;
}

bool FileIsEnding(int handle) { return FileTell(handle) >= FileSize(handle); }

// ---- bytes and text
size_t file_read_(int handle, void *to, size_t size) {
    File *file = find(handle);
    return file ? fread(to, 1, size, file->stream) : 0;
}

size_t file_write_(int handle, const void *from, size_t size) {
    File *file = find(handle);
    return file ? fwrite(from, 1, size, file->stream) : 0;
}

// `most`: units of the string; -1 = all.
uint FileWriteString(int handle, const string &text, int most) {
    File *file = find(handle);
    if (!file)
        return 0;
    std::u16string units = text.s.substr(0, most < 0 ? text.s.npos : (size_t)most);
    std::string bytes((const char *)units.data(), units.size() * sizeof(char16_t));
    if (file->flags & FILE_ANSI)
        bytes = bytes_(units, CP_ACP);
    return (uint)fwrite(bytes.data(), 1, bytes.size(), file->stream);
}

// `most`: bytes; -1 = to the end of the line.
string FileReadString(int handle, int most) {
    File *file = find(handle);
    if (!file)
        return string();
    std::string bytes;
    while (most < 0 || (int)bytes.size() < most) {
        int byte = fgetc(file->stream);
        if (byte == EOF || (most < 0 && byte == '\n'))
            break;
        bytes.push_back((char)byte);
    }
    if (!bytes.empty() && bytes.back() == '\r')
        bytes.pop_back();
    if (file->flags & FILE_ANSI)
        return made_(units_(bytes, CP_ACP));
    const auto *units = (const char16_t *)bytes.data();
    return made_(std::u16string(units, bytes.size() / sizeof(char16_t)));
}

// ---- files as a whole
bool FileIsExist(const string &name, int common) {
    fs::path path = path_of(name, common);
    if (!fs::exists(path))
        return fail_(NOT_FOUND);
    return fs::is_regular_file(path) || fail_(IS_FOLDER);
}

bool FileDelete(const string &name, int common) {
    return remove(path_of(name, common).c_str()) == 0 || fail_(NOT_FOUND);
}

bool FileMove(const string &from, int common, const string &to, int mode) {
    fs::path source = path_of(from, common), target = path_of(to, mode);
    if (choice("MOVE_FAILS"))
        return fail_(CANNOT_OPEN);
    if (!fs::exists(source))
        return fail_(NOT_FOUND);
    if (fs::exists(target) && !(mode & FILE_REWRITE))
        return fail_(EXISTS_ALREADY);
    return rename(source.c_str(), target.c_str()) == 0 || fail_(CANNOT_OPEN);
}

// ---- folders
bool FolderCreate(const string &name, int common) {
    std::error_code error;
    fs::create_directories(path_of(name, common), error);
    return !error || fail_(CANNOT_CREATE_FOLDER);
}

long FileFindFirst(const string &filter, string &found, int common) {
    fs::path pattern = path_of(filter, common);
    std::vector<std::string> names;
    std::error_code error;
    for (auto &each : fs::directory_iterator(pattern.parent_path(), error))
        if (fnmatch(pattern.filename().c_str(), each.path().filename().c_str(), 0) == 0)
            names.push_back(each.path().filename());
    if (names.empty())
        return fail_(NOT_FOUND), INVALID_HANDLE;
    std::ranges::sort(names, std::greater());
    long handle = next_handle++;
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
