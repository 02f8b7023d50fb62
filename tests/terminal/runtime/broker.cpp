// A broker with one account, netting or hedging, that a test can command and spoil; and the trade
// functions of MQL5 that ask it. One thread: what happens "meanwhile" happens inside the calls that
// look.
#include "broker.hpp"
#include <algorithm>
#include <csignal>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>
double real_(double ms);
Broker broker;
static double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}
static double near(double x) { return std::round(x * 1e8) / 1e8; }
void say(const std::string &l) {
    fputs((l + "\n").c_str(), stdout);
    fflush(stdout);
}

// ---- symbols and prices
static const char *DEFAULTS =
    "EURUSD 1.10 GBPUSD 1.30 USDJPY 150 XAUUSD 2400 USDCHF 0.9 AUDUSD 0.66 NZDUSD 0.6 USDCAD 1.36 "
    "EURGBP 0.85 EURJPY 165 GBPJPY 195 US500.cash 5500 DE40 18000 BTCUSD 60000 XAGUSD 29 EURCHF "
    "0.95 EURAUD 1.66 EURCAD 1.5 GBPCHF 1.14 AUDJPY 99";
void Broker::begin() {
    std::istringstream in(getenv("SYMBOLS") ? getenv("SYMBOLS") : DEFAULTS);
    std::string n;
    double p;
    std::string suffix = getenv("SUFFIX") ? getenv("SUFFIX") : "";
    while (in >> n >> p) {
        Sym s;
        s.bid = p;
        s.ask = near(p * 1.0001);
        s.digits = p > 1000 ? 2 : p > 50 ? 3 : 5;
        s.point = std::pow(10, -s.digits);
        symbols[n + suffix] = s;
    }
    hedging = getenv("HEDGING") && atoi(getenv("HEDGING"));
    login = getenv("LOGIN") ? atol(getenv("LOGIN")) : 1001;
    load();
    double sync = getenv("SYNC_MS") ? atof(getenv("SYNC_MS")) : 0;
    if (sync > 0) {
        connected = false;
        hidden = true;
        after(sync / 2, [this] { connected = true; });
        after(sync, [this] { hidden = false; });
    }
}
// $ACCOUNTS: a folder that several programs share: two programs, or two terminals, on one account.
static std::string account_file(long login) {
    return (getenv("ACCOUNTS") ? std::string(getenv("ACCOUNTS")) + "/" : std::string()) +
           "account-" + std::to_string(login) + ".txt";
}
static long stamp_of(const std::string &f) {
    struct stat s;
    return stat(f.c_str(), &s) ? 0 : s.st_mtim.tv_sec * 1000000000L + s.st_mtim.tv_nsec;
}
static long stamp = 0;
void Broker::share() {
    if (!getenv("ACCOUNTS"))
        return;
    std::string f = account_file(login);
    long s = stamp_of(f);
    if (s != stamp) {
        size_t n = deals_all;
        load();
        stamp = s;
        if (n != deals_all)
            events_trade = true;
    }
}
void Broker::save() {
    std::string f = account_file(login), t;
    char b[512];
    snprintf(b, sizeof b, "next %lu balance %.8f deals %zu\n", next, balance, deals_all);
    t = b;
    for (auto &p : positions) {
        snprintf(b, sizeof b, "P %lu %s %d %.8f %.8f %.8f %.8f %ld %s\n", p.ticket,
                 p.symbol.c_str(), p.type, p.volume, p.price, p.sl, p.tp, p.magic,
                 p.comment.empty() ? "-" : p.comment.c_str());
        t += b;
    }
    for (auto &o : orders) {
        snprintf(b, sizeof b, "O %lu %s %d %.8f %.8f %.8f %.8f %ld %.8f\n", o.ticket,
                 o.symbol.c_str(), o.type, o.volume, o.price, o.sl, o.tp, o.magic, o.limit);
        t += b;
    }
    FILE *o = fopen((f + ".new").c_str(), "w");
    fputs(t.c_str(), o);
    fclose(o);
    rename((f + ".new").c_str(), f.c_str());
    stamp = stamp_of(f);
}
void Broker::load() {
    positions.clear();
    orders.clear();
    FILE *f = fopen(account_file(login).c_str(), "r");
    if (!f)
        return;
    char line[512], s[64], c[64];
    while (fgets(line, sizeof line, f)) {
        Pos p;
        Ord o;
        if (sscanf(line, "next %lu balance %lf deals %zu", &next, &balance, &deals_all) >= 2)
            continue;
        if (sscanf(line, "P %lu %63s %d %lf %lf %lf %lf %ld %63s", &p.ticket, s, &p.type, &p.volume,
                   &p.price, &p.sl, &p.tp, &p.magic, c) == 9) {
            p.symbol = s;
            p.comment = c;
            positions.push_back(p);
        } else if (sscanf(line, "O %lu %63s %d %lf %lf %lf %lf %ld %lf", &o.ticket, s, &o.type,
                          &o.volume, &o.price, &o.sl, &o.tp, &o.magic, &o.limit) == 9) {
            o.symbol = s;
            orders.push_back(o);
        }
    }
    fclose(f);
}
void Broker::after(double ms, std::function<void()> f) {
    later.push_back({now() + real_(ms), std::move(f)});
}
double Broker::next_due() {
    double d = 1e18;
    for (auto &l : later)
        d = std::min(d, l.first);
    return d;
}
void Broker::pump() {
    share();
    for (;;) {
        auto i = std::min_element(later.begin(), later.end(),
                                  [](auto &a, auto &b) { return a.first < b.first; });
        if (i == later.end() || i->first > now())
            return;
        auto f = std::move(i->second);
        later.erase(i);
        f();
    }
}
double Broker::net(const std::string &s) {
    double n = 0;
    for (auto &p : positions)
        if (p.symbol == s)
            n += (p.type ? -1 : 1) * p.volume;
    return near(n);
}
void Broker::traded(int kind, const std::string &s, double v, int type, ulong order, ulong position,
                    double price) {
    MqlTradeTransaction t{};
    t.type = (ENUM_TRADE_TRANSACTION_TYPE)kind;
    t.symbol = string::utf8(s);
    t.volume = v;
    t.order = order;
    t.position = position;
    t.deal = order;
    t.price = price;
    t.deal_type = (ENUM_DEAL_TYPE)type;
    events.push_back(t);
    events_trade = true;
    save();
}
// one deal: the position or positions after it; type 0 buys, 1 sells; ticket 0 = open or net
void Broker::deal(const std::string &s, int type, double v, double price, ulong ticket, ulong order,
                  long magic, const std::string &comment, double sl, double tp) {
    share();
    deals++;
    deals_all++;
    v = near(v);
    std::string l = "deal " + s + (type ? " sell " : " buy ") + std::to_string(v) + " magic " +
                    std::to_string(magic);
    say(l);
    Pos *at = nullptr;
    for (auto &p : positions)
        if (p.symbol == s && (hedging ? ticket && p.ticket == ticket : true))
            at = &p;
    if (!at) {
        if (hedging && ticket) {
            say("lost: no position for the deal");
            return;
        }
        positions.push_back({order, s, type, v, price, sl, tp, magic, comment, order});
        traded(TRADE_TRANSACTION_DEAL_ADD, s, v, type, order, order, price);
        return;
    }
    ulong id = at->ticket;
    if (at->type == type) {
        at->price = (at->price * at->volume + price * v) / (at->volume + v);
        at->volume = near(at->volume + v);
        if (sl)
            at->sl = sl;
        if (tp)
            at->tp = tp;
        if (last_magic_wins)
            at->magic = magic;
    } else {
        double c = std::min(v, at->volume);
        balance += (at->type ? -1 : 1) * (price - at->price) * c * 100000 /
                   (price > 1000 ? 1000
                    : price > 50 ? 100
                                 : 1);
        at->volume = near(at->volume - c);
        if (at->volume <= 1e-9) {
            double rest = near(v - c);
            positions.erase(positions.begin() + (at - positions.data()));
            if (rest > 1e-9)
                positions.push_back({order, s, type, rest, price, sl, tp, magic, comment, order});
        }
    }
    traded(TRADE_TRANSACTION_DEAL_ADD, s, v, type, order, id, price);
}
// what a price does: stops first, then pending orders
void Broker::price(const std::string &s, double bid, double ask) {
    auto &y = symbols[s];
    y.bid = bid;
    y.ask = ask;
    for (bool again = true; again;) {
        again = false;
        for (auto &p : positions) {
            if (p.symbol != s)
                continue;
            double x = p.type ? ask : bid;
            bool hit = p.type ? (p.sl && x >= p.sl) || (p.tp && x <= p.tp)
                              : (p.sl && x <= p.sl) || (p.tp && x >= p.tp);
            if (hit) {
                Pos c = p;
                say("stop #" + std::to_string(c.ticket));
                deal(s, 1 - c.type, c.volume, x, c.ticket, next++, c.magic, "sl/tp");
                again = true;
                break;
            }
        }
        if (again)
            continue;
        for (size_t i = 0; i < orders.size(); i++) {
            Ord o = orders[i];
            if (o.symbol != s)
                continue;
            bool buy = !(o.type & 1), limit = o.type <= 3, stoplimit = o.type >= 6;
            double x = buy ? ask : bid;
            bool hit = (limit == buy) ? x <= o.price : x >= o.price;
            if (!hit)
                continue;
            if (stoplimit) {
                orders[i].type = buy ? 2 : 3;
                orders[i].price = o.limit;
                traded(TRADE_TRANSACTION_ORDER_UPDATE, s, o.volume, 0, o.ticket, 0, o.limit);
                again = true;
                break;
            }
            orders.erase(orders.begin() + i);
            say("filled #" + std::to_string(o.ticket));
            deal(s, buy ? 0 : 1, o.volume, x, 0, o.ticket, o.magic, "", o.sl, o.tp);
            again = true;
            break;
        }
    }
    save();
}
static bool multiple(double v, double step) {
    return std::fabs(v / step - std::round(v / step)) < 1e-6;
}
static const std::map<int, const char *> WORDS = {{10004, "Requote"},
                                                  {10006, "Request rejected"},
                                                  {10008, "Order placed"},
                                                  {10009, "Request executed"},
                                                  {10010, "Done partially"},
                                                  {10012, "Timed out"},
                                                  {10013, "Invalid request"},
                                                  {10014, "Invalid volume"},
                                                  {10015, "Invalid price"},
                                                  {10016, "Invalid stops"},
                                                  {10017, "Trade disabled"},
                                                  {10018, "Market closed"},
                                                  {10019, "No money"},
                                                  {10025, "No changes"},
                                                  {10027, "AutoTrading disabled by client"},
                                                  {10030, "Unsupported filling mode"},
                                                  {10031, "No connection"},
                                                  {10034, "Volume limit reached"},
                                                  {10035, "Invalid order"},
                                                  {10036, "Position doesn't exist"},
                                                  {10038, "Invalid close volume"},
                                                  {10042, "Only long positions allowed"},
                                                  {10043, "Only short positions allowed"},
                                                  {10044, "Only position closing allowed"}};
