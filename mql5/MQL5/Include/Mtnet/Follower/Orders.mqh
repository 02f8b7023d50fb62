//+------------------------------------------------------------------+
//| Orders.mqh: orders on their way, until their fate is known       |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/History.mqh>
#include <Mtnet/Account/Limits.mqh>
#include <Mtnet/Account/Mark.mqh>
#include <Mtnet/Common/Frame.mqh>
#include <Mtnet/Common/State.mqh>
#include <Mtnet/Common/Text.mqh>

#define MTNET_ORDER_LOOK        300     // ms between two looks for an order
#define MTNET_PATIENCE    120000  // ms, for an order of an earlier run: it was sent long before
#define MTNET_SERIAL_FIRST 100000 // a first start begins anywhere below
#define MTNET_SERIAL_MOST 8       // characters of a comment that a serial takes, with its marks

//--- One order that was, or may have been, sent.
struct MtnetOrder
  {
   long              serial;      // rises by 1 with each order
   string            name;        // of its copy
   string            key;         // of a pending order: the provider's key. "" = market
   string            symbol;      // the broker's name
   int               type;        // ENUM_ORDER_TYPE
   double            lots;
   ulong             position;    // that it closes; 0 = it opens
   ulong             ticket;      // 0 = not known
   datetime          time;        // the broker's, when it was sent
   string            comment;
   uint              patience;    // ms after which it counts as lost
   ulong             waited;      // ms of a steady connection in which it was not found
   ulong             looked;      // tick count of the last look
   bool              ended;       // its fate is in the copy, but not yet on disk
  };

//+------------------------------------------------------------------+
//| An order is written to disk before it is sent, and stays there   |
//| until its end is in the ledger: a kill at any moment leaves a    |
//| row that says what to look for. It is looked for by its ticket,  |
//| else by its comment, which is unique, else by its form, since    |
//| some brokers drop comments.                                      |
//+------------------------------------------------------------------+
class CMtnetOrders
  {
private:
   long              m_magic;
   long              m_serial;
   string            m_mark;
   CMtnetState       m_state;

   bool              HasForm(const MtnetOrder &order,const string symbol,const long type,
                             const double lots,const long magic,const datetime time,
                             const string comment) const;
   ulong             SearchOpen(const MtnetOrder &order) const;
   ulong             SearchHistory(const MtnetOrder &order) const;
   bool              IsTaken(const ulong ticket) const;

public:
   MtnetOrder        rows[];

   void              Begin(const long magic,const long login,const string server,
                           const string channel);
   static string     Tag(const string mark,const string ticket);
   static string     TagOf(const string mark,const string comment);
   int               Add(MtnetOrder &order,const string ticket);
   void              Remove(const int at);
   int               Find(const long serial) const;
   ulong             Search(const MtnetOrder &order) const;
   long              Serial(void) const { return(m_serial); }
   string            Mark(void) const { return(m_mark); }
   bool              Save(void);
   bool              Load(const long ended,const string waiting);
   void              Forget(void);
   string            Waiting(void) const;
  };

void CMtnetOrders::Begin(const long magic,const long login,const string server,
                         const string channel)
  {
   m_magic=magic;
   m_serial=0;
   m_mark=CMtnetMark::Comment(channel);
   ArrayResize(rows,0);
   m_state.Begin("orders",login,server,channel,IntegerToString(magic),true);
  }

//--- The first part of a comment: the mark of all copies, and the provider's ticket, or its hash.
string CMtnetOrders::Tag(const string mark,const string ticket)
  {
   int room=MTNET_COMMENT-MTNET_SERIAL_MOST-StringLen(mark);
   if(StringLen(ticket)<=room)
      return(mark+" "+ticket);
   return(mark+" ~"+StringSubstr(CMtnetText::Short(ticket),0,room-1));
  }

