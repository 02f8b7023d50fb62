// StringFormat: %s takes strings only, and integers have 32 bits unless %I64 or %l says more.
#include "mql5.hpp"

namespace {
class Formatter {
public:
    Formatter(std::string format, std::vector<Arg> arguments)
        : m_format(std::move(format)), m_arguments(std::move(arguments)) {}

    std::string text() {
        std::string out;
        while (m_at < m_format.size()) {
            char c = m_format[m_at++];
            if (c != '%')
                out += c;
            else if (m_at < m_format.size() && m_format[m_at] == '%')
                out += m_format[m_at++];
            else
                out += field();
        }
        return out;
    }

private:
    std::string m_format;
    std::vector<Arg> m_arguments;
    size_t m_at = 0, m_next = 0;

    bool at_one_of(const char *letters) const {
        return m_at < m_format.size() && strchr(letters, m_format[m_at]);
    }

    std::string flags() {
        std::string found = "%";
        for (; at_one_of("-+ #0123456789.*"); m_at++) {
            bool given = m_format[m_at] == '*' && m_next < m_arguments.size();
            found +=
                given ? std::to_string(m_arguments[m_next++].i) : std::string(1, m_format[m_at]);
        }
        return found;
    }

    bool is_wide() {
        bool wide = false;
        while (at_one_of("hlLwI")) {
            bool i64 = m_format.compare(m_at, 3, "I64") == 0;
            wide |= i64 || m_format[m_at] == 'l';
            m_at += i64 ? 3 : 1;
        }
        return wide;
    }

    std::string field() {
        std::string spec = flags();
        bool wide = is_wide();
        if (m_at >= m_format.size())
            return "";
        char kind = m_format[m_at++];
        if (m_next >= m_arguments.size())
            return "(missed)";
        const Arg &value = m_arguments[m_next++];
        if (kind == 's')
            return printed(spec + "s", value.kind == 2 ? value.s.utf8() : "(non-string passed)");
        if (strchr("diuxXoc", kind))
            return printed(spec + (wide ? "l" : "") + kind, wide ? value.i : (long)(int)value.i);
        return printed(spec + kind, value.d);
    }

    static std::string printed(const std::string &spec, const std::string &value) {
        return print(spec, value.c_str());
    }

    static std::string printed(const std::string &spec, long value) { return print(spec, value); }

    static std::string printed(const std::string &spec, double value) { return print(spec, value); }

    template <class T> static std::string print(const std::string &spec, T value) {
        int size = snprintf(nullptr, 0, spec.c_str(), value);
        std::string out((size_t)std::max(size, 0) + 1, 0);
        snprintf(out.data(), out.size(), spec.c_str(), value);
        out.pop_back();
        return out;
    }
};
} // namespace

string format_(const string &format, std::vector<Arg> arguments) {
    return string::utf8(Formatter(format.utf8(), std::move(arguments)).text());
}
