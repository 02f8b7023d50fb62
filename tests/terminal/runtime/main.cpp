// Runs one program as a terminal does: OnInit, then events one after the other in one thread: timer
// (never two in the queue), ticks, trade transactions, OnTrade. Commands come on standard input,
// what happens goes to standard output, the journal to standard error. Commands:
//   set SYM NET [MAGIC]   trade by hand until the net position of that magic number (0) is NET
//   buy|sell SYM LOTS [SL TP MAGIC]      close SYM|#TICKET [LOTS]     modify #TICKET SL TP
//   pending TYPE SYM LOTS PRICE [SL TP]  delete #TICKET               price SYM BID ASK
//   symbol SYM KEY VALUE (least most step limit filling mode market open priced known)     drop SYM
//   fault KIND X [COUNT SYM]  retcode CODE, partial SHARE, quiet SHARE (partial, yet DONE), placed
//   MS,
//                         placed_partial MS, timeout MS (filled late), lost, delay MS, die (after
//                         the fill)
//   lag MS                positions show up that much later        reads N COMMAND   at the N-th
//   look from now
//   connected|trade_allowed|program_allowed|account_allowed|expert_allowed|hidden|last_magic_wins
//   0|1 money LOTS            margin for so many lots                  hedging 0|1 stall MS the
//   program's thread hangs               chart [ID TEXT] inputs NAME=VALUE ... another set of
//   inputs: OnDeinit, OnInit, globals stay    login N MS  another account state                 one
//   line of JSON                         quit | die
#include "broker.hpp"
#include <cfenv>
#include <csignal>
#include <poll.h>
#include <sstream>
#include <unistd.h>
double real_(double ms);
int on_init();
void on_deinit(int r);
void on_timer();
void on_tick();
void on_trade();
void on_start();
void on_chart(int id, long l, double d, string s);
void on_transaction(const MqlTradeTransaction &t, const MqlTradeRequest &q,
                    const MqlTradeResult &r);
