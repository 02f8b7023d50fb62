// The MQL5 language and its built-in functions for programs that translate.py has rewritten.
// What the reference says is done as it says, the traps included: memory that is grown is garbage,
// a wrong index, a division by zero and a dead pointer end the program as in the terminal, NULL is
// not "", StringToCharArray copies the terminating 0 and never shrinks. What it leaves open can be
// chosen by environment variables (see main.cpp), so that a program can be tried under each
// reading.
#ifndef MQL5_HPP
#define MQL5_HPP
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <map>
#include <new>
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

#include "pointer.hpp"

// ---- datetime
struct datetime {
    long v;
    datetime() = default;
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>>
    constexpr datetime(T x) : v((long)x) {}
    constexpr operator long() const { return v; }
    datetime &operator+=(long x) {
        v += x;
        return *this;
    }
    datetime &operator-=(long x) {
        v -= x;
        return *this;
    }
};
std::string date_(long t, int flags = 7);
datetime _date(const char *text);

// ---- string: UTF-16 code units; NULL is another thing than ""
struct string {
    std::u16string s;
    bool none = true;
    string() {}
    string(std::nullptr_t) {}
    string(std::u16string x) : s(std::move(x)), none(false) {}
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T> || std::is_enum_v<T> ||
                                                std::is_same_v<T, datetime>>>
    explicit string(T x);
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>>
    explicit operator T() const;
    static string utf8(const std::string &bytes);
    std::string utf8() const;
};
string operator""_s(const char *text, size_t n);
std::string bytes_(const std::u16string &s, uint page);
std::u16string units_(const std::string &bytes, uint page);
string text_(double x);
string text_(long x, bool is_unsigned);
inline string to_string_(const string &x) { return x; }
inline string to_string_(bool x) { return string(x ? u"true" : u"false"); }
inline string to_string_(datetime x) { return string::utf8(date_(x.v)); }
inline string to_string_(const char *x) { return string::utf8(x); }
inline string to_string_(std::nullptr_t) { return string(); }
template <class T, class = std::enable_if_t<std::is_arithmetic_v<T> || std::is_enum_v<T>>>
string to_string_(T x) {
    if constexpr (std::is_floating_point_v<T>)
        return text_((double)x);
    else
        return text_((long)x, std::is_unsigned_v<T>);
}
template <class T, class> string::string(T x) { *this = to_string_(x); }
template <class T, class> string::operator T() const {
    if constexpr (std::is_same_v<T, bool>)
        return s == u"true" || (s != u"false" && atof(utf8().c_str()) != 0);
    else if constexpr (std::is_floating_point_v<T>)
        return (T)atof(utf8().c_str());
    else
        return (T)atol(utf8().c_str());
}
inline string operator+(const string &a, const string &b) { return string(a.s + b.s); }
template <class T, class = std::enable_if_t<!std::is_same_v<std::decay_t<T>, string>>>
string operator+(const string &a, const T &b) {
    return string(a.s + to_string_(b).s);
}
template <class T, class = std::enable_if_t<!std::is_same_v<std::decay_t<T>, string>>>
string operator+(const T &a, const string &b) {
    return string(to_string_(a).s + b.s);
}
template <class T> string &operator+=(string &a, const T &b) {
    a.s += to_string_(b).s;
    a.none = false;
    return a;
}
inline bool operator==(const string &a, const string &b) { return a.none == b.none && a.s == b.s; }
inline bool operator!=(const string &a, const string &b) { return !(a == b); }
inline bool operator<(const string &a, const string &b) { return a.s < b.s; }
inline bool operator>(const string &a, const string &b) { return a.s > b.s; }
inline bool operator<=(const string &a, const string &b) { return a.s <= b.s; }
inline bool operator>=(const string &a, const string &b) { return a.s >= b.s; }

