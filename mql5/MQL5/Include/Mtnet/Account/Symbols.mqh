//+------------------------------------------------------------------+
//| Symbols.mqh: the provider's symbols and this broker's            |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/Limits.mqh>
#include <Mtnet/Common/Index.mqh>
#include <Mtnet/Common/Text.mqh>

#define MTNET_SYMBOL_READ    60000   // ms; a broker may change steps and limits
#define MTNET_SYMBOL_SEARCH  5000    // ms between two looks for a symbol that is not there

//--- A symbol that is traded here, with the rules that its broker sets.
struct MtnetSymbol
  {
   string            theirs;     // the provider's name
   string            ours;       // the broker's name
   bool              known;      // the terminal knows it, with its volumes
   double            least;      // lots
   double            most;
   double            step;
   double            tick;       // the smallest step of its price
   int               digits;
   int               refused;    // bits of the fillings that were refused
   string            trouble;    // its last order was refused; "" = it was taken
   bool              told;       // people were told of it
   MtnetWait         wait;       // its market is closed
   ulong             next;       // when its rules are read again
  };

//+------------------------------------------------------------------+
//| A name is found in the map, or made of prefix and suffix.        |
//+------------------------------------------------------------------+
class CMtnetSymbols
  {
private:
   string            m_mapped[];   // the provider's names of the map
   string            m_targets[];  // and ours
   string            m_prefix;
   string            m_suffix;
   string            m_wanted[];
   MtnetSymbol       m_rows[];
   CMtnetIndex       m_index;      // by the provider's name

   bool              IsValid(const string name) const;
   bool              AddMapped(const string pair,string &why);
   bool              HasSession(const string name,const int day,const long second,
                                bool &within) const;
   void              ReadRules(const int row);

public:
   bool              Open(const string map,const string prefix,const string suffix,
                          const string wanted,string &why);
   bool              Wanted(const string theirs) const;
   string            Missing(void);
   bool              Refused(const int row,const uint code,const string why);
   void              Taken(const int row);
   bool              Waits(const int row) const { return(m_rows[row].wait.Waits()); }
   bool              NextTrouble(int &row,string &why);
   string            Ours(const string theirs) const;
   string            Theirs(const string ours) const;
   int               Row(const string theirs);
   int               Total(void) const { return(ArraySize(m_rows)); }
   void              Get(const int row,MtnetSymbol &symbol) const { symbol=m_rows[row]; }
   string            Name(const int row) const { return(m_rows[row].ours); }
   int               Decimals(const int row) const { return(m_rows[row].digits); }
   string            Small(const int row) const;
   string            Stepped(const int row) const;
   bool              Known(const int row);
   bool              IsOpen(const int row) const;
   double            Floor(const int row,const double lots) const;
   double            Order(const int row,const double lots) const;
   double            Price(const int row,const double price) const;
   ENUM_ORDER_TYPE_FILLING Filling(const int row) const;
   bool              RefuseFilling(const int row,const ENUM_ORDER_TYPE_FILLING filling);
  };

//--- false = the inputs contradict each other; why says where
bool CMtnetSymbols::Open(const string map,const string prefix,const string suffix,
                         const string wanted,string &why)
  {
   string pairs[];
   ArrayResize(m_mapped,0);
   ArrayResize(m_targets,0);
   ArrayResize(m_rows,0);
   m_index.Clear();
   m_prefix=prefix;
   m_suffix=suffix;
   int size=CMtnetText::Items(map,pairs);
   for(int i=0; i<size; i++)
      if(!AddMapped(pairs[i],why))
         return(false);
   CMtnetText::Items(wanted,m_wanted);
   for(int i=0; i<ArraySize(m_wanted); i++)
      if(!IsValid(m_wanted[i]))
        {
         why="'"+m_wanted[i]+"' in the list of symbols is no symbol";
         return(false);
        }
   return(true);
  }

//--- a symbol has 1 to 32 characters, none of them a mark of a frame
bool CMtnetSymbols::IsValid(const string name) const
  {
   return(StringLen(name)>0 && StringLen(name)<=32 && StringFind(name,"|")<0
          && StringFind(name,"<")<0 && StringFind(name,">")<0);
  }