//--- "" = it is no comment of a copy
string CMtnetOrders::TagOf(const string mark,const string comment)
  {
   int size=StringLen(mark),end=StringFind(comment,"#");
   if(end<=size || StringSubstr(comment,0,size+1)!=mark+" ")
      return("");
   return(StringSubstr(comment,0,end));
  }

//--- Numbers an order and writes it to disk. -1 = it must not be sent: an opening that is not on
//--- disk might be bought twice. A full disk holds up no closing.
int CMtnetOrders::Add(MtnetOrder &order,const string ticket)
  {
   int size=ArraySize(rows);
   m_serial++;
   order.serial=m_serial;
   order.comment=Tag(m_mark,ticket)+"#"+IntegerToString(m_serial);
   order.ticket=0;
   order.time=TimeTradeServer();
   order.patience=0;
   order.waited=0;
   order.looked=0;
   order.ended=false;
   ArrayResize(rows,size+1,16);
   rows[size]=order;
   if(Save() || order.position>0)
      return(size);
   ArrayResize(rows,size);
   return(-1);
  }

void CMtnetOrders::Remove(const int at)
  {
   ArrayRemove(rows,at,1);
   Save();
  }

int CMtnetOrders::Find(const long serial) const
  {
   for(int i=0; i<ArraySize(rows); i++)
      if(rows[i].serial==serial)
         return(i);
   return(-1);
  }

//--- the ticket of an order whose answer did not name it; 0 = it is found nowhere
ulong CMtnetOrders::Search(const MtnetOrder &order) const
  {
   ulong ticket=SearchOpen(order);
   return(ticket>0 ? ticket : SearchHistory(order));
  }

//--- An order with a comment of this program is another one of it.
bool CMtnetOrders::HasForm(const MtnetOrder &order,const string symbol,const long type,
                           const double lots,const long magic,const datetime time,
                           const string comment) const
  {
   return(TagOf(m_mark,comment)=="" && magic==m_magic && symbol==order.symbol && type==order.type
          && MathAbs(lots-order.lots)<MTNET_LEAST && time>=order.time-60);
  }

ulong CMtnetOrders::SearchOpen(const MtnetOrder &order) const
  {
   ulong similar=0;
   for(int i=OrdersTotal()-1; i>=0; i--)
     {
      ulong ticket=OrderGetTicket(i);
      if(ticket==0)
         continue;
      string comment=OrderGetString(ORDER_COMMENT);
      if(comment==order.comment)
         return(ticket);
      if(HasForm(order,OrderGetString(ORDER_SYMBOL),OrderGetInteger(ORDER_TYPE),
                 OrderGetDouble(ORDER_VOLUME_INITIAL),OrderGetInteger(ORDER_MAGIC),
                 (datetime)OrderGetInteger(ORDER_TIME_SETUP),comment) && !IsTaken(ticket))
         similar=ticket;
     }
   return(similar);
  }

ulong CMtnetOrders::SearchHistory(const MtnetOrder &order) const
  {
   ulong similar=0;
   if(!CMtnetHistory::Select(order.time))
      return(0);
   for(int i=HistoryOrdersTotal()-1; i>=0; i--)
     {
      ulong ticket=HistoryOrderGetTicket(i);
      if(ticket==0)
         continue;
      string comment=HistoryOrderGetString(ticket,ORDER_COMMENT);
      if(comment==order.comment)
         return(ticket);
      if(HasForm(order,HistoryOrderGetString(ticket,ORDER_SYMBOL),
                 HistoryOrderGetInteger(ticket,ORDER_TYPE),
                 HistoryOrderGetDouble(ticket,ORDER_VOLUME_INITIAL),
                 HistoryOrderGetInteger(ticket,ORDER_MAGIC),
                 (datetime)HistoryOrderGetInteger(ticket,ORDER_TIME_SETUP),comment)
         && !IsTaken(ticket))
         similar=ticket;
     }
   return(similar);
  }

