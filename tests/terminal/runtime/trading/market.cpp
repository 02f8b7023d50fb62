// The account and the symbols as a program sees them.
#include "terminal/clock.hpp"
#include "terminal/terminal.hpp"
#include "trading/broker.hpp"
#include <cxxabi.h>

using namespace imitation;

static const int LEVERAGE = 100;

long AccountInfoInteger(ENUM_ACCOUNT_INFO_INTEGER p) {
    broker.pump();
    switch (p) {
    case ACCOUNT_LOGIN:
        return broker.account.login;
    case ACCOUNT_MARGIN_MODE:
        return broker.hedging ? ACCOUNT_MARGIN_MODE_RETAIL_HEDGING
                              : ACCOUNT_MARGIN_MODE_RETAIL_NETTING;
    case ACCOUNT_TRADE_ALLOWED:
        return broker.account_allowed;
    case ACCOUNT_TRADE_EXPERT:
        return broker.expert_allowed;
    case ACCOUNT_LEVERAGE:
        return LEVERAGE;
    case ACCOUNT_CURRENCY_DIGITS:
        return 2;
    case ACCOUNT_HEDGE_ALLOWED:
        return 1;
    default:
        return 0; // demo, no limit, no FIFO
    }
}

double AccountInfoDouble(ENUM_ACCOUNT_INFO_DOUBLE p) {
    broker.pump();
    double balance = broker.account.balance, profit = broker.floating(), margin = broker.margin();
    switch (p) {
    case ACCOUNT_BALANCE:
        return balance;
    case ACCOUNT_PROFIT:
        return profit;
    case ACCOUNT_EQUITY:
        return balance + profit;
    case ACCOUNT_MARGIN:
        return margin;
    case ACCOUNT_MARGIN_FREE:
        return balance + profit - margin;
    case ACCOUNT_MARGIN_LEVEL:
        return margin > 0 ? 100 * (balance + profit) / margin : 0;
    default:
        return 0; // credit
    }
}

string AccountInfoString(ENUM_ACCOUNT_INFO_STRING p) {
    return p == ACCOUNT_CURRENCY ? string(u"USD")
           : p == ACCOUNT_SERVER ? string::utf8(broker.account.server)
                                 : string(u"Imitation");
}

// ---- symbols
static Instrument *symbol(const string &name) {
    auto found = broker.symbols.find(StringLen(name) ? name.utf8() : broker.chart);
    if (found == broker.symbols.end()) {
        fail_(4301);
        return nullptr;
    }
    return &found->second;
}

bool SymbolSelect(const string &name, bool on) {
    Instrument *s = symbol(name);
    if (s)
        s->selected = on;
    return s;
}

bool SymbolExist(const string &name, bool &custom) {
    custom = false;
    return symbol(name);
}

bool SymbolIsSynchronized(const string &name) { return symbol(name) && broker.connected; }

int SymbolsTotal(bool selected) {
    int count = 0;
    for (auto &each : broker.symbols)
        count += !selected || each.second.selected;
    return count;
}

string SymbolName(int i, bool selected) {
    for (auto &each : broker.symbols)
        if ((!selected || each.second.selected) && i-- == 0)
            return string::utf8(each.first);
    return string(u"");
}

bool SymbolInfoInteger(const string &name, ENUM_SYMBOL_INFO_INTEGER p, long &value) {
    Instrument *s = symbol(name);
    if (!s)
        return p == SYMBOL_EXIST ? (value = 0, true) : false;
    long last = s->ticks.empty() ? server_time_ms() : s->ticks.back().time_msc;
    const std::map<int, long> values = {
        {SYMBOL_EXIST, 1},
        {SYMBOL_SELECT, s->selected},
        {SYMBOL_VISIBLE, s->selected},
        {SYMBOL_CUSTOM, 0},
        {SYMBOL_TIME, last / 1000},
        {SYMBOL_TIME_MSC, last},
        {SYMBOL_DIGITS, s->digits},
        {SYMBOL_SPREAD, (long)std::round((s->ask - s->bid) / s->point)},
        {SYMBOL_SPREAD_FLOAT, 1},
        {SYMBOL_TRADE_CALC_MODE, 0},
        {SYMBOL_TRADE_MODE, s->mode},
        {SYMBOL_TRADE_STOPS_LEVEL, s->stops},
        {SYMBOL_TRADE_FREEZE_LEVEL, s->freeze},
        {SYMBOL_TRADE_EXEMODE,
         s->market ? SYMBOL_TRADE_EXECUTION_MARKET : SYMBOL_TRADE_EXECUTION_INSTANT},
        {SYMBOL_FILLING_MODE, s->filling},
        {SYMBOL_EXPIRATION_MODE, SYMBOL_EXPIRATION_GTC | SYMBOL_EXPIRATION_SPECIFIED},
        {SYMBOL_ORDER_MODE, 127}};
    value = values.at(p);
    return true;
}

