// Functions of kernel32.dll for programs that read a file outside of MQL5/Files.
#include "mql5.hpp"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace dll {
// Opens for reading, whatever is asked.
int CreateFileW(string name, uint, uint, uint, uint, uint, int) {
    std::string path = name.utf8();
    std::ranges::replace(path, '\\', '/');
    return open(path.c_str(), O_RDONLY | O_CLOEXEC); // -1 is INVALID_HANDLE_VALUE
}

bool ReadFile(int file, Memory buffer, uint size, uint &done, int) {
    ssize_t count = read(file, buffer.bytes, std::min<size_t>(size, buffer.size));
    done = count < 0 ? 0 : (uint)count;
    return count >= 0;
}

uint SetFilePointer(int file, int distance, int, uint from) {
    return (uint)lseek(file, distance, (int)from); // FILE_BEGIN, CURRENT and END are SEEK_SET …
}

bool CloseHandle(int file) { return close(file) == 0; }

uint GetFileSize(int file, int) {
    struct stat found;
    return fstat(file, &found) ? 0 : (uint)found.st_size;
}
} // namespace dll
