//+------------------------------------------------------------------+
//| Follows.mqh: what is copied of each position of the provider     |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/Limits.mqh>
#include <Mtnet/Common/Frame.mqh>
#include <Mtnet/Common/Index.mqh>
#include <Mtnet/Common/State.mqh>
#include <Mtnet/Common/Table.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Follower/Book.mqh>

#define MTNET_POSITION  -1   // type of a follow: a position; else its ENUM_ORDER_TYPE
#define MTNET_STRANGE   -2   // a type that this program does not know

//--- what was decided about an opening
enum ENUM_MTNET_DECISION
  {
   MTNET_UNDECIDED,       // the account does not know enough yet
   MTNET_COPIED,          // `copied` lots of it
   MTNET_RELEASED,        // nothing, until the provider is flat: too late, or closed here
   MTNET_LEFT             // the list of symbols leaves it out: a person's
  };

//--- One position or order of the provider, and the part of it that is copied here.
struct MtnetFollow
  {
   string            symbol;     // the provider's name
   string            ticket;
   int               type;
   int               side;       // 1 = buy, -1 = sell
   long              opened;     // ms UTC; names the opening
   long              seq;        // of its last entry
   double            lots;       // the provider's, without sign; 0 = flat
   double            price;
   double            sl;
   double            tp;
   ENUM_MTNET_DECISION decision;
   double            copied;     // lots of the provider's that are copied
   double            factor;     // lots here for one of them, fixed at the opening
   string            why;        // it is released, undecided, or cut
   bool              reached;    // the copy was complete once: it is no opening any more
   int               spec;       // its row of CMtnetSymbols
   int               copy;       // its row of CMtnetCopies, -1 = none yet

   ulong             order;      // ticket of the pending order here; 0 = none
   long              sent;       // serial of its order that is on its way; 0 = none
   bool              removing;   // this program has asked to remove it
   double            got;        // lots that it has filled so far
   double            early;      // lots, signed, that it filled before the provider's
   ulong             turned;     // tick count at which the provider's order was filled
   MtnetWait         wait;       // of the pending order

   string            line;       // its row of the state file
   double            sum;        // over what the row was made of
   long              told_seq;   // the last ACK
   int               told_status;
   double            told_lots;
   string            told_why;

   string            Key(void) const { return(CMtnetTable::Key(symbol,ticket)); }
   double            Part(void) const { return(side*factor*copied); }
   double            Share(void) const { return(IsOrder() ? early : Part()); }
   bool              IsOrder(void) const { return(type!=MTNET_POSITION); }
   bool              IsOpen(void) const { return(lots>0); }
  };

//+------------------------------------------------------------------+
//| An opening is a key that goes from 0, from the other side or     |
//| from another `opened` to a volume. It is decided once. A         |
//| reduction makes `copied` at most what the provider has left: it  |
//| never enlarges a copy, and what a limit cut stays cut. A filled  |
//| order keeps the decision of the order.                           |
//+------------------------------------------------------------------+
class CMtnetFollows
  {
private:
   CMtnetIndex       m_index;
   double            m_factor;
   double            m_most;      // lots here of one symbol; 0 = no limit
   bool              m_netting;
   bool              m_pending;   // orders are copied

   int               Row(const string symbol,const string ticket);
   void              Clear(const int row);
   void              Open(const int row,const MtnetPosition &entry);
   void              Resize(const int row,const double lots);
   void              Fill(const int row,const MtnetPosition &entry);
   void              Flatten(const int row,const long seq);
   bool              IsSame(const int row,const MtnetPosition &entry) const;
   void              Enlarge(const int row,const double lots);
   double            Sum(const int row) const;
   string            Line(const int row) const;

public:
   MtnetFollow       rows[];

   void              Begin(const double factor,const double most,const bool netting,
                           const bool pending);
   static int        TypeOf(const string name);
   static string     NameOf(const int type);
   void              Update(const MtnetPosition &entry);
   void              Change(const MtnetPosition &entry);
   void              Take(const CMtnetBook &book);
   int               Find(const string symbol,const string ticket) const;
   int               FindKey(const string key) const { return(m_index.Find(key)); }
   int               Attach(const string symbol,const string ticket);
   void              Copy(const int row);
   void              Release(const int row,const string why);
   void              Cut(const int row,const double lots);
   void              Retell(void);
   int               Released(void) const;
   void              Entry(const int row,MtnetPosition &entry) const;
   void              Write(CMtnetState &state);
   bool              Read(const CMtnetFrame &row);
  };