bool CMtnetSymbols::AddMapped(const string pair,string &why)
  {
   string sides[];
   if(StringSplit(pair,'=',sides)!=2)
     {
      why="'"+pair+"' in the symbol map is no pair. Example: XAUUSD=GOLD";
      return(false);
     }
   for(int i=0; i<2; i++)
     {
      StringTrimLeft(sides[i]);
      StringTrimRight(sides[i]);
     }
   int size=ArraySize(m_mapped);
   for(int i=0; i<size; i++)
      if(m_mapped[i]==sides[0] || m_targets[i]==sides[1])
        {
         why="'"+pair+"' in the symbol map names a symbol twice: two of the provider cannot be "
             "one here";
         return(false);
        }
   ArrayResize(m_mapped,size+1,16);
   ArrayResize(m_targets,size+1,16);
   m_mapped[size]=sides[0];
   m_targets[size]=sides[1];
   return(IsValid(sides[0]) && IsValid(sides[1]));
  }

//--- a symbol that the list leaves out is unknown, not flat
bool CMtnetSymbols::Wanted(const string theirs) const
  {
   int size=ArraySize(m_wanted);
   for(int i=0; i<size; i++)
      if(m_wanted[i]==theirs)
         return(true);
   return(size==0);
  }

//--- a symbol of the list that is not at this broker; "" = all are
string CMtnetSymbols::Missing(void)
  {
   for(int i=0; i<ArraySize(m_wanted); i++)
     {
      int row=Row(m_wanted[i]);
      if(!Known(row))
         return(m_rows[row].ours);
     }
   return("");
  }

//--- An order was refused. True = all orders of the symbol wait.
bool CMtnetSymbols::Refused(const int row,const uint code,const string why)
  {
   m_rows[row].trouble=why;
   if(!CMtnetRetcode::IsClosed(code))
      return(false);
   m_rows[row].wait.Refused(code);
   return(true);
  }

void CMtnetSymbols::Taken(const int row)
  {
   m_rows[row].trouble="";
   m_rows[row].wait.Taken();
  }

//--- The next symbol of which people are to be told; begin with row -1. Without a reason: it is
//--- over.
bool CMtnetSymbols::NextTrouble(int &row,string &why)
  {
   for(row++; row<ArraySize(m_rows); row++)
      if(m_rows[row].told!=(m_rows[row].trouble!=""))
        {
         m_rows[row].told=!m_rows[row].told;
         why=m_rows[row].trouble;
         return(true);
        }
   return(false);
  }

//--- this broker's name of a symbol of the provider
string CMtnetSymbols::Ours(const string theirs) const
  {
   for(int i=0; i<ArraySize(m_mapped); i++)
      if(m_mapped[i]==theirs)
         return(m_targets[i]);
   return(m_prefix+theirs+m_suffix);
  }

//--- "" = it is no symbol of the provider
string CMtnetSymbols::Theirs(const string ours) const
  {
   for(int i=0; i<ArraySize(m_mapped); i++)
      if(m_targets[i]==ours)
         return(m_mapped[i]);
   int front=StringLen(m_prefix),back=StringLen(m_suffix);
   int size=StringLen(ours)-front-back;
   if(size<1 || (front>0 && StringSubstr(ours,0,front)!=m_prefix)
      || (back>0 && StringSubstr(ours,front+size)!=m_suffix))
      return("");
   return(StringSubstr(ours,front,size));
  }

int CMtnetSymbols::Row(const string theirs)
  {
   int row=m_index.Find(theirs);
   if(row>=0)
      return(row);
   row=ArraySize(m_rows);
   ArrayResize(m_rows,row+1,256);
   m_rows[row].theirs=theirs;
   m_rows[row].ours=Ours(theirs);
   m_rows[row].known=false;
   m_rows[row].least=0;
   m_rows[row].most=0;
   m_rows[row].step=0;
   m_rows[row].tick=0;
   m_rows[row].digits=0;
   m_rows[row].refused=0;
   m_rows[row].trouble="";
   m_rows[row].told=false;
   m_rows[row].wait.Begin();
   m_rows[row].next=0;
   m_index.Set(theirs,row);
   return(row);
  }

//--- whether the terminal knows the symbol and its rules
bool CMtnetSymbols::Known(const int row)
  {
   ulong now=GetTickCount64();
   if(now>=m_rows[row].next)
     {
      ReadRules(row);
      m_rows[row].next=now+(m_rows[row].known ? MTNET_SYMBOL_READ : MTNET_SYMBOL_SEARCH);
     }
   return(m_rows[row].known);
  }

