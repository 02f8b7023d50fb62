// String: UTF-16 code units; NULL is another thing than "".
#ifndef STRING_HPP
#define STRING_HPP

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
#endif
