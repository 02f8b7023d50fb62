// A broker with one account that a test can command and spoil. One thread: what happens meanwhile
// happens inside the calls that look.
#ifndef BROKER_HPP
#define BROKER_HPP
#include "trading/account.hpp"
#include <deque>

namespace imitation {
struct Instrument {
    double bid = 1, ask = 1, point = 1e-5;
    double least = 0.01, most = 100, step = 0.01, limit = 0; // lots; limit 0 = none
    double contract = 100000, rate = 1;                      // rate: of its profit in USD
    int digits = 5, filling = 3, mode = SYMBOL_TRADE_MODE_FULL, stops = 0, freeze = 0;
    bool market = true;    // market execution, else instant with requotes
    bool open = true;      // the session
    bool selected = false; // in Market Watch
    bool priced = true;    // ticks have come
    bool known = true;     // its volumes have come
    std::deque<MqlTick> ticks;

    double price(int type) const { return type ? bid : ask; } // at which an order fills

    double money(double distance, double lots) const { return distance * lots * contract * rate; }
};

struct Fault {
    std::string kind, symbol = "*";
    double x = 0;
    int count = 1;
};

struct Transaction {
    MqlTradeTransaction what{};
    MqlTradeRequest request{};
    MqlTradeResult result{};
};

struct Counters {
    long sent = 0, deals = 0;
    size_t busiest = 0; // orders within 60 s
    std::deque<double> recent;
    std::map<std::string, int> refused; // orders of each symbol

    void note_order();
};

struct Broker {
    Account account;
    std::map<std::string, Instrument> symbols;
    std::vector<Fault> faults;
    std::deque<Transaction> transactions;
    Counters counters;
    std::string chart = "EURUSD";
    bool trade_event = false;
    bool hedging = false, last_magic_wins = false;
    bool connected = true;
    bool hidden = false; // positions and orders have not loaded
    bool trade_allowed = true, program_allowed = true, account_allowed = true;
    bool expert_allowed = true;
    double loads_every = 0, loads_from = 0; // ms between two positions that load, 0 = all at once
    double lag = 0;                         // ms until a deal shows
    double history_lag = 0;                 // ms until it stands in the history
    double money = -1;                      // margin for so many lots, -1 = enough
    long reads = 0;                         // looks until on_read, 0 = never
    std::function<void()> on_read;

    void begin();
    void log_in(long login, const std::string &server, double hidden_ms);
    void load_after(double ms);
    size_t visible() const; // how many positions have loaded
    // Does what is due, and reads what others have changed.
    void pump();
    void looked(); // a program looks at the account
    double next_due() const;
    void after(double ms, std::function<void()> f);

    bool send(const MqlTradeRequest &q, MqlTradeResult &r, bool manual);
    bool send_async(const MqlTradeRequest &q, MqlTradeResult &r);
    int check(const MqlTradeRequest &q, bool manual);
    void price(const std::string &symbol, double bid, double ask);
    double floating() const; // the profit of what is open
    double margin() const;

private:
    std::vector<std::pair<double, std::function<void()>>> m_later;
    size_t m_deals_seen = 0;

    void note_transaction(ENUM_TRADE_TRANSACTION_TYPE type, const Order &order);
    void note_deal(const Deal &deal);
    void note_others();
    void expire();
    void execute_due();
    void execute_later(const Order &order, double ms, double lots, double price);
    Fault next_fault(const std::string &symbol);
    bool market_order(const MqlTradeRequest &q, MqlTradeResult &r, const Fault &f, Order order);
    bool spoiled(const MqlTradeRequest &q, MqlTradeResult &r, const Fault &f, const Order &order);
    bool place(const MqlTradeRequest &q, MqlTradeResult &r, Order order);
    void modify_stops(const MqlTradeRequest &q);
    void modify_order(const MqlTradeRequest &q);
    void close_by(const MqlTradeRequest &q, Order order);
    void show(const Order &order);
    void fill(ulong ticket, double lots, double price);
    void reject(ulong ticket);
    void deal(const Order &order, double lots, double price);
    void change_position(const Order &order, Deal &deal, Position &position);
    bool hit_stop(const std::string &symbol);
    bool hit_order(const std::string &symbol);
    void close_by_stop(const Position &position, double price);
};

extern Broker broker;
void say(const std::string &line); // a line for the test
double rounded(double lots);
bool answer(MqlTradeResult &r, int code, double volume = 0, double price = 0, ulong order = 0);
} // namespace imitation

using imitation::broker;
#endif