bool SymbolInfoDouble(const string &name, ENUM_SYMBOL_INFO_DOUBLE p, double &value) {
    Instrument *s = symbol(name);
    if (!s)
        return false;
    double tick = s->money(s->point, 1);
    const std::map<int, double> values = {{SYMBOL_BID, s->priced ? s->bid : 0},
                                          {SYMBOL_ASK, s->priced ? s->ask : 0},
                                          {SYMBOL_LAST, 0},
                                          {SYMBOL_POINT, s->point},
                                          {SYMBOL_VOLUME_MIN, s->known ? s->least : 0},
                                          {SYMBOL_VOLUME_MAX, s->known ? s->most : 0},
                                          {SYMBOL_VOLUME_STEP, s->known ? s->step : 0},
                                          {SYMBOL_VOLUME_LIMIT, s->limit},
                                          {SYMBOL_TRADE_TICK_VALUE, tick},
                                          {SYMBOL_TRADE_TICK_VALUE_PROFIT, tick},
                                          {SYMBOL_TRADE_TICK_VALUE_LOSS, tick},
                                          {SYMBOL_TRADE_TICK_SIZE, s->point},
                                          {SYMBOL_TRADE_CONTRACT_SIZE, s->contract}};
    value = values.at(p);
    return true;
}

bool SymbolInfoString(const string &name, ENUM_SYMBOL_INFO_STRING p, string &value) {
    if (!symbol(name))
        return false;
    value = p == SYMBOL_CURRENCY_BASE                                    ? StringSubstr(name, 0, 3)
            : p == SYMBOL_CURRENCY_PROFIT || p == SYMBOL_CURRENCY_MARGIN ? string(u"USD")
                                                                         : name;
    return true;
}

bool SymbolInfoTick(const string &name, MqlTick &t) {
    Instrument *s = symbol(name);
    if (!s || !s->priced)
        return fail_(4302);
    long now = server_time_ms();
    if (s->ticks.empty())
        t = MqlTick{now / 1000, s->bid, s->ask, 0, 0, now, TICK_FLAG_BID | TICK_FLAG_ASK, 0};
    else
        t = s->ticks.back();
    return true;
}

// One session a day, the whole day, while the test leaves the market open.
bool SymbolInfoSessionTrade(const string &name, ENUM_DAY_OF_WEEK, uint session, datetime &from,
                            datetime &to) {
    Instrument *s = symbol(name);
    if (!s || !s->open || session > 0)
        return false;
    from = 0;
    to = 86400;
    return true;
}

// ---- ticks that came since the program started
template <class F> static int copy_ticks(const string &name, Array<MqlTick> &out, F wanted) {
    Instrument *s = symbol(name);
    if (!s)
        return -1;
    out.resize_(0, 0);
    for (auto &each : s->ticks)
        if (wanted(each)) {
            out.resize_(out.n + 1, 64);
            out.p[out.n - 1] = each;
        }
    return out.n;
}

int CopyTicks(const string &name, Array<MqlTick> &out, uint, ulong from, uint count) {
    int n = copy_ticks(name, out, [=](auto &each) { return (ulong)each.time_msc >= from; });
    uint most = count ? count : 2000;
    if (n > (int)most && from == 0) // the newest
        ArrayRemove(out, 0, (uint)n - most);
    else if (n > (int)most)
        out.resize_((int)most, 0);
    return n < 0 ? n : out.n;
}

int CopyTicksRange(const string &name, Array<MqlTick> &out, uint, ulong from, ulong to) {
    ulong end = to ? to : ~0ul;
    return copy_ticks(name, out, [=](auto &each) {
        return (ulong)each.time_msc >= from && (ulong)each.time_msc <= end;
    });
}

bool OrderCalcMargin(ENUM_ORDER_TYPE, const string &name, double lots, double price, double &m) {
    Instrument *s = symbol(name);
    m = s ? s->money(price, lots) / LEVERAGE : 0;
    return s;
}

bool OrderCalcProfit(ENUM_ORDER_TYPE type, const string &name, double lots, double from, double to,
                     double &profit) {
    Instrument *s = symbol(name);
    profit = s ? s->money(type & 1 ? from - to : to - from, lots) : 0;
    return s;
}

// ---- the chart's symbol
string Symbol() { return string::utf8(broker.chart); }

double Point() { return broker.symbols[broker.chart].point; }

int Digits() { return broker.symbols[broker.chart].digits; }

ENUM_TIMEFRAMES Period() { return imitation::terminal.period; }

// `function` ends in "VALUE = NAME]", or in "VALUE = (TYPE)9]" when no name has that value.
string enum_name_(const char *function, long value) {
    std::string found = strstr(function, "VALUE = ") + strlen("VALUE = ");
    found.erase(found.find_first_of(";]"));
    if (found[0] == '(')
        found = found.substr(1, found.find(')') - 1) + "::" + std::to_string(value);
    return string::utf8(found);
}
