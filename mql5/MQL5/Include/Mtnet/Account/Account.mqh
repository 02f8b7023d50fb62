//+------------------------------------------------------------------+
//| Account.mqh: what the account holds, and what it holds no longer |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Clock.mqh>
#include <Mtnet/Common/Index.mqh>

#define MTNET_SETTLES     10000    // ms after connecting to the broker until positions are believed
#define MTNET_RECOUNT     10000    // ms between two counts that must both lack a position
#define MTNET_NO_HISTORY  120000   // ms, when the history does not know it either: it loads late
#define MTNET_LOOK        1000     // ms between two looks at one of them in the history
#define MTNET_LOOKS       50       // looks after one count: the timer must not take long
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
   long              updated;  // ms of the broker's clock
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
   MtnetHolding      m_holdings[];  // of the last count that was whole
   int               m_size;
   CMtnetIndex       m_ids;
   long              m_version;     // rises when a count differs from the one before
   MtnetHolding      m_found[];     // of the count in progress
   int               m_found_size;
   int               m_found_last;  // of the count before: names need not be asked for again
   CMtnetIndex       m_lacking;     // rows of keys that counts lack
   ulong             m_lacked[];    // since when
   ulong             m_looked[];    // when the history was asked last
   long              m_rounds[];    // the count that lacked it last
   long              m_round;
   bool              m_asked;       // whether that count lacked anything
   int               m_looks;       // into the history that are left to it
   ulong             m_sweep;       // begin of looking once at each that is missing

   void              Forget(void);
   bool              CountPositions(void);
   bool              CountOrders(void);
   int               Next(const ulong ticket,const ulong id,const long updated,bool &known);
   bool              IsUnchanged(void) const;
   bool              Same(const MtnetHolding &one,const MtnetHolding &other) const;
   bool              Accept(void);
   bool              IsRest(const int at,const int first) const;
   int               Lacking(const string key);
   bool              IsLongGone(const int at,const ulong least) const;
   string            OrderType(const long type,int &side) const;

public:
                     CMtnetAccount(void);
   void              Begin(void);
   bool              IsKnown(void) const;
   bool              IsSame(void) const;
   bool              IsConnected(void);
   bool              IsReady(void);
   long              Login(void) const;
   string            Server(void) const;
   bool              IsHedging(void) const;
   string            Mode(void) const;
   bool              Count(void);
   long              Version(void) const;
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
   m_version=0;
   m_found_size=0;
   m_found_last=0;
   m_round=0;
   m_asked=false;
   m_looks=MTNET_LOOKS;
   m_sweep=0;
  }