void CMtnetFollows::Begin(const double factor,const double most,const bool netting,
                          const bool pending)
  {
   m_pending=pending;
   m_factor=factor;
   m_most=most;
   m_netting=netting;
   ArrayResize(rows,0);
   m_index.Clear();
  }

int CMtnetFollows::TypeOf(const string name)
  {
   if(name=="" || name=="position")
      return(MTNET_POSITION);
   for(int i=ORDER_TYPE_BUY_LIMIT; i<=ORDER_TYPE_SELL_STOP_LIMIT; i++)
      if(NameOf(i)==name)
         return(i);
   return(MTNET_STRANGE);
  }

string CMtnetFollows::NameOf(const int type)
  {
   string names[]={"buy_limit","sell_limit","buy_stop","sell_stop","buy_stop_limit",
                   "sell_stop_limit"};
   if(type==MTNET_POSITION)
      return("position");
   return(type==MTNET_STRANGE ? "strange" : names[type-ORDER_TYPE_BUY_LIMIT]);
  }

//--- -1 = it is not there
int CMtnetFollows::Find(const string symbol,const string ticket) const
  {
   return(m_index.Find(CMtnetTable::Key(symbol,ticket)));
  }

int CMtnetFollows::Row(const string symbol,const string ticket)
  {
   int row=Find(symbol,ticket);
   if(row>=0)
      return(row);
   row=ArraySize(rows);
   ArrayResize(rows,row+1,256);
   rows[row].symbol=symbol;
   rows[row].ticket=ticket;
   Clear(row);
   m_index.Set(CMtnetTable::Key(symbol,ticket),row);
   return(row);
  }

void CMtnetFollows::Clear(const int row)
  {
   rows[row].type=MTNET_POSITION;
   rows[row].side=1;
   rows[row].opened=0;
   rows[row].seq=0;
   rows[row].lots=0;
   rows[row].price=0;
   rows[row].sl=0;
   rows[row].tp=0;
   rows[row].decision=MTNET_UNDECIDED;
   rows[row].copied=0;
   rows[row].factor=m_factor;
   rows[row].why="";
   rows[row].reached=false;
   rows[row].spec=-1;
   rows[row].copy=-1;
   rows[row].order=0;
   rows[row].sent=0;
   rows[row].removing=false;
   rows[row].got=0;
   rows[row].early=0;
   rows[row].turned=0;
   rows[row].wait.Begin();
   rows[row].line="";
   rows[row].sum=0;
   rows[row].told_seq=0;
   rows[row].told_status=-1;
   rows[row].told_lots=0;
   rows[row].told_why="";
  }

//--- one change of the channel, or one row of it
void CMtnetFollows::Update(const MtnetPosition &entry)
  {
   int row=Find(entry.symbol,entry.ticket);
   if(row<0 && entry.lots==0)
      return;
   row=Row(entry.symbol,entry.ticket);
   if(entry.lots==0)
     {
      Flatten(row,entry.seq);
      return;
     }
   if(IsSame(row,entry))
      Resize(row,MathAbs(entry.lots));
   else if(m_pending && rows[row].lots>0 && rows[row].IsOrder()
           && TypeOf(entry.type)==MTNET_POSITION && rows[row].side*entry.lots>0)
      Fill(row,entry);
   else
      Open(row,entry);
   rows[row].price=entry.price;
   rows[row].sl=entry.sl;
   rows[row].tp=entry.tp;
   rows[row].seq=entry.seq;
  }

bool CMtnetFollows::IsSame(const int row,const MtnetPosition &entry) const
  {
   bool told=(rows[row].opened>0 && entry.time>0);
   return(rows[row].lots>0 && rows[row].type==TypeOf(entry.type)
          && rows[row].side*entry.lots>0 && (!told || rows[row].opened==entry.time));
  }

//--- What was placed or sent for the former opening stays known, until its end is.
void CMtnetFollows::Open(const int row,const MtnetPosition &entry)
  {
   rows[row].type=TypeOf(entry.type);
   rows[row].side=(entry.lots>0 ? 1 : -1);
   rows[row].opened=entry.time;
   rows[row].lots=MathAbs(entry.lots);
   rows[row].decision=MTNET_UNDECIDED;
   rows[row].copied=0;
   rows[row].factor=m_factor;
   rows[row].why="";
   rows[row].reached=false;
   rows[row].early=0;
   rows[row].wait.Taken();
  }

