//+------------------------------------------------------------------+
//| Trader.mqh: from what is held to what is to be held              |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Book.mqh>
#include <Mtnet/Copies.mqh>
#include <Mtnet/Follows.mqh>
#include <Mtnet/History.mqh>
#include <Mtnet/Limits.mqh>
#include <Mtnet/Mark.mqh>
#include <Mtnet/Orders.mqh>
#include <Mtnet/Panel.mqh>
#include <Mtnet/Report.mqh>
#include <Mtnet/Session.mqh>
#include <Mtnet/State.mqh>
#include <Mtnet/Symbols.mqh>
#include <Mtnet/Text.mqh>

#define MTNET_TURN_TIME  30       // ms of orders in one timer; then the server is heard again
#define MTNET_IDLE       1000     // ms between two looks at an account where nothing happens
#define MTNET_LONG       20000    // ms until people are told that an order's end is not known
#define MTNET_GRACE      2000     // ms for an order here to be filled as the provider's was
#define MTNET_UNPROVEN   60000    // ms until people are told that terminal and history differ
#define MTNET_GIVE_UP    600000   // ms until a position that no history knows counts as closed
#define MTNET_SAVE       1000     // ms between two writings of the ledger
#define MTNET_DESCRIBED  20       // symbols that one timer describes
#define MTNET_REASON     100      // characters of a reason in an ACK

//--- what a person has set
struct MtnetRules
  {
   bool              trade;       // false = only say what would be traded
   double            multiplier;  // lots here for one of the provider
   double            most;        // lots of a symbol; 0 = no limit
   long              magic;
   int               deviation;   // points
   int               orders;      // a minute; 0 = no limit
   int               age;         // s, of an opening; 0 = any
   int               slippage;    // points from the provider's price, of an opening; 0 = any
   bool              stops;       // copy SL and TP
   bool              pending;     // copy pending orders
  };

//+------------------------------------------------------------------+
//| The states of a copy. Only IDLE sends an order.                  |
//|                                                                  |
//|        difference: the order is written to disk, then sent       |
//|  IDLE ------------------------------------------------> ON WAY   |
//|   ^  ^                                                   |   |   |
//|   |  |  refused: wait by the return code                 |   |   |
//|   |  +---------------------------------------------------+   |   |
//|   |                                                          |   |
//|   |  shown = held                its end in the history:     |   |
//|   +----------------- UNPROVEN <------------------------------+   |
//|        or deals = shown          held += what it filled          |
//|                                                                  |
//| ON WAY ends only by the history: filled, partly filled, removed  |
//| or, found nowhere for minutes of a steady connection, lost.      |
//|  - killed before the send: the row on disk is looked for, not    |
//|    found, and given up; nothing was sent, nothing is doubled;    |
//|  - killed behind it, or the answer is lost: the row is found by  |
//|    its comment in the orders, or in the history;                 |
//|  - a deal before the answer, filled while disconnected: the same |
//|    look finds it, since answers are never believed alone.        |
//| UNPROVEN: the terminal shows other lots than are held. The deals |
//| of the copy's positions decide. They agree with the terminal:    |
//| somebody else has closed (a hand, a stop, the broker), and the   |
//| opening is released. They do not: the terminal is still loading, |
//| and nothing is sent.                                             |
//+------------------------------------------------------------------+
class CMtnetTrader
  {
private:
   MtnetRules        m_rules;
   int               m_age;         // the stricter of a person's limit and the channel's
   int               m_slippage;
   bool              m_netting;
   CMtnetSymbols     m_symbols;
   CMtnetFollows     m_follows;
   CMtnetCopies      m_copies;
   CMtnetOrders      m_orders;
   CMtnetPace        m_pace;
   CMtnetState       m_state;
   bool              m_touched;     // something happened since the last look
   bool              m_busy;        // and something is not as it should be yet
   bool              m_dirty;       // the ledger is newer than its file
   bool              m_urgent;      // and must be written at once
   bool              m_plan;        // what is wanted may have changed
   int               m_described;   // symbols of which the server may be told
   ulong             m_looked;
   ulong             m_saved;
   ulong             m_turn;        // microseconds at which this timer's orders began
   bool              m_live;
   long              m_now;         // ms UTC of the server
   string            m_channel;
   string            m_cannot;      // why no order may be sent at all
   string            m_unproven;
   string            m_lost;
   string            m_missing;

   void              Trade(void);
   // orders on their way
   void              ResolveAll(void);
   void              Resolve(const int at);
   void              EndMarket(const int at,const MtnetFate &fate);
   void              EndPending(const int at,const MtnetFate &fate);
   void              GiveUp(const int at);
   // what is held
   void              Prove(const int copy);
   bool              IsUnproven(const int copy) const;
   void              Accept(const int copy);
   void              Closed(const int copy);
   // what is wanted
   void              Plan(void);
   void              Decide(const int row);
   string            Refusal(const int row);
   void              Add(const int row);
   void              Bound(const int copy);
   // pending orders
   void              Pend(const int row);
   void              Place(const int row);
   void              Correct(const int row,const int placed);
   void              CheckOrders(void);
   void              Count(const int row,const int copy,const double filled,const int side,
                           const ulong position);
   void              Vanished(const int row,const int copy);
   void              RemoveOrder(const int row);
   void              AdoptOrders(void);
   // market orders
   bool              IsIdle(const int copy) const;
   bool              HasTime(void);
   void              Reduce(const int copy);
   void              Increase(const int copy);
   bool              MaySend(const int copy);
   bool              StillOpens(const int copy);
   bool              IsOccupied(const int copy);
   bool              SendMarket(const int copy,const int side,const double lots,
                                const ulong position);
   void              FillRequest(MtnetOrder &order,const int spec,MqlTradeRequest &request) const;
   bool              Send(MtnetOrder &order,const string ticket,MqlTradeRequest &request,
                          MqlTradeResult &result,int &at);
   void              Refused(const int spec,MtnetWait &wait,const MqlTradeRequest &request,
                             const MqlTradeResult &result,string &why);
   void              Protect(const int at);
   string            TicketOf(const int copy) const;
   // what is told
   void              TellAll(CMtnetSession &session);
   void              Tell(const int row,CMtnetSession &session);
   int               Status(const int row,string &why) const;
   void              ShowTroubles(CMtnetPanel &panel);
   bool              ReadRow(CMtnetBook &book,const CMtnetFrame &frame,long &serial,
                             string &waiting);
   void              Rejoin(CMtnetBook &book);

public:
                     CMtnetTrader(void);
   bool              Open(const MtnetRules &rules,const string map,const string prefix,
                          const string suffix,const string wanted,string &why);
   void              Begin(const bool netting,const long login,const string server,
                           const string channel);
   void              Limit(const CMtnetFrame &synced);
   ENUM_MTNET_STATE  Load(CMtnetBook &book);
   bool              Save(CMtnetBook &book,const bool now=false);
   string            File(void) const { return(m_state.File()); }
   bool              Look(void);
   bool              HoldsAny(void) const { return(m_copies.HoldsAny()); }
   void              Touch(void) { m_touched=true; }
   void              Changed(const MtnetPosition &entry);
   void              Synced(const CMtnetBook &book);
   void              Work(CMtnetBook &book,CMtnetSession &session,CMtnetPanel &panel,
                          const long now);
   void              ReleaseAll(const string why);
   long              Magic(void) const { return(m_rules.magic); }
   int               Copies(void) const;
   void              Describe(CMtnetReport &report);
   string            Line(void) const;
  };

