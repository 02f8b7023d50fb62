// What a program asks of the terminal and tells it.
#include "terminal/terminal.hpp"
#include "trading/broker.hpp"
#include <climits>
#include <unistd.h>

using imitation::terminal;

static const double LEAST_TIMER_MS = 16; // what Windows grants

bool EventSetMillisecondTimer(int ms) {
    static double least = getenv("TIMER_LEAST") ? atof(getenv("TIMER_LEAST")) : LEAST_TIMER_MS;
    terminal.timer.period = real_ms(std::max((double)ms, least));
    terminal.timer.due = now_ms() + terminal.timer.period;
    return true;
}

bool EventSetTimer(int s) { return EventSetMillisecondTimer(s * 1000); }

void EventKillTimer() { terminal.timer.period = 0; }

bool IsStopped() { return terminal.stopped; }

void ExpertRemove() { terminal.removed = true; }

int UninitializeReason() { return terminal.reason; }

bool TerminalClose(int) {
    terminal.stopped = true;
    return true;
}

void Sleep(int ms) {
    pause_ms(ms);
    broker.pump();
}

void log_(const char *kind, const string &line) {
    fprintf(stderr, "%.3f %s %s\n", now_ms() / 1e3, kind, line.utf8().c_str());
    if (*kind == 'a')
        imitation::say("alert " + line.utf8());
}

void comment_(const string &text) { terminal.comment = text.utf8(); }

long MQLInfoInteger(ENUM_MQL_INFO_INTEGER what) {
    switch (what) {
    case MQL_TRADE_ALLOWED:
        return broker.program_allowed;
    case MQL_TESTER:
        return choice("TESTER");
    case MQL_PROGRAM_TYPE:
        return 2; // an Expert Advisor
    default:
        return 0;
    }
}

string MQLInfoString(ENUM_MQL_INFO_STRING what) {
    static string name = string::utf8(getenv("PROGRAM_NAME") ? getenv("PROGRAM_NAME") : "program");
    return what == MQL_PROGRAM_NAME ? name : string(u"MQL5\\Experts\\program.ex5");
}

long TerminalInfoInteger(ENUM_TERMINAL_INFO_INTEGER what) {
    broker.pump();
    switch (what) {
    case TERMINAL_CONNECTED:
        return broker.connected;
    case TERMINAL_TRADE_ALLOWED:
        return broker.trade_allowed;
    case TERMINAL_BUILD:
        return __MQLBUILD__;
    case TERMINAL_PING_LAST:
        return 20000;
    case TERMINAL_NOTIFICATIONS_ENABLED:
    case TERMINAL_X64:
        return 1;
    default:
        return 0;
    }
}

string TerminalInfoString(ENUM_TERMINAL_INFO_STRING what) {
    char folder[PATH_MAX];
    bool path = what == TERMINAL_PATH || what == TERMINAL_DATA_PATH;
    return string::utf8(path && getcwd(folder, sizeof folder) ? folder : "Imitation");
}