static double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}
static double period = 0, due = 0, slowest = 0;
static bool stopped = false, removed = false;
static std::string shown;
static long timers = 0;
static int why = 0;
static std::vector<std::function<void()>> &again() {
    static std::vector<std::function<void()>> v;
    return v;
}
Reinput::Reinput(std::function<void()> f) { again().push_back(f); }
bool EventSetMillisecondTimer(int ms) {
    static double least = getenv("TIMER_LEAST") ? atof(getenv("TIMER_LEAST")) : 16;
    period = real_(std::max((double)ms, least));
    due = now() + period;
    return true;
}
bool EventSetTimer(int s) { return EventSetMillisecondTimer(s * 1000); }
void EventKillTimer() { period = 0; }
bool IsStopped() { return stopped; }
void ExpertRemove() { removed = true; }
void Sleep(int ms) {
    usleep((useconds_t)(real_(ms) * 1000));
    broker.pump();
}
int UninitializeReason() { return why; }
void log_(const char *kind, const string &l) {
    fprintf(stderr, "%.3f %s %s\n", now() / 1e3, kind, l.utf8().c_str());
    if (*kind == 'a')
        say("alert " + l.utf8());
}
void comment_(const string &t) { shown = t.utf8(); }
bool SendNotification(const string &t) {
    say("push " + t.utf8());
    return true;
}
long MQLInfoInteger(ENUM_MQL_INFO_INTEGER w) {
    return w == MQL_TRADE_ALLOWED ? broker.program_allowed : w == MQL_TESTER ? choice("TESTER") : 0;
}
string MQLInfoString(ENUM_MQL_INFO_STRING) { return string(u"program"); }
long TerminalInfoInteger(ENUM_TERMINAL_INFO_INTEGER w) {
    broker.pump();
    return w == TERMINAL_CONNECTED       ? broker.connected
           : w == TERMINAL_TRADE_ALLOWED ? broker.trade_allowed
           : w == TERMINAL_BUILD         ? 5320
                                         : 0;
}
string TerminalInfoString(ENUM_TERMINAL_INFO_STRING) { return string(u"."); }
static std::map<std::string, double> globals;
bool GlobalVariableCheck(const string &n) { return globals.count(n.utf8()); }
double GlobalVariableGet(const string &n) {
    auto i = globals.find(n.utf8());
    return i == globals.end() ? (fail_(4501), 0) : i->second;
}
datetime GlobalVariableSet(const string &n, double x) {
    globals[n.utf8()] = x;
    return TimeLocal();
}
bool GlobalVariableTemp(const string &n) { return globals.emplace(n.utf8(), 0).second; }
bool GlobalVariableDel(const string &n) { return globals.erase(n.utf8()); }
bool GlobalVariableSetOnCondition(const string &n, double x, double c) {
    auto i = globals.find(n.utf8());
    if (i == globals.end() || i->second != c)
        return false;
    i->second = x;
    return true;
}
static std::string quoted(const std::string &s) {
    std::string o = "\"";
    for (unsigned char c : s) {
        if (c == '"' || c == '\\')
            o += '\\';
        if (c < 32) {
            char b[8];
            snprintf(b, 8, "\\u%04x", c);
            o += b;
        } else
            o += c;
    }
    return o + "\"";
}
static std::string state() {
    std::ostringstream o;
    o << "{\"login\":" << broker.login << ",\"positions\":[";
    bool first = true;
    o.precision(10);
    for (auto &p : broker.positions) {
        o << (first ? "" : ",") << "{\"ticket\":" << p.ticket << ",\"symbol\":" << quoted(p.symbol)
          << ",\"lots\":" << (p.type ? -p.volume : p.volume) << ",\"magic\":" << p.magic
          << ",\"sl\":" << p.sl << ",\"tp\":" << p.tp << "}";
        first = false;
    }
    o << "],\"orders\":[";
    first = true;
    for (auto &p : broker.orders) {
        o << (first ? "" : ",") << "{\"ticket\":" << p.ticket << ",\"symbol\":" << quoted(p.symbol)
          << ",\"type\":" << p.type << ",\"lots\":" << p.volume << ",\"price\":" << p.price
          << ",\"magic\":" << p.magic << "}";
        first = false;
    }
    o << "],\"sent\":" << broker.sent << ",\"deals\":" << broker.deals
      << ",\"busiest\":" << broker.busiest << ",\"timers\":" << timers << ",\"slowest\":" << slowest
      << ",\"comment\":" << quoted(shown) << "}";
    return o.str();
}
static void trade(const std::string &s, int type, double v, ulong position, long magic,
                  double sl = 0, double tp = 0) {
    MqlTradeRequest q{};
    MqlTradeResult r{};
    q.action = TRADE_ACTION_DEAL;
    q.symbol = string::utf8(s);
    q.type = (ENUM_ORDER_TYPE)type;
    q.volume = v;
    q.position = position;
    q.magic = magic;
    q.type_filling = ORDER_FILLING_IOC;
    q.sl = sl;
    q.tp = tp;
    q.deviation = 1000000;
    if (!broker.send(q, r, true))
        say("refused " + std::to_string(r.retcode));
}
static void command(const std::string &line);
static void rest(std::istringstream &in, std::string &s) {
    std::getline(in, s);
    if (!s.empty() && s[0] == ' ')
        s.erase(0, 1);
}
static void command(const std::string &line) {
    std::istringstream in(line);
    std::string c, s;
    in >> c;
    auto &b = broker;
    auto number = [&](double other = 0.0) {
        double x;
        return in >> x ? x : other;
    };
    auto ticket = [](const std::string &t) { return strtoul(t.c_str() + 1, 0, 10); };
    if (c == "set") {
        in >> s;
        double want = number();
        long m = (long)number();
        if (!b.hedging) {
            double d = want - b.net(s);
            if (std::fabs(d) > 1e-9)
                trade(s, d < 0, std::fabs(d), 0, m);
        } else {
            double have = 0;
            for (auto &p : b.positions)
                if (p.symbol == s && p.magic == m)
                    have += (p.type ? -1 : 1) * p.volume;
            while (std::fabs(have) > 1e-9 && (have > 0 ? want < have - 1e-9 : want > have + 1e-9)) {
                Pos *p = nullptr;
                for (auto &x : b.positions)
                    if (x.symbol == s && x.magic == m && (x.type == 0) == (have > 0)) {
                        p = &x;
                        break;
                    }
                if (!p)
                    break;
                double cut = std::min(p->volume, have > 0 ? have - std::max(want, 0.0)
                                                          : std::min(want, 0.0) - have);
                if (cut < 1e-9)
                    break;
                have += p->type ? cut : -cut;
                size_t before = b.deals;
                trade(s, 1 - p->type, cut, p->ticket, m);
                if ((size_t)b.deals == before)
                    break;
            }
            double d = want - have;
            if (std::fabs(d) > 1e-9)
                trade(s, d < 0, std::fabs(d), 0, m);
        }
    } else if (c == "buy" || c == "sell") {
        in >> s;
        double v = number(), sl = number(), tp = number();
        trade(s, c == "sell", v, 0, (long)number(), sl, tp);
    } else if (c == "close") {
        in >> s;
        double v = number();
        std::vector<Pos> l = b.positions;
        for (auto &p : l)
            if (s[0] == '#' ? p.ticket == ticket(s) : p.symbol == s)
                trade(p.symbol, 1 - p.type, v > 0 ? v : p.volume, p.ticket, p.magic);
    } else if (c == "modify") {
        in >> s;
        MqlTradeRequest q{};
        MqlTradeResult r{};
        q.action = TRADE_ACTION_SLTP;
        q.position = ticket(s);
        for (auto &p : b.positions)
            if (p.ticket == q.position)
                q.symbol = string::utf8(p.symbol);
        q.sl = number();
        q.tp = number();
        if (!b.send(q, r, true))
            say("refused " + std::to_string(r.retcode));
    } else if (c == "pending") {
        static const char *N[] = {"",         "",          "buy_limit",      "sell_limit",
                                  "buy_stop", "sell_stop", "buy_stop_limit", "sell_stop_limit"};
        std::string t;
        in >> t >> s;
        MqlTradeRequest q{};
        MqlTradeResult r{};
        q.action = TRADE_ACTION_PENDING;
        for (int i = 2; i < 8; i++)
            if (t == N[i])
                q.type = (ENUM_ORDER_TYPE)i;
        q.symbol = string::utf8(s);
        q.volume = number();
        q.price = number();
        q.sl = number();
        q.tp = number();
        q.magic = (ulong)number();
        if (!b.send(q, r, true))
            say("refused " + std::to_string(r.retcode));
    } else if (c == "delete") {
        in >> s;
        MqlTradeRequest q{};
        MqlTradeResult r{};
        q.action = TRADE_ACTION_REMOVE;
        q.order = ticket(s);
        b.send(q, r, true);
    } else if (c == "price") {
        in >> s;
        double x = number(), y = number();
        b.price(s, x, y > 0 ? y : x * 1.0001);
        if (s == b.chart)
            on_tick();
    } else if (c == "symbol") {
        std::string k;
        in >> s >> k;
        double x = number();
        Sym &y = b.symbols[s];
        if (k == "least")
            y.least = x;
        else if (k == "most")
            y.most = x;
        else if (k == "step")
            y.step = x;
        else if (k == "limit")
            y.limit = x;
        else if (k == "filling")
            y.filling = (int)x;
        else if (k == "mode")
            y.mode = (int)x;
        else if (k == "market")
            y.market = x;
        else if (k == "open")
            y.open = x;
        else if (k == "priced")
            y.priced = x;
        else if (k == "known")
            y.known = x;
    } else if (c == "drop") {
        in >> s;
        b.symbols.erase(s);
    } else if (c == "fault") {
        Fault f;
        in >> f.kind;
        f.x = number();
        f.count = (int)number(1);
        if (in >> s)
            f.symbol = s;
        if (f.kind == "quiet")
            f.kind = "partial", f.quiet = true;
        b.faults.push_back(f);
    } else if (c == "nofaults")
        b.faults.clear();
    else if (c == "lag")
        b.lag = number();
    else if (c == "money")
        b.money = number();
    else if (c == "reads") {
        b.reads = (long)number();
        std::string r;
        rest(in, r);
        b.on_read = [r] { command(r); };
    } else if (c == "connected")
        b.connected = number();
    else if (c == "trade_allowed")
        b.trade_allowed = number();
    else if (c == "program_allowed")
        b.program_allowed = number();
    else if (c == "account_allowed")
        b.account_allowed = number();
    else if (c == "expert_allowed")
        b.expert_allowed = number();
    else if (c == "hidden")
        b.hidden = number();
    else if (c == "last_magic_wins")
        b.last_magic_wins = number();
    else if (c == "hedging")
        b.hedging = number();
    else if (c == "stall")
        usleep((useconds_t)(number() * 1000));
    else if (c == "chart") {
        int id = (int)number(1000);
        rest(in, s);
        on_chart(id, 0, 0, string::utf8(s));
    } else if (c == "inputs") {
        on_deinit(REASON_PARAMETERS);
        while (in >> s) {
            size_t e = s.find('=');
            setenv(s.substr(0, e).c_str(), s.substr(e + 1).c_str(), 1);
        }
        for (auto &f : again())
            f();
        say("init " + std::to_string(on_init()));
    } else if (c == "login") {
        long n = (long)number();
        double ms = number();
        on_deinit(REASON_ACCOUNT);
        b.login = n;
        b.load();
        b.hidden = ms > 0;
        if (ms > 0)
            b.after(ms, [] { broker.hidden = false; });
        say("init " + std::to_string(on_init()));
    } else if (c == "state")
        say("state " + state());
    else if (c == "quit")
        stopped = true;
    else if (c == "die")
        _exit(9);
    else if (!c.empty())
        say("unknown " + line);
}
static void fpe(int) { critical("zero divide"); }
static void segv(int) {
    critical("access violation (invalid pointer or a reference to memory that moved)");
}
int main() {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGFPE, fpe);
    signal(SIGSEGV, segv);
    setvbuf(stderr, nullptr, _IONBF, 0);
    broker.begin();
    if (getenv("CHART"))
        broker.chart = getenv("CHART");
    feenableexcept(FE_DIVBYZERO | FE_INVALID);
    int code = on_init();
    if (code) {
        say("init failed " + std::to_string(code));
        on_deinit(8);
        return 1;
    }
    say("ready");
    on_start();
    std::string line;
    bool eof = false;
    while (!stopped && !removed) {
        broker.pump();
        while (!broker.events.empty()) {
            auto e = broker.events;
            broker.events.clear();
            for (auto &t : e)
                on_transaction(t, MqlTradeRequest{}, MqlTradeResult{});
        }
        if (broker.events_trade) {
            broker.events_trade = false;
            on_trade();
            continue;
        }
        double until = std::min(period ? due : 1e18, broker.next_due()), left = until - now();
        pollfd p{0, POLLIN, 0};
        int r = poll(&p, eof ? 0 : 1, left > 1000 ? 1000 : left < 0 ? 0 : (int)std::ceil(left));
        if (r > 0) {
            char buf[4096];
            ssize_t n = read(0, buf, sizeof buf);
            if (n <= 0) {
                eof = true;
                stopped = !choice("SURVIVE_EOF");
            }
            for (ssize_t i = 0; i < n; i++)
                if (buf[i] == '\n') {
                    command(line);
                    line.clear();
                } else
                    line += buf[i];
        }
        if (period && now() >= due) {
            double t = now();
            timers++;
            due = t + period;
            on_timer();
            slowest = std::max(slowest, now() - t);
            if (due < now())
                due = now() + (period > 50 ? 1 : period);
        }
    }
    on_deinit(removed ? REASON_PROGRAM : REASON_REMOVE);
    say("state " + state());
    return 0;
}