CMtnetTrader::CMtnetTrader(void)
  {
   m_netting=true;
   m_touched=true;
   m_busy=false;
   m_dirty=false;
   m_urgent=false;
   m_plan=true;
   m_described=0;
   m_looked=0;
   m_saved=0;
   m_turn=0;
   m_live=false;
   m_now=0;
   m_channel="";
   m_cannot="";
   m_unproven="";
   m_lost="";
   m_missing="";
  }

//--- false = an input is wrong; why says which
bool CMtnetTrader::Open(const MtnetRules &rules,const string map,const string prefix,
                        const string suffix,const string wanted,string &why)
  {
   m_rules=rules;
   m_described=0;
   m_age=rules.age;
   m_slippage=rules.slippage;
   m_pace.Open(rules.orders);
   return(m_symbols.Open(map,prefix,suffix,wanted,why));
  }

//--- another account, or the first: nothing of a former one is known any more
void CMtnetTrader::Begin(const bool netting,const long login,const string server,
                         const string channel)
  {
   string magic=IntegerToString(m_rules.magic);
   m_netting=netting;
   m_follows.Begin(m_rules.multiplier,m_rules.most,netting,m_rules.pending);
   m_copies.Begin(m_rules.magic,netting,CMtnetMark::Comment(channel));
   m_orders.Begin(m_rules.magic,login,server,channel);
   // In the common folder: another terminal of this computer goes on with the same ledger.
   m_state.Begin("follower",login,server,channel,magic,true);
   CMtnetMark::Register(channel,login,m_rules.magic);
   m_touched=true;
   m_plan=true;
   m_dirty=false;
   m_looked=0;
   m_channel=channel;
   m_cannot="";
   m_unproven="";
   m_lost="";
   m_missing="";
  }

//--- A view has limits of its own, told with SYNCED: seconds and points. The stricter one counts.
void CMtnetTrader::Limit(const CMtnetFrame &synced)
  {
   long age=0,slippage=0;
   m_age=m_rules.age;
   m_slippage=m_rules.slippage;
   if(synced.Number("max_age",age) && age>0)
      m_age=(int)(m_age>0 ? MathMin(age,m_age) : age);
   if(synced.Number("max_slippage",slippage) && slippage>0)
      m_slippage=(int)(m_slippage>0 ? MathMin(slippage,m_slippage) : slippage);
  }

//+------------------------------------------------------------------+
//| The ledger on disk                                               |
//+------------------------------------------------------------------+
ENUM_MTNET_STATE CMtnetTrader::Load(CMtnetBook &book)
  {
   CMtnetFrame frame;
   long serial=0;
   string waiting="";
   ENUM_MTNET_STATE state=m_state.Load();
   if(state==MTNET_STATE_WHOLE)
      while(m_state.Next(frame))
         ReadRow(book,frame,serial,waiting);
   if(state!=MTNET_STATE_DAMAGED && !m_orders.Load(serial,waiting))
      state=MTNET_STATE_DAMAGED;
   Rejoin(book);
   return(state);
  }

bool CMtnetTrader::ReadRow(CMtnetBook &book,const CMtnetFrame &frame,long &serial,string &waiting)
  {
   if(frame.Verb()!="TRADER")
      return(book.Read(frame) || m_follows.Read(frame) || m_copies.Read(m_symbols,frame));
   waiting=frame.Text("waiting");
   return(frame.Number("serial",serial));
  }

//--- Orders of an earlier run are on their way again: nothing is sent for their copies.
void CMtnetTrader::Rejoin(CMtnetBook &book)
  {
   MtnetPosition entry;
   for(int i=0; i<ArraySize(m_follows.rows); i++)
     {
      m_follows.rows[i].spec=m_symbols.Row(m_follows.rows[i].symbol);
      m_follows.Entry(i,entry);
      book.Restore(entry);
     }
   for(int i=0; i<ArraySize(m_orders.rows); i++)
     {
      string key=m_orders.rows[i].key;
      string name=(key=="" ? m_orders.rows[i].name : key);
      int bar=StringFind(name,"|");
      string symbol=(bar<0 ? name : StringSubstr(name,0,bar));
      string ticket=(bar<0 ? "" : StringSubstr(name,bar+1));
      if(key!="")
         m_follows.rows[m_follows.Attach(symbol,ticket)].sent=m_orders.rows[i].serial;
      else
         m_copies.rows[m_copies.Row(m_symbols,name,symbol)].order=m_orders.rows[i].serial;
     }
  }

//--- Writes the ledger, once a second at most. False = it could not be written.
bool CMtnetTrader::Save(CMtnetBook &book,const bool now)
  {
   ulong tick=GetTickCount64();
   if(!m_dirty || (!now && !m_urgent && tick-m_saved<MTNET_SAVE))
      return(true);
   m_urgent=false;
   m_saved=tick;
   m_state.Clear();
   m_state.Add(book.Line());
   m_follows.Write(m_state);
   m_copies.Write(m_state);
   m_state.Add("TRADER"+CMtnetText::Field("serial",IntegerToString(m_orders.Serial()))
               +CMtnetText::Field("waiting",m_orders.Waiting()));
   if(!m_state.Save())
      return(false);
   m_dirty=false;
   m_orders.Forget();
   return(true);
  }

//+------------------------------------------------------------------+
//| The channel                                                      |
//+------------------------------------------------------------------+

//--- one live change
void CMtnetTrader::Changed(const MtnetPosition &entry)
  {
   m_follows.Change(entry);
   m_plan=true;
   m_touched=true;
   m_dirty=true;
  }

//--- nothing is missing now
void CMtnetTrader::Synced(const CMtnetBook &book)
  {
   if(book.Known())
      m_follows.Take(book);
   m_follows.Retell();
   m_plan=true;
   m_touched=true;
   m_dirty=true;
  }

//--- nothing that is copied now is copied any more
void CMtnetTrader::ReleaseAll(const string why)
  {
   for(int i=0; i<ArraySize(m_follows.rows); i++)
      if(m_follows.rows[i].lots>0 && m_follows.rows[i].decision==MTNET_COPIED)
         m_follows.Release(i,why);
   m_plan=true;
   m_touched=true;
   m_dirty=true;
  }

