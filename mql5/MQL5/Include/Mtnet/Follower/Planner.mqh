//+------------------------------------------------------------------+
//| Planner.mqh: what the account is to hold                         |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Follower/Ledger.mqh>

class CMtnetPlanner
  {
private:
   static void       Decide(CMtnetLedger &ledger,const int row);
   static string     Refusal(CMtnetLedger &ledger,const int row);
   static double     MostDistance(CMtnetLedger &ledger,const string name);
   static void       Add(CMtnetLedger &ledger,const int row);
   static void       Bound(CMtnetLedger &ledger,const int copy);

public:
   static void       Plan(CMtnetLedger &ledger);
   static bool       StillOpens(CMtnetLedger &ledger,const int copy);
  };

void CMtnetPlanner::Plan(CMtnetLedger &ledger)
  {
   if(!ledger.turn.plan)
      return;
   ledger.turn.plan=false;
   ledger.troubles.missing="";
   for(int i=0; i<ArraySize(ledger.copies.rows); i++)
     {
      ledger.copies.rows[i].part=0;
      ledger.copies.rows[i].parts=0;
      ledger.copies.rows[i].sl=0;
      ledger.copies.rows[i].tp=0;
     }
   for(int i=0; i<ArraySize(ledger.follows.rows); i++)
     {
      if(ledger.follows.rows[i].lots>0 && ledger.follows.rows[i].decision!=MTNET_RELEASED)
         Decide(ledger,i);
      Add(ledger,i);
     }
   for(int i=0; i<ArraySize(ledger.copies.rows); i++)
      Bound(ledger,i);
  }

//--- An opening is decided once, when the account knows enough for it.
void CMtnetPlanner::Decide(CMtnetLedger &ledger,const int row)
  {
   string symbol=ledger.follows.rows[row].symbol;
   if(!ledger.symbols.Wanted(symbol))
     {
      ledger.follows.rows[row].decision=MTNET_LEFT;
      ledger.follows.rows[row].copied=0;
      return;
     }
   if(ledger.follows.rows[row].spec<0)
      ledger.follows.rows[row].spec=ledger.symbols.Row(symbol);
   if(ledger.follows.rows[row].copy<0)
      ledger.follows.rows[row].copy=ledger.CopyOf(row);
   if(ledger.follows.rows[row].decision==MTNET_LEFT)
      ledger.follows.rows[row].decision=MTNET_UNDECIDED;
   if(ledger.follows.rows[row].decision!=MTNET_UNDECIDED)
      return;
   string why=Refusal(ledger,row);
   ledger.dirty=true;
   if(ledger.follows.rows[row].decision==MTNET_RELEASED)
      return;
   ledger.follows.rows[row].why=why;
   if(why=="")
      ledger.follows.Copy(row);
   else
      ledger.turn.plan=true;
  }

//--- Why an opening cannot be decided yet, or is released at once. "" = it is to be copied.
string CMtnetPlanner::Refusal(CMtnetLedger &ledger,const int row)
  {
   int spec=ledger.follows.rows[row].spec;
   string name=ledger.symbols.Name(spec);
   if(ledger.follows.rows[row].type==MTNET_STRANGE)
      return("its type is not known to this program");
   if(!ledger.symbols.Known(spec))
     {
      ledger.troubles.missing=name;
      return("no symbol "+name+" here");
     }
   long age=ledger.turn.now-ledger.follows.rows[row].opened;
   if(ledger.age>0 && ledger.follows.rows[row].opened>0 && age>1000*ledger.age)
     {
      ledger.follows.Release(row,"it was opened "+IntegerToString(age/1000)+" s ago");
      return("late");
     }
   MqlTick tick;
   double most=MostDistance(ledger,name);
   if(most<=0 || ledger.follows.rows[row].price<=0 || ledger.follows.rows[row].IsOrder())
      return("");
   if(!SymbolInfoTick(name,tick) || tick.ask<=0 || tick.bid<=0)
      return("no price of "+name+" yet");
   double price=(ledger.follows.rows[row].side>0 ? tick.ask : tick.bid);
   if(MathAbs(price-ledger.follows.rows[row].price)<=most+MTNET_PRICE_LEAST)
      return("");
   ledger.follows.Release(row,"the price is "+DoubleToString(price,ledger.symbols.Decimals(spec)));
   return("far");
  }

//--- price units between the provider's price and ours at which nothing is opened; 0 = any
double CMtnetPlanner::MostDistance(CMtnetLedger &ledger,const string name)
  {
   double most=ledger.rules.slippage*SymbolInfoDouble(name,SYMBOL_POINT);
   if(ledger.distance>0 && (most<=0 || ledger.distance<most))
      return(ledger.distance);
   return(most);
  }

//--- Openings that have waited may have become too old, or too far away.
bool CMtnetPlanner::StillOpens(CMtnetLedger &ledger,const int copy)
  {
   if(ledger.copies.rows[copy].held!=0)
      return(true);
   bool all=true;
   for(int i=0; i<ArraySize(ledger.follows.rows); i++)
     {
      if(ledger.follows.rows[i].copy!=copy || ledger.follows.rows[i].reached
         || ledger.follows.rows[i].lots==0
         || ledger.follows.rows[i].decision!=MTNET_COPIED || ledger.follows.rows[i].IsOrder()
         || ledger.follows.rows[i].turned>0)
         continue;
      if(Refusal(ledger,i)!="")
         all=false;
     }
   if(!all)
     {
      ledger.turn.plan=true;
      ledger.turn.touched=true;
     }
   return(all);
  }

//--- the part of one follow in what its copy is to hold
void CMtnetPlanner::Add(CMtnetLedger &ledger,const int row)
  {
   int copy=ledger.follows.rows[row].copy;
   if(copy<0 || ledger.follows.rows[row].decision!=MTNET_COPIED)
      return;
   if(ledger.follows.rows[row].IsOrder())
     {
      // Filled here before the provider's: it is kept until the provider's ends.
      ledger.copies.rows[copy].part+=ledger.follows.rows[row].early;
      return;
     }
   ledger.copies.rows[copy].part+=ledger.follows.rows[row].Part();
   if(ledger.follows.rows[row].lots==0)
      return;
   // Several tickets in one netted position have no stops in common.
   ledger.copies.rows[copy].parts++;
   bool alone=(ledger.copies.rows[copy].parts==1);
   ledger.copies.rows[copy].sl=(alone ? ledger.follows.rows[row].sl : 0);
   ledger.copies.rows[copy].tp=(alone ? ledger.follows.rows[row].tp : 0);
  }

void CMtnetPlanner::Bound(CMtnetLedger &ledger,const int copy)
  {
   int spec=ledger.copies.rows[copy].spec;
   double part=NormalizeDouble(ledger.copies.rows[copy].part,8);
   ledger.copies.rows[copy].cut="";
   if(part!=0 && !ledger.symbols.Known(spec))
     {
      ledger.copies.rows[copy].want=ledger.copies.rows[copy].held;
      ledger.copies.rows[copy].cut="no symbol "+ledger.symbols.Name(spec)+" here";
      ledger.turn.plan=true;
      return;
     }
   ledger.copies.rows[copy].want=ledger.symbols.Floor(spec,part);
   if(part!=0 && ledger.copies.rows[copy].want==0)
      ledger.copies.rows[copy].cut=ledger.symbols.Small(spec);
   else if(!CMtnetText::SameLots(part,ledger.copies.rows[copy].want))
      ledger.copies.rows[copy].cut=ledger.symbols.Stepped(spec);
  }
//+------------------------------------------------------------------+
