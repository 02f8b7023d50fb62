//+------------------------------------------------------------------+
//| Ledger.mqh: what is copied, held and on its way                  |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/Limits.mqh>
#include <Mtnet/Account/Mark.mqh>
#include <Mtnet/Account/Symbols.mqh>
#include <Mtnet/Common/Frame.mqh>
#include <Mtnet/Common/State.mqh>
#include <Mtnet/Common/Table.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Follower/Book.mqh>
#include <Mtnet/Follower/Copies.mqh>
#include <Mtnet/Follower/Follows.mqh>
#include <Mtnet/Follower/Orders.mqh>

#define MTNET_TURN_TIME  30       // ms of orders in one timer; then the server is heard again
#define MTNET_SAVE       1000     // ms between two writings of the ledger

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

//--- what one turn of the timer finds and leaves
struct MtnetTurn
  {
   bool              touched;     // something happened since the last look
   bool              busy;        // and something is not as it should be yet
   bool              plan;        // what is wanted may have changed
   bool              live;        // the channel is known as it is now
   long              now;         // ms UTC of the server
   ulong             looked;      // tick count of the last look
   ulong             began;       // microseconds at which this turn's orders began
  };

//--- what people are told of
struct MtnetTroubles
  {
   string            cannot;      // why no order may be sent at all
   string            lost;        // an order whose end is not known
   string            unproven;    // terminal and history differ
   string            missing;     // a symbol that is not at this broker
  };

//+------------------------------------------------------------------+
//| The channel, the account, and what one has to do with the other: all|
//| that those who trade and tell share. It is written to disk as rows of|
//| follows, copies and, before each is sent, orders.                |
//+------------------------------------------------------------------+
class CMtnetLedger
  {
private:
   CMtnetState       m_state;
   ulong             m_saved;

   void              Restart(void);
   bool              ReadRow(CMtnetBook &book,const CMtnetFrame &frame,long &serial,
                             string &waiting);
   void              Rejoin(CMtnetBook &book);

public:
   MtnetRules        rules;
   double            age;         // s, the stricter of a person's limit and the channel's
   double            distance;    // price units, the channel's limit of slippage; 0 = none
   bool              netting;
   string            channel;
   CMtnetSymbols     symbols;
   CMtnetFollows     follows;
   CMtnetCopies      copies;
   CMtnetOrders      orders;
   CMtnetPace        pace;
   MtnetTurn         turn;
   MtnetTroubles     troubles;
   bool              dirty;       // newer than its file
   bool              urgent;      // and to be written at once

                     CMtnetLedger(void);
   bool              Open(const MtnetRules &rules,const string map,const string prefix,
                          const string suffix,const string wanted,string &why);
   void              Begin(const bool is_netting,const long login,const string server,
                           const string name);
   void              Limit(const CMtnetFrame &synced);
   ENUM_MTNET_STATE  Load(CMtnetBook &book);
   bool              Save(CMtnetBook &book,const bool now);
   bool              IsUnproven(const int copy) const;
   bool              IsIdle(const int copy) const;
   bool              HasTime(void);
   int               CopyOf(const int row);
   string            File(void) const { return(m_state.File()); }
  };

CMtnetLedger::CMtnetLedger(void)
  {
   m_saved=0;
   age=0;
   distance=0;
   netting=true;
   channel="";
   dirty=false;
   urgent=false;
   ZeroMemory(rules);
   Restart();
  }

//--- false = an input is wrong; why says which
bool CMtnetLedger::Open(const MtnetRules &given,const string map,const string prefix,
                        const string suffix,const string wanted,string &why)
  {
   rules=given;
   age=given.age;
   distance=0;
   pace.Open(given.orders);
   return(symbols.Open(map,prefix,suffix,wanted,why));
  }

//--- another account, or the first: nothing of a former one is known any more
void CMtnetLedger::Begin(const bool is_netting,const long login,const string server,
                         const string name)
  {
   string magic=IntegerToString(rules.magic);
   netting=is_netting;
   channel=name;
   follows.Begin(rules.multiplier,rules.most,netting,rules.pending);
   copies.Begin(rules.magic,netting,CMtnetMark::Comment(name));
   orders.Begin(rules.magic,login,server,name);
   // In the common folder: another terminal of this computer goes on with the same ledger.
   m_state.Begin("follower",login,server,name,magic,true);
   CMtnetMark::Register(name,login,rules.magic);
   Restart();
  }

