//+------------------------------------------------------------------+
//| Account.mqh: what the account holds, and what it holds no longer |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Clock.mqh>
#include <Mtnet/Index.mqh>

#define MTNET_SETTLES     10000    // ms after connecting to the broker until positions are believed
#define MTNET_RECOUNT     10000    // ms between two counts that must both lack a position
#define MTNET_NO_HISTORY  120000   // ms, when the history does not know it either: it loads late
#define MTNET_CENT        0.005    // of the account's currency

//--- a position or a pending order of the account
struct MtnetHolding
  {
   ulong             ticket;   // closes or changes it
   ulong             id;       // of its whole life; an order's id becomes its position's
   string            symbol;   // the broker's
   string            type;     // "position", "buy_limit" ...
   double            lots;     // positive = buy, negative = sell
   double            price;    // of the opening, or of the order
   double            limit;    // of a stop-limit order, once its stop was reached
   double            sl;
   double            tp;
   long              magic;
   string            comment;
   long              opened;   // ms UTC
  };

//--- what the history says of a position or an order
enum ENUM_MTNET_FATE
  {
   MTNET_FATE_UNKNOWN,   // nothing: the history is not loaded, or does not reach so far
   MTNET_FATE_OPEN,      // its deals leave lots open
   MTNET_FATE_CLOSED     // its deals closed it, or the order has ended
  };

class CMtnetAccount
  {
private:
   long              m_login;
   string            m_server;
   ulong             m_since;       // connected to the broker, 0 = not
   MtnetHolding      m_holdings[];
   int               m_size;
   CMtnetIndex       m_ids;
   string            m_lacking[];   // keys that counts lack
   ulong             m_lacked[];    // since when
   long              m_rounds[];    // the count that lacked it last
   long              m_round;

   bool              CountPositions(void);
   bool              CountOrders(void);
   bool              Add(const MtnetHolding &holding);
   int               Lacking(const string key);
   string            OrderType(const long type,int &side) const;

public:
                     CMtnetAccount(void);
   void              Begin(void);
   bool              IsKnown(void) const;
   bool              IsSame(void) const;
   bool              IsReady(void);
   long              Login(void) const;
   string            Server(void) const;
   bool              IsHedging(void) const;
   string            Mode(void) const;
   bool              Count(void);
   int               Size(void) const;
   void              Get(const int at,MtnetHolding &holding) const;
   int               Find(const ulong id) const;
   bool              IsFlat(void) const;
   bool              IsGone(const string key,const ulong id,const bool order=false);
   static ENUM_MTNET_FATE Fate(const ulong id);
   static ENUM_MTNET_FATE OrderFate(const ulong ticket);
  };

CMtnetAccount::CMtnetAccount(void)
  {
   m_login=0;
   m_server="";
   m_since=0;
   m_size=0;
   m_round=0;
  }

//--- the account that is logged in now; what was counted of another is forgotten
void CMtnetAccount::Begin(void)
  {
   m_login=AccountInfoInteger(ACCOUNT_LOGIN);
   m_server=AccountInfoString(ACCOUNT_SERVER);
   m_since=0;
   m_size=0;
   m_ids.Clear();
   ArrayResize(m_lacking,0);
   ArrayResize(m_lacked,0);
   ArrayResize(m_rounds,0);
  }

bool CMtnetAccount::IsKnown(void) const
  {
   return(m_login!=0);
  }

//--- A terminal without a login shows 0 for a moment: that is no other account.
bool CMtnetAccount::IsSame(void) const
  {
   long login=AccountInfoInteger(ACCOUNT_LOGIN);
   return(m_login!=0 && (login==0 || (login==m_login
                                      && AccountInfoString(ACCOUNT_SERVER)==m_server)));
  }

long CMtnetAccount::Login(void) const
  {
   return(m_login);
  }

string CMtnetAccount::Server(void) const
  {
   return(m_server);
  }

bool CMtnetAccount::IsHedging(void) const
  {
   return(AccountInfoInteger(ACCOUNT_MARGIN_MODE)==ACCOUNT_MARGIN_MODE_RETAIL_HEDGING);
  }

string CMtnetAccount::Mode(void) const
  {
   if(IsHedging())
      return("hedging");
   return(AccountInfoInteger(ACCOUNT_MARGIN_MODE)==ACCOUNT_MARGIN_MODE_EXCHANGE ? "exchange"
          : "netting");
  }