//--- the account that is logged in now; what was counted of another is forgotten
void CMtnetAccount::Begin(void)
  {
   m_login=AccountInfoInteger(ACCOUNT_LOGIN);
   m_server=AccountInfoString(ACCOUNT_SERVER);
   m_since=0;
   m_size=0;
   m_version++;
   m_found_last=0;
   m_ids.Clear();
   Forget();
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

//--- Whether the broker is there. Ask in each timer: what was missing before a gap counts for
//--- nothing.
bool CMtnetAccount::IsConnected(void)
  {
   if(TerminalInfoInteger(TERMINAL_CONNECTED)==0 || AccountInfoInteger(ACCOUNT_LOGIN)==0
      || !IsSame())
     {
      m_since=0;
      Forget();
      return(false);
     }
   if(m_since==0)
      m_since=GetTickCount64();
   return(true);
  }

//--- Whether it has been there for 10 s. Just after its start, or after connecting again, a
//--- terminal shows no positions, or some: what it shows is true, what it lacks may come.
bool CMtnetAccount::IsReady(void)
  {
   return(IsConnected() && GetTickCount64()-m_since>=MTNET_SETTLES);
  }

void CMtnetAccount::Forget(void)
  {
   if(ArraySize(m_rounds)==0)
      return;
   m_lacking.Clear();
   ArrayResize(m_lacked,0);
   ArrayResize(m_looked,0);
   ArrayResize(m_rounds,0);
  }

//+------------------------------------------------------------------+
//| Counting                                                         |
//+------------------------------------------------------------------+

//--- Counts positions and orders. False = they changed meanwhile, or the terminal does not show
//--- them: the former count stands.
bool CMtnetAccount::Count(void)
  {
   int positions=PositionsTotal(),orders=OrdersTotal();
   m_found_last=m_found_size;
   m_found_size=0;
   // An order that is filled meanwhile is then an order and a position, never neither.
   bool whole=(CountOrders() && CountPositions() && PositionsTotal()==positions
               && OrdersTotal()==orders);
   if(!whole || (!IsUnchanged() && !Accept()))
      return(false);
   // Nothing was missing in the last count.
   if(!m_asked)
      Forget();
   m_asked=false;
   // With looks left over, each that was missing has had its own.
   if(m_looks>0 && GetTickCount64()-m_sweep>=MTNET_LOOK)
      m_sweep=GetTickCount64();
   m_looks=MTNET_LOOKS;
   m_round++;
   return(true);
  }

long CMtnetAccount::Version(void) const
  {
   return(m_version);
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

bool CMtnetAccount::Same(const MtnetHolding &one,const MtnetHolding &other) const
  {
   return(one.id==other.id && one.ticket==other.ticket && one.lots==other.lots
          && one.type==other.type && one.price==other.price && one.limit==other.limit
          && one.sl==other.sl && one.tp==other.tp && one.magic==other.magic
          && one.opened==other.opened && one.symbol==other.symbol
          && one.comment==other.comment);
  }

bool CMtnetAccount::IsUnchanged(void) const
  {
   if(m_found_size!=m_size)
      return(false);
   for(int i=0; i<m_size; i++)
      if(!Same(m_found[i],m_holdings[i]))
         return(false);
   return(true);
  }

//--- False = one was counted twice: others have closed, and it has shifted.
bool CMtnetAccount::Accept(void)
  {
   CMtnetIndex ids;
   for(int i=0; i<m_found_size; i++)
     {
      string id=IntegerToString((long)m_found[i].id);
      int first=ids.Find(id);
      if(first>=0 && !IsRest(i,first))
         return(false);
      ids.Set(id,i);
     }
   m_size=0;
   m_version++;
   m_ids.Clear();
   for(int i=0; i<m_found_size; i++)
     {
      string id=IntegerToString((long)m_found[i].id);
      int at=m_ids.Find(id);
      if(at<0)
        {
         at=m_size;
         m_size++;
         if(m_size>ArraySize(m_holdings))
            ArrayResize(m_holdings,m_size,256);
         m_ids.Set(id,at);
        }
      m_holdings[at]=m_found[i];
     }
   return(true);
  }

//--- Orders are counted first. A position replaces the rest of the order that opened it.
bool CMtnetAccount::IsRest(const int at,const int first) const
  {
   return(m_found[at].type=="position" && m_found[first].type!="position");
  }

//--- The next row of the count. `known`: it had the same place in the count before, so its names
//--- stand there already, which are slow to ask for.
int CMtnetAccount::Next(const ulong ticket,const ulong id,const long updated,bool &known)
  {
   int at=m_found_size;
   m_found_size++;
   if(m_found_size>ArraySize(m_found))
      ArrayResize(m_found,m_found_size,256);
   known=(at<m_found_last && m_found[at].id==id && m_found[at].ticket==ticket
          && m_found[at].updated==updated);
   m_found[at].ticket=ticket;
   m_found[at].id=id;
   m_found[at].updated=updated;
   return(at);
  }

bool CMtnetAccount::CountPositions(void)
  {
   bool known=false;
   for(int i=PositionsTotal()-1; i>=0; i--)
     {
      ulong ticket=PositionGetTicket(i);
      if(ticket==0)
         return(false);
      int at=Next(ticket,(ulong)PositionGetInteger(POSITION_IDENTIFIER),
                  PositionGetInteger(POSITION_TIME_UPDATE_MSC),known);
      if(!known)
        {
         m_found[at].symbol=PositionGetString(POSITION_SYMBOL);
         m_found[at].comment=PositionGetString(POSITION_COMMENT);
        }
      m_found[at].type="position";
      bool bought=(PositionGetInteger(POSITION_TYPE)==POSITION_TYPE_BUY);
      m_found[at].lots=(bought ? 1 : -1)*PositionGetDouble(POSITION_VOLUME);
      m_found[at].price=PositionGetDouble(POSITION_PRICE_OPEN);
      m_found[at].limit=0;
      m_found[at].sl=PositionGetDouble(POSITION_SL);
      m_found[at].tp=PositionGetDouble(POSITION_TP);
      m_found[at].magic=PositionGetInteger(POSITION_MAGIC);
      m_found[at].opened=CMtnetClock::Utc(PositionGetInteger(POSITION_TIME));
     }
   return(true);
  }

//--- market orders on their way are no pending orders
bool CMtnetAccount::CountOrders(void)
  {
   bool known=false;
   for(int i=OrdersTotal()-1; i>=0; i--)
     {
      ulong ticket=OrderGetTicket(i);
      int side=0;
      string type=OrderType(OrderGetInteger(ORDER_TYPE),side);
      if(ticket==0)
         return(false);
      if(side==0)
         continue;
      int at=Next(ticket,ticket,0,known);
      if(!known)
        {
         m_found[at].symbol=OrderGetString(ORDER_SYMBOL);
         m_found[at].comment=OrderGetString(ORDER_COMMENT);
        }
      m_found[at].type=type;
      m_found[at].lots=side*OrderGetDouble(ORDER_VOLUME_CURRENT);
      m_found[at].price=OrderGetDouble(ORDER_PRICE_OPEN);
      m_found[at].limit=OrderGetDouble(ORDER_PRICE_STOPLIMIT);
      m_found[at].sl=OrderGetDouble(ORDER_SL);
      m_found[at].tp=OrderGetDouble(ORDER_TP);
      m_found[at].magic=OrderGetInteger(ORDER_MAGIC);
      m_found[at].opened=CMtnetClock::Utc(OrderGetInteger(ORDER_TIME_SETUP));
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
bool CMtnetAccount::IsGone(const string key,const ulong id,const bool order)
  {
   int at=Lacking(key);
   m_asked=true;
   if(id==0)
      return(IsLongGone(at,MTNET_RECOUNT));
   // Nothing is concluded of a position before its turn to be looked up.
   if(m_looks==0 || m_looked[at]>=m_sweep)
      return(false);
   m_looks--;
   m_looked[at]=GetTickCount64();
   ENUM_MTNET_FATE fate=(order ? OrderFate(id) : Fate(id));
   if(fate==MTNET_FATE_OPEN)
      m_lacked[at]=m_looked[at];
   // A position that the history does not know at all has not been loaded.
   return(fate==MTNET_FATE_CLOSED || IsLongGone(at,MTNET_NO_HISTORY));
  }

bool CMtnetAccount::IsLongGone(const int at,const ulong least) const
  {
   return(GetTickCount64()-m_lacked[at]>=least && (m_size>0 || IsFlat()));
  }

//--- the row of a missing key; it begins now, if the count before this one had it
int CMtnetAccount::Lacking(const string key)
  {
   int at=m_lacking.Find(key);
   if(at<0)
     {
      at=ArraySize(m_rounds);
      ArrayResize(m_lacked,at+1,64);
      ArrayResize(m_looked,at+1,64);
      ArrayResize(m_rounds,at+1,64);
      m_rounds[at]=-2;
      m_lacking.Set(key,at);
     }
   if(m_rounds[at]<m_round-1)
     {
      m_lacked[at]=GetTickCount64();
      m_looked[at]=0;
     }
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
   if(MathAbs(left)<=0.000001)
      return(MTNET_FATE_CLOSED);
   // After a reversal the position may continue under another identifier.
   return(turned ? MTNET_FATE_UNKNOWN : MTNET_FATE_OPEN);
  }

//--- Of a pending order. One that was filled has become a position, which may be shown a moment
//--- later: a closing in between would cost every follower the spread.
ENUM_MTNET_FATE CMtnetAccount::OrderFate(const ulong ticket)
  {
   if(!HistoryOrderSelect(ticket))
      return(MTNET_FATE_UNKNOWN);
   bool filled=(HistoryOrderGetInteger(ticket,ORDER_STATE)==ORDER_STATE_FILLED);
   bool own=((ulong)HistoryOrderGetInteger(ticket,ORDER_POSITION_ID)==ticket);
   return(filled && own ? Fate(ticket) : MTNET_FATE_CLOSED);
  }
//+------------------------------------------------------------------+
