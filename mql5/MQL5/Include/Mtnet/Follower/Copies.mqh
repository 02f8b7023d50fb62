//+------------------------------------------------------------------+
//| Copies.mqh: the positions and orders of this account that are    |
//| copies                                                           |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/History.mqh>
#include <Mtnet/Account/Limits.mqh>
#include <Mtnet/Account/Mark.mqh>
#include <Mtnet/Account/Symbols.mqh>
#include <Mtnet/Common/Frame.mqh>
#include <Mtnet/Common/Index.mqh>
#include <Mtnet/Common/State.mqh>
#include <Mtnet/Common/Table.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Common/Tickets.mqh>
#include <Mtnet/Follower/Orders.mqh>

//--- The copy of one key of the channel; where positions are netted, of one symbol.
struct MtnetCopy
  {
   string            name;       // its key
   string            symbol;     // the provider's name
   int               spec;       // row of CMtnetSymbols
   ulong             ids[];      // identifiers of its positions
   double            held;       // lots, signed, after the last order whose end is known
   double            have;       // that the terminal shows
   double            want;       // that are to be held
   double            part;       // the same before the broker's step
   double            sl;         // of the provider, 0 = none
   double            tp;
   int               parts;      // positions of the provider in it
   bool              stopped;    // this program has set some
   long              order;      // serial of the order on its way, 0 = none
   bool              unclear;    // a pending order of it has vanished, its end is not known
   double            price;      // of the last fill
   ulong             unproven;   // tick count since which have and held differ without a proof
   ulong             look;       // when the history is asked again
   bool              bare;       // the broker refuses stops with an opening
   string            line;       // its row of the state file
   double            sum;        // over what the row was made of
   string            cut;        // why `want` is less than `part`
   string            why;        // `have` is not `want`
   MtnetWait         wait;
   MtnetWait         stopwait;
  };

//--- a position of the terminal that belongs to a copy
struct MtnetHeld
  {
   ulong             ticket;
   ulong             id;
   int               copy;
   int               side;
   double            lots;
   double            sl;
   double            tp;
  };

//--- a pending order of the terminal with the magic number
struct MtnetPlaced
  {
   ulong             ticket;
   int               type;
   double            lots;
   double            initial;    // lots, before it was filled in part
   double            price;
   double            sl;
   double            tp;
   string            symbol;
   string            comment;
  };

//+------------------------------------------------------------------+
//| A position is found again by its identifier, which never changes,|
//| and after the loss of the ledger by the mark in its comment.     |
//+------------------------------------------------------------------+
class CMtnetCopies
  {
private:
   long              m_magic;
   bool              m_netting;
   string            m_mark;
   CMtnetIndex       m_index;     // by name
   CMtnetTickets     m_ids;       // identifier to copy
   CMtnetTickets     m_foreign;   // identifiers that are no copies
   int               m_strangers;

   int               Place(CMtnetSymbols &symbols,const string symbol,const string comment);
   bool              Count(CMtnetSymbols &symbols,const int total);
   bool              AddPosition(CMtnetSymbols &symbols,const ulong ticket);
   int               Owner(CMtnetSymbols &symbols,const ulong id);
   bool              CountOrders(void);
   string            Line(const int row) const;

public:
   MtnetCopy         rows[];
   MtnetHeld         held[];
   MtnetPlaced       placed[];

   void              Begin(const long magic,const bool netting,const string mark);
   string            Name(const string symbol,const string ticket) const;
   int               Find(const string name) const { return(m_index.Find(name)); }
   int               Row(CMtnetSymbols &symbols,const string name,const string symbol);
   void              AddId(const int row,const ulong id);
   bool              Scan(CMtnetSymbols &symbols);
   bool              HoldsAny(void) const;
   int               FindPlaced(const ulong ticket) const;
   int               Strangers(void) const { return(m_strangers); }
   void              Settle(const int row);
   void              Tally(int &holding,int &differing) const;
   void              Write(CMtnetState &state);
   bool              Read(CMtnetSymbols &symbols,const CMtnetFrame &frame);
  };

void CMtnetCopies::Begin(const long magic,const bool netting,const string mark)
  {
   m_mark=mark;
   m_magic=magic;
   m_netting=netting;
   m_strangers=0;
   ArrayResize(rows,0);
   ArrayResize(held,0);
   ArrayResize(placed,0);
   m_index.Clear();
   m_ids.Clear();
   m_foreign.Clear();
  }

string CMtnetCopies::Name(const string symbol,const string ticket) const
  {
   return(CMtnetTable::Key(symbol,m_netting ? "" : ticket));
  }