void CMtnetFollows::Resize(const int row,const double lots)
  {
   double more=lots-rows[row].lots;
   rows[row].lots=lots;
   if(more<0)
      rows[row].copied=MathMin(rows[row].copied,lots);
   else if(more>MTNET_LEAST && rows[row].decision==MTNET_COPIED)
      Enlarge(row,more);
  }

//--- The order of the provider was filled. Ours may have been, may be soon, or may never be.
void CMtnetFollows::Fill(const int row,const MtnetPosition &entry)
  {
   rows[row].type=MTNET_POSITION;
   rows[row].opened=entry.time;
   rows[row].early=0;
   rows[row].turned=GetTickCount64();
   Resize(row,MathAbs(entry.lots));
  }

void CMtnetFollows::Flatten(const int row,const long seq)
  {
   rows[row].lots=0;
   rows[row].copied=0;
   rows[row].early=0;
   rows[row].seq=seq;
   rows[row].why="";
   if(rows[row].decision!=MTNET_LEFT)
      rows[row].decision=MTNET_COPIED;
  }

//--- decides for an opening: as much of it as the limit of its symbol leaves
void CMtnetFollows::Copy(const int row)
  {
   rows[row].decision=MTNET_COPIED;
   rows[row].copied=0;
   rows[row].why="";
   Enlarge(row,rows[row].lots);
  }

//--- Adds lots of the provider, as far as InpMaxLots allows. What is held on the other side makes
//--- room where positions are netted.
void CMtnetFollows::Enlarge(const int row,const double lots)
  {
   double held=0,room=DBL_MAX;
   for(int i=0; i<ArraySize(rows); i++)
      if(rows[i].spec==rows[row].spec && rows[i].decision==MTNET_COPIED && rows[i].copied>0)
         held+=(m_netting ? rows[row].side*rows[i].Part() : MathAbs(rows[i].Part()));
   if(m_most>0)
      room=MathMax(0.0,(m_most-held)/rows[row].factor);
   rows[row].copied=NormalizeDouble(rows[row].copied+MathMin(lots,room),8);
   if(lots>room+MTNET_LEAST)
      rows[row].why="InpMaxLots allows "+CMtnetText::Lots(m_most)+" lots of a symbol";
  }

//--- Not copied until the provider is flat. A close that reached this account another way, or an
//--- opening that came too late, must not be made good by buying again.
void CMtnetFollows::Release(const int row,const string why)
  {
   rows[row].decision=MTNET_RELEASED;
   rows[row].copied=0;
   rows[row].early=0;
   rows[row].why=why;
  }

//--- at most so many lots of this account, without sign, stay copied
void CMtnetFollows::Cut(const int row,const double lots)
  {
   rows[row].copied=NormalizeDouble(MathMin(rows[row].copied,lots/rows[row].factor),8);
   rows[row].why="a part was closed here";
  }

//--- one live change
void CMtnetFollows::Change(const MtnetPosition &entry)
  {
   // A net position replaces the tickets of its symbol.
   if(entry.ticket=="")
      for(int i=0; i<ArraySize(rows); i++)
         if(rows[i].lots>0 && rows[i].ticket!="" && rows[i].symbol==entry.symbol)
            Flatten(i,entry.seq);
   Update(entry);
  }

//--- the whole channel, after a replay or a snapshot: what it does not name is flat
void CMtnetFollows::Take(const CMtnetBook &book)
  {
   MtnetPosition entry;
   int size=ArraySize(rows);
   bool named[];
   ArrayResize(named,size);
   ArrayInitialize(named,false);
   for(int i=0; i<book.Size(); i++)
     {
      book.Get(i,entry);
      int row=Find(entry.symbol,entry.ticket);
      if(row>=0)
         named[row]=true;
     }
   for(int i=0; i<size; i++)
      if(!named[i] && rows[i].lots>0)
         Flatten(i,book.Seq());
   for(int i=0; i<book.Size(); i++)
     {
      book.Get(i,entry);
      Update(entry);
     }
  }

//--- the row of an order that is found in the account and not in the ledger
int CMtnetFollows::Attach(const string symbol,const string ticket)
  {
   return(Row(symbol,ticket));
  }

//--- A new connection: released ones are told until the server tells 0.
void CMtnetFollows::Retell(void)
  {
   for(int i=0; i<ArraySize(rows); i++)
      if(rows[i].decision==MTNET_RELEASED)
         rows[i].told_status=-1;
  }

