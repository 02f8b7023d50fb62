// Errors, and the end of a wrong program.
#include "mql5.hpp"
#include <execinfo.h>
#include <unistd.h>

int last_error_ = 0;

bool choice(const char *name, bool otherwise) {
    const char *found = getenv(name);
    return found ? atoi(found) != 0 : otherwise;
}

static const int CRITICAL = 99; // the exit status
static const int FRAMES = 8;    // calls that are shown

// Prints the calls that led here, with the lines of the MQL5 files.
static void print_calls() {
    void *calls[FRAMES];
    int count = backtrace(calls, FRAMES);
    char self[256] = {0};
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return;
    std::ostringstream command;
    command << "addr2line -Cfspi -e " << self;
    for (int i = 2; i < count; i++)
        command << ' ' << (void *)((char *)calls[i] - 1);
    command << " >&2";
    if (system(command.str().c_str()))
        fputs("addr2line is missing\n", stderr);
}

void critical(const char *what) {
    fprintf(stderr, "CRITICAL %s\n", what);
    printf("critical %s\n", what);
    fflush(stdout);
    print_calls();
    _exit(CRITICAL);
}