int CMtnetCopies::Row(CMtnetSymbols &symbols,const string name,const string symbol)
  {
   int row=m_index.Find(name);
   if(row>=0)
      return(row);
   row=ArraySize(rows);
   ArrayResize(rows,row+1,256);
   rows[row].name=name;
   rows[row].symbol=symbol;
   rows[row].spec=symbols.Row(symbol);
   ArrayResize(rows[row].ids,0);
   rows[row].held=0;
   rows[row].have=0;
   rows[row].want=0;
   rows[row].part=0;
   rows[row].sl=0;
   rows[row].tp=0;
   rows[row].parts=0;
   rows[row].unclear=false;
   rows[row].stopped=false;
   rows[row].order=0;
   rows[row].price=0;
   rows[row].unproven=0;
   rows[row].look=0;
   rows[row].bare=false;
   rows[row].line="";
   rows[row].sum=0;
   rows[row].cut="";
   rows[row].why="";
   rows[row].wait.Begin();
   rows[row].stopwait.Begin();
   m_index.Set(name,row);
   return(row);
  }

void CMtnetCopies::AddId(const int row,const ulong id)
  {
   if(id==0 || m_ids.Find(id)==row)
      return;
   int size=ArraySize(rows[row].ids);
   ArrayResize(rows[row].ids,size+1);
   rows[row].ids[size]=id;
   m_ids.Set(id,row);
   m_foreign.Remove(id);
  }

//--- Looks at the account. False = it changed meanwhile, or the terminal does not know: nothing
//--- may be concluded from what was seen.
bool CMtnetCopies::Scan(CMtnetSymbols &symbols)
  {
   int total=PositionsTotal();
   m_strangers=0;
   for(int i=0; i<ArraySize(rows); i++)
      rows[i].have=0;
   ArrayResize(held,0,total);
   for(int i=0; i<total; i++)
     {
      ulong ticket=PositionGetTicket(i);
      if(ticket==0 || !AddPosition(symbols,ticket))
         return(false);
     }
   for(int i=0; i<ArraySize(rows); i++)
      rows[i].have=NormalizeDouble(rows[i].have,8);
   return(PositionsTotal()==total && CountOrders());
  }

//--- the selected position, if it is a copy
bool CMtnetCopies::AddPosition(CMtnetSymbols &symbols,const ulong ticket)
  {
   ulong id=(ulong)PositionGetInteger(POSITION_IDENTIFIER);
   int copy=Owner(symbols,id);
   if(copy<0)
      return(true);
   double lots=PositionGetDouble(POSITION_VOLUME);
   if(lots<=0)
      return(false);
   int size=ArraySize(held);
   ArrayResize(held,size+1,256);
   held[size].ticket=ticket;
   held[size].id=id;
   held[size].copy=copy;
   held[size].side=(PositionGetInteger(POSITION_TYPE)==POSITION_TYPE_BUY ? 1 : -1);
   held[size].lots=lots;
   held[size].sl=PositionGetDouble(POSITION_SL);
   held[size].tp=PositionGetDouble(POSITION_TP);
   rows[copy].have+=held[size].side*lots;
   return(true);
  }

//--- the copy of the selected position, -1 = it is none
int CMtnetCopies::Owner(CMtnetSymbols &symbols,const ulong id)
  {
   int copy=m_ids.Find(id);
   if(copy>=0 || m_foreign.Find(id)>=0)
      return(copy);
   string comment=PositionGetString(POSITION_COMMENT);
   if(PositionGetInteger(POSITION_MAGIC)!=m_magic || CMtnetMark::IsOfOther(m_mark,comment))
     {
      m_foreign.Set(id,0);
      return(-1);
     }
   copy=Place(symbols,PositionGetString(POSITION_SYMBOL),comment);
   if(copy>=0)
      AddId(copy,id);
   else
      m_strangers++;
   return(copy);
  }

//--- The copy that a position with the magic number belongs to; -1 = nothing says it.
int CMtnetCopies::Place(CMtnetSymbols &symbols,const string symbol,const string comment)
  {
   string theirs=symbols.Theirs(symbol),tag=CMtnetOrders::TagOf(m_mark,comment);
   if(theirs=="" || (!m_netting && tag==""))
      return(-1);
   if(m_netting)
      return(Row(symbols,Name(theirs,""),theirs));
   string ticket=StringSubstr(tag,StringLen(m_mark)+1);
   // A long ticket stands in the comment as its hash.
   if(StringSubstr(ticket,0,1)=="~")
      for(int i=0; i<ArraySize(rows); i++)
         if(rows[i].symbol==theirs
            && CMtnetOrders::Tag(m_mark,StringSubstr(rows[i].name,StringLen(theirs)+1))==tag)
            return(i);
   return(Row(symbols,Name(theirs,ticket),theirs));
  }