//+------------------------------------------------------------------+
//| One turn of the timer                                            |
//+------------------------------------------------------------------+

//--- a look at the account; false = it changed meanwhile
bool CMtnetTrader::Look(void)
  {
   m_looked=GetTickCount64();
   return(m_copies.Scan(m_symbols));
  }

void CMtnetTrader::Work(CMtnetBook &book,CMtnetSession &session,CMtnetPanel &panel,const long now)
  {
   m_live=book.Live();
   m_now=now;
   bool due=(m_touched || m_busy || GetTickCount64()-m_looked>=MTNET_IDLE);
   if(!due || !book.Known() || book.Held() || !Look())
      return;
   m_touched=false;
   m_busy=false;
   m_unproven="";
   m_lost="";
   ResolveAll();
   AdoptOrders();
   CheckOrders();
   for(int i=0; i<ArraySize(m_copies.rows); i++)
      Prove(i);
   Plan();
   Trade();
   TellAll(session);
   ShowTroubles(panel);
  }

//--- Closings first: what is too much is the costliest.
void CMtnetTrader::Trade(void)
  {
   m_turn=GetMicrosecondCount();
   m_cannot="InpTrade is off";
   if(!m_rules.trade || !CMtnetReport::MayTrade(m_cannot))
      return;
   for(int i=0; i<ArraySize(m_copies.rows); i++)
      Reduce(i);
   for(int i=0; i<ArraySize(m_follows.rows) && m_rules.pending; i++)
      Pend(i);
   // While blind nothing is opened: what the provider holds is not known.
   for(int i=0; i<ArraySize(m_copies.rows) && m_live; i++)
      Increase(i);
   for(int i=0; i<ArraySize(m_copies.held) && m_rules.stops; i++)
      Protect(i);
  }

//--- OrderSend makes the program wait; what the server says meanwhile must be heard
bool CMtnetTrader::HasTime(void)
  {
   if(GetMicrosecondCount()-m_turn<1000*MTNET_TURN_TIME)
      return(true);
   m_busy=true;
   return(false);
  }

//+------------------------------------------------------------------+
//| Orders on their way                                              |
//+------------------------------------------------------------------+
void CMtnetTrader::ResolveAll(void)
  {
   ulong now=GetTickCount64();
   for(int i=ArraySize(m_orders.rows)-1; i>=0; i--)
     {
      if(m_orders.rows[i].ended)
         continue;
      m_busy=true;
      ulong passed=now-m_orders.rows[i].looked;
      if(m_orders.rows[i].waited>=MTNET_LONG)
         m_lost="the end of an order for "+m_orders.rows[i].name+" is not known";
      if(passed<MTNET_ORDER_LOOK)
         continue;
      // Only time in which the account could be looked at counts.
      if(m_orders.rows[i].looked>0)
         m_orders.rows[i].waited+=(ulong)MathMin(passed,(ulong)MTNET_IDLE);
      m_orders.rows[i].looked=now;
      Resolve(i);
     }
  }

void CMtnetTrader::Resolve(const int at)
  {
   MtnetFate fate;
   if(m_orders.rows[at].ticket==0)
      m_orders.rows[at].ticket=m_orders.Search(m_orders.rows[at]);
   ulong ticket=m_orders.rows[at].ticket;
   if(ticket==0)
     {
      GiveUp(at);
      return;
     }
   CMtnetHistory::Fate(ticket,fate);
   bool pending=(m_orders.rows[at].key!="");
   if(pending && (fate.open || fate.ended))
      EndPending(at,fate);
   else if(fate.ended)
      EndMarket(at,fate);
   else if(!fate.open)
      GiveUp(at);
  }

//--- a market order has ended: filled, in part, or not at all
void CMtnetTrader::EndMarket(const int at,const MtnetFate &fate)
  {
   int copy=m_copies.Find(m_orders.rows[at].name);
   int side=(m_orders.rows[at].type==ORDER_TYPE_BUY ? 1 : -1);
   m_orders.rows[at].ended=true;
   m_dirty=true;
   m_touched=true;
   m_copies.rows[copy].order=0;
   m_copies.rows[copy].held=NormalizeDouble(m_copies.rows[copy].held+side*fate.filled,8);
   ulong id=(fate.position>0 ? fate.position : m_orders.rows[at].ticket);
   if(fate.filled>0)
     {
      m_copies.AddId(copy,id);
      m_copies.rows[copy].wait.Taken();
      m_symbols.Taken(m_copies.rows[copy].spec);
     }
   else
      m_copies.rows[copy].wait.Refused(TRADE_RETCODE_REJECT);
   Print("mtnet: order ",m_orders.rows[at].ticket," of ",m_orders.rows[at].name,": ",
         CMtnetText::Lots(fate.filled)," of ",CMtnetText::Lots(m_orders.rows[at].lots),
         " lots were filled");
  }

//--- A pending order has arrived. Its further fate is found by its ticket.
void CMtnetTrader::EndPending(const int at,const MtnetFate &fate)
  {
   int row=m_follows.FindKey(m_orders.rows[at].key);
   m_orders.rows[at].ended=true;
   m_dirty=true;
   m_touched=true;
   m_follows.rows[row].sent=0;
   m_follows.rows[row].order=m_orders.rows[at].ticket;
   m_follows.rows[row].removing=false;
   m_follows.rows[row].wait.Taken();
  }

//--- It is found nowhere. An opening that is sent again too early would be bought twice, and one
//--- that is never sent again is missing: minutes of a steady connection decide.
void CMtnetTrader::GiveUp(const int at)
  {
   string name=m_orders.rows[at].name,key=m_orders.rows[at].key;
   if(m_orders.rows[at].waited<m_orders.rows[at].patience)
      return;
   Print("mtnet: order ",m_orders.rows[at].comment," of ",name," never arrived");
   if(key!="")
      m_follows.rows[m_follows.FindKey(key)].sent=0;
   else
      m_copies.rows[m_copies.Find(name)].order=0;
   m_orders.rows[at].ended=true;
   m_dirty=true;
   m_touched=true;
  }

//+------------------------------------------------------------------+
//| What is held                                                     |
//+------------------------------------------------------------------+
bool CMtnetTrader::IsUnproven(const int copy) const
  {
   return(!CMtnetText::SameLots(m_copies.rows[copy].have,m_copies.rows[copy].held));
  }