//--- Just after its start, or after connecting again, a terminal shows no positions, or some.
bool CMtnetAccount::IsReady(void)
  {
   if(TerminalInfoInteger(TERMINAL_CONNECTED)==0 || AccountInfoInteger(ACCOUNT_LOGIN)==0
      || !IsSame())
     {
      m_since=0;
      ArrayResize(m_lacking,0);
      ArrayResize(m_lacked,0);
      ArrayResize(m_rounds,0);
      return(false);
     }
   if(m_since==0)
      m_since=GetTickCount64();
   return(GetTickCount64()-m_since>=MTNET_SETTLES);
  }

//+------------------------------------------------------------------+
//| Counting                                                         |
//+------------------------------------------------------------------+

//--- Counts positions and orders. False = they changed meanwhile, or the terminal does not show
//--- them: the former count stands.
bool CMtnetAccount::Count(void)
  {
   int positions=PositionsTotal(),orders=OrdersTotal();
   m_size=0;
   m_ids.Clear();
   // An order that is filled meanwhile is then an order and a position, never neither.
   bool whole=(CountOrders() && CountPositions() && PositionsTotal()==positions
               && OrdersTotal()==orders);
   if(whole)
      m_round++;
   return(whole);
  }

int CMtnetAccount::Size(void) const
  {
   return(m_size);
  }

void CMtnetAccount::Get(const int at,MtnetHolding &holding) const
  {
   holding=m_holdings[at];
  }

//--- -1 = it was not counted
int CMtnetAccount::Find(const ulong id) const
  {
   return(m_ids.Find(IntegerToString((long)id)));
  }

//--- False = already counted: others have closed, and this one has shifted. A position replaces
//--- the rest of the order that opened it.
bool CMtnetAccount::Add(const MtnetHolding &holding)
  {
   int at=Find(holding.id);
   if(at<0)
     {
      at=m_size;
      m_size++;
      if(m_size>ArraySize(m_holdings))
         ArrayResize(m_holdings,m_size,256);
      m_ids.Set(IntegerToString((long)holding.id),at);
     }
   else if(m_holdings[at].type==holding.type || holding.type!="position")
      return(false);
   m_holdings[at]=holding;
   return(true);
  }

bool CMtnetAccount::CountPositions(void)
  {
   MtnetHolding holding;
   for(int i=PositionsTotal()-1; i>=0; i--)
     {
      holding.ticket=PositionGetTicket(i);
      if(holding.ticket==0)
         return(false);
      holding.id=(ulong)PositionGetInteger(POSITION_IDENTIFIER);
      holding.symbol=PositionGetString(POSITION_SYMBOL);
      holding.type="position";
      bool bought=(PositionGetInteger(POSITION_TYPE)==POSITION_TYPE_BUY);
      holding.lots=(bought ? 1 : -1)*PositionGetDouble(POSITION_VOLUME);
      holding.price=PositionGetDouble(POSITION_PRICE_OPEN);
      holding.limit=0;
      holding.sl=PositionGetDouble(POSITION_SL);
      holding.tp=PositionGetDouble(POSITION_TP);
      holding.magic=PositionGetInteger(POSITION_MAGIC);
      holding.comment=PositionGetString(POSITION_COMMENT);
      holding.opened=CMtnetClock::Utc(PositionGetInteger(POSITION_TIME));
      if(!Add(holding))
         return(false);
     }
   return(true);
  }

//--- market orders on their way are no pending orders
bool CMtnetAccount::CountOrders(void)
  {
   MtnetHolding holding;
   for(int i=OrdersTotal()-1; i>=0; i--)
     {
      holding.ticket=OrderGetTicket(i);
      if(holding.ticket==0)
         return(false);
      int side=0;
      holding.type=OrderType(OrderGetInteger(ORDER_TYPE),side);
      if(side==0)
         continue;
      holding.id=holding.ticket;
      holding.symbol=OrderGetString(ORDER_SYMBOL);
      holding.lots=side*OrderGetDouble(ORDER_VOLUME_CURRENT);
      holding.price=OrderGetDouble(ORDER_PRICE_OPEN);
      holding.limit=OrderGetDouble(ORDER_PRICE_STOPLIMIT);
      holding.sl=OrderGetDouble(ORDER_SL);
      holding.tp=OrderGetDouble(ORDER_TP);
      holding.magic=OrderGetInteger(ORDER_MAGIC);
      holding.comment=OrderGetString(ORDER_COMMENT);
      holding.opened=CMtnetClock::Utc(OrderGetInteger(ORDER_TIME_SETUP));
      if(!Add(holding))
         return(false);
     }
   return(true);
  }

