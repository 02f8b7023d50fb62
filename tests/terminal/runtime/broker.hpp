#ifndef BROKER_HPP
#define BROKER_HPP
#include "mql5.hpp"
struct Sym {
    double bid = 1, ask = 1, point = 1e-5, least = 0.01, most = 100, step = 0.01, limit = 0;
    int digits = 5, filling = 3, mode = SYMBOL_TRADE_MODE_FULL;
    bool market = true, open = true, selected = false, priced = true, known = true;
};
struct Pos {
    ulong ticket = 0;
    std::string symbol;
    int type = 0;
    double volume = 0, price = 0, sl = 0, tp = 0;
    long magic = 0;
    std::string comment;
    ulong id = 0;
};
struct Ord {
    ulong ticket = 0;
    std::string symbol;
    int type = 0;
    double volume = 0, price = 0, limit = 0, sl = 0, tp = 0;
    long magic = 0;
};
struct Fault {
    std::string kind, symbol = "*";
    double x = 0;
    int count = 1;
    bool quiet = false;
};
struct Broker {
    std::map<std::string, Sym> symbols;
    std::vector<Pos> positions;
    std::vector<Ord> orders;
    std::vector<Fault> faults;
    std::vector<std::pair<double, std::function<void()>>> later;
    std::vector<MqlTradeTransaction> events;
    bool events_trade = false;
    bool hedging = false, connected = true, hidden = false, trade_allowed = true,
         program_allowed = true, account_allowed = true, expert_allowed = true,
         last_magic_wins = false;
    long login = 1001;
    ulong next = 5001;
    double balance = 10000, lag = 0, money = -1;
    std::string chart = "EURUSD";
    long sent = 0, deals = 0, reads = 0;
    size_t deals_all = 0;
    size_t busiest = 0;
    std::function<void()> on_read;
    std::vector<double> recent;
    void begin();
    void save();
    void load();
    void pump();
    void share();
    double next_due();
    void after(double ms, std::function<void()> f);
    double net(const std::string &s);
    void traded(int kind, const std::string &s, double v, int type, ulong order, ulong position,
                double price);
    void deal(const std::string &s, int type, double v, double price, ulong ticket, ulong order,
              long magic, const std::string &comment, double sl = 0, double tp = 0);
    void price(const std::string &s, double bid, double ask);
    bool send(const MqlTradeRequest &q, MqlTradeResult &r, bool manual);
};
extern Broker broker;
void say(const std::string &line);
#endif
