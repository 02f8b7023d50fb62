// What becomes of a trade request: faults that a test has ordered, else what the rules say.
#include "terminal/clock.hpp"
#include "trading/broker.hpp"
#include <algorithm>
#include <csignal>
#include <unistd.h>

namespace imitation {
static const double ALMOST = 1e-9, MINUTE = 60000;
static const double ASYNC_MS = 5; // on the way to the server
static const std::map<int, const char *> COMMENTS = {{10004, "Requote"},
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
                                                     {10024, "Too many requests"},
                                                     {10025, "No changes"},
                                                     {10026, "AutoTrading disabled by server"},
                                                     {10027, "AutoTrading disabled by client"},
                                                     {10029, "Order or position frozen"},
                                                     {10030, "Unsupported filling mode"},
                                                     {10031, "No connection"},
                                                     {10034, "Volume limit reached"},
                                                     {10035, "Invalid order"},
                                                     {10036, "Position doesn't exist"},
                                                     {10038, "Invalid close volume"},
                                                     {10042, "Only long positions allowed"},
                                                     {10043, "Only short positions allowed"},
                                                     {10044, "Only position closing allowed"}};

bool answer(MqlTradeResult &r, int code, double volume, double price, ulong order) {
    r = MqlTradeResult{};
    r.retcode = (uint)code;
    r.volume = volume;
    r.price = price;
    r.order = order;
    auto comment = COMMENTS.find(code);
    r.comment = string::utf8(comment == COMMENTS.end() ? "?" : comment->second);
    bool good = code == TRADE_RETCODE_PLACED || code == TRADE_RETCODE_DONE ||
                code == TRADE_RETCODE_DONE_PARTIAL;
    return good || fail_(4756);
}

void Counters::note_order() {
    double t = now_ms();
    while (!recent.empty() && recent.front() < t - real_ms(MINUTE))
        recent.pop_front();
    recent.push_back(t);
    busiest = std::max(busiest, recent.size());
}

Fault Broker::next_fault(const std::string &symbol) {
    auto found = std::ranges::find_if(
        faults, [&](auto &each) { return each.symbol == "*" || each.symbol == symbol; });
    if (found == faults.end())
        return Fault();
    Fault fault = *found;
    if (--found->count == 0)
        faults.erase(found);
    return fault;
}

static Order order_of(const MqlTradeRequest &q, bool manual) {
    Order o;
    o.symbol = q.symbol.utf8();
    o.type = q.type;
    o.filling = q.type_filling;
    o.time_type = q.type_time;
    o.reason = manual ? ORDER_REASON_CLIENT : ORDER_REASON_EXPERT;
    o.initial = o.volume = rounded(q.volume);
    o.price = q.price;
    o.limit = q.stoplimit;
    o.sl = q.sl;
    o.tp = q.tp;
    o.magic = (long)q.magic;
    o.setup = server_time_ms();
    o.expires = q.type_time == ORDER_TIME_SPECIFIED ? (long)q.expiration * 1000 : 0;
    o.position = q.position;
    o.comment = q.comment.utf8();
    std::ranges::replace(o.comment, '\t', ' ');
    return o;
}

bool Broker::send(const MqlTradeRequest &q, MqlTradeResult &r, bool manual) {
    pump();
    Fault fault;
    if (!manual) {
        counters.sent++;
        if (q.action == TRADE_ACTION_DEAL)
            counters.note_order();
        fault = next_fault(q.symbol.utf8());
    }
    if (fault.kind == "delay") {
        pause_ms(fault.x);
        pump();
        fault = Fault();
    }
    Change change(account);
    int bad = fault.kind == "retcode" ? (int)fault.x : check(q, manual);
    if (bad) {
        counters.refused[q.symbol.utf8()] += !manual;
        return answer(r, bad);
    }
    Order order = order_of(q, manual);
    switch (q.action) {
    case TRADE_ACTION_SLTP:
        modify_stops(q);
        return answer(r, TRADE_RETCODE_DONE);
    case TRADE_ACTION_MODIFY:
    case TRADE_ACTION_REMOVE:
        modify_order(q);
        return answer(r, TRADE_RETCODE_DONE, 0, q.price, q.order);
    case TRADE_ACTION_CLOSE_BY:
        close_by(q, order);
        return answer(r, TRADE_RETCODE_DONE);
    case TRADE_ACTION_PENDING:
        return place(q, r, order);
    default:
        return market_order(q, r, fault, order);
    }
}

bool Broker::send_async(const MqlTradeRequest &q, MqlTradeResult &r) {
    static uint requests = 0;
    int bad = check(q, false);
    if (bad == TRADE_RETCODE_CLIENT_DISABLES_AT)
        return answer(r, bad);
    uint id = ++requests;
    after(ASYNC_MS, [=, this] {
        Transaction t;
        t.what.type = TRADE_TRANSACTION_REQUEST;
        t.request = q;
        send(q, t.result, false);
        t.result.request_id = id;
        transactions.push_back(t);
    });
    answer(r, TRADE_RETCODE_PLACED);
    r.request_id = id;
    return true;
}

void Broker::modify_stops(const MqlTradeRequest &q) {
    Position *p = q.position ? account.position(q.position) : account.position_of(q.symbol.utf8());
    p->sl = q.sl;
    p->tp = q.tp;
    p->updated = server_time_ms();
    Transaction t;
    t.what.type = TRADE_TRANSACTION_POSITION;
    t.what.symbol = string::utf8(p->symbol);
    t.what.position = p->ticket;
    t.what.volume = p->volume;
    t.what.price_sl = p->sl;
    t.what.price_tp = p->tp;
    transactions.push_back(t);
    trade_event = true;
}

void Broker::modify_order(const MqlTradeRequest &q) {
    Order &o = *account.order(q.order);
    if (q.action == TRADE_ACTION_REMOVE) {
        account.finish(Order(o), ORDER_STATE_CANCELED);
        return note_transaction(TRADE_TRANSACTION_ORDER_DELETE, account.finished.back());
    }
    o.price = q.price;
    o.sl = q.sl;
    o.tp = q.tp;
    o.limit = q.stoplimit;
    o.time_type = q.type_time;
    o.expires = q.type_time == ORDER_TIME_SPECIFIED ? (long)q.expiration * 1000 : 0;
    note_transaction(TRADE_TRANSACTION_ORDER_UPDATE, o);
}

// Two positions of opposite sides close each other; what is left of the larger one stays.
void Broker::close_by(const MqlTradeRequest &q, Order order) {
    Position a = *account.position(q.position), b = *account.position(q.position_by);
    order.ticket = account.next++;
    order.symbol = a.symbol;
    order.type = ORDER_TYPE_CLOSE_BY;
    order.initial = order.volume = std::min(a.volume, b.volume);
    for (auto &[p, price] : {std::pair(a, b.price), std::pair(b, b.price)}) {
        Order closing = order;
        closing.type = 1 - p.type;
        closing.position = p.ticket;
        deal(closing, order.volume, price);
    }
    order.volume = 0;
    account.finish(order, ORDER_STATE_FILLED);
}

bool Broker::place(const MqlTradeRequest &q, MqlTradeResult &r, Order order) {
    order.ticket = account.next++;
    show(order);
    return answer(r, TRADE_RETCODE_DONE, q.volume, q.price, order.ticket);
}

static double part(double volume, double share, double step) {
    return rounded(std::floor(volume * share / step + 1e-6) * step);
}

bool Broker::spoiled(const MqlTradeRequest &q, MqlTradeResult &r, const Fault &f,
                     const Order &order) {
    const Instrument &s = symbols[order.symbol];
    double price = s.price(q.type), v = order.volume;
    ulong ticket = order.ticket;
    if (f.kind == "partial" || f.kind == "quiet") {
        double lots = part(v, f.x, s.step);
        if (lots <= 0 || q.type_filling == ORDER_FILLING_FOK)
            return answer(r, TRADE_RETCODE_REJECT);
        show(order);
        execute_later(order, lag, lots, price);
        execute_due();
        if (f.kind == "quiet")
            return answer(r, TRADE_RETCODE_DONE, v, price, ticket);
        return answer(r, TRADE_RETCODE_DONE_PARTIAL, lots, price, ticket);
    }
    if (f.kind == "timeout") {
        account.unseen.push_back(order);
        execute_later(order, f.x, v, price);
    }
    if (f.kind == "timeout" || f.kind == "lost")
        return answer(r, TRADE_RETCODE_TIMEOUT);
    show(order);
    execute_later(order, f.x, f.kind == "placed_partial" ? part(v, 0.5, s.step) : v, price);
    account.executions.back().rejected = f.kind == "placed_rejected";
    return answer(r, TRADE_RETCODE_PLACED, 0, 0, ticket);
}

bool Broker::market_order(const MqlTradeRequest &q, MqlTradeResult &r, const Fault &f,
                          Order order) {
    order.ticket = account.next++;
    if (!f.kind.empty() && f.kind != "die")
        return spoiled(q, r, f, order);
    double price = symbols[order.symbol].price(q.type), lots = order.volume;
    show(order);
    if (lag > 0 && order.reason != ORDER_REASON_CLIENT)
        execute_later(order, lag, lots, price);
    else
        fill(order.ticket, lots, price);
    if (f.kind == "die") {
        account.save();
        say("died");
        kill(getpid(), SIGKILL);
    }
    bool filled = !account.order(order.ticket);
    answer(r, TRADE_RETCODE_DONE, lots, price, order.ticket);
    r.deal = filled ? account.deals.back().ticket : 0;
    return true;
}
} // namespace imitation
