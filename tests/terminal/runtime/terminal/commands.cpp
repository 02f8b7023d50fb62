// The commands of a test, a table in COMMANDS below; README.md describes them.
#include "terminal/terminal.hpp"
#include "trading/broker.hpp"
#include <algorithm>
#include <sstream>
#include <unistd.h>

namespace imitation {
namespace {
const double ALMOST = 1e-9;
const double ANY_DEVIATION = 1000000; // points
const char *const PENDING[] = {"buy_limit", "sell_limit",     "buy_stop",
                               "sell_stop", "buy_stop_limit", "sell_stop_limit"};

// The words of a command; a number that is absent has a default.
struct Words {
    std::istringstream in;

    std::string word() {
        std::string text;
        in >> text;
        return text;
    }

    double number(double otherwise = 0) {
        double x;
        return in >> x ? x : otherwise;
    }

    ulong ticket() { return strtoul(word().c_str() + 1, nullptr, 10); } // #123

    std::string rest() {
        std::string text;
        std::getline(in >> std::ws, text);
        return text;
    }
};

void request(const MqlTradeRequest &q) {
    MqlTradeResult r{};
    if (!broker.send(q, r, true))
        say("refused " + std::to_string(r.retcode));
}

void deal(const std::string &symbol, int type, double lots, ulong position, long magic,
          double sl = 0, double tp = 0) {
    MqlTradeRequest q{};
    q.action = TRADE_ACTION_DEAL;
    q.symbol = string::utf8(symbol);
    q.type = (ENUM_ORDER_TYPE)type;
    q.volume = lots;
    q.position = position;
    q.magic = (ulong)magic;
    bool fills = broker.symbols[symbol].filling & SYMBOL_FILLING_IOC;
    q.type_filling = fills ? ORDER_FILLING_IOC : ORDER_FILLING_FOK;
    q.sl = sl;
    q.tp = tp;
    q.deviation = (ulong)ANY_DEVIATION;
    request(q);
}

// ---- trading by hand
double held(const std::string &symbol, long magic) {
    double sum = 0;
    for (auto &p : broker.account.positions)
        sum += p.symbol == symbol && p.magic == magic ? p.lots() : 0;
    return rounded(sum);
}

// Closes positions of that magic number until `want` of the side is left.
void reduce(const std::string &symbol, double want, long magic) {
    for (auto &p : std::vector<Position>(broker.account.positions)) {
        double have = held(symbol, magic),
               left = have > 0 ? std::max(want, 0.0) : std::min(want, 0.0);
        double cut = std::min(p.volume, std::fabs(have) - std::fabs(left));
        if (p.symbol == symbol && p.magic == magic && (p.type == 0) == (have > 0) && cut > ALMOST)
            deal(symbol, 1 - p.type, rounded(cut), p.ticket, magic);
    }
}

void set(Words &w) {
    std::string symbol = w.word();
    double want = w.number();
    long magic = (long)w.number();
    if (broker.hedging)
        reduce(symbol, want, magic);
    double have = broker.hedging ? held(symbol, magic) : broker.account.net(symbol);
    double rest = rounded(want - have);
    if (std::fabs(rest) > ALMOST)
        deal(symbol, rest < 0, std::fabs(rest), 0, magic);
}

void open(Words &w, int type) {
    std::string symbol = w.word();
    double lots = w.number(), sl = w.number(), tp = w.number();
    deal(symbol, type, lots, 0, (long)w.number(), sl, tp);
}

void close(Words &w) {
    std::string what = w.word();
    double lots = w.number();
    for (auto &p : std::vector<Position>(broker.account.positions))
        if (what == p.symbol || what == "#" + std::to_string(p.ticket))
            deal(p.symbol, 1 - p.type, lots > 0 ? lots : p.volume, p.ticket, p.magic);
}

void modify(Words &w) {
    MqlTradeRequest q{};
    q.action = TRADE_ACTION_SLTP;
    q.position = w.ticket();
    if (Position *p = broker.account.position(q.position))
        q.symbol = string::utf8(p->symbol);
    q.sl = w.number();
    q.tp = w.number();
    request(q);
}

void pending(Words &w) {
    MqlTradeRequest q{};
    q.action = TRADE_ACTION_PENDING;
    auto type = std::ranges::find(PENDING, w.word());
    q.type = (ENUM_ORDER_TYPE)(ORDER_TYPE_BUY_LIMIT + (type - std::begin(PENDING)));
    q.symbol = string::utf8(w.word());
    q.volume = w.number();
    q.price = w.number();
    q.sl = w.number();
    q.tp = w.number();
    q.magic = (ulong)w.number();
    q.stoplimit = w.number();
    request(q);
}

void move(Words &w) { // #TICKET PRICE [SL TP]
    MqlTradeRequest q{};
    q.action = TRADE_ACTION_MODIFY;
    q.order = w.ticket();
    q.price = w.number();
    q.sl = w.number();
    q.tp = w.number();
    request(q);
}

void remove(Words &w) {
    MqlTradeRequest q{};
    q.action = TRADE_ACTION_REMOVE;
    q.order = w.ticket();
    request(q);
}

void measure(Words &) {
    terminal.timer.count = 0;
    terminal.timer.slowest = terminal.timer.computed = 0;
    broker.counters = Counters();
}

// ---- the market and the broker
void price(Words &w) {
    std::string symbol = w.word();
    double bid = w.number(), ask = w.number(bid * 1.0001);
    broker.price(symbol, bid, ask);
    if (symbol == broker.chart)
        on_tick();
}

void symbol(Words &w) {
    Instrument &s = broker.symbols[w.word()];
    std::string key = w.word();
    double x = w.number();
    const std::map<std::string, std::function<void()>> setters = {
        {"least", [&] { s.least = x; }},
        {"most", [&] { s.most = x; }},
        {"step", [&] { s.step = x; }},
        {"limit", [&] { s.limit = x; }},
        {"filling", [&] { s.filling = (int)x; }},
        {"mode", [&] { s.mode = (int)x; }},
        {"stops", [&] { s.stops = (int)x; }},
        {"freeze", [&] { s.freeze = (int)x; }},
        {"market", [&] { s.market = x; }},
        {"open", [&] { s.open = x; }},
        {"priced", [&] { s.priced = x; }},
        {"known", [&] { s.known = x; }},
        {"contract", [&] { s.contract = x; }}};
    auto found = setters.find(key);
    found == setters.end() ? say("unknown symbol " + key) : found->second();
}

void fault(Words &w) {
    Fault f;
    f.kind = w.word();
    f.x = w.number();
    f.count = (int)w.number(1);
    std::string symbol = w.word();
    f.symbol = symbol.empty() ? "*" : symbol;
    broker.faults.push_back(f);
}

void reads(Words &w) {
    broker.reads = (long)w.number();
    broker.on_read = [line = w.rest()] { obey(line); };
}

// ---- the terminal
void inputs(Words &w) {
    terminal.restart(REASON_PARAMETERS, [&] {
        for (std::string text = w.word(); !text.empty(); text = w.word()) {
            size_t equals = text.find('=');
            setenv(text.substr(0, equals).c_str(), text.substr(equals + 1).c_str(), 1);
        }
        read_inputs_again();
    });
}

void login(Words &w) { // LOGIN [MS [SERVER]]
    long number = (long)w.number();
    double hidden = w.number();
    std::string server = w.word();
    terminal.restart(REASON_ACCOUNT, [&] { broker.log_in(number, server, hidden); });
}

void change_account(Words &w) { // as login, and the program runs on
    long number = (long)w.number();
    double hidden = w.number();
    broker.log_in(number, w.word(), hidden);
}

void click(Words &w) {
    std::string name = w.rest();
    on_chart(CHARTEVENT_OBJECT_CLICK, 0, 0, string::utf8(name));
}

void chart(Words &w) {
    int id = (int)w.number(CHARTEVENT_CUSTOM);
    on_chart(id, 0, 0, string::utf8(w.rest()));
}

template <class T> std::function<void(Words &)> into(T Broker::*field) {
    return [field](Words &w) { broker.*field = (T)w.number(); };
}

typedef std::map<std::string, std::function<void(Words &)>> Table;

const Table &commands() {
    static const Table all = {
        {"set", set},
        {"buy", [](Words &w) { open(w, 0); }},
        {"sell", [](Words &w) { open(w, 1); }},
        {"close", close},
        {"modify", modify},
        {"pending", pending},
        {"move", move},
        {"delete", remove},
        {"price", price},
        {"symbol", symbol},
        {"drop", [](Words &w) { broker.symbols.erase(w.word()); }},
        {"fault", fault},
        {"nofaults", [](Words &) { broker.faults.clear(); }},
        {"reads", reads},
        {"lag", into(&Broker::lag)},
        {"history_lag", into(&Broker::history_lag)},
        {"money", into(&Broker::money)},
        {"connected", into(&Broker::connected)},
        {"hidden", into(&Broker::hidden)},
        {"trade_allowed", into(&Broker::trade_allowed)},
        {"program_allowed", into(&Broker::program_allowed)},
        {"account_allowed", into(&Broker::account_allowed)},
        {"expert_allowed", into(&Broker::expert_allowed)},
        {"last_magic_wins", into(&Broker::last_magic_wins)},
        {"hedging", into(&Broker::hedging)},
        {"stall", [](Words &w) { pause_ms(w.number()); }},
        {"inputs", inputs},
        {"period", [](Words &) { terminal.restart(REASON_CHARTCHANGE, [] {}); }},
        {"login", login},
        {"account", change_account},
        {"click", click},
        {"chart", chart},
        {"state", [](Words &) { say("state " + state_json()); }},
        {"history", [](Words &) { say("history " + history_json()); }},
        {"measure", measure},
        {"quit", [](Words &) { terminal.stopped = true; }},
        {"die", [](Words &) { _exit(9); }},
    };
    return all;
}
} // namespace

void obey(const std::string &line) {
    Words words{std::istringstream(line)};
    std::string name = words.word();
    if (name.empty())
        return;
    auto found = commands().find(name);
    found == commands().end() ? say("unknown " + line) : found->second(words);
}

// ---- what a test sees
std::string quoted(const std::string &text) {
    std::string out = "\"";
    for (unsigned char c : text) {
        char escaped[8];
        snprintf(escaped, sizeof escaped, "\\u%04x", c);
        if (c < 32)
            out += escaped;
        else
            out += (c == '"' || c == '\\' ? "\\" : "") + std::string(1, (char)c);
    }
    return out + "\"";
}

namespace {
// {"key": value, …}, in the order of the calls
struct Json {
    std::ostringstream out;

