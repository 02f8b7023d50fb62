// One account at the broker: positions, orders, and the history of both. Several programs, and
// several terminals ($ACCOUNTS names their folder), may share it: it stands in two files.
#ifndef ACCOUNT_HPP
#define ACCOUNT_HPP
#include "mql5.hpp"
#include "storage/shared_file.hpp"
#include <memory>

// A program may have a class of any of these names.
namespace imitation {
struct Position {
    ulong ticket = 0, id = 0;
    std::string symbol;
    int type = 0; // 0 bought, 1 sold
    double volume = 0, price = 0, sl = 0, tp = 0;
    long magic = 0, opened = 0, updated = 0; // times in ms, the broker's clock
    int reason = 0;
    std::string comment;

    double lots() const { return type ? -volume : volume; }

    template <class F> void each(F &&f) {
        f(ticket), f(id), f(symbol), f(type), f(volume), f(price), f(sl), f(tp);
        f(magic), f(opened), f(updated), f(reason), f(comment);
    }
};

struct Order {
    ulong ticket = 0;
    std::string symbol;
    int type = 0, state = ORDER_STATE_PLACED, filling = 0, time_type = 0, reason = 0;
    double initial = 0, volume = 0, price = 0, limit = 0, sl = 0, tp = 0;
    long magic = 0, setup = 0, done = 0, expires = 0; // times in ms, the broker's clock
    ulong position = 0;
    std::string comment;

    bool pending() const { return type >= ORDER_TYPE_BUY_LIMIT; }

    template <class F> void each(F &&f) {
        f(ticket), f(symbol), f(type), f(state), f(filling), f(time_type), f(reason);
        f(initial), f(volume), f(price), f(limit), f(sl), f(tp);
        f(magic), f(setup), f(done), f(expires), f(position), f(comment);
    }
};

// What the broker will do with an order, whether the terminal still runs or not.
struct Execution {
    ulong ticket = 0;
    long due = 0;    // ms, the broker's clock
    double lots = 0; // 0 = it is cancelled
    double price = 0;
    bool rejected = false;

    template <class F> void each(F &&f) { f(ticket), f(due), f(lots), f(price), f(rejected); }
};

struct Deal {
    ulong ticket = 0, order = 0, position = 0; // position: the identifier, not the ticket
    std::string symbol;
    int type = 0, entry = 0, reason = 0;
    double volume = 0, price = 0, profit = 0;
    long magic = 0, time = 0; // time in ms, the broker's clock
    std::string comment;

    template <class F> void each(F &&f) {
        f(ticket), f(order), f(position), f(symbol), f(type), f(entry), f(reason);
        f(volume), f(price), f(profit), f(magic), f(time), f(comment);
    }
};

class Account {
public:
    long login = 0;
    std::string server;
    ulong next = 5001;
    double balance = 10000;
    std::vector<Position> positions;
    std::vector<Order> orders; // pending, and on their way
    std::vector<Order> unseen; // on their way, and not shown to the terminal yet
    std::vector<Execution> executions;
    std::vector<Order> finished; // with their fate
    std::vector<Deal> deals;

    void open(long login, std::string server);
    // Reads what other programs have changed. Returns whether anything was.
    bool refresh();
    Position *position(ulong ticket);
    Position *position_of(const std::string &symbol);
    Order *order(ulong ticket);
    double net(const std::string &symbol) const;
    void add(const Deal &deal);
    void finish(Order order, int state);
    void save();

private:
    friend class Change;
    std::string m_path;
    long m_stamp = 0;
    size_t m_read = 0; // bytes of the history
    int m_changing = 0;
    std::unique_ptr<FileLock> m_lock;

    std::string history_path() const { return m_path + ".history"; }

    void read_state();
    void read_history();
    void append(const std::string &line);
};

// A change of the account: one program at a time, written when the last one ends.
class Change {
public:
    explicit Change(Account &account);
    ~Change();
    Change(const Change &) = delete;

private:
    Account &m_account;
};
} // namespace imitation
#endif