static int checked(const MqlTradeRequest &q, bool manual) {
    Broker &b = broker;
    std::string n = q.symbol.utf8();
    auto i = b.symbols.find(n);
    if (!manual && (!b.trade_allowed || !b.program_allowed))
        return 10027;
    if (!b.connected)
        return 10031;
    if (!b.account_allowed)
        return 10017;
    Pos *p = nullptr;
    if (q.position)
        for (auto &x : b.positions)
            if (x.ticket == q.position)
                p = &x;
    if (q.action == TRADE_ACTION_SLTP) {
        if (!q.position && !b.hedging)
            for (auto &x : b.positions)
                if (x.symbol == n)
                    p = &x;
        if (!p)
            return 10036;
        double x = p->type ? b.symbols[p->symbol].ask : b.symbols[p->symbol].bid;
        if (p->type ? (q.sl && q.sl <= x) || (q.tp && q.tp >= x)
                    : (q.sl && q.sl >= x) || (q.tp && q.tp <= x))
            return 10016;
        return p->sl == q.sl && p->tp == q.tp ? 10025 : 0;
    }
    if (q.action == TRADE_ACTION_REMOVE || q.action == TRADE_ACTION_MODIFY) {
        for (auto &o : b.orders)
            if (o.ticket == q.order)
                return 0;
        return 10035;
    }
    if (q.action != TRADE_ACTION_DEAL && q.action != TRADE_ACTION_PENDING)
        return 10013;
    if (i == b.symbols.end())
        return 10013;
    Sym &s = i->second;
    if (q.volume < s.least - 1e-9 || q.volume > s.most + 1e-9 || !multiple(q.volume, s.step))
        return 10014;
    if (q.position && !p)
        return 10036;
    if (p && p->symbol != n)
        return 10013;
    if (p && b.hedging && q.volume > p->volume + 1e-9)
        return 10038;
    if (!s.open)
        return 10018;
    bool closes = p && p->type != (q.type & 1);
    if (s.mode == SYMBOL_TRADE_MODE_DISABLED)
        return 10017;
    if (s.mode == SYMBOL_TRADE_MODE_CLOSEONLY && !closes)
        return 10044;
    if (s.mode == SYMBOL_TRADE_MODE_LONGONLY && (q.type & 1) && !closes)
        return 10042;
    if (q.action == TRADE_ACTION_PENDING) {
        double x = q.type & 1 ? s.bid : s.ask;
        bool below = q.type == ORDER_TYPE_BUY_LIMIT || q.type == ORDER_TYPE_SELL_STOP ||
                     q.type == ORDER_TYPE_SELL_STOP_LIMIT;
        return q.price <= 0 || (below ? q.price >= x : q.price <= x) ? 10015 : 0;
    }
    if (q.type > ORDER_TYPE_SELL)
        return 10013;
    int f = q.type_filling;
    if ((f == ORDER_FILLING_FOK && !(s.filling & 1)) ||
        (f == ORDER_FILLING_IOC && !(s.filling & 2)) || (f == ORDER_FILLING_RETURN && s.market))
        return 10030;
    if (!s.market && q.price > 0) {
        double x = q.type ? s.bid : s.ask;
        if (std::fabs(q.price - x) > q.deviation * s.point + 1e-9)
            return 10004;
    }
    double after = b.net(n) + (q.type ? -1 : 1) * q.volume;
    if (s.limit > 0 && std::fabs(after) > s.limit + 1e-9 && !closes)
        return 10034;
    if (b.money >= 0) {
        double open = 0;
        for (auto &x : b.positions)
            open += x.volume;
        if (!closes && open + q.volume > b.money + 1e-9)
            return 10019;
    }
    return 0;
}
static bool answer(MqlTradeResult &r, int code, double v = 0, double price = 0, ulong order = 0) {
    r = MqlTradeResult{};
    r.retcode = code;
    r.volume = v;
    r.price = price;
    r.order = order;
    r.deal = code == 10009 || code == 10010 ? order : 0;
    auto w = WORDS.find(code);
    r.comment = string::utf8(w == WORDS.end() ? "?" : w->second);
    bool good = code == 10008 || code == 10009 || code == 10010;
    if (!good)
        last_error_ = 4756;
    return good;
}
bool Broker::send(const MqlTradeRequest &q, MqlTradeResult &r, bool manual) {
    std::string n = q.symbol.utf8(), c = q.comment.utf8();
    Fault f;
    if (!manual) {
        sent++;
        pump();
        if (q.action == TRADE_ACTION_DEAL) {
            double t = now();
            while (!recent.empty() && recent.front() < t - real_(60000))
                recent.erase(recent.begin());
            recent.push_back(t);
            busiest = std::max(busiest, recent.size());
        }
        for (auto i = faults.begin(); i != faults.end(); ++i)
            if (i->symbol == "*" || i->symbol == n) {
                f = *i;
                if (--i->count == 0)
                    faults.erase(i);
                break;
            }
        if (f.kind == "delay") {
            usleep((useconds_t)(real_(f.x) * 1000));
            pump();
            f = Fault();
        }
        if (f.kind == "retcode")
            return answer(r, (int)f.x);
    }
    int bad = checked(q, manual);
    if (bad)
        return answer(r, bad);
    if (q.action == TRADE_ACTION_SLTP) {
        for (auto &p : positions)
            if (q.position ? p.ticket == q.position : p.symbol == n) {
                p.sl = q.sl;
                p.tp = q.tp;
                traded(TRADE_TRANSACTION_POSITION, p.symbol, p.volume, 0, 0, p.ticket, 0);
            }
        return answer(r, 10009);
    }
    if (q.action == TRADE_ACTION_REMOVE) {
        for (size_t i = 0; i < orders.size(); i++)
            if (orders[i].ticket == q.order) {
                std::string s = orders[i].symbol;
                orders.erase(orders.begin() + i);
                traded(TRADE_TRANSACTION_ORDER_DELETE, s, 0, 0, q.order, 0, 0);
                break;
            }
        return answer(r, 10009);
    }
    if (q.action == TRADE_ACTION_MODIFY) {
        for (auto &o : orders)
            if (o.ticket == q.order) {
                o.price = q.price;
                o.sl = q.sl;
                o.tp = q.tp;
                traded(TRADE_TRANSACTION_ORDER_UPDATE, o.symbol, o.volume, 0, o.ticket, 0, o.price);
            }
        return answer(r, 10009);
    }
    ulong order = next++;
    save();
    if (q.action == TRADE_ACTION_PENDING) {
        orders.push_back({order, n, (int)q.type, near(q.volume), q.price, q.stoplimit, q.sl, q.tp,
                          (long)q.magic});
        traded(TRADE_TRANSACTION_ORDER_ADD, n, q.volume, 0, order, 0, q.price);
        return answer(r, 10008, q.volume, q.price, order);
    }
    Sym &s = symbols[n];
    double price = q.type ? s.bid : s.ask, v = near(q.volume);
    int type = q.type;
    ulong ticket = q.position;
    long magic = (long)q.magic;
    double sl = q.sl, tp = q.tp;
    auto fill = [=, this](double lots) {
        if (lots > 1e-9)
            deal(n, type, lots, price, ticket, order, magic, c, sl, tp);
    };
    if (f.kind == "partial") {
        double lots = near(std::floor(v * f.x / s.step + 1e-6) * s.step);
        if (q.type_filling == ORDER_FILLING_FOK)
            return answer(r, 10006);
        if (lots <= 0)
            return answer(r, 10006);
        if (lag > 0)
            after(lag, [=] { fill(lots); });
        else
            fill(lots);
        return answer(r, f.quiet ? 10009 : 10010, f.quiet ? v : lots, price, order);
    }
    if (f.kind == "placed") {
        after(f.x, [=] { fill(v); });
        return answer(r, 10008, 0, 0, order);
    }
    if (f.kind == "placed_partial") {
        double lots = near(std::floor(v * 0.5 / s.step + 1e-6) * s.step);
        after(f.x, [=] { fill(lots); });
        return answer(r, 10008, 0, 0, order);
    }
    if (f.kind == "timeout") {
        after(f.x, [=] { fill(v); });
        return answer(r, 10012);
    }
    if (f.kind == "lost")
        return answer(r, 10012);
    if (lag > 0 && !manual)
        after(lag, [=] { fill(v); });
    else
        fill(v);
    if (!manual && f.kind == "die") {
        say("died");
        fflush(stdout);
        kill(getpid(), SIGKILL);
    }
    return answer(r, 10009, v, price, order);
}
// ---- the functions of MQL5
static Pos *pos_ = nullptr;
static Pos pos_copy;
static Ord ord_copy;
static bool ord_ = false;
static void looked() {
    broker.pump();
    if (broker.reads > 0 && --broker.reads == 0) {
        auto f = std::move(broker.on_read);
        f();
    }
}
bool OrderSend(const MqlTradeRequest &q, MqlTradeResult &r) { return broker.send(q, r, false); }
bool OrderSendAsync(const MqlTradeRequest &q, MqlTradeResult &r) {
    MqlTradeRequest c = q;
    int bad = checked(q, false);
    if (bad == 10027)
        return answer(r, bad);
    broker.after(5, [c] {
        MqlTradeResult x;
        broker.send(c, x, false);
    });
    return answer(r, 10008);
}
bool OrderCheck(const MqlTradeRequest &q, MqlTradeCheckResult &r) {
    r = MqlTradeCheckResult{};
    r.retcode = checked(q, false);
    return r.retcode == 0;
}
int PositionsTotal() {
    looked();
    return broker.hidden ? 0 : (int)broker.positions.size();
}
ulong PositionGetTicket(int i) {
    looked();
    if (broker.hidden || i < 0 || i >= (int)broker.positions.size())
        return fail_(4753), 0;
    pos_copy = broker.positions[i];
    pos_ = &pos_copy;
    return pos_copy.ticket;
}
string PositionGetSymbol(int i) {
    return PositionGetTicket(i) ? string::utf8(pos_copy.symbol) : string(u"");
}
bool PositionSelect(const string &s) {
    looked();
    std::string n = s.utf8();
    if (!broker.hidden)
        for (auto &p : broker.positions)
            if (p.symbol == n) {
                pos_copy = p;
                pos_ = &pos_copy;
                return true;
            }
    pos_ = nullptr;
    return fail_(4753);
}
bool PositionSelectByTicket(ulong t) {
    looked();
    if (!broker.hidden)
        for (auto &p : broker.positions)
            if (p.ticket == t) {
                pos_copy = p;
                pos_ = &pos_copy;
                return true;
            }
    pos_ = nullptr;
    return fail_(4753);
}
long PositionGetInteger(ENUM_POSITION_PROPERTY_INTEGER p) {
    if (!pos_)
        return fail_(4753), 0;
    switch (p) {
    case POSITION_TICKET:
        return pos_->ticket;
    case POSITION_TYPE:
        return pos_->type;
    case POSITION_MAGIC:
        return pos_->magic;
    case POSITION_IDENTIFIER:
        return pos_->id;
    default:
        return 0;
    }
}
double PositionGetDouble(ENUM_POSITION_PROPERTY_DOUBLE p) {
    if (!pos_)
        return fail_(4753), 0;
    switch (p) {
    case POSITION_VOLUME:
        return pos_->volume;
    case POSITION_PRICE_OPEN:
        return pos_->price;
    case POSITION_SL:
        return pos_->sl;
    case POSITION_TP:
        return pos_->tp;
    case POSITION_PRICE_CURRENT:
        return pos_->type ? broker.symbols[pos_->symbol].ask : broker.symbols[pos_->symbol].bid;
    default:
        return 0;
    }
}
string PositionGetString(ENUM_POSITION_PROPERTY_STRING p) {
    if (!pos_)
        return fail_(4753), string(u"");
    return string::utf8(p == POSITION_SYMBOL ? pos_->symbol : pos_->comment);
}
int OrdersTotal() {
    looked();
    return broker.hidden ? 0 : (int)broker.orders.size();
}
ulong OrderGetTicket(int i) {
    looked();
    if (i < 0 || i >= (int)broker.orders.size()) {
        ord_ = false;
        return fail_(4754), 0;
    }
    ord_copy = broker.orders[i];
    ord_ = true;
    return ord_copy.ticket;
}
bool OrderSelect(ulong t) {
    looked();
    for (auto &o : broker.orders)
        if (o.ticket == t) {
            ord_copy = o;
            return ord_ = true;
        }
    ord_ = false;
    return fail_(4754);
}
long OrderGetInteger(ENUM_ORDER_PROPERTY_INTEGER p) {
    if (!ord_)
        return fail_(4754), 0;
    switch (p) {
    case ORDER_TICKET:
        return ord_copy.ticket;
    case ORDER_TYPE:
        return ord_copy.type;
    case ORDER_MAGIC:
        return ord_copy.magic;
    case ORDER_STATE:
        return ORDER_STATE_PLACED;
    default:
        return 0;
    }
}
double OrderGetDouble(ENUM_ORDER_PROPERTY_DOUBLE p) {
    if (!ord_)
        return fail_(4754), 0;
    switch (p) {
    case ORDER_VOLUME_INITIAL:
    case ORDER_VOLUME_CURRENT:
        return ord_copy.volume;
    case ORDER_PRICE_OPEN:
        return ord_copy.price;
    case ORDER_SL:
        return ord_copy.sl;
    case ORDER_TP:
        return ord_copy.tp;
    case ORDER_PRICE_STOPLIMIT:
        return ord_copy.limit;
    default:
        return 0;
    }
}
string OrderGetString(ENUM_ORDER_PROPERTY_STRING p) {
    return ord_ && p == ORDER_SYMBOL ? string::utf8(ord_copy.symbol) : string(u"");
}
long AccountInfoInteger(ENUM_ACCOUNT_INFO_INTEGER p) {
    broker.pump();
    switch (p) {
    case ACCOUNT_LOGIN:
        return broker.login;
    case ACCOUNT_MARGIN_MODE:
        return broker.hedging ? ACCOUNT_MARGIN_MODE_RETAIL_HEDGING
                              : ACCOUNT_MARGIN_MODE_RETAIL_NETTING;
    case ACCOUNT_TRADE_ALLOWED:
        return broker.account_allowed;
    case ACCOUNT_TRADE_EXPERT:
        return broker.expert_allowed;
    case ACCOUNT_LEVERAGE:
        return 100;
    default:
        return 0;
    }
}
double AccountInfoDouble(ENUM_ACCOUNT_INFO_DOUBLE) { return broker.balance; }
string AccountInfoString(ENUM_ACCOUNT_INFO_STRING p) {
    return string::utf8(p == ACCOUNT_CURRENCY ? "USD"
                        : p == ACCOUNT_SERVER ? "Imitation-Demo"
                                              : "Imitation");
}
static Sym *sym(const string &n) {
    auto i = broker.symbols.find(StringLen(n) ? n.utf8() : broker.chart);
    if (i == broker.symbols.end()) {
        fail_(4301);
        return nullptr;
    }
    return &i->second;
}
bool SymbolSelect(const string &n, bool on) {
    Sym *s = sym(n);
    if (!s)
        return false;
    s->selected = on;
    return true;
}
bool SymbolExist(const string &n, bool &c) {
    c = false;
    return sym(n) != nullptr;
}
bool SymbolIsSynchronized(const string &n) { return sym(n) && broker.connected; }
int SymbolsTotal(bool sel) {
    int n = 0;
    for (auto &s : broker.symbols)
        n += !sel || s.second.selected;
    return n;
}
string SymbolName(int i, bool sel) {
    for (auto &s : broker.symbols)
        if ((!sel || s.second.selected) && i-- == 0)
            return string::utf8(s.first);
    return string(u"");
}
long SymbolInfoInteger(const string &n, ENUM_SYMBOL_INFO_INTEGER p) {
    Sym *s = sym(n);
    if (!s)
        return 0;
    switch (p) {
    case SYMBOL_DIGITS:
        return s->digits;
    case SYMBOL_FILLING_MODE:
        return s->filling;
    case SYMBOL_TRADE_MODE:
        return s->mode;
    case SYMBOL_TRADE_EXEMODE:
        return s->market ? SYMBOL_TRADE_EXECUTION_MARKET : SYMBOL_TRADE_EXECUTION_INSTANT;
    case SYMBOL_SELECT:
        return s->selected;
    case SYMBOL_EXIST:
        return 1;
    default:
        return 0;
    }
}
double SymbolInfoDouble(const string &n, ENUM_SYMBOL_INFO_DOUBLE p) {
    Sym *s = sym(n);
    if (!s)
        return 0;
    switch (p) {
    case SYMBOL_BID:
        return s->bid;
    case SYMBOL_ASK:
        return s->ask;
    case SYMBOL_POINT:
        return s->point;
    case SYMBOL_VOLUME_MIN:
        return s->known ? s->least : 0;
    case SYMBOL_VOLUME_MAX:
        return s->known ? s->most : 0;
    case SYMBOL_VOLUME_STEP:
        return s->known ? s->step : 0;
    case SYMBOL_VOLUME_LIMIT:
        return s->limit;
    default:
        return 0;
    }
}
string SymbolInfoString(const string &n, ENUM_SYMBOL_INFO_STRING) { return n; }
bool SymbolInfoTick(const string &n, MqlTick &t) {
    Sym *s = sym(n);
    if (!s || !s->priced)
        return fail_(4302);
    t = MqlTick{TimeCurrent(), s->bid, s->ask, 0, 0, (long)TimeCurrent() * 1000, 6, 0};
    return true;
}
string Symbol() { return string::utf8(broker.chart); }
double Point() { return broker.symbols[broker.chart].point; }
int Digits() { return broker.symbols[broker.chart].digits; }
int Period() { return 16385; }
static const char *TYPES[] = {"ORDER_TYPE_BUY",
                              "ORDER_TYPE_SELL",
                              "ORDER_TYPE_BUY_LIMIT",
                              "ORDER_TYPE_SELL_LIMIT",
                              "ORDER_TYPE_BUY_STOP",
                              "ORDER_TYPE_SELL_STOP",
                              "ORDER_TYPE_BUY_STOP_LIMIT",
                              "ORDER_TYPE_SELL_STOP_LIMIT",
                              "ORDER_TYPE_CLOSE_BY"};
const char *name_(ENUM_ORDER_TYPE t) { return TYPES[t]; }
const char *name_(ENUM_POSITION_TYPE t) { return t ? "POSITION_TYPE_SELL" : "POSITION_TYPE_BUY"; }
const char *name_(ENUM_ORDER_TYPE_FILLING t) {
    static const char *n[] = {"ORDER_FILLING_FOK", "ORDER_FILLING_IOC", "ORDER_FILLING_RETURN",
                              "ORDER_FILLING_BOC"};
    return n[t];
}
const char *name_(ENUM_TRADE_TRANSACTION_TYPE) { return "TRADE_TRANSACTION"; }
