// Positions and orders as a program sees them: a selected one is a copy.
#include "terminal/clock.hpp"
#include "terminal/terminal.hpp"
#include "trading/broker.hpp"

using namespace imitation;

static Position position;
static Order order;
static bool position_selected = false, order_selected = false;

// The trade server's work is none of the program's.
bool OrderSend(const MqlTradeRequest &q, MqlTradeResult &r) {
    double start = busy_ms();
    bool sent = broker.send(q, r, false);
    imitation::terminal.timer.foreign += busy_ms() - start;
    return sent;
}

bool OrderSendAsync(const MqlTradeRequest &q, MqlTradeResult &r) { return broker.send_async(q, r); }

bool OrderCheck(const MqlTradeRequest &q, MqlTradeCheckResult &r) {
    r = MqlTradeCheckResult{};
    r.retcode = (uint)broker.check(q, false);
    r.balance = broker.account.balance;
    r.margin = broker.margin();
    r.margin_free = r.balance - r.margin;
    return r.retcode == 0 || fail_(4756);
}

static bool select(const Position *found) {
    position_selected = found != nullptr;
    if (!found)
        return fail_(4753);
    position = *found;
    return true;
}

// The loaded position with that ticket or of that symbol.
template <class F> static bool select_where(F wanted) {
    broker.looked();
    for (size_t i = 0; i < broker.visible(); i++)
        if (wanted(broker.account.positions[i]))
            return select(&broker.account.positions[i]);
    return select(nullptr);
}

int PositionsTotal() {
    broker.looked();
    return (int)broker.visible();
}

ulong PositionGetTicket(int i) {
    broker.looked();
    bool there = i >= 0 && i < (int)broker.visible();
    return select(there ? &broker.account.positions[(size_t)i] : nullptr) ? position.ticket : 0;
}

string PositionGetSymbol(int i) {
    return PositionGetTicket(i) ? string::utf8(position.symbol) : string(u"");
}

bool PositionSelect(const string &s) {
    return select_where([name = s.utf8()](auto &each) { return each.symbol == name; });
}

bool PositionSelectByTicket(ulong t) {
    return select_where([t](auto &each) { return each.ticket == t; });
}

bool PositionGetInteger(ENUM_POSITION_PROPERTY_INTEGER p, long &value) {
    const std::map<int, long> values = {{POSITION_TICKET, (long)position.ticket},
                                        {POSITION_IDENTIFIER, (long)position.id},
                                        {POSITION_TYPE, position.type},
                                        {POSITION_MAGIC, position.magic},
                                        {POSITION_TIME, position.opened / 1000},
                                        {POSITION_TIME_MSC, position.opened},
                                        {POSITION_TIME_UPDATE, position.updated / 1000},
                                        {POSITION_TIME_UPDATE_MSC, position.updated},
                                        {POSITION_REASON, position.reason}};
    if (!position_selected)
        return fail_(4753);
    value = values.at(p);
    return true;
}

static double profit(const Position &p) {
    const Instrument &s = broker.symbols[p.symbol];
    return p.type ? s.money(p.price - s.ask, p.volume) : s.money(s.bid - p.price, p.volume);
}

bool PositionGetDouble(ENUM_POSITION_PROPERTY_DOUBLE p, double &value) {
    if (!position_selected)
        return fail_(4753);
    const Instrument &s = broker.symbols[position.symbol];
    const std::map<int, double> values = {{POSITION_VOLUME, position.volume},
                                          {POSITION_PRICE_OPEN, position.price},
                                          {POSITION_SL, position.sl},
                                          {POSITION_TP, position.tp},
                                          {POSITION_PRICE_CURRENT, s.price(1 - position.type)},
                                          {POSITION_SWAP, 0},
                                          {POSITION_PROFIT, profit(position)}};
    value = values.at(p);
    return true;
}

bool PositionGetString(ENUM_POSITION_PROPERTY_STRING p, string &value) {
    if (!position_selected)
        return fail_(4753);
    value = p == POSITION_SYMBOL    ? string::utf8(position.symbol)
            : p == POSITION_COMMENT ? string::utf8(position.comment)
                                    : string(u"");
    return true;
}

// ---- orders
static bool select(const Order *found) {
    order_selected = found != nullptr;
    if (!found)
        return fail_(4754);
    order = *found;
    return true;
}

int OrdersTotal() {
    broker.looked();
    return broker.hidden ? 0 : (int)broker.account.orders.size();
}

ulong OrderGetTicket(int i) {
    bool there = i >= 0 && i < OrdersTotal();
    return select(there ? &broker.account.orders[(size_t)i] : nullptr) ? order.ticket : 0;
}

bool OrderSelect(ulong t) {
    broker.looked();
    return select(broker.hidden ? nullptr : broker.account.order(t));
}

long order_property_(const Order &o, ENUM_ORDER_PROPERTY_INTEGER p) {
    const std::map<int, long> values = {{ORDER_TICKET, (long)o.ticket},
                                        {ORDER_TIME_SETUP, o.setup / 1000},
                                        {ORDER_TIME_SETUP_MSC, o.setup},
                                        {ORDER_TIME_DONE, o.done / 1000},
                                        {ORDER_TIME_DONE_MSC, o.done},
                                        {ORDER_TIME_EXPIRATION, o.expires / 1000},
                                        {ORDER_TYPE, o.type},
                                        {ORDER_TYPE_TIME, o.time_type},
                                        {ORDER_TYPE_FILLING, o.filling},
                                        {ORDER_STATE, o.state},
                                        {ORDER_MAGIC, o.magic},
                                        {ORDER_REASON, o.reason},
                                        {ORDER_POSITION_ID, (long)o.position},
                                        {ORDER_POSITION_BY_ID, 0}};
    return values.at(p);
}

double order_property_(const Order &o, ENUM_ORDER_PROPERTY_DOUBLE p) {
    const std::map<int, double> values = {{ORDER_VOLUME_INITIAL, o.initial},
                                          {ORDER_VOLUME_CURRENT, o.volume},
                                          {ORDER_PRICE_OPEN, o.price},
                                          {ORDER_SL, o.sl},
                                          {ORDER_TP, o.tp},
                                          {ORDER_PRICE_CURRENT, broker.symbols[o.symbol].bid},
                                          {ORDER_PRICE_STOPLIMIT, o.limit}};
    return values.at(p);
}

string order_property_(const Order &o, ENUM_ORDER_PROPERTY_STRING p) {
    return p == ORDER_SYMBOL    ? string::utf8(o.symbol)
           : p == ORDER_COMMENT ? string::utf8(o.comment)
                                : string(u"");
}

template <class E, class T> static bool order_get(E p, T &value) {
    if (!order_selected)
        return fail_(4754);
    value = order_property_(order, p);
    return true;
}

bool OrderGetInteger(ENUM_ORDER_PROPERTY_INTEGER p, long &v) { return order_get(p, v); }

bool OrderGetDouble(ENUM_ORDER_PROPERTY_DOUBLE p, double &v) { return order_get(p, v); }

bool OrderGetString(ENUM_ORDER_PROPERTY_STRING p, string &v) { return order_get(p, v); }
