// Text.
#ifndef TEXT_HPP
#define TEXT_HPP

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
#endif
