//+------------------------------------------------------------------+
//| Table.mqh: positions and orders by their key in a channel        |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Frame.mqh>
#include <Mtnet/Common/Index.mqh>
#include <Mtnet/Common/Text.mqh>

//--- a position or order as a channel holds it; the key is (symbol, ticket)
struct MtnetPosition
  {
   string            symbol;
   string            ticket;   // "" = the net position of the symbol
   string            type;     // "position", "buy_limit" ...
   double            lots;     // positive = buy, negative = sell, 0 = none
   double            price;    // 0 = absent, likewise sl and tp
   double            sl;
   double            tp;
   long              magic;
   long              time;     // ms UTC, of its opening; 0 = unknown
   long              seq;      // of the entry that set it
  };

class CMtnetTable
  {
private:
   MtnetPosition     m_rows[];
   int               m_size;
   long              m_version;   // rises with each change
   CMtnetIndex       m_index;
   CMtnetIndex       m_tickets;   // how many a symbol has

   void              CountTicket(const MtnetPosition &position,const int more);
   void              RemoveAt(const int at);

public:
                     CMtnetTable(void);
   void              Clear(void);
   long              Version(void) const;
   int               Size(void) const;
   int               Find(const string symbol,const string ticket) const;
   void              Get(const int at,MtnetPosition &position) const;
   void              Set(const MtnetPosition &position);
   void              Apply(const MtnetPosition &position);
   bool              HasOtherForm(const string symbol,const string ticket) const;
   double            Net(const string symbol) const;
   static string     Key(const string symbol,const string ticket);
   static void       Reset(MtnetPosition &position);
   static bool       Read(const CMtnetFrame &frame,MtnetPosition &position);
   static string     Fields(const MtnetPosition &position,const int digits);
  };

CMtnetTable::CMtnetTable(void)
  {
   m_version=0;
   Clear();
  }

void CMtnetTable::Clear(void)
  {
   m_size=0;
   m_version++;
   m_index.Clear();
   m_tickets.Clear();
  }

long CMtnetTable::Version(void) const
  {
   return(m_version);
  }

int CMtnetTable::Size(void) const
  {
   return(m_size);
  }

//--- no symbol contains a bar
string CMtnetTable::Key(const string symbol,const string ticket)
  {
   return(ticket=="" ? symbol : symbol+"|"+ticket);
  }

//--- -1 = it is not there
int CMtnetTable::Find(const string symbol,const string ticket) const
  {
   return(m_index.Find(Key(symbol,ticket)));
  }

void CMtnetTable::Get(const int at,MtnetPosition &position) const
  {
   position=m_rows[at];
  }

void CMtnetTable::Reset(MtnetPosition &position)
  {
   position.symbol="";
   position.ticket="";
   position.type="position";
   position.lots=0;
   position.price=0;
   position.sl=0;
   position.tp=0;
   position.magic=0;
   position.time=0;
   position.seq=0;
  }

//--- sets one key; 0 lots remove it
void CMtnetTable::Set(const MtnetPosition &position)
  {
   string key=Key(position.symbol,position.ticket);
   int at=m_index.Find(key);
   if(position.lots==0)
     {
      if(at>=0)
         RemoveAt(at);
      return;
     }
   if(at<0)
     {
      at=m_size;
      m_size++;
      if(m_size>ArraySize(m_rows))
         ArrayResize(m_rows,m_size,256);
      m_index.Set(key,at);
      CountTicket(position,1);
     }
   m_rows[at]=position;
   m_version++;
  }

//--- an entry of a channel: without a ticket, 0 lots close every ticket of the symbol, and a net
//--- position replaces them
void CMtnetTable::Apply(const MtnetPosition &position)
  {
   if(position.ticket=="" && m_tickets.Find(position.symbol)>0)
      for(int i=m_size-1; i>=0; i--)
         if(m_rows[i].symbol==position.symbol && m_rows[i].ticket!="")
            RemoveAt(i);
   Set(position);
  }

void CMtnetTable::CountTicket(const MtnetPosition &position,const int more)
  {
   if(position.ticket!="")
      m_tickets.Set(position.symbol,(int)MathMax(0,m_tickets.Find(position.symbol))+more);
  }

//--- the last row takes the place
void CMtnetTable::RemoveAt(const int at)
  {
   m_index.Remove(Key(m_rows[at].symbol,m_rows[at].ticket));
   CountTicket(m_rows[at],-1);
   m_version++;
   m_size--;
   if(at==m_size)
      return;
   m_rows[at]=m_rows[m_size];
   m_index.Set(Key(m_rows[at].symbol,m_rows[at].ticket),at);
  }

//--- A symbol has a net position or tickets, never both: whether it has the other.
bool CMtnetTable::HasOtherForm(const string symbol,const string ticket) const
  {
   return(ticket!="" ? Find(symbol,"")>=0 : m_tickets.Find(symbol)>0);
  }

//--- lots that are held of a symbol, over its tickets if it has any; orders are not held
double CMtnetTable::Net(const string symbol) const
  {
   double lots=0;
   for(int i=0; i<m_size; i++)
      if(m_rows[i].symbol==symbol && m_rows[i].type=="position")
         lots+=m_rows[i].lots;
   return(NormalizeDouble(lots,8));
  }

//--- of POSITION, SIGNAL, or a row of a file. False = it cannot be read, and must not be skipped.
bool CMtnetTable::Read(const CMtnetFrame &frame,MtnetPosition &position)
  {
   Reset(position);
   position.symbol=frame.Text("symbol");
   position.ticket=frame.Text("ticket");
   if(frame.Has("type"))
      position.type=frame.Text("type");
   // The opening decides how old a position is; older servers send only the entry's time.
   string time=(frame.Has("opened") ? "opened" : "time");
   if(frame.Has(time) && !frame.Number(time,position.time))
      return(false);
   if(frame.Has("seq") && !frame.Number("seq",position.seq))
      return(false);
   position.magic=StringToInteger(frame.Text("magic"));
   return(position.symbol!="" && frame.Lots("volume",position.lots)
          && frame.Price("price",position.price) && frame.Price("sl",position.sl)
          && frame.Price("tp",position.tp));
  }

//--- those of PUBLISH, whole: what is left out is absent
string CMtnetTable::Fields(const MtnetPosition &position,const int digits)
  {
   string fields=CMtnetText::Field("symbol",position.symbol)
                 +CMtnetText::Field("volume",CMtnetText::Lots(position.lots));
   if(position.ticket!="")
      fields+=CMtnetText::Field("ticket",position.ticket);
   if(position.price!=0)
      fields+=CMtnetText::Field("price",CMtnetText::Price(position.price,digits));
   if(position.lots==0)
      return(fields);
   if(position.type!="position")
      fields+=CMtnetText::Field("type",position.type);
   if(position.sl!=0)
      fields+=CMtnetText::Field("sl",CMtnetText::Price(position.sl,digits));
   if(position.tp!=0)
      fields+=CMtnetText::Field("tp",CMtnetText::Price(position.tp,digits));
   if(position.magic!=0)
      fields+=CMtnetText::Field("magic",IntegerToString(position.magic));
   return(fields);
  }
//+------------------------------------------------------------------+
