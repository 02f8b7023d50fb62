// Files that several programs change: one at a time, and never read half-written.
#ifndef SHARED_FILE_HPP
#define SHARED_FILE_HPP
#include <string>

std::string read_file(const std::string &path); // "" when there is none
void write_file(const std::string &path, const std::string &content);
long stamp_of(const std::string &path); // changes with the content; 0 = there is none

class FileLock {
public:
    explicit FileLock(const std::string &path);
    ~FileLock();
    FileLock(const FileLock &) = delete;

private:
    int m_file;
};
#endif