//--- the server's word for a pending order, and its side; 0 = it is none
string CMtnetAccount::OrderType(const long type,int &side) const
  {
   side=(type==ORDER_TYPE_BUY_LIMIT || type==ORDER_TYPE_BUY_STOP
         || type==ORDER_TYPE_BUY_STOP_LIMIT ? 1 : -1);
   if(type==ORDER_TYPE_BUY_LIMIT || type==ORDER_TYPE_SELL_LIMIT)
      return(side>0 ? "buy_limit" : "sell_limit");
   if(type==ORDER_TYPE_BUY_STOP || type==ORDER_TYPE_SELL_STOP)
      return(side>0 ? "buy_stop" : "sell_stop");
   if(type==ORDER_TYPE_BUY_STOP_LIMIT || type==ORDER_TYPE_SELL_STOP_LIMIT)
      return(side>0 ? "buy_stop_limit" : "sell_stop_limit");
   side=0;
   return("");
  }

//+------------------------------------------------------------------+
//| What is missing                                                  |
//+------------------------------------------------------------------+

//--- An account without positions has no open profit and no margin. A terminal that shows no
//--- positions yet may still show the equity of the account.
bool CMtnetAccount::IsFlat(void) const
  {
   double balance=AccountInfoDouble(ACCOUNT_BALANCE);
   double open=AccountInfoDouble(ACCOUNT_EQUITY)-balance-AccountInfoDouble(ACCOUNT_CREDIT);
   return(balance>0 && MathAbs(open)<MTNET_CENT && AccountInfoDouble(ACCOUNT_MARGIN)<MTNET_CENT);
  }

//--- Whether what the last count lacks has really gone. Ask once after each count, as long as it
//--- is missing: a gap starts again from the first. `key` is any name; `id` 0 = unknown, then no
//--- history is asked.
bool CMtnetAccount::IsGone(const string key,const ulong id,const bool order=false)
  {
   ENUM_MTNET_FATE fate=(id==0 ? MTNET_FATE_UNKNOWN : order ? OrderFate(id) : Fate(id));
   if(fate==MTNET_FATE_CLOSED)
      return(true);
   int at=Lacking(key);
   if(fate==MTNET_FATE_OPEN)
      m_lacked[at]=GetTickCount64();
   // A position that the history does not know at all has not been loaded.
   ulong least=(id==0 ? MTNET_RECOUNT : MTNET_NO_HISTORY);
   if(GetTickCount64()-m_lacked[at]<least)
      return(false);
   return(m_size>0 || IsFlat());
  }

//--- the row of a missing key; it begins now, if the count before this one had it
int CMtnetAccount::Lacking(const string key)
  {
   int size=ArraySize(m_lacking),at=0;
   while(at<size && m_lacking[at]!=key)
      at++;
   if(at==size)
     {
      ArrayResize(m_lacking,size+1,64);
      ArrayResize(m_lacked,size+1,64);
      ArrayResize(m_rounds,size+1,64);
      m_lacking[at]=key;
      m_rounds[at]=-2;
     }
   if(m_rounds[at]<m_round-1)
      m_lacked[at]=GetTickCount64();
   m_rounds[at]=m_round;
   return(at);
  }

//--- of a position, by its deals
ENUM_MTNET_FATE CMtnetAccount::Fate(const ulong id)
  {
   double left=0;
   bool turned=false;
   if(!HistorySelectByPosition((long)id) || HistoryDealsTotal()==0)
      return(MTNET_FATE_UNKNOWN);
   for(int i=0; i<HistoryDealsTotal(); i++)
     {
      ulong deal=HistoryDealGetTicket(i);
      long type=HistoryDealGetInteger(deal,DEAL_TYPE);
      if(type!=DEAL_TYPE_BUY && type!=DEAL_TYPE_SELL)
         continue;
      double lots=HistoryDealGetDouble(deal,DEAL_VOLUME);
      left+=(type==DEAL_TYPE_BUY ? lots : -lots);
      turned=(turned || HistoryDealGetInteger(deal,DEAL_ENTRY)==DEAL_ENTRY_INOUT);
     }
   // After a reversal the position may continue under another identifier.
   if(turned)
      return(MTNET_FATE_UNKNOWN);
   return(MathAbs(left)>0.000001 ? MTNET_FATE_OPEN : MTNET_FATE_CLOSED);
  }

//--- of a pending order: one in the history has been filled, cancelled, or has expired
ENUM_MTNET_FATE CMtnetAccount::OrderFate(const ulong ticket)
  {
   return(HistoryOrderSelect(ticket) ? MTNET_FATE_CLOSED : MTNET_FATE_UNKNOWN);
  }
//+------------------------------------------------------------------+
