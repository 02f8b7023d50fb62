#include "trading/broker.hpp"
#include "terminal/clock.hpp"
#include <algorithm>
#include <csignal>
#include <sstream>
#include <unistd.h>

namespace imitation {
Broker broker;

static const double ALMOST = 1e-9;
static const double BETWEEN_READS =
    0.2; // ms; a look at a file costs as much as a hundred positions
static const size_t TICKS_KEPT = 4096;
static const char *DEFAULT_SERVER = "Imitation-Demo";
static const char *DEFAULT_SYMBOLS =
    "EURUSD 1.10 GBPUSD 1.30 USDJPY 150 XAUUSD 2400 USDCHF 0.9 AUDUSD 0.66 NZDUSD 0.6 USDCAD 1.36 "
    "EURGBP 0.85 EURJPY 165 GBPJPY 195 US500.cash 5500 DE40 18000 BTCUSD 60000 XAGUSD 29 EURCHF "
    "0.95 EURAUD 1.66 EURCAD 1.5 GBPCHF 1.14 AUDJPY 99";

double rounded(double lots) { return std::round(lots * 1e8) / 1e8; }

static std::string setting(const char *name, const char *otherwise) {
    const char *found = getenv(name);
    return found ? found : otherwise;
}

static Instrument symbol_at(double price) {
    Instrument s;
    s.bid = price;
    s.ask = rounded(price * 1.0001);
    s.digits = price > 1000 ? 2 : price > 50 ? 3 : 5;
    s.point = std::pow(10, -s.digits);
    s.contract = price > 1000 ? 100 : 100000;
    s.rate = price > 50 && price <= 1000 ? 0.01 : 1;
    return s;
}

void Broker::begin() {
    std::istringstream in(setting("SYMBOLS", DEFAULT_SYMBOLS));
    std::string name, prefix = setting("PREFIX", ""), suffix = setting("SUFFIX", "");
    double at;
    while (in >> name >> at)
        symbols[prefix + name + suffix] = symbol_at(at);
    chart = setting("CHART", symbols.count("EURUSD") ? "EURUSD" : symbols.begin()->first.c_str());
    hedging = atoi(setting("HEDGING", "0").c_str());
    account.open(atol(setting("LOGIN", "1001").c_str()), setting("SERVER", DEFAULT_SERVER));
    m_deals_seen = account.deals.size();
    loads_every = atof(setting("LOADS_EVERY_MS", "0").c_str());
    double sync = atof(setting("SYNC_MS", "0").c_str());
    if (sync <= 0)
        return;
    connected = false;
    after(sync / 2, [this] { connected = true; });
    load_after(sync);
}

void Broker::load_after(double ms) {
    hidden = ms > 0;
    if (hidden)
        after(ms, [this] { hidden = false, loads_from = now_ms(); });
}

void Broker::log_in(long login, const std::string &server, double hidden_ms) {
    account.open(login, server.empty() ? account.server : server);
    m_deals_seen = account.deals.size();
    m_later.clear(); // what was on its way is the other account's
    transactions.clear();
    load_after(hidden_ms);
}

size_t Broker::visible() const {
    if (hidden)
        return 0;
    size_t all = account.positions.size();
    if (loads_every <= 0)
        return all;
    return std::min(all, (size_t)((now_ms() - loads_from) / real_ms(loads_every)));
}

// ---- what happens meanwhile
void Broker::after(double ms, std::function<void()> f) {
    m_later.push_back({now_ms() + real_ms(ms), std::move(f)});
}

double Broker::next_due() const {
    double due = 1e18;
    for (auto &each : m_later)
        due = std::min(due, each.first);
    for (auto &each : account.executions)
        due = std::min(due, now_ms() + (double)(each.due - server_time_ms()));
    return due;
}

void Broker::execute_later(const Order &order, double ms, double lots, double price) {
    long due = server_time_ms() + (long)real_ms(ms);
    account.executions.push_back({order.ticket, due, lots, price, false});
}

static bool is_due(const Execution &e) { return e.due <= server_time_ms(); }

void Broker::execute_due() {
    if (std::ranges::none_of(account.executions, is_due))
        return;
    Change change(account);
    auto due = std::ranges::partition(account.executions, std::not_fn(is_due));
    std::vector<Execution> now(due.begin(), due.end());
    account.executions.erase(due.begin(), due.end());
    for (auto &each : now) {
        auto hidden = std::ranges::find(account.unseen, each.ticket, &Order::ticket);
        if (hidden != account.unseen.end()) {
            show(Order(*hidden));
            account.unseen.erase(hidden);
        }
        each.rejected ? reject(each.ticket) : fill(each.ticket, each.lots, each.price);
    }
}

void Broker::pump() {
    static double read = 0;
    if (now_ms() - read > BETWEEN_READS) {
        read = now_ms();
        if (account.refresh())
            note_others();
    }
    expire();
    execute_due();
    for (;;) {
        auto next = std::ranges::min_element(m_later, {}, &decltype(m_later)::value_type::first);
        if (next == m_later.end() || next->first > now_ms())
            return;
        auto f = std::move(next->second);
        m_later.erase(next);
        f();
    }
}

void Broker::looked() {
    pump();
    if (reads > 0 && --reads == 0)
        std::exchange(on_read, nullptr)();
}

void Broker::expire() {
    for (auto &each : std::vector<Order>(account.orders))
        if (each.expires && each.expires <= server_time_ms()) {
            Change change(account);
            account.finish(each, ORDER_STATE_EXPIRED);
            note_transaction(TRADE_TRANSACTION_ORDER_DELETE, each);
        }
}

// ---- what programs are told
void Broker::note_transaction(ENUM_TRADE_TRANSACTION_TYPE type, const Order &order) {
    Transaction t;
    t.what.type = type;
    t.what.order = order.ticket;
    t.what.symbol = string::utf8(order.symbol);
    t.what.order_type = (ENUM_ORDER_TYPE)order.type;
    t.what.order_state = (ENUM_ORDER_STATE)order.state;
    t.what.volume = order.volume;
    t.what.price = order.price;
    t.what.price_sl = order.sl;
    t.what.price_tp = order.tp;
    t.what.position = order.position;
    transactions.push_back(t);
    trade_event = true;
}

void Broker::note_deal(const Deal &deal) {
    Transaction t;
    t.what.type = TRADE_TRANSACTION_DEAL_ADD;
    t.what.deal = deal.ticket;
    t.what.order = deal.order;
    t.what.symbol = string::utf8(deal.symbol);
    t.what.deal_type = (ENUM_DEAL_TYPE)deal.type;
    t.what.volume = deal.volume;
    t.what.price = deal.price;
    t.what.position = deal.position;
    transactions.push_back(t);
    trade_event = true;
    m_deals_seen = account.deals.size();
}

void Broker::note_others() {
    trade_event = true;
    while (m_deals_seen < account.deals.size()) {
        size_t seen = m_deals_seen;
        note_deal(account.deals[seen]);
        m_deals_seen = seen + 1;
    }
}

// ---- prices
void Broker::price(const std::string &name, double bid, double ask) {
    Instrument &s = symbols[name];
    s.bid = bid;
    s.ask = ask;
    long ms = server_time_ms();
    s.ticks.push_back({ms / 1000, bid, ask, 0, 0, ms, TICK_FLAG_BID | TICK_FLAG_ASK, 0});
    if (s.ticks.size() > TICKS_KEPT)
        s.ticks.pop_front();
    Change change(account);
    while (hit_stop(name) || hit_order(name))
        ;
}

bool Broker::hit_stop(const std::string &name) {
    for (auto &p : account.positions) {
        double x = p.type ? symbols[name].ask : symbols[name].bid, sign = p.type ? -1 : 1;
        bool hit = (p.sl && sign * (x - p.sl) <= 0) || (p.tp && sign * (p.tp - x) <= 0);
        if (p.symbol != name || !hit)
            continue;
        close_by_stop(Position(p), x);
        return true;
    }
    return false;
}

void Broker::close_by_stop(const Position &p, double price) {
    bool loss = p.sl && (p.type ? price >= p.sl : price <= p.sl);
    Order order;
    order.ticket = account.next++;
    order.symbol = p.symbol;
    order.type = 1 - p.type;
    order.initial = order.volume = p.volume;
    order.magic = p.magic;
    order.position = p.ticket;
    order.reason = loss ? ORDER_REASON_SL : ORDER_REASON_TP;
    order.setup = server_time_ms();
    order.comment = (loss ? "[sl " : "[tp ") + std::to_string(price) + "]";
    say("stop #" + std::to_string(p.ticket));
    account.orders.push_back(order);
    fill(order.ticket, order.volume, price);
}

bool Broker::hit_order(const std::string &name) {
    const Instrument &s = symbols[name];
    for (auto &o : account.orders) {
        if (o.symbol != name || !o.pending())
            continue;
        bool buy = !(o.type & 1), limit = o.type <= ORDER_TYPE_SELL_LIMIT;
        double x = s.price(!buy);
        if ((limit == buy) ? x > o.price : x < o.price)
            continue;
        if (o.type >= ORDER_TYPE_BUY_STOP_LIMIT) {
            o.type = buy ? ORDER_TYPE_BUY_LIMIT : ORDER_TYPE_SELL_LIMIT;
            o.price = o.limit;
            note_transaction(TRADE_TRANSACTION_ORDER_UPDATE, o);
            return true;
        }
        say("filled #" + std::to_string(o.ticket));
        fill(o.ticket, o.volume, x);
        return true;
    }
    return false;
}

double Broker::floating() const {
    double sum = 0;
    for (auto &p : account.positions) {
        const Instrument &s = symbols.at(p.symbol);
        sum += p.type ? s.money(p.price - s.ask, p.volume) : s.money(s.bid - p.price, p.volume);
    }
    return sum;
}

double Broker::margin() const {
    double sum = 0;
    for (auto &p : account.positions)
        sum += symbols.at(p.symbol).money(p.price, p.volume) / 100; // leverage
    return sum;
}

// ---- deals
static int entry_of(const Order &order, const Position &position, double lots) {
    if (position.type == (order.type & 1))
        return DEAL_ENTRY_IN;
    return lots > position.volume + ALMOST ? DEAL_ENTRY_INOUT : DEAL_ENTRY_OUT;
}

void Broker::deal(const Order &order, double lots, double price) {
    Deal d;
    d.ticket = account.next++;
    d.order = order.ticket;
    d.symbol = order.symbol;
    d.type = order.type & 1;
    d.volume = rounded(lots);
    d.price = price;
    d.magic = order.magic;
    d.reason = order.reason;
    d.time = server_time_ms();
    d.comment = order.comment;
    counters.deals++;
    say("deal " + d.symbol + (d.type ? " sell " : " buy ") + std::to_string(d.volume) + " magic " +
        std::to_string(d.magic));
    Position *p = !hedging         ? account.position_of(d.symbol)
                  : order.position ? account.position(order.position)
                                   : nullptr;
    if (!p && hedging && order.position)
        return say("lost: the deal's position is gone");
    if (p) {
        d.position = p->id;
        d.entry = entry_of(order, *p, d.volume);
        change_position(order, d, *p);
    } else {
        d.position = order.ticket;
        account.positions.push_back({order.ticket, order.ticket, d.symbol, d.type, d.volume, price,
                                     order.sl, order.tp, d.magic, d.time, d.time, order.reason,
                                     d.comment});
    }
    account.add(d);
    note_deal(d);
}

void Broker::change_position(const Order &order, Deal &d, Position &p) {
    p.updated = d.time;
    if (d.entry == DEAL_ENTRY_IN) {
        p.price = (p.price * p.volume + d.price * d.volume) / (p.volume + d.volume);
        p.volume = rounded(p.volume + d.volume);
        p.sl = order.sl ? order.sl : p.sl;
        p.tp = order.tp ? order.tp : p.tp;
        p.magic = last_magic_wins ? d.magic : p.magic;
        return;
    }
    double closed = std::min(d.volume, p.volume), rest = rounded(d.volume - closed);
    double distance = p.type ? p.price - d.price : d.price - p.price;
    d.profit = symbols[d.symbol].money(distance, closed);
    p.volume = rounded(p.volume - closed);
    if (p.volume > ALMOST)
        return;
    Position turned = p;
    std::erase_if(account.positions, [&](auto &each) { return each.ticket == turned.ticket; });
    if (rest <= ALMOST)
        return;
    turned.ticket = order.ticket; // the identifier stays when a position turns
    turned.type = d.type;
    turned.volume = rest;
    turned.price = d.price;
    turned.sl = order.sl;
    turned.tp = order.tp;
    turned.magic = d.magic;
    turned.comment = d.comment;
    account.positions.push_back(turned);
}

void Broker::show(const Order &order) {
    Change change(account);
    account.orders.push_back(order);
    note_transaction(TRADE_TRANSACTION_ORDER_ADD, order);
}

// Fills an order that stands in the account, wholly or in part; the rest is cancelled.
void Broker::fill(ulong ticket, double lots, double price) {
    Change change(account);
    Order *found = account.order(ticket);
    if (!found)
        return;
    Order order = *found;
    if (lots > ALMOST)
        deal(order, lots, price);
    order.volume = rounded(order.volume - lots);
    bool whole = order.volume <= ALMOST;
    int state = whole           ? ORDER_STATE_FILLED
                : lots > ALMOST ? ORDER_STATE_PARTIAL
                                : ORDER_STATE_CANCELED;
    order.position = account.deals.empty() || lots <= ALMOST ? 0 : account.deals.back().position;
    account.finish(order, state);
    note_transaction(TRADE_TRANSACTION_ORDER_DELETE, account.finished.back());
    note_transaction(TRADE_TRANSACTION_HISTORY_ADD, account.finished.back());
}

void Broker::reject(ulong ticket) {
    Change change(account);
    Order *found = account.order(ticket);
    if (!found)
        return;
    account.finish(Order(*found), ORDER_STATE_REJECTED);
    note_transaction(TRADE_TRANSACTION_ORDER_DELETE, account.finished.back());
    note_transaction(TRADE_TRANSACTION_HISTORY_ADD, account.finished.back());
}
} // namespace imitation