// ---- arrays: what is grown holds garbage
struct Fixed {
    long n;
    explicit Fixed(long x) : n(x) {}
};
template <class T> struct Array {
    T *p = nullptr;
    int n = 0, cap = 0;
    bool fixed = false, series = false;
    Array() {}
    explicit Array(Fixed f) {
        grow_((int)f.n, 0);
        fixed = true;
    }
    Array(const Array &o) { *this = o; }
    ~Array() { clear_(); }
    Array &operator=(const Array &o) {
        if (this == &o)
            return *this;
        bool f = fixed || o.fixed;
        fixed = false;
        resize_(0, 0);
        resize_(o.n, 0);
        for (int i = 0; i < n; i++)
            p[i] = o.p[i];
        fixed = f;
        return *this;
    }
    static Array of(std::initializer_list<T> l) {
        Array a;
        a.resize_((int)l.size(), 0);
        int i = 0;
        for (auto &x : l)
            a.p[i++] = x;
        return a;
    }
    static Array of(Fixed f, std::initializer_list<T> l) {
        Array a;
        a.resize_((int)f.n, 0);
        for (int i = 0; i < a.n; i++)
            a.p[i] = T();
        int i = 0;
        for (auto &x : l)
            a.p[i++] = x;
        a.fixed = true;
        return a;
    }
    T &operator[](long i) {
        if (i < 0 || i >= n)
            critical("array out of range");
        return p[series ? n - 1 - i : i];
    }
    const T &operator[](long i) const {
        if (i < 0 || i >= n)
            critical("array out of range");
        return p[series ? n - 1 - i : i];
    }
    void clear_() {
        for (int i = 0; i < n; i++)
            p[i].~T();
        free((void *)p);
        p = nullptr;
        n = cap = 0;
    }
    void grow_(int to, int reserve) {
        if (to > cap) {
            int c = to + reserve;
            T *q = (T *)malloc(sizeof(T) * (size_t)c);
            memset((void *)q, 0xCD, sizeof(T) * (size_t)c);
            for (int i = 0; i < n; i++) {
                new (&q[i]) T(std::move(p[i]));
                p[i].~T();
            }
            if (p)
                memset((void *)p, 0xDD, sizeof(T) * (size_t)n);
            free((void *)p);
            p = q;
            cap = c; // old references are dead
        }
        for (int i = n; i < to; i++) {
            memset((void *)&p[i], 0xCD, sizeof(T));
            new (&p[i]) T;
        }
        n = to;
    }
    int resize_(int to, int reserve) {
        if (to < 0)
            return fail_(5052), -1;
        if (fixed)
            return to <= n ? to : (fail_(5050), -1);
        if (to > n)
            grow_(to, reserve);
        else {
            for (int i = to; i < n; i++)
                p[i].~T();
            n = to;
        }
        return n;
    }
};
template <class T> int ArraySize(const Array<T> &a) { return a.n; }
template <class T> int ArrayResize(Array<T> &a, long n, long reserve = 0) {
    return a.resize_((int)n, (int)reserve);
}
template <class T> void ArrayFree(Array<T> &a) {
    if (!a.fixed)
        a.resize_(0, 0);
}
template <class T, class V> int ArrayInitialize(Array<T> &a, V x) {
    for (int i = 0; i < a.n; i++)
        a.p[i] = (T)x;
    return a.n;
}
template <class T, class V> void ArrayFill(Array<T> &a, long from, long count, V x) {
    for (long i = from; i < from + count; i++)
        a[i] = (T)x;
}
template <class T> bool ArraySetAsSeries(Array<T> &a, bool f) {
    a.series = f;
    return true;
}
template <class T> bool ArrayIsDynamic(const Array<T> &a) { return !a.fixed; }
template <class D, class S>
int ArrayCopy(Array<D> &d, const Array<S> &s, long ds = 0, long ss = 0, long n = WHOLE_ARRAY) {
    if (ss < 0 || ds < 0 || ss > s.n)
        return fail_(4003), 0;
    if (n < 0 || n > s.n - ss)
        n = s.n - ss;
    if (ds + n > d.n) {
        if (d.fixed)
            n = d.n - ds;
        else
            d.resize_((int)(ds + n), 0);
    }
    if ((void *)&d == (void *)&s && ds > ss)
        for (long i = n - 1; i >= 0; i--)
            d.p[ds + i] = (D)s.p[ss + i];
    else
        for (long i = 0; i < n; i++)
            d.p[ds + i] = (D)s.p[ss + i];
    return (int)n;
}
template <class T> bool ArrayRemove(Array<T> &a, uint start, uint count = (uint)WHOLE_ARRAY) {
    if (start >= (uint)a.n)
        return fail_(5052);
    if (count == (uint)WHOLE_ARRAY)
        count = a.n - start;
    if (count > a.n - start)
        return fail_(4003);
    for (uint i = start; i + count < (uint)a.n; i++)
        a.p[i] = a.p[i + count];
    if (!a.fixed)
        a.resize_(a.n - (int)count, 0);
    return true;
}
template <class T>
bool ArrayInsert(Array<T> &d, const Array<T> &s, uint at, uint from = 0,
                 uint count = (uint)WHOLE_ARRAY) {
    if (count == (uint)WHOLE_ARRAY)
        count = s.n - from;
    int old = d.n;
    d.resize_(old + (int)count, 0);
    for (int i = old - 1; i >= (int)at; i--)
        d.p[i + count] = d.p[i];
    for (uint i = 0; i < count; i++)
        d.p[at + i] = s.p[from + i];
    return true;
}
template <class T> bool ArrayReverse(Array<T> &a, uint s = 0, uint c = (uint)WHOLE_ARRAY) {
    int e = c == (uint)WHOLE_ARRAY ? a.n : (int)(s + c);
    for (int i = s, j = e - 1; i < j; i++, j--)
        std::swap(a.p[i], a.p[j]);
    return true;
}
template <class T> bool ArraySort(Array<T> &a) {
    for (int i = 1; i < a.n; i++)
        for (int j = i; j > 0 && a.p[j] < a.p[j - 1]; j--)
            std::swap(a.p[j], a.p[j - 1]);
    return true;
}
template <class T> void ZeroMemory(T &x) {
    if constexpr (std::is_trivially_copyable_v<T>)
        memset((void *)&x, 0, sizeof x);
    else {
        x.~T();
        memset((void *)&x, 0, sizeof x);
        new (&x) T();
    }
}

