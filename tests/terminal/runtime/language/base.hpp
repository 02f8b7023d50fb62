// What every other header needs: types, errors, and the end of a wrong program.
#ifndef BASE_HPP
#define BASE_HPP
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef uint color;
#define __MQL5__ 1
#define __MQLBUILD__ 5320
#define INVALID_HANDLE (-1)
#define WHOLE_ARRAY (-1)
#define CP_ACP 0u
#define CP_OEMCP 1u
#define CP_UTF7 65000u
#define CP_UTF8 65001u

[[noreturn]] void critical(const char *what);          // ends the program as the terminal does
bool choice(const char *name, bool otherwise = false); // an environment variable, read once
extern int last_error_;

inline int GetLastError() { return last_error_; }

inline void ResetLastError() { last_error_ = 0; }

inline bool fail_(int code) {
    last_error_ = code;
    return false;
}

// Each `.` of a program is `->` in C++, so that pointers and objects are written alike: an object
// answers with itself.
#define ITSELF(TYPE)                                                                               \
    TYPE *operator->() { return this; }                                                            \
    const TYPE *operator->() const { return this; }
#endif