//--- Compares the terminal with what is held. The deals of the copy's positions decide.
void CMtnetTrader::Prove(const int copy)
  {
   if(m_copies.rows[copy].order!=0 || m_copies.rows[copy].unclear)
      return;
   if(!IsUnproven(copy))
     {
      if(m_copies.rows[copy].unproven>0
         || (m_copies.rows[copy].held==0 && ArraySize(m_copies.rows[copy].ids)>0))
         m_copies.Settle(copy);
      return;
     }
   ulong now=GetTickCount64();
   m_busy=true;
   if(m_copies.rows[copy].unproven==0)
      m_copies.rows[copy].unproven=now;
   ulong waited=now-m_copies.rows[copy].unproven;
   if(waited>=MTNET_UNPROVEN)
      m_unproven="the terminal shows "+CMtnetText::Lots(m_copies.rows[copy].have)+" lots of "
                 +m_copies.rows[copy].name+" and not "+CMtnetText::Lots(m_copies.rows[copy].held)
                 +"; nothing is sent for it";
   if(now<m_copies.rows[copy].look)
      return;
   m_copies.rows[copy].look=now+MTNET_ORDER_LOOK;
   bool known=false;
   double lots=CMtnetHistory::OpenLots(m_copies.rows[copy].ids,known);
   if(known ? CMtnetText::SameLots(lots,m_copies.rows[copy].have) : waited>=MTNET_GIVE_UP)
      Accept(copy);
  }

//--- It is proven that the terminal is right.
void CMtnetTrader::Accept(const int copy)
  {
   double held=m_copies.rows[copy].held,have=m_copies.rows[copy].have;
   if(held!=0 && (have==0 || have*held<0 || MathAbs(have)<MathAbs(held)))
      Closed(copy);
   m_copies.Settle(copy);
   m_dirty=true;
   m_plan=true;
  }

//--- Somebody else has closed: a hand, a stop, the broker. It is not bought again before the
//--- provider is flat; a part that was closed stays closed.
void CMtnetTrader::Closed(const int copy)
  {
   double held=m_copies.rows[copy].held,have=m_copies.rows[copy].have;
   double left=(have*held>0 ? MathAbs(have) : 0),sum=0;
   int size=ArraySize(m_follows.rows);
   for(int i=0; i<size; i++)
      if(m_follows.rows[i].copy==copy && m_follows.rows[i].decision==MTNET_COPIED)
         sum+=(m_follows.rows[i].IsOrder() ? m_follows.rows[i].early : m_follows.rows[i].Part());
   Print("mtnet: ",m_copies.rows[copy].name,": ",CMtnetText::Lots(held)," lots were held, and ",
         CMtnetText::Lots(have)," are left");
   // The oldest are cut first, since those a broker closes first.
   double excess=MathAbs(sum)-left;
   for(int i=0; i<size && (left==0 || excess>MTNET_LEAST); i++)
     {
      if(m_follows.rows[i].copy!=copy || m_follows.rows[i].decision!=MTNET_COPIED
         || m_follows.rows[i].lots==0 || m_follows.rows[i].side*held<0)
         continue;
      if(m_follows.rows[i].IsOrder() && m_follows.rows[i].early==0)
         continue;
      double part=MathAbs(m_follows.rows[i].Part());
      if(left==0 || part<=excess+MTNET_LEAST)
         m_follows.Release(i,"it was closed here");
      else
         m_follows.Cut(i,part-excess);
      excess-=part;
     }
  }

//+------------------------------------------------------------------+
//| What is wanted                                                   |
//+------------------------------------------------------------------+
void CMtnetTrader::Plan(void)
  {
   if(!m_plan)
      return;
   m_plan=false;
   m_missing="";
   for(int i=0; i<ArraySize(m_copies.rows); i++)
     {
      m_copies.rows[i].part=0;
      m_copies.rows[i].parts=0;
      m_copies.rows[i].sl=0;
      m_copies.rows[i].tp=0;
     }
   for(int i=0; i<ArraySize(m_follows.rows); i++)
     {
      if(m_follows.rows[i].lots>0 && m_follows.rows[i].decision!=MTNET_RELEASED)
         Decide(i);
      Add(i);
     }
   for(int i=0; i<ArraySize(m_copies.rows); i++)
      Bound(i);
  }

//--- An opening is decided once, when the account knows enough for it.
void CMtnetTrader::Decide(const int row)
  {
   string symbol=m_follows.rows[row].symbol;
   if(!m_symbols.Wanted(symbol))
     {
      m_follows.rows[row].decision=MTNET_LEFT;
      m_follows.rows[row].copied=0;
      return;
     }
   if(m_follows.rows[row].spec<0)
      m_follows.rows[row].spec=m_symbols.Row(symbol);
   if(m_follows.rows[row].copy<0)
      m_follows.rows[row].copy=m_copies.Row(m_symbols,
                                            m_copies.Name(symbol,m_follows.rows[row].ticket),
                                            symbol);
   if(m_follows.rows[row].decision==MTNET_LEFT)
      m_follows.rows[row].decision=MTNET_UNDECIDED;
   if(m_follows.rows[row].decision!=MTNET_UNDECIDED)
      return;
   string why=Refusal(row);
   m_dirty=true;
   if(m_follows.rows[row].decision==MTNET_RELEASED)
      return;
   m_follows.rows[row].why=why;
   if(why=="")
      m_follows.Copy(row);
   else
      m_plan=true;
  }

//--- Why an opening cannot be decided yet, or is released at once. "" = it is to be copied.
string CMtnetTrader::Refusal(const int row)
  {
   int spec=m_follows.rows[row].spec;
   string name=m_symbols.Name(spec);
   if(m_follows.rows[row].type==MTNET_STRANGE)
      return("its type is not known to this program");
   if(!m_symbols.Known(spec))
     {
      m_missing=name;
      return("no symbol "+name+" here");
     }
   long age=m_now-m_follows.rows[row].opened;
   if(m_age>0 && m_follows.rows[row].opened>0 && age>1000*(long)m_age)
     {
      m_follows.Release(row,"it was opened "+IntegerToString(age/1000)+" s ago");
      return("late");
     }
   MqlTick tick;
   if(m_slippage<=0 || m_follows.rows[row].price<=0 || m_follows.rows[row].IsOrder())
      return("");
   if(!SymbolInfoTick(name,tick) || tick.ask<=0 || tick.bid<=0)
      return("no price of "+name+" yet");
   double price=(m_follows.rows[row].side>0 ? tick.ask : tick.bid);
   double distance=MathAbs(price-m_follows.rows[row].price);
   if(distance<=m_slippage*SymbolInfoDouble(name,SYMBOL_POINT)+MTNET_PRICE_LEAST)
      return("");
   m_follows.Release(row,"the price is "+DoubleToString(price,m_symbols.Decimals(spec)));
   return("far");
  }

//--- the part of one follow in what its copy is to hold
void CMtnetTrader::Add(const int row)
  {
   int copy=m_follows.rows[row].copy;
   if(copy<0 || m_follows.rows[row].decision!=MTNET_COPIED)
      return;
   if(m_follows.rows[row].IsOrder())
     {
      // Filled here before the provider's: it is kept until the provider's ends.
      m_copies.rows[copy].part+=m_follows.rows[row].early;
      return;
     }
   m_copies.rows[copy].part+=m_follows.rows[row].Part();
   if(m_follows.rows[row].lots==0)
      return;
   // Several tickets in one netted position have no stops in common.
   m_copies.rows[copy].parts++;
   bool alone=(m_copies.rows[copy].parts==1);
   m_copies.rows[copy].sl=(alone ? m_follows.rows[row].sl : 0);
   m_copies.rows[copy].tp=(alone ? m_follows.rows[row].tp : 0);
  }