// ---- text
inline int StringLen(const string &s) {
    size_t z = s.s.find(u'\0');
    return (int)(z == s.s.npos ? s.s.size() : z);
}
inline ushort StringGetCharacter(const string &s, int i) {
    if (i < 0 || i >= StringLen(s))
        return fail_(5041), 0;
    return s.s[i];
}
bool StringSetCharacter(string &s, int i, ushort c);
int StringFind(const string &s, const string &f, int from = 0);
string StringSubstr(const string &s, int from, int n = -1);
int StringSplit(const string &s, ushort by, Array<string> &out);
int StringReplace(string &s, const string &f, const string &t);
int StringTrimLeft(string &s);
int StringTrimRight(string &s);
bool StringToLower(string &s);
bool StringToUpper(string &s);
int StringCompare(const string &a, const string &b, bool cased = true);
bool StringInit(string &s, int n = 0, ushort c = 0);
inline bool StringAdd(string &s, const string &t) {
    s.s += t.s;
    s.none = false;
    return true;
}
inline string ShortToString(ushort c) { return string(std::u16string(1, c)); }
inline string CharToString(uchar c) { return string(units_(std::string(1, (char)c), CP_ACP)); }
double StringToDouble(const string &s);
long StringToInteger(const string &s);
datetime StringToTime(const string &s);
string DoubleToString(double x, int digits = 8);
string IntegerToString(long x, int width = 0, ushort fill = ' ');
string TimeToString(datetime t, int flags = 5);
#define TIME_DATE 1
#define TIME_MINUTES 4
#define TIME_SECONDS 2
template <class C>
int StringToCharArray(const string &s, Array<C> &a, long start = 0, long count = -1,
                      uint page = CP_ACP) {
    std::string b = bytes_(s.s.substr(0, StringLen(s)), page);
    long n = (long)b.size() + 1; // the terminating 0 too
    if (count >= 0 && count < n)
        n = count;
    if (start + n > a.n) {
        if (a.fixed)
            n = std::max(0L, a.n - start);
        else
            a.resize_((int)(start + n), 0);
    }
    for (long i = 0; i < n; i++)
        a.p[start + i] = (C)(i < (long)b.size() ? b[i] : 0);
    return (int)n;
}
string made_(std::u16string s); // "" or NULL when nothing came out, as $EMPTY_IS_NULL says
template <class C>
string CharArrayToString(const Array<C> &a, long start = 0, long count = -1, uint page = CP_ACP) {
    std::string b;
    long end = count < 0 ? a.n : std::min((long)a.n, start + count);
    for (long i = start; i < end && a.p[i]; i++)
        b.push_back((char)a.p[i]);
    return made_(units_(b, page));
}
int StringToShortArray(const string &s, Array<ushort> &a, long start = 0, long count = -1);
string ShortArrayToString(const Array<ushort> &a, long start = 0, long count = -1);
// formats: %s takes strings, the integers are 64-bit only with %I64d, as in the terminal
struct Arg {
    int kind;
    long i;
    double d;
    string s;
};
inline Arg arg_(const string &x) { return {2, 0, 0, x}; }
inline Arg arg_(datetime x) { return {0, x.v, 0, {}}; }
template <class T, class = std::enable_if_t<std::is_arithmetic_v<T> || std::is_enum_v<T>>>
Arg arg_(T x) {
    if constexpr (std::is_floating_point_v<T>)
        return {1, (long)x, (double)x, {}};
    else
        return {0, (long)x, (double)(long)x, {}};
}
string format_(const string &f, std::vector<Arg> a);
template <class... A> string StringFormat(const string &f, const A &...a) {
    return format_(f, {arg_(a)...});
}
template <class... A> int StringConcatenate(string &s, const A &...a) {
    s = string(u"");
    ((s += a), ...);
    return StringLen(s);
}
void log_(const char *kind, const string &line);
void comment_(const string &text);
template <class... A> void Print(const A &...a) {
    string s(u"");
    ((s += a), ...);
    log_("print", s);
}
template <class... A> void Alert(const A &...a) {
    string s(u"");
    ((s += a), ...);
    log_("alert", s);
}
template <class... A> void Comment(const A &...a) {
    string s(u"");
    ((s += a), ...);
    comment_(s);
}
template <class... A> void PrintFormat(const string &f, const A &...a) {
    log_("print", format_(f, {arg_(a)...}));
}
bool SendNotification(const string &text);

