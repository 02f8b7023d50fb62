// The functions of trading. Each property can also be read into a variable: false = it cannot.
#ifndef FUNCTIONS_HPP
#define FUNCTIONS_HPP
bool OrderSend(const MqlTradeRequest &q, MqlTradeResult &r);
bool OrderSendAsync(const MqlTradeRequest &q, MqlTradeResult &r);
bool OrderCheck(const MqlTradeRequest &q, MqlTradeCheckResult &r);
bool OrderCalcMargin(ENUM_ORDER_TYPE type, const string &s, double lots, double price, double &m);
bool OrderCalcProfit(ENUM_ORDER_TYPE type, const string &s, double lots, double from, double to,
                     double &profit);

int PositionsTotal();
ulong PositionGetTicket(int i);
string PositionGetSymbol(int i);
bool PositionSelect(const string &s);
bool PositionSelectByTicket(ulong t);
int OrdersTotal();
ulong OrderGetTicket(int i);
bool OrderSelect(ulong t);

bool HistorySelect(datetime from, datetime to);
bool HistorySelectByPosition(long id);
bool HistoryDealSelect(ulong ticket);
bool HistoryOrderSelect(ulong ticket);
int HistoryDealsTotal();
int HistoryOrdersTotal();
ulong HistoryDealGetTicket(int i);
ulong HistoryOrderGetTicket(int i);

bool SymbolSelect(const string &s, bool on);
int SymbolsTotal(bool selected);
string SymbolName(int i, bool selected);
bool SymbolIsSynchronized(const string &s);
bool SymbolExist(const string &s, bool &custom);
bool SymbolInfoTick(const string &s, MqlTick &t);
bool SymbolInfoSessionTrade(const string &s, ENUM_DAY_OF_WEEK day, uint session, datetime &from,
                            datetime &to);
int CopyTicks(const string &s, Array<MqlTick> &ticks, uint flags = (uint)COPY_TICKS_ALL,
              ulong from = 0, uint count = 0);
int CopyTicksRange(const string &s, Array<MqlTick> &ticks, uint flags = (uint)COPY_TICKS_ALL,
                   ulong from_msc = 0, ulong to_msc = 0);

#define PROPERTY(TYPE, NAME, ENUM)                                                                 \
    bool NAME(ENUM p, TYPE &value);                                                                \
    inline TYPE NAME(ENUM p) {                                                                     \
        TYPE value{};                                                                              \
        NAME(p, value);                                                                            \
        return value;                                                                              \
    }
#define PROPERTY_OF(TYPE, NAME, KEY, ENUM)                                                         \
    bool NAME(KEY key, ENUM p, TYPE &value);                                                       \
    inline TYPE NAME(KEY key, ENUM p) {                                                            \
        TYPE value{};                                                                              \
        NAME(key, p, value);                                                                       \
        return value;                                                                              \
    }
PROPERTY(long, PositionGetInteger, ENUM_POSITION_PROPERTY_INTEGER)
PROPERTY(double, PositionGetDouble, ENUM_POSITION_PROPERTY_DOUBLE)
PROPERTY(string, PositionGetString, ENUM_POSITION_PROPERTY_STRING)
PROPERTY(long, OrderGetInteger, ENUM_ORDER_PROPERTY_INTEGER)
PROPERTY(double, OrderGetDouble, ENUM_ORDER_PROPERTY_DOUBLE)
PROPERTY(string, OrderGetString, ENUM_ORDER_PROPERTY_STRING)
PROPERTY_OF(long, HistoryDealGetInteger, ulong, ENUM_DEAL_PROPERTY_INTEGER)
PROPERTY_OF(double, HistoryDealGetDouble, ulong, ENUM_DEAL_PROPERTY_DOUBLE)
PROPERTY_OF(string, HistoryDealGetString, ulong, ENUM_DEAL_PROPERTY_STRING)
PROPERTY_OF(long, HistoryOrderGetInteger, ulong, ENUM_ORDER_PROPERTY_INTEGER)
PROPERTY_OF(double, HistoryOrderGetDouble, ulong, ENUM_ORDER_PROPERTY_DOUBLE)
PROPERTY_OF(string, HistoryOrderGetString, ulong, ENUM_ORDER_PROPERTY_STRING)
PROPERTY_OF(long, SymbolInfoInteger, const string &, ENUM_SYMBOL_INFO_INTEGER)
PROPERTY_OF(double, SymbolInfoDouble, const string &, ENUM_SYMBOL_INFO_DOUBLE)
PROPERTY_OF(string, SymbolInfoString, const string &, ENUM_SYMBOL_INFO_STRING)

long AccountInfoInteger(ENUM_ACCOUNT_INFO_INTEGER p);
double AccountInfoDouble(ENUM_ACCOUNT_INFO_DOUBLE p);
string AccountInfoString(ENUM_ACCOUNT_INFO_STRING p);
#endif