void CMtnetTrader::Bound(const int copy)
  {
   int spec=m_copies.rows[copy].spec;
   double part=NormalizeDouble(m_copies.rows[copy].part,8);
   m_copies.rows[copy].cut="";
   if(part!=0 && !m_symbols.Known(spec))
     {
      m_copies.rows[copy].want=m_copies.rows[copy].held;
      m_copies.rows[copy].cut="no symbol "+m_symbols.Name(spec)+" here";
      m_plan=true;
      return;
     }
   m_copies.rows[copy].want=m_symbols.Floor(spec,part);
   if(part!=0 && m_copies.rows[copy].want==0)
      m_copies.rows[copy].cut="less than the smallest volume "
                              +CMtnetText::Lots(m_symbols.Least(spec));
   else if(!CMtnetText::SameLots(part,m_copies.rows[copy].want))
      m_copies.rows[copy].cut="the step of the volume is "
                              +CMtnetText::Lots(m_symbols.Step(spec));
  }

//+------------------------------------------------------------------+
//| Pending orders                                                   |
//+------------------------------------------------------------------+

//--- Orders with the mark that the ledger does not know: it was lost. Their key stands in the
//--- comment; the provider's side of it, if there is any, is known by now.
void CMtnetTrader::AdoptOrders(void)
  {
   for(int i=0; i<ArraySize(m_copies.placed); i++)
     {
      ulong ticket=m_copies.placed[i].ticket;
      bool known=false;
      for(int k=0; k<ArraySize(m_follows.rows) && !known; k++)
         known=(m_follows.rows[k].order==ticket || m_follows.rows[k].sent!=0);
      string tag=CMtnetOrders::TagOf(m_orders.Mark(),m_copies.placed[i].comment);
      string symbol=m_symbols.Theirs(m_copies.placed[i].symbol);
      if(known || tag=="" || symbol=="")
         continue;
      int row=m_follows.Attach(symbol,StringSubstr(tag,StringLen(m_orders.Mark())+1));
      m_follows.rows[row].spec=m_symbols.Row(symbol);
      if(m_follows.rows[row].order==0)
         m_follows.rows[row].order=ticket;
     }
  }

//--- What pending orders have filled is held, whether the provider's were filled or not.
void CMtnetTrader::CheckOrders(void)
  {
   for(int i=0; i<ArraySize(m_copies.rows); i++)
      m_copies.rows[i].unclear=false;
   for(int i=0; i<ArraySize(m_follows.rows); i++)
     {
      ulong order=m_follows.rows[i].order;
      if(order==0 && m_follows.rows[i].sent==0)
         continue;
      string symbol=m_follows.rows[i].symbol;
      int copy=m_copies.Row(m_symbols,m_copies.Name(symbol,m_follows.rows[i].ticket),symbol);
      int placed=(order==0 ? -1 : m_copies.FindPlaced(order));
      if(order==0)
         m_copies.rows[copy].unclear=true;
      else if(placed<0)
         Vanished(i,copy);
      else
         Count(i,copy,m_copies.placed[placed].initial-m_copies.placed[placed].lots,
               m_copies.placed[placed].type%2==0 ? 1 : -1,order);
     }
  }

void CMtnetTrader::Count(const int row,const int copy,const double filled,const int side,
                         const ulong position)
  {
   double more=filled-m_follows.rows[row].got;
   if(more<MTNET_LEAST)
      return;
   m_follows.rows[row].got=filled;
   m_copies.rows[copy].held=NormalizeDouble(m_copies.rows[copy].held+side*more,8);
   m_copies.AddId(copy,position);
   if(m_follows.rows[row].IsOrder() && m_follows.rows[row].lots>0)
      m_follows.rows[row].early=NormalizeDouble(m_follows.rows[row].early+side*more,8);
   m_dirty=true;
   m_plan=true;
   m_touched=true;
  }

//--- one step for the order of one follow
void CMtnetTrader::Pend(const int row)
  {
   if(m_follows.rows[row].sent!=0 || m_follows.rows[row].decision==MTNET_LEFT
      || m_follows.rows[row].spec<0 || !m_symbols.Known(m_follows.rows[row].spec)
      || m_symbols.Waits(m_follows.rows[row].spec))
      return;
   bool wanted=(m_follows.rows[row].lots>0 && m_follows.rows[row].type>ORDER_TYPE_SELL
                && m_follows.rows[row].decision==MTNET_COPIED);
   if(m_follows.rows[row].order==0)
     {
      if(wanted && m_live && m_follows.rows[row].early==0)
         Place(row);
      return;
     }
   int placed=m_copies.FindPlaced(m_follows.rows[row].order);
   if(placed<0)
      return;
   if(wanted)
      Correct(row,placed);
   else if(GetTickCount64()-m_follows.rows[row].turned>=MTNET_GRACE)
      RemoveOrder(row);
   else
      m_busy=true;
  }

void CMtnetTrader::Place(const int row)
  {
   int spec=m_follows.rows[row].spec,type=m_follows.rows[row].type;
   double lots=m_symbols.Order(spec,MathAbs(m_follows.rows[row].Part()));
   if(type>=ORDER_TYPE_BUY_STOP_LIMIT)
      m_follows.rows[row].why="a stop-limit order has two prices, and the channel one";
   else if(lots<=0)
      m_follows.rows[row].why="less than the smallest volume "
                              +CMtnetText::Lots(m_symbols.Least(spec));
   else if(!m_follows.rows[row].wait.Waits() && m_pace.MayOpen() && HasTime())
     {
      MtnetOrder order;
      MqlTradeRequest request={};
      MqlTradeResult result={};
      int at=-1;
      order.name=m_copies.rows[m_follows.rows[row].copy].name;
      order.key=m_follows.rows[row].Key();
      order.symbol=m_symbols.Name(spec);
      order.type=type;
      order.lots=lots;
      order.position=0;
      FillRequest(order,spec,request);
      request.action=TRADE_ACTION_PENDING;
      request.price=m_symbols.Price(spec,m_follows.rows[row].price);
      request.type_filling=ORDER_FILLING_RETURN;
      request.type_time=ORDER_TIME_GTC;
      if(m_rules.stops)
        {
         request.sl=m_symbols.Price(spec,m_follows.rows[row].sl);
         request.tp=m_symbols.Price(spec,m_follows.rows[row].tp);
        }
      if(Send(order,m_follows.rows[row].ticket,request,result,at))
         m_follows.rows[row].sent=m_orders.rows[at].serial;
      else
         Refused(spec,m_follows.rows[row].wait,request,result,m_follows.rows[row].why);
     }
  }