//--- What was read before stays, as long as the terminal does not know it again.
void CMtnetSymbols::ReadRules(const int row)
  {
   string ours=m_rows[row].ours;
   m_rows[row].known=false;
   // Two of the provider's symbols onto one would undo each other's trades.
   if(Theirs(ours)!=m_rows[row].theirs || !SymbolSelect(ours,true))
      return;
   double most=SymbolInfoDouble(ours,SYMBOL_VOLUME_MAX);
   double step=SymbolInfoDouble(ours,SYMBOL_VOLUME_STEP);
   if(step<=0 || most<=0)
      return;
   m_rows[row].least=SymbolInfoDouble(ours,SYMBOL_VOLUME_MIN);
   m_rows[row].most=most;
   m_rows[row].step=step;
   m_rows[row].tick=SymbolInfoDouble(ours,SYMBOL_TRADE_TICK_SIZE);
   m_rows[row].digits=(int)SymbolInfoInteger(ours,SYMBOL_DIGITS);
   m_rows[row].known=true;
  }

//--- Whether the broker's table of sessions lets trade now. A broker without a table says nothing.
bool CMtnetSymbols::IsOpen(const int row) const
  {
   MqlDateTime now;
   bool known=false,within=false;
   TimeToStruct(TimeTradeServer(),now);
   long second=now.hour*3600+now.min*60+now.sec;
   for(int day=0; day<7 && !within; day++)
      known=(HasSession(m_rows[row].ours,(now.day_of_week+day)%7,day==0 ? second : -1,within)
             || known);
   return(within || !known);
  }

//--- whether a day has sessions; within = the second of the day is in one
bool CMtnetSymbols::HasSession(const string name,const int day,const long second,
                               bool &within) const
  {
   datetime from=0,to=0;
   uint session=0;
   while(SymbolInfoSessionTrade(name,(ENUM_DAY_OF_WEEK)day,session,from,to))
     {
      long start=(long)from%86400,end=(long)to%86400;
      within=(within || (second>=start && (end==0 || second<end)));
      session++;
     }
   return(session>0);
  }

//--- why a volume is none
string CMtnetSymbols::Small(const int row) const
  {
   return("less than the smallest volume "+CMtnetText::Lots(m_rows[row].least));
  }

//--- why a volume is smaller than it might be
string CMtnetSymbols::Stepped(const int row) const
  {
   return("the step of the volume is "+CMtnetText::Lots(m_rows[row].step));
  }

//--- lots toward zero to the broker's step; below its minimum 0
double CMtnetSymbols::Floor(const int row,const double lots) const
  {
   double step=m_rows[row].step;
   if(step<=0)
      return(0);
   double whole=NormalizeDouble(MathFloor(MathAbs(lots)/step+MTNET_LEAST)*step,8);
   if(whole<m_rows[row].least-MTNET_LEAST)
      return(0);
   return(lots<0 ? -whole : whole);
  }

//--- the volume of one order toward so many lots; 0 = they are fewer than the broker takes
double CMtnetSymbols::Order(const int row,const double lots) const
  {
   double most=m_rows[row].most,least=m_rows[row].least,some=MathMin(lots,most);
   // The rest must not be too small for an order of its own.
   if(lots>most && lots-most<least)
      some=most-least;
   return(Floor(row,some));
  }

//--- a price in the broker's steps
double CMtnetSymbols::Price(const int row,const double price) const
  {
   double tick=m_rows[row].tick;
   if(tick<=0)
      return(NormalizeDouble(price,m_rows[row].digits));
   return(NormalizeDouble(MathRound(price/tick)*tick,m_rows[row].digits));
  }

//--- The rest of a partial fill is ordered again, so IOC is preferred.
ENUM_ORDER_TYPE_FILLING CMtnetSymbols::Filling(const int row) const
  {
   long modes=SymbolInfoInteger(m_rows[row].ours,SYMBOL_FILLING_MODE);
   int refused=m_rows[row].refused;
   if((modes&SYMBOL_FILLING_IOC)!=0 && (refused&(1<<ORDER_FILLING_IOC))==0)
      return(ORDER_FILLING_IOC);
   if((modes&SYMBOL_FILLING_FOK)!=0 && (refused&(1<<ORDER_FILLING_FOK))==0)
      return(ORDER_FILLING_FOK);
   return(ORDER_FILLING_RETURN);
  }

//--- true = there is another filling to try
bool CMtnetSymbols::RefuseFilling(const int row,const ENUM_ORDER_TYPE_FILLING filling)
  {
   m_rows[row].refused|=(1<<filling);
   if(filling!=ORDER_FILLING_RETURN)
      return(true);
   // All were refused: the broker may have meant the moment.
   m_rows[row].refused=0;
   return(false);
  }
//+------------------------------------------------------------------+
