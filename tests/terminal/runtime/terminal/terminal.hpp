// The terminal around a program: what it shows, its timer, and the events that it is called for.
#ifndef TERMINAL_HPP
#define TERMINAL_HPP
#include "mql5.hpp"
#include "terminal/clock.hpp"
#include <deque>

// The program's handlers, which the translator has written.
int on_init();
void on_deinit(int reason);
void on_timer();
void on_tick();
void on_trade();
void on_start();
void on_chart(int id, long l, double d, string s);
void on_transaction(const MqlTradeTransaction &t, const MqlTradeRequest &q,
                    const MqlTradeResult &r);

namespace imitation {
struct Timer {
    double period = 0, due = 0; // ms of this machine; 0 = none
    double slowest = 0;         // ms of computing in the longest OnTimer
    double computed = 0;        // ms of computing in all of them
    double foreign = 0;         // ms of the trade server's computing in this one
    long count = 0;

    void run();
};

struct Terminal {
    Timer timer;
    bool stopped = false, removed = false;
    int reason = REASON_PROGRAM;
    std::string comment;
    ENUM_TIMEFRAMES period = PERIOD_H1;
    std::string chart_template; // the file that was applied
    std::deque<std::string> custom_events;

    void run();
    void start();
    void restart(int reason, const std::function<void()> &meanwhile);
    void handle_events();
    void read_commands(double most_ms);

private:
    std::string m_line;
    bool m_silent = false; // standard input has ended
};

extern Terminal terminal;
void obey(const std::string &command);
std::string quoted(const std::string &text);
std::string objects_json();
std::string state_json();
std::string history_json();
void read_inputs_again();
} // namespace imitation
#endif