//--- the order stands: its price and stops are to be the provider's, and its volume too
void CMtnetTrader::Correct(const int row,const int placed)
  {
   int spec=m_follows.rows[row].spec;
   double lots=m_symbols.Order(spec,MathAbs(m_follows.rows[row].Part()));
   m_follows.rows[row].why="";
   if(m_copies.placed[placed].type!=m_follows.rows[row].type
      || !CMtnetText::SameLots(m_copies.placed[placed].initial,lots))
     {
      RemoveOrder(row);
      return;
     }
   double price=m_symbols.Price(spec,m_follows.rows[row].price);
   double sl=(m_rules.stops ? m_symbols.Price(spec,m_follows.rows[row].sl) :
              m_copies.placed[placed].sl);
   double tp=(m_rules.stops ? m_symbols.Price(spec,m_follows.rows[row].tp) :
              m_copies.placed[placed].tp);
   if(CMtnetText::SamePrice(price,m_copies.placed[placed].price)
      && CMtnetText::SamePrice(sl,m_copies.placed[placed].sl)
      && CMtnetText::SamePrice(tp,m_copies.placed[placed].tp))
      return;
   if(m_follows.rows[row].wait.Waits() || !m_pace.MayOpen() || !HasTime())
      return;
   MqlTradeRequest request={};
   MqlTradeResult result={};
   request.action=TRADE_ACTION_MODIFY;
   request.order=m_follows.rows[row].order;
   request.symbol=m_symbols.Name(spec);
   request.price=price;
   request.sl=sl;
   request.tp=tp;
   request.type_time=ORDER_TIME_GTC;
   m_pace.Sent();
   m_touched=true;
   // A change that arrived twice changes nothing: its end need not be known.
   if(OrderSend(request,result))
      m_follows.rows[row].wait.Taken();
   else
      Refused(spec,m_follows.rows[row].wait,request,result,m_follows.rows[row].why);
  }

//--- the order stands no longer among the open ones
void CMtnetTrader::Vanished(const int row,const int copy)
  {
   MtnetFate fate;
   ulong order=m_follows.rows[row].order;
   CMtnetHistory::Fate(order,fate);
   m_busy=true;
   // Not in the history either: the terminal is loading.
   if(!fate.ended)
     {
      m_copies.rows[copy].unclear=true;
      return;
     }
   int side=(HistoryOrderGetInteger(order,ORDER_TYPE)%2==0 ? 1 : -1);
   Count(row,copy,fate.filled,side,fate.position>0 ? fate.position : order);
   if(fate.filled<MTNET_LEAST && !m_follows.rows[row].removing && m_follows.rows[row].lots>0
      && m_follows.rows[row].IsOrder())
      m_follows.Release(row,"the order was removed here");
   m_follows.rows[row].order=0;
   m_follows.rows[row].got=0;
   m_follows.rows[row].removing=false;
   m_dirty=true;
   m_plan=true;
   m_touched=true;
  }

//--- Written first, in the next turn sent: an order that is gone was then removed by this program,
//--- and not by a person.
void CMtnetTrader::RemoveOrder(const int row)
  {
   if(!m_follows.rows[row].removing)
     {
      m_busy=true;
      m_follows.rows[row].removing=true;
      m_dirty=true;
      m_urgent=true;
      return;
     }
   if(m_follows.rows[row].wait.Waits() || !m_pace.MayClose() || !HasTime())
      return;
   MqlTradeRequest request={};
   MqlTradeResult result={};
   request.action=TRADE_ACTION_REMOVE;
   request.order=m_follows.rows[row].order;
   m_pace.Sent();
   m_touched=true;
   if(OrderSend(request,result))
      m_follows.rows[row].wait.Taken();
   else
      Refused(m_follows.rows[row].spec,m_follows.rows[row].wait,request,result,
              m_follows.rows[row].why);
  }

//+------------------------------------------------------------------+
//| Market orders                                                    |
//+------------------------------------------------------------------+

//--- whether an order may be sent for a copy
bool CMtnetTrader::IsIdle(const int copy) const
  {
   return(m_copies.rows[copy].order==0 && !m_copies.rows[copy].unclear && !IsUnproven(copy)
          && m_symbols.Wanted(m_copies.rows[copy].symbol));
  }

//--- Closes the oldest position of the copy that is too much. One order, then its end is awaited.
void CMtnetTrader::Reduce(const int copy)
  {
   double have=m_copies.rows[copy].have,want=m_copies.rows[copy].want;
   int side=(have>0 ? 1 : -1);
   if(!IsIdle(copy) || CMtnetText::SameLots(have,want))
      return;
   for(int i=0; i<ArraySize(m_copies.held); i++)
     {
      if(m_copies.held[i].copy!=copy)
         continue;
      // What is on the wrong side, or too much on the right one.
      double excess=(want*m_copies.held[i].side<=0 ? m_copies.held[i].lots :
                     MathAbs(have)-MathAbs(want));
      if(want*m_copies.held[i].side>0 && (m_copies.held[i].side!=side || excess<MTNET_LEAST))
         continue;
      double lots=MathMin(excess,m_copies.held[i].lots);
      bool whole=CMtnetText::SameLots(lots,m_copies.held[i].lots);
      if(!whole && m_symbols.Known(m_copies.rows[copy].spec))
         lots=m_symbols.Order(m_copies.rows[copy].spec,lots);
      if(lots<=0)
        {
         m_copies.rows[copy].why="the difference is less than the smallest volume "
                                 +CMtnetText::Lots(m_symbols.Least(m_copies.rows[copy].spec));
         continue;
        }
      if(MaySend(copy) && m_pace.MayClose() && HasTime())
         SendMarket(copy,-m_copies.held[i].side,lots,m_copies.held[i].ticket);
      return;
     }
  }

void CMtnetTrader::Increase(const int copy)
  {
   double have=m_copies.rows[copy].have,want=m_copies.rows[copy].want;
   if(!IsIdle(copy) || have*want<0 || MathAbs(want)-MathAbs(have)<MTNET_LEAST)
      return;
   double more=MathAbs(want)-MathAbs(have);
   double lots=m_symbols.Order(m_copies.rows[copy].spec,more);
   if(lots<=0)
     {
      m_copies.rows[copy].why="the difference is less than the smallest volume "
                              +CMtnetText::Lots(m_symbols.Least(m_copies.rows[copy].spec));
      return;
     }
   if(!MaySend(copy) || !m_pace.MayOpen() || !HasTime() || !StillOpens(copy)
      || IsOccupied(copy))
      return;
   SendMarket(copy,want>0 ? 1 : -1,lots,0);
  }