    template <class T> Json &operator()(const char *key, const T &value) {
        out << (out.tellp() > 0 ? "," : "") << '"' << key << "\":";
        out.precision(10);
        if constexpr (std::is_same_v<T, std::string>)
            out << value;
        else
            out << +value;
        return *this;
    }

    std::string text() const { return "{" + out.str() + "}"; }
};

template <class T, class F> std::string list(const std::vector<T> &all, F each) {
    std::string out;
    for (auto &record : all) {
        Json json;
        each(json, record);
        out += (out.empty() ? "" : ",") + json.text();
    }
    return "[" + out + "]";
}

void describe(Json &json, const Position &p) {
    json("ticket", p.ticket)("symbol", quoted(p.symbol))("lots", p.lots())("magic", p.magic);
    json("sl", p.sl)("tp", p.tp)("price", p.price)("id", p.id)("comment", quoted(p.comment));
}

void describe(Json &json, const Order &o) {
    json("ticket", o.ticket)("symbol", quoted(o.symbol))("type", o.type)("lots", o.volume);
    json("price", o.price)("limit", o.limit)("sl", o.sl)("tp", o.tp)("magic", o.magic);
    json("state", o.state)("comment", quoted(o.comment));
}

void describe(Json &json, const Deal &d) {
    json("ticket", d.ticket)("order", d.order)("position", d.position)("symbol", quoted(d.symbol));
    json("type", d.type)("entry", d.entry)("reason", d.reason)("lots", d.volume);
    json("price", d.price)("profit", d.profit)("magic", d.magic)("comment", quoted(d.comment));
}

const auto described = [](Json &json, const auto &record) { describe(json, record); };
} // namespace

std::string state_json() {
    broker.pump();
    Json json, refused;
    for (auto &[symbol, count] : broker.counters.refused)
        refused(symbol.c_str(), count);
    json("login", broker.account.login)("server", quoted(broker.account.server));
    json("balance", broker.account.balance)("equity", broker.account.balance + broker.floating());
    json("positions", list(broker.account.positions, described));
    json("orders", list(broker.account.orders, described));
    json("sent", broker.counters.sent)("deals", broker.counters.deals);
    json("refused", refused.text())("busiest", broker.counters.busiest);
    json("timers", terminal.timer.count)("slowest", terminal.timer.slowest);
    json("computed", terminal.timer.computed);
    json("comment", quoted(terminal.comment))("objects", objects_json());
    json("chart", quoted(broker.chart))("period", (int)terminal.period);
    json("template", quoted(terminal.chart_template));
    return json.text();
}

std::string history_json() {
    broker.pump();
    Json json;
    json("deals", list(broker.account.deals, described));
    json("orders", list(broker.account.finished, described));
    return json.text();
}
} // namespace imitation
