// UTF-16 to bytes of a code page and back.
#include "mql5.hpp"
#include <cerrno>
#include <iconv.h>

static const char *UNITS = "UTF-16LE";

static std::string page_name(uint page) {
    static const char *ansi = getenv("ACP") ? getenv("ACP") : "CP1252";
    const uint thread_page = 3; // CP_THREAD_ACP
    if (page == CP_UTF8)
        return "UTF-8";
    if (page == CP_ACP || page == CP_OEMCP || page == thread_page)
        return ansi;
    return "CP" + std::to_string(page);
}

// `bad` stands for what has no equal, `width` bytes of input.
static std::string convert(const std::string &to, const std::string &from, std::string in,
                           const std::string &bad, size_t width) {
    iconv_t converter = iconv_open(to.c_str(), from.c_str());
    if (converter == (iconv_t)-1)
        return {};
    std::string out;
    char *at = in.data(), buffer[4096];
    size_t left = in.size();
    while (left) {
        char *end = buffer;
        size_t room = sizeof buffer;
        bool failed = iconv(converter, &at, &left, &end, &room) == (size_t)-1 && errno != E2BIG;
        out.append(buffer, (size_t)(end - buffer));
        if (!failed)
            continue;
        if (width > left)
            break;
        out += bad;
        at += width;
        left -= width;
    }
    iconv_close(converter);
    return out;
}

// Nearly every text is ASCII, which each code page but UTF-7 has at the same place.
template <class C> static bool is_ascii(const std::basic_string<C> &text, uint page) {
    return page != CP_UTF7 && std::ranges::all_of(text, [](C c) { return c >= 0 && c < 128; });
}

std::string bytes_(const std::u16string &text, uint page) {
    if (is_ascii(text, page))
        return std::string(text.begin(), text.end());
    std::string units((const char *)text.data(), text.size() * 2);
    return convert(page_name(page), UNITS, units, "?", 2);
}

std::u16string units_(const std::string &bytes, uint page) {
    if (is_ascii(bytes, page))
        return std::u16string(bytes.begin(), bytes.end());
    std::string found = convert(UNITS, page_name(page), bytes, "\xfd\xff", 1); // U+FFFD
    return std::u16string((const char16_t *)found.data(), found.size() / 2);
}