//--- how many openings are released
int CMtnetFollows::Released(void) const
  {
   int count=0;
   for(int i=0; i<ArraySize(rows); i++)
      count+=(rows[i].lots>0 && rows[i].decision==MTNET_RELEASED ? 1 : 0);
   return(count);
  }

//--- The rows of the state file. Thousands are written each second, and few have changed.
void CMtnetFollows::Write(CMtnetState &state)
  {
   for(int i=0; i<ArraySize(rows); i++)
     {
      if(rows[i].lots==0 && rows[i].order==0 && rows[i].sent==0)
         continue;
      double sum=Sum(i);
      if(rows[i].line=="" || sum!=rows[i].sum)
         rows[i].line=Line(i);
      rows[i].sum=sum;
      state.Add(rows[i].line);
     }
  }

//--- differs when a value of the row differs
double CMtnetFollows::Sum(const int row) const
  {
   return(rows[row].seq*1009.0+rows[row].decision*7+rows[row].copied*131+rows[row].lots*17
          +(double)rows[row].order*19+(rows[row].removing ? 3 : 0)+(rows[row].reached ? 5 : 0)
          +rows[row].got*23+rows[row].early*29+rows[row].opened*0.001);
  }

string CMtnetFollows::Line(const int row) const
  {
   return("FOLLOW"+CMtnetText::Field("symbol",rows[row].symbol)
          +CMtnetText::Field("ticket",rows[row].ticket)
          +"|type="+IntegerToString(rows[row].type)
          +"|side="+IntegerToString(rows[row].side)
          +"|opened="+IntegerToString(rows[row].opened)
          +"|seq="+IntegerToString(rows[row].seq)
          +"|lots="+CMtnetText::Lots(rows[row].lots)
          +"|price="+DoubleToString(rows[row].price,10)
          +"|sl="+DoubleToString(rows[row].sl,10)
          +"|tp="+DoubleToString(rows[row].tp,10)
          +"|decision="+IntegerToString(rows[row].decision)
          +"|copied="+DoubleToString(rows[row].copied,8)
          +"|factor="+DoubleToString(rows[row].factor,8)
          +"|reached="+(rows[row].reached ? "1" : "0")
          +"|order="+IntegerToString((long)rows[row].order)
          +"|removing="+(rows[row].removing ? "1" : "0")
          +"|got="+DoubleToString(rows[row].got,8)
          +"|early="+DoubleToString(rows[row].early,8)
          +CMtnetText::Field("why",rows[row].why));
  }

//--- what a row says of the channel itself
void CMtnetFollows::Entry(const int row,MtnetPosition &entry) const
  {
   CMtnetTable::Reset(entry);
   entry.symbol=rows[row].symbol;
   entry.ticket=rows[row].ticket;
   entry.type=NameOf(rows[row].type);
   entry.lots=rows[row].side*rows[row].lots;
   entry.price=rows[row].price;
   entry.sl=rows[row].sl;
   entry.tp=rows[row].tp;
   entry.time=rows[row].opened;
   entry.seq=rows[row].seq;
  }

//--- false = it is no row of this list
bool CMtnetFollows::Read(const CMtnetFrame &frame)
  {
   if(frame.Verb()!="FOLLOW")
      return(false);
   int row=Row(frame.Text("symbol"),frame.Text("ticket"));
   rows[row].type=(int)StringToInteger(frame.Text("type"));
   rows[row].side=(int)StringToInteger(frame.Text("side"));
   rows[row].opened=StringToInteger(frame.Text("opened"));
   rows[row].seq=StringToInteger(frame.Text("seq"));
   rows[row].lots=StringToDouble(frame.Text("lots"));
   rows[row].price=StringToDouble(frame.Text("price"));
   rows[row].sl=StringToDouble(frame.Text("sl"));
   rows[row].tp=StringToDouble(frame.Text("tp"));
   rows[row].decision=(ENUM_MTNET_DECISION)StringToInteger(frame.Text("decision"));
   rows[row].copied=StringToDouble(frame.Text("copied"));
   rows[row].factor=StringToDouble(frame.Text("factor"));
   rows[row].reached=(frame.Text("reached")=="1");
   rows[row].order=(ulong)StringToInteger(frame.Text("order"));
   rows[row].removing=(frame.Text("removing")=="1");
   rows[row].got=StringToDouble(frame.Text("got"));
   rows[row].early=StringToDouble(frame.Text("early"));
   rows[row].why=frame.Text("why");
   return(true);
  }
//+------------------------------------------------------------------+