//--- A refusal is waited for, and a closed market is not asked: the next look is soon enough.
bool CMtnetTrader::MaySend(const int copy)
  {
   int spec=m_copies.rows[copy].spec;
   if(m_copies.rows[copy].wait.Waits() || m_symbols.Waits(spec))
      return(false);
   if(m_symbols.IsOpen(spec))
     {
      m_busy=true;
      return(true);
     }
   m_copies.rows[copy].why="the market is closed";
   return(false);
  }

//--- Openings that have waited may have become too old, or too far away.
bool CMtnetTrader::StillOpens(const int copy)
  {
   if(m_copies.rows[copy].held!=0)
      return(true);
   bool all=true;
   for(int i=0; i<ArraySize(m_follows.rows); i++)
     {
      if(m_follows.rows[i].copy!=copy || m_follows.rows[i].reached || m_follows.rows[i].lots==0
         || m_follows.rows[i].decision!=MTNET_COPIED || m_follows.rows[i].IsOrder()
         || m_follows.rows[i].turned>0)
         continue;
      if(Refusal(i)!="")
         all=false;
     }
   if(!all)
     {
      m_plan=true;
      m_touched=true;
     }
   return(all);
  }

//--- A netted position that another program or a hand has opened is not touched.
bool CMtnetTrader::IsOccupied(const int copy)
  {
   string name=m_symbols.Name(m_copies.rows[copy].spec);
   if(!m_netting || m_copies.rows[copy].have!=0 || !PositionSelect(name))
      return(false);
   m_copies.rows[copy].why="the position was not opened by this program";
   return(true);
  }

string CMtnetTrader::TicketOf(const int copy) const
  {
   string name=m_copies.rows[copy].name;
   int bar=StringFind(name,"|");
   return(bar<0 ? "" : StringSubstr(name,bar+1));
  }

bool CMtnetTrader::SendMarket(const int copy,const int side,const double lots,
                              const ulong position)
  {
   int spec=m_copies.rows[copy].spec,at=-1;
   MtnetOrder order;
   MqlTradeRequest request={};
   MqlTradeResult result={};
   MqlTick tick;
   order.name=m_copies.rows[copy].name;
   order.key="";
   order.symbol=m_symbols.Name(spec);
   order.type=(side>0 ? ORDER_TYPE_BUY : ORDER_TYPE_SELL);
   order.lots=lots;
   order.position=position;
   if(!SymbolInfoTick(order.symbol,tick) || tick.ask<=0 || tick.bid<=0)
     {
      m_copies.rows[copy].why="no price of "+order.symbol;
      return(false);
     }
   FillRequest(order,spec,request);
   request.price=(side>0 ? tick.ask : tick.bid);
   if(position==0 && m_rules.stops && !m_copies.rows[copy].bare)
     {
      request.sl=m_symbols.Price(spec,m_copies.rows[copy].sl);
      request.tp=m_symbols.Price(spec,m_copies.rows[copy].tp);
     }
   if(!Send(order,TicketOf(copy),request,result,at))
     {
      // Without them first; they follow as a change.
      m_copies.rows[copy].bare=(m_copies.rows[copy].bare
                                || result.retcode==TRADE_RETCODE_INVALID_STOPS);
      Refused(spec,m_copies.rows[copy].wait,request,result,m_copies.rows[copy].why);
      return(false);
     }
   m_copies.rows[copy].order=m_orders.rows[at].serial;
   m_copies.rows[copy].why="";
   m_copies.rows[copy].stopped=(m_copies.rows[copy].stopped || request.sl>0 || request.tp>0);
   if(result.price>0)
      m_copies.rows[copy].price=result.price;
   return(true);
  }

void CMtnetTrader::FillRequest(MtnetOrder &order,const int spec,MqlTradeRequest &request) const
  {
   request.action=TRADE_ACTION_DEAL;
   request.symbol=order.symbol;
   request.position=order.position;
   request.type=(ENUM_ORDER_TYPE)order.type;
   request.volume=order.lots;
   request.deviation=(ulong)m_rules.deviation;
   request.magic=(ulong)m_rules.magic;
   request.type_filling=m_symbols.Filling(spec);
  }

//--- Writes the order to disk, then sends it. False = it is certainly not with the broker.
bool CMtnetTrader::Send(MtnetOrder &order,const string ticket,MqlTradeRequest &request,
                        MqlTradeResult &result,int &at)
  {
   at=m_orders.Add(order,ticket);
   if(at<0)
     {
      result.retcode=TRADE_RETCODE_REJECT;
      result.comment="the order cannot be written to disk";
      return(false);
     }
   request.comment=m_orders.rows[at].comment;
   m_pace.Sent();
   m_touched=true;
   ResetLastError();
   bool sent=OrderSend(request,result);
   Print("mtnet: ",order.name,": ",EnumToString(request.type)," ",
         CMtnetText::Lots(request.volume)," ",order.symbol,", ",request.comment,": ",
         result.retcode," ",result.comment);
   m_orders.rows[at].patience=CMtnetRetcode::LostAfter(result.retcode);
   m_orders.rows[at].ticket=result.order;
   if(sent || CMtnetRetcode::Answer(result.retcode)!=MTNET_ANSWER_REFUSED)
      return(true);
   m_orders.Remove(at);
   return(false);
  }

//--- waits as the return code says
void CMtnetTrader::Refused(const int spec,MtnetWait &wait,const MqlTradeRequest &request,
                           const MqlTradeResult &result,string &why)
  {
   why="order refused: "+IntegerToString(result.retcode)+" "+result.comment;
   if(m_symbols.Refused(spec,result.retcode,why))
      return;
   if(result.retcode==TRADE_RETCODE_INVALID_FILL
      && m_symbols.RefuseFilling(spec,request.type_filling))
      return;
   wait.Refused(result.retcode);
  }

//--- SL and TP of one position
void CMtnetTrader::Protect(const int at)
  {
   int copy=m_copies.held[at].copy,spec=m_copies.rows[copy].spec;
   if(m_copies.rows[copy].parts==0 || !IsIdle(copy) || !m_symbols.Known(spec)
      || m_copies.rows[copy].want*m_copies.held[at].side<=0)
      return;
   double sl=m_symbols.Price(spec,m_copies.rows[copy].sl);
   double tp=m_symbols.Price(spec,m_copies.rows[copy].tp);
   // Stops that a person has set stay, as long as the provider has none.
   if(sl==0 && tp==0 && !m_copies.rows[copy].stopped)
      return;
   if(CMtnetText::SamePrice(sl,m_copies.held[at].sl)
      && CMtnetText::SamePrice(tp,m_copies.held[at].tp))
      return;
   if(m_copies.rows[copy].stopwait.Waits() || m_symbols.Waits(spec) || !m_pace.MayClose()
      || !HasTime())
      return;
   MqlTradeRequest request={};
   MqlTradeResult result={};
   request.action=TRADE_ACTION_SLTP;
   request.position=m_copies.held[at].ticket;
   request.symbol=m_symbols.Name(spec);
   request.sl=sl;
   request.tp=tp;
   m_pace.Sent();
   m_touched=true;
   m_copies.rows[copy].stopped=true;
   m_dirty=true;
   string why="";
   if(OrderSend(request,result))
      m_copies.rows[copy].stopwait.Taken();
   else if(result.retcode!=TRADE_RETCODE_NO_CHANGES)
      Refused(spec,m_copies.rows[copy].stopwait,request,result,why);
  }

