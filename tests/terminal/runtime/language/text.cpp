// Strings, and numbers and times as strings.
#include "mql5.hpp"
#include <ctime>

string string::utf8(const std::string &b) { return string(units_(b, CP_UTF8)); }

std::string string::utf8() const { return bytes_(s, CP_UTF8); }

string operator""_s(const char *t, size_t n) { return string::utf8(std::string(t, n)); }

string made_(std::u16string s) {
    static bool null = choice("EMPTY_IS_NULL");
    return s.empty() && null ? string() : string(std::move(s));
}

string text_(double x) {
    char b[64];
    snprintf(b, sizeof b, "%.16g", x);
    if (!strpbrk(b, ".eni"))
        strcat(b, ".0");
    return string::utf8(b);
}

string text_(long x, bool u) {
    return string::utf8(u ? std::to_string((unsigned long)x) : std::to_string(x));
}

std::string date_(long t, int f) {
    time_t c = t;
    tm m;
    gmtime_r(&c, &m);
    char b[64];
    strftime(b, sizeof b,
             f == 1  ? "%Y.%m.%d"
             : f & 2 ? (f & 1 ? "%Y.%m.%d %H:%M:%S" : "%H:%M:%S")
                     : (f & 1 ? "%Y.%m.%d %H:%M" : "%H:%M"),
             &m);
    return b;
}

datetime StringToTime(const string &s) {
    tm m{};
    std::string t = s.utf8();
    int n = sscanf(t.c_str(), "%d%*1[.-]%d%*1[.-]%d %d:%d:%d", &m.tm_year, &m.tm_mon, &m.tm_mday,
                   &m.tm_hour, &m.tm_min, &m.tm_sec);
    if (n < 3)
        return 0;
    m.tm_year -= 1900;
    m.tm_mon--;
    return (long)timegm(&m);
}

datetime _date(const char *t) { return StringToTime(string::utf8(t)); }

bool StringSetCharacter(string &s, int i, ushort c) {
    int n = StringLen(s);
    if (i < 0 || i > n)
        return fail_(5041);
    s.s.resize(n);
    if (i == n)
        s.s.push_back(c);
    else
        s.s[i] = c;
    s.none = false;
    return true;
}

int StringFind(const string &s, const string &f, int from) {
    auto p = s.s.find(f.s, from);
    return p == s.s.npos ? -1 : (int)p;
}

string StringSubstr(const string &s, int from, int n) {
    if (from < 0 || from > StringLen(s))
        return fail_(5041), made_(u"");
    return made_(s.s.substr(from, n < 0 ? s.s.npos : n));
}

int StringSplit(const string &s, ushort by, Array<string> &out) {
    out.resize_(0, 0);
    if (StringLen(s) == 0)
        return 0;
    std::u16string cur;
    auto put = [&] {
        out.resize_(out.n + 1, 16);
        out.p[out.n - 1] = made_(cur);
        cur.clear();
    };
    for (auto c : s.s)
        if (c == by)
            put();
        else
            cur.push_back(c);
    put();
    return out.n;
}

int StringReplace(string &s, const string &f, const string &t) {
    int n = 0;
    size_t p = 0;
    if (f.s.empty())
        return 0;
    while ((p = s.s.find(f.s, p)) != s.s.npos) {
        s.s.replace(p, f.s.size(), t.s);
        p += t.s.size();
        n++;
    }
    return n;
}

static bool blank(char16_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

int StringTrimLeft(string &s) {
    size_t n = 0;
    while (n < s.s.size() && blank(s.s[n]))
        n++;
    s.s.erase(0, n);
    return (int)n;
}

int StringTrimRight(string &s) {
    size_t n = s.s.size();
    while (n && blank(s.s[n - 1]))
        n--;
    int cut = (int)(s.s.size() - n);
    s.s.resize(n);
    return cut;
}

bool StringToLower(string &s) {
    for (auto &c : s.s)
        if (c < 128)
            c = tolower(c);
    return true;
}

bool StringToUpper(string &s) {
    for (auto &c : s.s)
        if (c < 128)
            c = toupper(c);
    return true;
}

int StringCompare(const string &a, const string &b, bool cased) {
    string x = a, y = b;
    if (!cased)
        StringToLower(x), StringToLower(y);
    return x.s < y.s ? -1 : x.s > y.s;
}

bool StringInit(string &s, int n, ushort c) {
    s = string(std::u16string(c ? n : 0, c));
    return true;
}

double StringToDouble(const string &s) { return strtod(s.utf8().c_str(), nullptr); }

long StringToInteger(const string &s) { return strtol(s.utf8().c_str(), nullptr, 10); }

string DoubleToString(double x, int d) {
    char b[400];
    if (d < 0)
        snprintf(b, sizeof b, "%.*e", -d, x);
    else
        snprintf(b, sizeof b, "%.*f", d > 16 ? 16 : d, x);
    return string::utf8(b);
}

string IntegerToString(long x, int w, ushort f) {
    string s = text_(x, false);
    while ((int)s.s.size() < w)
        s.s.insert(s.s.begin(), f);
    return s;
}

string TimeToString(datetime t, int f) { return string::utf8(date_(t.v, f)); }

int StringToShortArray(const string &s, Array<ushort> &a, long st, long n) {
    long len = StringLen(s) + 1;
    if (n >= 0 && n < len)
        len = n;
    if (st + len > a.n) {
        if (a.fixed)
            len = a.n - st;
        else
            a.resize_((int)(st + len), 0);
    }
    for (long i = 0; i < len; i++)
        a.p[st + i] = i < StringLen(s) ? s.s[i] : 0;
    return (int)len;
}

string ShortArrayToString(const Array<ushort> &a, long st, long n) {
    std::u16string r;
    long e = n < 0 ? a.n : std::min((long)a.n, st + n);
    for (long i = st; i < e && a.p[i]; i++)
        r.push_back(a.p[i]);
    return made_(r);
}
