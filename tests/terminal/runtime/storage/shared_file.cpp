#include "storage/shared_file.hpp"
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

std::string read_file(const std::string &path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream all;
    all << in.rdbuf();
    return all.str();
}

void write_file(const std::string &path, const std::string &content) {
    std::string fresh = path + "." + std::to_string(getpid());
    std::ofstream(fresh, std::ios::binary) << content;
    rename(fresh.c_str(), path.c_str());
}

long stamp_of(const std::string &path) {
    struct stat s;
    if (stat(path.c_str(), &s))
        return 0;
    return s.st_mtim.tv_sec * 1000000000L + s.st_mtim.tv_nsec + (long)s.st_ino;
}

FileLock::FileLock(const std::string &path)
    : m_file(open((path + ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666)) {
    flock(m_file, LOCK_EX);
}

FileLock::~FileLock() { close(m_file); }