//+------------------------------------------------------------------+
//| What is told                                                     |
//+------------------------------------------------------------------+
void CMtnetTrader::TellAll(CMtnetSession &session)
  {
   if(!m_live)
      return;
   for(int i=0; i<ArraySize(m_follows.rows); i++)
      if(m_follows.rows[i].seq>0)
         Tell(i,session);
  }

#define MTNET_TOLD_NOTHING  0
#define MTNET_TOLD_FILLED   1
#define MTNET_TOLD_FAILED   2
#define MTNET_TOLD_RELEASED 3
#define MTNET_TOLD_PLACED   4

//--- what can be said of a follow now
int CMtnetTrader::Status(const int row,string &why) const
  {
   int copy=m_follows.rows[row].copy;
   ENUM_MTNET_DECISION decision=m_follows.rows[row].decision;
   why=m_follows.rows[row].why;
   if(decision==MTNET_RELEASED)
      return(MTNET_TOLD_RELEASED);
   if(decision==MTNET_LEFT || copy<0)
      return(MTNET_TOLD_NOTHING);
   if(decision==MTNET_UNDECIDED)
      return(why=="" ? MTNET_TOLD_NOTHING : MTNET_TOLD_FAILED);
   if(m_follows.rows[row].IsOrder() && m_follows.rows[row].lots>0)
      return(m_follows.rows[row].order>0 || m_follows.rows[row].early!=0 ? MTNET_TOLD_PLACED :
             why=="" ? MTNET_TOLD_NOTHING : MTNET_TOLD_FAILED);
   if(m_copies.rows[copy].order!=0 || IsUnproven(copy))
      return(MTNET_TOLD_NOTHING);
   bool reached=CMtnetText::SameLots(m_copies.rows[copy].have,m_copies.rows[copy].want);
   if(m_copies.rows[copy].cut!="" && (why=="" || m_copies.rows[copy].want==0))
      why=m_copies.rows[copy].cut;
   if(reached && (m_copies.rows[copy].want!=0 || m_copies.rows[copy].cut==""))
      return(MTNET_TOLD_FILLED);
   if(!reached)
      why=(m_cannot!="" ? m_cannot : m_copies.rows[copy].why);
   return(why=="" ? MTNET_TOLD_NOTHING : MTNET_TOLD_FAILED);
  }

//--- acknowledges a result once, with the lots that are really held
void CMtnetTrader::Tell(const int row,CMtnetSession &session)
  {
   string why="";
   int status=Status(row,why),copy=m_follows.rows[row].copy;
   if(status==MTNET_TOLD_FILLED)
      m_follows.rows[row].reached=true;
   double lots=(copy<0 ? 0 : m_copies.rows[copy].have);
   if(status==MTNET_TOLD_NOTHING
      || (status==m_follows.rows[row].told_status && why==m_follows.rows[row].told_why
          && m_follows.rows[row].seq==m_follows.rows[row].told_seq
          && CMtnetText::SameLots(lots,m_follows.rows[row].told_lots)))
      return;
   string names[]={"","filled","failed","released",""};
   string payload="ACK"+CMtnetText::Field("channel",m_channel)
                  +CMtnetText::Field("seq",IntegerToString(m_follows.rows[row].seq));
   if(status!=MTNET_TOLD_PLACED)
      payload+=CMtnetText::Field("status",names[status])
               +CMtnetText::Field("volume",CMtnetText::Lots(lots));
   if(status==MTNET_TOLD_FILLED && m_copies.rows[copy].price>0 && lots!=0)
      payload+=CMtnetText::Field("price",CMtnetText::Price(m_copies.rows[copy].price,
                                 m_symbols.Decimals(m_copies.rows[copy].spec)));
   if(why!="")
      payload+=CMtnetText::Field("reason",StringSubstr(why,0,MTNET_REASON));
   if(!session.Say(payload))
      return;
   m_follows.rows[row].told_status=status;
   m_follows.rows[row].told_seq=m_follows.rows[row].seq;
   m_follows.rows[row].told_lots=lots;
   m_follows.rows[row].told_why=why;
   Print("mtnet: ",m_follows.rows[row].Key()," ",names[status]," ",why,", holds ",
         CMtnetText::Lots(lots));
  }

void CMtnetTrader::ShowTroubles(CMtnetPanel &panel)
  {
   int row=-1;
   string why="";
   while(m_symbols.NextTrouble(row,why))
      panel.Check("refused "+m_symbols.Name(row),why!="",m_symbols.Name(row)+": "+why);
   panel.Check("trade",m_rules.trade && m_cannot!="",m_cannot);
   panel.Check("unproven",m_unproven!="",m_unproven);
   panel.Check("lost",m_lost!="",m_lost);
   string missing=(m_missing!="" ? m_missing : m_symbols.Missing());
   panel.Check("symbol",missing!="","there is no symbol "+missing+" at this broker");
   panel.Check("strangers",m_copies.Strangers()>0,
               IntegerToString(m_copies.Strangers())+" positions have the magic number of this "
               "program and not its mark: they are left to you");
  }

//--- copies that hold something
int CMtnetTrader::Copies(void) const
  {
   int count=0;
   for(int i=0; i<ArraySize(m_copies.rows); i++)
      count+=(m_copies.rows[i].have!=0 ? 1 : 0);
   return(count);
  }

//--- the symbols that are traded here
void CMtnetTrader::Describe(CMtnetReport &report)
  {
   for(int i=0; i<MTNET_DESCRIBED && m_described<m_symbols.Total(); i++)
     {
      report.Describe(m_symbols.Name(m_described));
      m_described++;
     }
  }

//--- what is held, for the chart
string CMtnetTrader::Line(void) const
  {
   int differ=0,released=0;
   for(int i=0; i<ArraySize(m_copies.rows); i++)
      differ+=(CMtnetText::SameLots(m_copies.rows[i].have,m_copies.rows[i].want) ? 0 : 1);
   for(int i=0; i<ArraySize(m_follows.rows); i++)
      released+=(m_follows.rows[i].lots>0 && m_follows.rows[i].decision==MTNET_RELEASED ? 1 : 0);
   string text="holds "+IntegerToString(Copies())+" copies";
   if(differ>0)
      text+=", "+IntegerToString(differ)+" not yet as they should be";
   if(released>0)
      text+=", "+IntegerToString(released)+" released";
   return(text);
  }
//+------------------------------------------------------------------+