bool CMtnetCopies::CountOrders(void)
  {
   int total=OrdersTotal(),size=0;
   ArrayResize(placed,0,total);
   for(int i=0; i<total; i++)
     {
      ulong ticket=OrderGetTicket(i);
      if(ticket==0)
         return(false);
      string comment=OrderGetString(ORDER_COMMENT);
      if(OrderGetInteger(ORDER_MAGIC)!=m_magic || CMtnetMark::IsOfOther(m_mark,comment)
         || OrderGetInteger(ORDER_TYPE)<=ORDER_TYPE_SELL)
         continue;
      ArrayResize(placed,size+1,64);
      placed[size].ticket=ticket;
      placed[size].type=(int)OrderGetInteger(ORDER_TYPE);
      placed[size].lots=OrderGetDouble(ORDER_VOLUME_CURRENT);
      placed[size].initial=OrderGetDouble(ORDER_VOLUME_INITIAL);
      placed[size].price=OrderGetDouble(ORDER_PRICE_OPEN);
      placed[size].sl=OrderGetDouble(ORDER_SL);
      placed[size].tp=OrderGetDouble(ORDER_TP);
      placed[size].symbol=OrderGetString(ORDER_SYMBOL);
      placed[size].comment=comment;
      size++;
     }
   return(OrdersTotal()==total);
  }

bool CMtnetCopies::HoldsAny(void) const
  {
   return(ArraySize(held)>0 || ArraySize(placed)>0 || m_strangers>0);
  }

//--- -1 = the terminal does not show it
int CMtnetCopies::FindPlaced(const ulong ticket) const
  {
   for(int i=0; i<ArraySize(placed); i++)
      if(placed[i].ticket==ticket)
         return(i);
   return(-1);
  }

//--- What the terminal shows is proven: it is what is held. Identifiers of what was closed are
//--- forgotten, so that the history of one copy stays short.
void CMtnetCopies::Settle(const int row)
  {
   rows[row].held=rows[row].have;
   rows[row].unproven=0;
   if(rows[row].have!=0)
      return;
   for(int i=0; i<ArraySize(rows[row].ids); i++)
      m_ids.Remove(rows[row].ids[i]);
   ArrayResize(rows[row].ids,0);
   rows[row].stopped=false;
   rows[row].bare=false;
  }

//--- how many copies hold something, and how many are not as they should be
void CMtnetCopies::Tally(int &holding,int &differing) const
  {
   for(int i=0; i<ArraySize(rows); i++)
     {
      holding+=(rows[i].have!=0 ? 1 : 0);
      differing+=(CMtnetText::SameLots(rows[i].have,rows[i].want) ? 0 : 1);
     }
  }

//--- the rows of the state file
void CMtnetCopies::Write(CMtnetState &state)
  {
   for(int i=0; i<ArraySize(rows); i++)
     {
      int size=ArraySize(rows[i].ids);
      if(rows[i].held==0 && size==0)
         continue;
      double sum=rows[i].held*1009+size*7+(rows[i].stopped ? 3 : 0)
                 +(size>0 ? (double)rows[i].ids[size-1]*11 : 0);
      if(rows[i].line=="" || sum!=rows[i].sum)
         rows[i].line=Line(i);
      rows[i].sum=sum;
      state.Add(rows[i].line);
     }
  }

string CMtnetCopies::Line(const int row) const
  {
   string ids="";
   for(int i=0; i<ArraySize(rows[row].ids); i++)
      ids+=(i>0 ? "," : "")+IntegerToString((long)rows[row].ids[i]);
   return("COPY"+CMtnetText::Field("name",rows[row].name)
          +CMtnetText::Field("symbol",rows[row].symbol)
          +"|held="+CMtnetText::Lots(rows[row].held)
          +"|stopped="+(rows[row].stopped ? "1" : "0")+"|ids="+ids);
  }

//--- false = it is no row of this list
bool CMtnetCopies::Read(CMtnetSymbols &symbols,const CMtnetFrame &frame)
  {
   if(frame.Verb()!="COPY")
      return(false);
   int row=Row(symbols,frame.Text("name"),frame.Text("symbol"));
   rows[row].held=StringToDouble(frame.Text("held"));
   rows[row].stopped=(frame.Text("stopped")=="1");
   string ids[];
   int size=CMtnetText::Items(frame.Text("ids"),ids);
   for(int i=0; i<size; i++)
      AddId(row,(ulong)StringToInteger(ids[i]));
   return(true);
  }
//+------------------------------------------------------------------+
