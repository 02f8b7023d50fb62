// Time, program, terminal.
#ifndef PROGRAM_HPP
#define PROGRAM_HPP
ulong GetTickCount64();
ulong GetMicrosecondCount();

inline uint GetTickCount() { return (uint)GetTickCount64(); }

datetime TimeGMT();
datetime TimeCurrent();
datetime TimeLocal();
int TimeGMTOffset();
int TimeDaylightSavings();
datetime TimeTradeServer();

struct MqlDateTime {
    ITSELF(MqlDateTime)
    int year, mon, day, hour, min, sec, day_of_week, day_of_year;
};

bool TimeToStruct(datetime t, MqlDateTime &s);
datetime StructToTime(const MqlDateTime &s);
void Sleep(int ms);
bool IsStopped();
void ExpertRemove();
bool TerminalClose(int code);
bool EventSetTimer(int s);
bool EventSetMillisecondTimer(int ms);
void EventKillTimer();

enum ENUM_INIT_RETCODE {
    INIT_SUCCEEDED,
    INIT_FAILED,
    INIT_PARAMETERS_INCORRECT,
    INIT_AGENT_NOT_SUITABLE
};

enum ENUM_MQL_INFO_INTEGER {
    MQL_TESTER,
    MQL_TRADE_ALLOWED,
    MQL_DLLS_ALLOWED,
    MQL_OPTIMIZATION,
    MQL_VISUAL_MODE,
    MQL_DEBUG,
    MQL_PROGRAM_TYPE,
    MQL_SIGNALS_ALLOWED,
    MQL_FORWARD,
    MQL_MEMORY_USED,
    MQL_MEMORY_LIMIT
};

enum ENUM_MQL_INFO_STRING { MQL_PROGRAM_NAME, MQL_PROGRAM_PATH };

enum ENUM_TERMINAL_INFO_INTEGER {
    TERMINAL_CONNECTED,
    TERMINAL_TRADE_ALLOWED,
    TERMINAL_BUILD,
    TERMINAL_DLLS_ALLOWED,
    TERMINAL_PING_LAST,
    TERMINAL_COMMUNITY_ACCOUNT,
    TERMINAL_NOTIFICATIONS_ENABLED,
    TERMINAL_CODEPAGE,
    TERMINAL_CPU_CORES,
    TERMINAL_MEMORY_USED,
    TERMINAL_DISK_SPACE,
    TERMINAL_SCREEN_DPI,
    TERMINAL_X64,
    TERMINAL_VPS
};

enum ENUM_TERMINAL_INFO_STRING {
    TERMINAL_PATH,
    TERMINAL_DATA_PATH,
    TERMINAL_COMMONDATA_PATH,
    TERMINAL_NAME,
    TERMINAL_COMPANY,
    TERMINAL_LANGUAGE
};

#define REASON_PROGRAM 0
#define REASON_REMOVE 1
#define REASON_RECOMPILE 2
#define REASON_CHARTCHANGE 3
#define REASON_CHARTCLOSE 4
#define REASON_PARAMETERS 5
#define REASON_ACCOUNT 6
#define REASON_TEMPLATE 7
#define REASON_INITFAILED 8
#define REASON_CLOSE 9

enum ENUM_TIMEFRAMES {
    PERIOD_CURRENT = 0,
    PERIOD_M1 = 1,
    PERIOD_M5 = 5,
    PERIOD_M15 = 15,
    PERIOD_M30 = 30,
    PERIOD_H1 = 16385,
    PERIOD_H4 = 16388,
    PERIOD_D1 = 16408,
    PERIOD_W1 = 32769,
    PERIOD_MN1 = 49153
};

long MQLInfoInteger(ENUM_MQL_INFO_INTEGER what);
string MQLInfoString(ENUM_MQL_INFO_STRING what);
long TerminalInfoInteger(ENUM_TERMINAL_INFO_INTEGER what);
string TerminalInfoString(ENUM_TERMINAL_INFO_STRING what);
int UninitializeReason();
string Symbol();
double Point();
int Digits();
ENUM_TIMEFRAMES Period();
#endif