// ---- numbers
template <class T> T MathAbs(T x) { return x < 0 ? -x : x; }
template <class A, class B> std::common_type_t<A, B> MathMin(A a, B b) {
    typedef std::common_type_t<A, B> C;
    return (C)a < (C)b ? (C)a : (C)b;
}
template <class A, class B> std::common_type_t<A, B> MathMax(A a, B b) {
    typedef std::common_type_t<A, B> C;
    return (C)a > (C)b ? (C)a : (C)b;
}
inline double MathFloor(double x) { return floor(x); }
inline double MathCeil(double x) { return ceil(x); }
inline double MathRound(double x) { return round(x); }
inline double MathPow(double a, double b) { return pow(a, b); }
inline double MathSqrt(double x) { return sqrt(x); }
inline double MathLog(double x) { return log(x); }
inline double MathExp(double x) { return exp(x); }
inline double MathMod(double a, double b) { return fmod(a, b); }
inline bool MathIsValidNumber(double x) { return std::isfinite(x); }
double NormalizeDouble(double x, int digits);
int MathRand();
void MathSrand(int seed);

// ---- time, program, terminal
ulong GetTickCount64();
ulong GetMicrosecondCount();
inline uint GetTickCount() { return (uint)GetTickCount64(); }
datetime TimeGMT();
datetime TimeCurrent();
datetime TimeLocal();
datetime TimeTradeServer();
struct MqlDateTime {
    ITSELF(MqlDateTime)
    int year, mon, day, hour, min, sec, day_of_week, day_of_year;
};
bool TimeToStruct(datetime t, MqlDateTime &s);
datetime StructToTime(const MqlDateTime &s);
void Sleep(int ms);
bool IsStopped();
void ExpertRemove();
bool EventSetTimer(int s);
bool EventSetMillisecondTimer(int ms);
void EventKillTimer();
enum ENUM_INIT_RETCODE {
    INIT_SUCCEEDED,
    INIT_FAILED,
    INIT_PARAMETERS_INCORRECT,
    INIT_AGENT_NOT_SUITABLE
};
enum ENUM_MQL_INFO_INTEGER {
    MQL_TESTER,
    MQL_TRADE_ALLOWED,
    MQL_DLLS_ALLOWED,
    MQL_OPTIMIZATION,
    MQL_VISUAL_MODE,
    MQL_DEBUG,
    MQL_PROGRAM_TYPE
};
enum ENUM_MQL_INFO_STRING { MQL_PROGRAM_NAME, MQL_PROGRAM_PATH };
enum ENUM_TERMINAL_INFO_INTEGER {
    TERMINAL_CONNECTED,
    TERMINAL_TRADE_ALLOWED,
    TERMINAL_BUILD,
    TERMINAL_DLLS_ALLOWED,
    TERMINAL_PING_LAST
};
enum ENUM_TERMINAL_INFO_STRING {
    TERMINAL_PATH,
    TERMINAL_DATA_PATH,
    TERMINAL_COMMONDATA_PATH,
    TERMINAL_NAME
};
#define REASON_PROGRAM 0
#define REASON_REMOVE 1
#define REASON_RECOMPILE 2
#define REASON_CHARTCHANGE 3
#define REASON_CHARTCLOSE 4
#define REASON_PARAMETERS 5
#define REASON_ACCOUNT 6
#define REASON_CLOSE 9
long MQLInfoInteger(ENUM_MQL_INFO_INTEGER what);
string MQLInfoString(ENUM_MQL_INFO_STRING what);
long TerminalInfoInteger(ENUM_TERMINAL_INFO_INTEGER what);
string TerminalInfoString(ENUM_TERMINAL_INFO_STRING what);
int UninitializeReason();
string Symbol();
double Point();
int Digits();
int Period();
bool GlobalVariableCheck(const string &n);
double GlobalVariableGet(const string &n);
datetime GlobalVariableSet(const string &n, double x);
bool GlobalVariableTemp(const string &n);
bool GlobalVariableDel(const string &n);
bool GlobalVariableSetOnCondition(const string &n, double x, double check);

