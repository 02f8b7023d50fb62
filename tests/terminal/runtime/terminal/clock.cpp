#include "terminal/clock.hpp"
#include "mql5.hpp"
#include <ctime>
#include <unistd.h>

static const long BROKER_OFFSET = 7200; // seconds that the broker's clock is ahead of UTC

static double speed() {
    static double found = getenv("SPEED") ? atof(getenv("SPEED")) : 1;
    return found;
}

double now_ms() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

double busy_ms() {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

double real_ms(double ms) { return ms / speed(); }

void pause_ms(double ms) { usleep((useconds_t)(real_ms(ms) * 1000)); }

// $CLOCK_AHEAD: seconds that this computer's clock is wrong.
static long utc_ms() {
    static long ahead = getenv("CLOCK_AHEAD") ? atol(getenv("CLOCK_AHEAD")) : 0;
    timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (t.tv_sec + ahead) * 1000 + t.tv_nsec / 1000000;
}

long server_time_ms() {
    timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (t.tv_sec + BROKER_OFFSET) * 1000 + t.tv_nsec / 1000000;
}

ulong GetMicrosecondCount() {
    static double start = now_ms();
    return (ulong)((now_ms() - start) * speed() * 1000);
}

ulong GetTickCount64() {
    static ulong uptime = getenv("UPTIME_MS") ? strtoul(getenv("UPTIME_MS"), nullptr, 10) : 3600000;
    return uptime + GetMicrosecondCount() / 1000;
}

datetime TimeGMT() { return utc_ms() / 1000; }

datetime TimeLocal() { return TimeGMT(); }

datetime TimeTradeServer() { return utc_ms() / 1000 + BROKER_OFFSET; }

datetime TimeCurrent() { return server_time_ms() / 1000; }

int TimeGMTOffset() { return 0; }

int TimeDaylightSavings() { return 0; }

bool TimeToStruct(datetime t, MqlDateTime &s) {
    time_t seconds = t.v;
    tm m;
    gmtime_r(&seconds, &m);
    s = {m.tm_year + 1900, m.tm_mon + 1, m.tm_mday, m.tm_hour,
         m.tm_min,         m.tm_sec,     m.tm_wday, m.tm_yday};
    return true;
}

datetime StructToTime(const MqlDateTime &s) {
    tm m{};
    m.tm_year = s.year - 1900;
    m.tm_mon = s.mon - 1;
    m.tm_mday = s.day;
    m.tm_hour = s.hour;
    m.tm_min = s.min;
    m.tm_sec = s.sec;
    return (long)timegm(&m);
}
