// Chart templates: the chart has a symbol, a period and the program itself, nothing more.
#include "terminal/terminal.hpp"
#include "trading/broker.hpp"
#include <filesystem>
#include <fstream>

using imitation::terminal;

// A name that begins with a backslash or a slash is one in MQL5; others are in Profiles/Templates.
static std::filesystem::path path(const string &name) {
    std::string inside = name.utf8();
    std::ranges::replace(inside, '\\', '/');
    if (!inside.starts_with('/'))
        return std::filesystem::path("Profiles/Templates") / inside;
    return "MQL5" + inside;
}

static std::u16string chart_as_text() {
    std::string text = "<chart>\r\nsymbol=" + broker.chart + "\r\nperiod=" +
                       std::to_string(terminal.period) + "\r\n<expert>\r\nname=" +
                       MQLInfoString(MQL_PROGRAM_NAME).utf8() +
                       ".ex5\r\n</expert>\r\n</chart>\r\n";
    return u"\xFEFF" + string::utf8(text).s;
}

bool ChartSaveTemplate(long, const string &name) {
    std::filesystem::path file = path(name);
    std::filesystem::create_directories(file.parent_path());
    std::u16string text = chart_as_text();
    std::ofstream(file, std::ios::binary).write((const char *)text.data(), (long)text.size() * 2);
    return true;
}

// The terminal reads no template without its byte order mark.
bool ChartApplyTemplate(long, const string &name) {
    char mark[2] = {};
    std::ifstream(path(name), std::ios::binary).read(mark, 2);
    if (memcmp(mark, "\xFF\xFE", 2) != 0)
        return fail_(5019);
    terminal.chart_template = path(name);
    return true;
}

bool ChartSetSymbolPeriod(long, const string &symbol, ENUM_TIMEFRAMES period) {
    if (!broker.symbols.contains(symbol.utf8()))
        return fail_(4301);
    broker.chart = symbol.utf8();
    terminal.period = period == PERIOD_CURRENT ? terminal.period : period;
    return true;
}