void CMtnetLedger::Restart(void)
  {
   dirty=false;
   urgent=false;
   turn.touched=true;
   turn.busy=false;
   turn.plan=true;
   turn.live=false;
   turn.now=0;
   turn.looked=0;
   turn.began=0;
   troubles.cannot="";
   troubles.lost="";
   troubles.unproven="";
   troubles.missing="";
  }

//--- A view has limits of its own, told with SYNCED: seconds, and price units. The stricter of two
//--- limits counts.
void CMtnetLedger::Limit(const CMtnetFrame &synced)
  {
   double most=0;
   age=rules.age;
   distance=0;
   if(synced.Price("max_age",most) && most>0)
      age=(age>0 ? MathMin(most,age) : most);
   if(synced.Price("max_slippage",most) && most>0)
      distance=most;
  }

ENUM_MTNET_STATE CMtnetLedger::Load(CMtnetBook &book)
  {
   CMtnetFrame frame;
   long serial=0;
   string waiting="";
   ENUM_MTNET_STATE state=m_state.Load();
   if(state==MTNET_STATE_WHOLE)
      while(m_state.Next(frame))
         ReadRow(book,frame,serial,waiting);
   if(state!=MTNET_STATE_DAMAGED && !orders.Load(serial,waiting))
      state=MTNET_STATE_DAMAGED;
   Rejoin(book);
   return(state);
  }

bool CMtnetLedger::ReadRow(CMtnetBook &book,const CMtnetFrame &frame,long &serial,string &waiting)
  {
   if(frame.Verb()!="TRADER")
      return(book.Read(frame) || follows.Read(frame) || copies.Read(symbols,frame));
   waiting=frame.Text("waiting");
   return(frame.Number("serial",serial));
  }

//--- Orders of an earlier run are on their way again: nothing is sent for their copies.
void CMtnetLedger::Rejoin(CMtnetBook &book)
  {
   MtnetPosition entry;
   for(int i=0; i<ArraySize(follows.rows); i++)
     {
      follows.rows[i].spec=symbols.Row(follows.rows[i].symbol);
      follows.Entry(i,entry);
      book.Restore(entry);
     }
   for(int i=0; i<ArraySize(orders.rows); i++)
     {
      string key=orders.rows[i].key;
      string name=(key=="" ? orders.rows[i].name : key);
      int bar=StringFind(name,"|");
      string symbol=(bar<0 ? name : StringSubstr(name,0,bar));
      string ticket=(bar<0 ? "" : StringSubstr(name,bar+1));
      if(key=="")
        {
         copies.rows[copies.Row(symbols,name,symbol)].order=orders.rows[i].serial;
         continue;
        }
      int row=follows.Attach(symbol,ticket);
      follows.rows[row].spec=symbols.Row(symbol);
      follows.rows[row].sent=orders.rows[i].serial;
     }
  }

//--- Writes the ledger, once a second at most. False = it could not be written.
bool CMtnetLedger::Save(CMtnetBook &book,const bool now)
  {
   ulong tick=GetTickCount64();
   if(!dirty || (!now && !urgent && tick-m_saved<MTNET_SAVE))
      return(true);
   urgent=false;
   m_saved=tick;
   m_state.Clear();
   m_state.Add(book.Line());
   follows.Write(m_state);
   copies.Write(m_state);
   m_state.Add("TRADER"+CMtnetText::Field("serial",IntegerToString(orders.Serial()))
               +CMtnetText::Field("waiting",orders.Waiting()));
   if(!m_state.Save())
      return(false);
   dirty=false;
   orders.Forget();
   return(true);
  }

bool CMtnetLedger::IsUnproven(const int copy) const
  {
   return(!CMtnetText::SameLots(copies.rows[copy].have,copies.rows[copy].held));
  }

//--- whether an order may be sent for a copy
bool CMtnetLedger::IsIdle(const int copy) const
  {
   return(copies.rows[copy].order==0 && !copies.rows[copy].unclear && !IsUnproven(copy)
          && symbols.Wanted(copies.rows[copy].symbol));
  }

//--- OrderSend makes the program wait; what the server says meanwhile must be heard
bool CMtnetLedger::HasTime(void)
  {
   if(GetMicrosecondCount()-turn.began<1000*MTNET_TURN_TIME)
      return(true);
   turn.busy=true;
   return(false);
  }

//--- the copy that a follow belongs to
int CMtnetLedger::CopyOf(const int row)
  {
   string symbol=follows.rows[row].symbol;
   return(copies.Row(symbols,copies.Name(symbol,follows.rows[row].ticket),symbol));
  }
//+------------------------------------------------------------------+
