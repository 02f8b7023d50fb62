// Datetime.
#ifndef DATETIME_HPP
#define DATETIME_HPP

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
#endif
