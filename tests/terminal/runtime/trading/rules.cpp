// The checks of a trade request, in the order of a trade server.
#include "trading/broker.hpp"

namespace imitation {
static const double ALMOST = 1e-9;

static bool is_multiple(double volume, double step) {
    return std::fabs(volume / step - std::round(volume / step)) < 1e-6;
}

// Stops must stand on the right side of the price, and not nearer than the stops level.
static bool wrong_stops(const Instrument &s, int type, double sl, double tp) {
    double x = type ? s.ask : s.bid, away = s.stops * s.point - ALMOST;
    double sign = type ? -1 : 1;
    return (sl && sign * (x - sl) <= std::max(away, 0.0)) ||
           (tp && sign * (tp - x) <= std::max(away, 0.0));
}

static int check_stops(Broker &b, const MqlTradeRequest &q) {
    Position *p = q.position  ? b.account.position(q.position)
                  : b.hedging ? nullptr
                              : b.account.position_of(q.symbol.utf8());
    if (!p)
        return TRADE_RETCODE_POSITION_CLOSED;
    const Instrument &s = b.symbols[p->symbol];
    if (!s.open)
        return TRADE_RETCODE_MARKET_CLOSED;
    if (s.freeze && p->sl && std::fabs((p->type ? s.ask : s.bid) - p->sl) < s.freeze * s.point)
        return TRADE_RETCODE_FROZEN;
    if (wrong_stops(s, p->type, q.sl, q.tp))
        return TRADE_RETCODE_INVALID_STOPS;
    return p->sl == q.sl && p->tp == q.tp ? TRADE_RETCODE_NO_CHANGES : 0;
}

static int check_pending(const Instrument &s, const MqlTradeRequest &q) {
    double x = s.price(q.type & 1);
    bool below = q.type == ORDER_TYPE_BUY_LIMIT || q.type == ORDER_TYPE_SELL_STOP ||
                 q.type == ORDER_TYPE_SELL_STOP_LIMIT;
    bool wrong = q.price <= 0 || (below ? q.price >= x : q.price <= x) ||
                 std::fabs(q.price - x) < s.stops * s.point - ALMOST;
    return wrong ? TRADE_RETCODE_INVALID_PRICE : 0;
}

static int check_order(Broker &b, const MqlTradeRequest &q) {
    Order *order = b.account.order(q.order);
    if (!order || !order->pending())
        return TRADE_RETCODE_INVALID_ORDER;
    const Instrument &s = b.symbols[order->symbol];
    if (!s.open)
        return TRADE_RETCODE_MARKET_CLOSED;
    if (q.action == TRADE_ACTION_REMOVE)
        return 0;
    if (order->price == q.price && order->sl == q.sl && order->tp == q.tp)
        return TRADE_RETCODE_NO_CHANGES;
    MqlTradeRequest changed = q;
    changed.type = (ENUM_ORDER_TYPE)order->type;
    return check_pending(s, changed);
}

static int check_mode(const Instrument &s, int type, bool closes) {
    if (s.mode == SYMBOL_TRADE_MODE_DISABLED)
        return TRADE_RETCODE_TRADE_DISABLED;
    if (closes)
        return 0;
    if (s.mode == SYMBOL_TRADE_MODE_CLOSEONLY)
        return TRADE_RETCODE_CLOSE_ONLY;
    if (s.mode == SYMBOL_TRADE_MODE_LONGONLY && (type & 1))
        return TRADE_RETCODE_LONG_ONLY;
    if (s.mode == SYMBOL_TRADE_MODE_SHORTONLY && !(type & 1))
        return TRADE_RETCODE_SHORT_ONLY;
    return 0;
}

static int check_filling(const Instrument &s, int filling) {
    bool fok = s.filling & SYMBOL_FILLING_FOK, ioc = s.filling & SYMBOL_FILLING_IOC;
    bool wrong = (filling == ORDER_FILLING_FOK && !fok) || (filling == ORDER_FILLING_IOC && !ioc) ||
                 (filling == ORDER_FILLING_RETURN && s.market);
    return wrong ? TRADE_RETCODE_INVALID_FILL : 0;
}

static int check_limits(Broker &b, const Instrument &s, const MqlTradeRequest &q) {
    double net = b.account.net(q.symbol.utf8()) + (q.type ? -q.volume : q.volume), open = 0;
    if (s.limit > 0 && std::fabs(net) > s.limit + ALMOST)
        return TRADE_RETCODE_LIMIT_VOLUME;
    for (auto &each : b.account.positions)
        open += each.volume;
    return b.money >= 0 && open + q.volume > b.money + ALMOST ? TRADE_RETCODE_NO_MONEY : 0;
}

static int check_market(Broker &b, const Instrument &s, const MqlTradeRequest &q, bool closes) {
    if (q.type > ORDER_TYPE_SELL)
        return TRADE_RETCODE_INVALID;
    if (int bad = check_filling(s, q.type_filling))
        return bad;
    double x = s.price(q.type);
    if (!s.market && q.price > 0 && std::fabs(q.price - x) > q.deviation * s.point + ALMOST)
        return TRADE_RETCODE_REQUOTE;
    if ((q.sl || q.tp) && wrong_stops(s, q.type, q.sl, q.tp))
        return TRADE_RETCODE_INVALID_STOPS;
    return closes ? 0 : check_limits(b, s, q);
}

static int check_opening(Broker &b, const MqlTradeRequest &q) {
    auto found = b.symbols.find(q.symbol.utf8());
    if (found == b.symbols.end())
        return TRADE_RETCODE_INVALID;
    const Instrument &s = found->second;
    if (q.volume < s.least - ALMOST || q.volume > s.most + ALMOST || !is_multiple(q.volume, s.step))
        return TRADE_RETCODE_INVALID_VOLUME;
    Position *p = q.position ? b.account.position(q.position) : nullptr;
    if (q.position && !p)
        return TRADE_RETCODE_POSITION_CLOSED;
    if (p && p->symbol != found->first)
        return TRADE_RETCODE_INVALID;
    if (p && b.hedging && q.volume > p->volume + ALMOST)
        return TRADE_RETCODE_INVALID_CLOSE_VOLUME;
    if (!s.open)
        return TRADE_RETCODE_MARKET_CLOSED;
    Position *netted = b.hedging ? p : b.account.position_of(found->first);
    bool closes = netted && netted->type != (q.type & 1) && q.volume <= netted->volume + ALMOST;
    if (int bad = check_mode(s, q.type, closes))
        return bad;
    if (q.action == TRADE_ACTION_PENDING)
        return check_pending(s, q);
    return check_market(b, s, q, closes);
}

static int check_close_by(Broker &b, const MqlTradeRequest &q) {
    Position *a = b.account.position(q.position), *c = b.account.position(q.position_by);
    if (!a || !c)
        return TRADE_RETCODE_POSITION_CLOSED;
    bool fits = b.hedging && a->symbol == c->symbol && a->type != c->type;
    return fits ? 0 : TRADE_RETCODE_INVALID;
}

int Broker::check(const MqlTradeRequest &q, bool manual) {
    if (!manual && (!trade_allowed || !program_allowed))
        return TRADE_RETCODE_CLIENT_DISABLES_AT;
    if (!manual && !expert_allowed)
        return TRADE_RETCODE_SERVER_DISABLES_AT;
    if (!connected)
        return TRADE_RETCODE_CONNECTION;
    if (!account_allowed)
        return TRADE_RETCODE_TRADE_DISABLED;
    switch (q.action) {
    case TRADE_ACTION_SLTP:
        return check_stops(*this, q);
    case TRADE_ACTION_REMOVE:
    case TRADE_ACTION_MODIFY:
        return check_order(*this, q);
    case TRADE_ACTION_CLOSE_BY:
        return check_close_by(*this, q);
    case TRADE_ACTION_DEAL:
    case TRADE_ACTION_PENDING:
        return check_opening(*this, q);
    default:
        return TRADE_RETCODE_INVALID;
    }
}
} // namespace imitation
