// The history as a program sees it: what it has selected.
#include "terminal/clock.hpp"
#include "trading/broker.hpp"
#include <algorithm>

using namespace imitation;

long order_property_(const Order &o, ENUM_ORDER_PROPERTY_INTEGER p);
double order_property_(const Order &o, ENUM_ORDER_PROPERTY_DOUBLE p);
string order_property_(const Order &o, ENUM_ORDER_PROPERTY_STRING p);

static std::vector<Deal> deals;
static std::vector<Order> orders;

// What has reached the terminal: the history may come later than the position.
static long known_until() { return server_time_ms() - (long)real_ms(broker.history_lag); }

template <class D, class O> static bool select_where(D wanted_deal, O wanted_order) {
    broker.looked();
    deals.clear();
    orders.clear();
    if (broker.hidden)
        return true; // a terminal that has loaded nothing shows an empty history
    for (auto &each : broker.account.deals)
        if (each.time <= known_until() && wanted_deal(each))
            deals.push_back(each);
    for (auto &each : broker.account.finished)
        if (each.done <= known_until() && wanted_order(each))
            orders.push_back(each);
    return true;
}

bool HistorySelect(datetime from, datetime to) {
    auto within = [=](long ms) { return ms >= from * 1000 && ms < ((long)to + 1) * 1000; };
    return select_where([=](auto &each) { return within(each.time); },
                        [=](auto &each) { return within(each.done) || within(each.setup); });
}

bool HistorySelectByPosition(long id) {
    return select_where([=](auto &each) { return each.position == (ulong)id; },
                        [=](auto &each) { return each.position == (ulong)id; });
}

bool HistoryDealSelect(ulong ticket) {
    select_where([=](auto &each) { return each.ticket == ticket; }, [](auto &) { return false; });
    return !deals.empty() || fail_(4755);
}

bool HistoryOrderSelect(ulong ticket) {
    select_where([](auto &) { return false; }, [=](auto &each) { return each.ticket == ticket; });
    return !orders.empty() || fail_(4755);
}

template <class T> static ulong ticket_at(const std::vector<T> &all, int i) {
    return i >= 0 && i < (int)all.size() ? all[(size_t)i].ticket : (fail_(4755), 0);
}

int HistoryDealsTotal() { return (int)deals.size(); }

int HistoryOrdersTotal() { return (int)orders.size(); }

ulong HistoryDealGetTicket(int i) { return ticket_at(deals, i); }

ulong HistoryOrderGetTicket(int i) { return ticket_at(orders, i); }

static long deal_property(const Deal &d, ENUM_DEAL_PROPERTY_INTEGER p) {
    const std::map<int, long> values = {{DEAL_TICKET, (long)d.ticket},
                                        {DEAL_ORDER, (long)d.order},
                                        {DEAL_TIME, d.time / 1000},
                                        {DEAL_TIME_MSC, d.time},
                                        {DEAL_TYPE, d.type},
                                        {DEAL_ENTRY, d.entry},
                                        {DEAL_MAGIC, d.magic},
                                        {DEAL_REASON, d.reason},
                                        {DEAL_POSITION_ID, (long)d.position}};
    return values.at(p);
}

static double deal_property(const Deal &d, ENUM_DEAL_PROPERTY_DOUBLE p) {
    return p == DEAL_VOLUME   ? d.volume
           : p == DEAL_PRICE  ? d.price
           : p == DEAL_PROFIT ? d.profit
                              : 0;
}

static string deal_property(const Deal &d, ENUM_DEAL_PROPERTY_STRING p) {
    return p == DEAL_SYMBOL    ? string::utf8(d.symbol)
           : p == DEAL_COMMENT ? string::utf8(d.comment)
                               : string(u"");
}

template <class E, class T> static bool deal_get(ulong ticket, E p, T &value) {
    auto found = std::ranges::find(deals, ticket, &Deal::ticket);
    if (found == deals.end())
        return fail_(4755);
    value = deal_property(*found, p);
    return true;
}

template <class E, class T> static bool order_get(ulong ticket, E p, T &value) {
    auto found = std::ranges::find(orders, ticket, &Order::ticket);
    if (found == orders.end())
        return fail_(4755);
    value = order_property_(*found, p);
    return true;
}

bool HistoryDealGetInteger(ulong t, ENUM_DEAL_PROPERTY_INTEGER p, long &v) {
    return deal_get(t, p, v);
}

bool HistoryDealGetDouble(ulong t, ENUM_DEAL_PROPERTY_DOUBLE p, double &v) {
    return deal_get(t, p, v);
}

bool HistoryDealGetString(ulong t, ENUM_DEAL_PROPERTY_STRING p, string &v) {
    return deal_get(t, p, v);
}

bool HistoryOrderGetInteger(ulong t, ENUM_ORDER_PROPERTY_INTEGER p, long &v) {
    return order_get(t, p, v);
}

bool HistoryOrderGetDouble(ulong t, ENUM_ORDER_PROPERTY_DOUBLE p, double &v) {
    return order_get(t, p, v);
}

bool HistoryOrderGetString(ulong t, ENUM_ORDER_PROPERTY_STRING p, string &v) {
    return order_get(t, p, v);
}