//--- whether another order of the list has this ticket
bool CMtnetOrders::IsTaken(const ulong ticket) const
  {
   for(int i=0; i<ArraySize(rows); i++)
      if(rows[i].ticket==ticket)
         return(true);
   return(false);
  }

bool CMtnetOrders::Save(void)
  {
   m_state.Clear();
   m_state.Add("SERIAL"+CMtnetText::Field("of",IntegerToString(m_serial)));
   for(int i=0; i<ArraySize(rows); i++)
      m_state.Add("ORDER"+CMtnetText::Field("serial",IntegerToString(rows[i].serial))
                  +CMtnetText::Field("name",rows[i].name)+CMtnetText::Field("key",rows[i].key)
                  +CMtnetText::Field("symbol",rows[i].symbol)
                  +CMtnetText::Field("type",IntegerToString(rows[i].type))
                  +CMtnetText::Field("lots",CMtnetText::Lots(rows[i].lots))
                  +CMtnetText::Field("position",IntegerToString((long)rows[i].position))
                  +CMtnetText::Field("ticket",IntegerToString((long)rows[i].ticket))
                  +CMtnetText::Field("time",IntegerToString((long)rows[i].time))
                  +CMtnetText::Field("comment",rows[i].comment));
   return(m_state.Save());
  }

//--- Reads the orders of an earlier run. `ended` is the last serial that the ledger knows, and
//--- `waiting` those that were on their way then: others up to it have ended. False = damaged.
bool CMtnetOrders::Load(const long ended,const string waiting)
  {
   CMtnetFrame row;
   ENUM_MTNET_STATE state=m_state.Load();
   m_serial=ended;
   if(state==MTNET_STATE_NONE || state==MTNET_STATE_OTHER)
     {
      // The comments of an earlier run whose files were lost must not come again.
      m_serial=(long)MathMax(ended,TimeGMT()%MTNET_SERIAL_FIRST);
      return(true);
     }
   if(state==MTNET_STATE_DAMAGED)
      return(false);
   while(m_state.Next(row))
     {
      MtnetOrder order;
      long value=0;
      if(row.Verb()=="SERIAL" && row.Number("of",value))
         m_serial=(long)MathMax(m_serial,value);
      if(row.Verb()!="ORDER" || !row.Number("serial",order.serial))
         continue;
      if(order.serial<=ended && !CMtnetText::IsListed(waiting,row.Text("serial")))
         continue;
      order.name=row.Text("name");
      order.key=row.Text("key");
      order.symbol=row.Text("symbol");
      order.type=(int)StringToInteger(row.Text("type"));
      order.lots=StringToDouble(row.Text("lots"));
      order.position=(ulong)StringToInteger(row.Text("position"));
      order.ticket=(ulong)StringToInteger(row.Text("ticket"));
      order.time=(datetime)StringToInteger(row.Text("time"));
      order.comment=row.Text("comment");
      order.patience=MTNET_PATIENCE;
      order.waited=0;
      order.looked=0;
      order.ended=false;
      int size=ArraySize(rows);
      ArrayResize(rows,size+1,16);
      rows[size]=order;
     }
   return(true);
  }

//--- the ledger is on disk: what has ended is in it
void CMtnetOrders::Forget(void)
  {
   int kept=0;
   for(int i=0; i<ArraySize(rows); i++)
      if(!rows[i].ended)
        {
         if(kept<i)
            rows[kept]=rows[i];
         kept++;
        }
   if(kept==ArraySize(rows))
      return;
   ArrayResize(rows,kept);
   Save();
  }

//--- the serials that are on their way
string CMtnetOrders::Waiting(void) const
  {
   string list="";
   for(int i=0; i<ArraySize(rows); i++)
      if(!rows[i].ended)
         list+=(list=="" ? "" : ",")+IntegerToString(rows[i].serial);
   return(list);
  }
//+------------------------------------------------------------------+