// ---- inputs: read from the environment; a change of the inputs keeps the other global variables
struct Reinput {
    explicit Reinput(std::function<void()> f);
};
template <class T, class V> T input_(const char *name, V otherwise) {
    const char *e = getenv(name);
    if (!e)
        return T(otherwise);
    if constexpr (std::is_same_v<T, string>)
        return string::utf8(e);
    else if constexpr (std::is_same_v<T, bool>)
        return T(!strcmp(e, "true") || !strcmp(e, "1"));
    else if constexpr (std::is_floating_point_v<T>)
        return T(atof(e));
    else
        return T(atol(e));
}

// ---- files, in the folder MQL5/Files of the terminal
#define FILE_READ 1
#define FILE_WRITE 2
#define FILE_BIN 4
#define FILE_CSV 8
#define FILE_TXT 16
#define FILE_ANSI 32
#define FILE_UNICODE 64
#define FILE_SHARE_READ 128
#define FILE_SHARE_WRITE 256
#define FILE_REWRITE 512
#define FILE_COMMON 4096
int FileOpen(const string &name, int flags, ushort delimiter = '\t', uint page = CP_ACP);
void FileClose(int h);
void FileFlush(int h);
bool FileIsEnding(int h);
ulong FileSize(int h);
bool FileSeek(int h, long at, int whence);
ulong FileTell(int h);
bool FileIsExist(const string &name, int common = 0);
bool FileDelete(const string &name, int common = 0);
bool FileMove(const string &from, int common, const string &to, int mode);
uint FileWriteString(int h, const string &s, int n = -1);
string FileReadString(int h, int n = -1);
size_t file_read_(int h, void *to, size_t size);
size_t file_write_(int h, const void *from, size_t size);
template <class T>
uint FileWriteArray(int h, const Array<T> &a, long start = 0, long count = WHOLE_ARRAY) {
    if (count < 0 || count > a.n - start)
        count = a.n - start;
    return count <= 0 ? 0 : (uint)(file_write_(h, a.p + start, sizeof(T) * count) / sizeof(T));
}
template <class T>
uint FileReadArray(int h, Array<T> &a, long start = 0, long count = WHOLE_ARRAY) {
    long left = (long)((FileSize(h) - FileTell(h)) / sizeof(T));
    if (count < 0 || count > left)
        count = left;
    if (count <= 0)
        return 0;
    if (start + count > a.n)
        a.resize_((int)(start + count), 0);
    return (uint)(file_read_(h, a.p + start, sizeof(T) * count) / sizeof(T));
}
enum ENUM_CRYPT_METHOD {
    CRYPT_BASE64,
    CRYPT_AES128,
    CRYPT_AES256,
    CRYPT_DES,
    CRYPT_HASH_MD5,
    CRYPT_HASH_SHA1,
    CRYPT_HASH_SHA256,
    CRYPT_ARCH_ZIP
};
int CryptEncode(ENUM_CRYPT_METHOD m, const Array<uchar> &data, const Array<uchar> &key,
                Array<uchar> &result);

// ---- network
#define SOCKET_DEFAULT 0u
int SocketCreate(uint flags = SOCKET_DEFAULT);
bool SocketClose(int s);
bool SocketConnect(int s, const string &host, uint port, uint ms);
bool SocketIsConnected(int s);
uint SocketIsReadable(int s);
bool SocketIsWritable(int s);
bool SocketTimeouts(int s, uint send_ms, uint receive_ms);
int SocketRead(int s, Array<uchar> &b, uint n, uint ms);
int SocketSend(int s, const Array<uchar> &b, uint n);
bool SocketTlsHandshake(int s, const string &host);
bool SocketTlsCertificate(int s, string &subject, string &issuer, string &serial, string &thumb,
                          datetime &until);
int SocketTlsRead(int s, Array<uchar> &b, uint n);
int SocketTlsReadAvailable(int s, Array<uchar> &b, uint n);
int SocketTlsSend(int s, const Array<uchar> &b, uint n);

#include "trade.hpp"
#endif
