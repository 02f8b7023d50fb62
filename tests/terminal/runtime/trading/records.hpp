// The structures of trading.
#ifndef RECORDS_HPP
#define RECORDS_HPP

struct MqlTick {
    ITSELF(MqlTick)
    datetime time;
    double bid, ask, last;
    ulong volume;
    long time_msc;
    uint flags;
    double volume_real;
};

struct MqlTradeRequest {
    ITSELF(MqlTradeRequest)
    ENUM_TRADE_REQUEST_ACTIONS action;
    ulong magic, order;
    string symbol;
    double volume, price, stoplimit, sl, tp;
    ulong deviation;
    ENUM_ORDER_TYPE type;
    ENUM_ORDER_TYPE_FILLING type_filling;
    ENUM_ORDER_TYPE_TIME type_time;
    datetime expiration;
    string comment;
    ulong position, position_by;
};

struct MqlTradeResult {
    ITSELF(MqlTradeResult)
    uint retcode;
    ulong deal, order;
    double volume, price, bid, ask;
    string comment;
    uint request_id;
    int retcode_external;
};

struct MqlTradeCheckResult {
    ITSELF(MqlTradeCheckResult)
    uint retcode;
    double balance, equity, profit, margin, margin_free, margin_level;
    string comment;
};

struct MqlTradeTransaction {
    ITSELF(MqlTradeTransaction)
    ulong deal, order;
    string symbol;
    ENUM_TRADE_TRANSACTION_TYPE type;
    ENUM_ORDER_TYPE order_type;
    ENUM_ORDER_STATE order_state;
    ENUM_DEAL_TYPE deal_type;
    ENUM_ORDER_TYPE_TIME time_type;
    datetime time_expiration;
    double price, price_trigger, price_sl, price_tp, volume;
    ulong position, position_by;
};
#endif
