// Runs one program as a terminal does: OnInit, then events one after the other in one thread: timer
// (never two in the queue), ticks, trade transactions, OnTrade. Commands come on standard input,
// what happens goes to standard output, the journal to standard error.
#include "terminal/terminal.hpp"
#include "trading/broker.hpp"
#include <cfenv>
#include <csignal>
#include <poll.h>
#include <unistd.h>

namespace imitation {
Terminal terminal;
static const double LONGEST_WAIT = 1000; // ms

void say(const std::string &line) {
    fputs((line + "\n").c_str(), stdout);
    fflush(stdout);
}

static std::vector<std::function<void()>> &readers() {
    static std::vector<std::function<void()>> all;
    return all;
}

void read_inputs_again() {
    for (auto &each : readers())
        each();
}

void Timer::run() {
    if (!period || now_ms() < due)
        return;
    double start = busy_ms();
    foreign = 0;
    count++;
    due = now_ms() + period;
    on_timer();
    double took = busy_ms() - start - foreign;
    slowest = std::max(slowest, took);
    computed += took;
    if (due < now_ms()) // late: other events come between
        due = now_ms() + std::min(period, 1.0);
}

void Terminal::start() {
    int code = on_init();
    if (code == INIT_SUCCEEDED)
        return say("ready");
    say("init failed " + std::to_string(code));
    reason = REASON_INITFAILED;
    removed = true;
}

// OnDeinit and OnInit, as after a change of inputs, period or account: global variables stay.
void Terminal::restart(int why, const std::function<void()> &meanwhile) {
    reason = why;
    on_deinit(why);
    meanwhile();
    say("init " + std::to_string(on_init()));
}

void Terminal::handle_events() {
    broker.pump();
    while (!broker.transactions.empty()) {
        Transaction t = broker.transactions.front();
        broker.transactions.pop_front();
        on_transaction(t.what, t.request, t.result);
    }
    if (std::exchange(broker.trade_event, false))
        on_trade();
    while (!custom_events.empty()) {
        std::string text = custom_events.front();
        custom_events.pop_front();
        on_chart(CHARTEVENT_CUSTOM, 0, 0, string::utf8(text));
    }
}

void Terminal::read_commands(double most_ms) {
    pollfd input{0, POLLIN, 0};
    if (poll(&input, m_silent ? 0 : 1, most_ms < 0 ? 0 : (int)std::ceil(most_ms)) <= 0)
        return;
    char bytes[4096];
    ssize_t n = read(0, bytes, sizeof bytes);
    if (n <= 0) {
        m_silent = true;
        stopped = !choice("SURVIVE_EOF");
    }
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] != '\n')
            m_line += bytes[i];
        else
            obey(std::exchange(m_line, ""));
    }
}

void Terminal::run() {
    start();
    if (!removed)
        on_start();
    while (!stopped && !removed) {
        handle_events();
        double due = std::min(timer.period ? timer.due : 1e18, broker.next_due());
        read_commands(std::min(due - now_ms(), LONGEST_WAIT));
        timer.run();
    }
    if (reason != REASON_INITFAILED)
        reason = removed ? REASON_PROGRAM : REASON_REMOVE;
    on_deinit(reason);
}
} // namespace imitation

Reinput::Reinput(std::function<void()> f) { imitation::readers().push_back(f); }

static void zero_divide(int) { critical("zero divide"); }

static void bad_access(int) { critical("access violation: a reference to memory that moved"); }

int main() {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGFPE, zero_divide);
    signal(SIGSEGV, bad_access);
    setvbuf(stderr, nullptr, _IONBF, 0);
    broker.begin();
    feenableexcept(FE_DIVBYZERO | FE_INVALID);
    imitation::terminal.run();
    if (imitation::terminal.reason == REASON_INITFAILED)
        return 1;
    imitation::say("state " + imitation::state_json());
    return 0;
}
