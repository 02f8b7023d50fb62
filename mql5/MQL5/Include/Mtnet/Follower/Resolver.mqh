//+------------------------------------------------------------------+
//| Resolver.mqh: orders on their way, and how each of them ended    |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/History.mqh>
#include <Mtnet/Account/Limits.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Follower/Ledger.mqh>

#define MTNET_IDLE       1000     // ms between two looks at an account where nothing happens
#define MTNET_LONG       20000    // ms until people are told that an order's end is not known

class CMtnetResolver
  {
private:
   static void       Resolve(CMtnetLedger &ledger,const int at);
   static void       EndMarket(CMtnetLedger &ledger,const int at,const MtnetFate &fate);
   static void       EndPending(CMtnetLedger &ledger,const int at,const MtnetFate &fate);
   static void       GiveUp(CMtnetLedger &ledger,const int at);

public:
   static void       ResolveAll(CMtnetLedger &ledger);
  };

void CMtnetResolver::ResolveAll(CMtnetLedger &ledger)
  {
   ulong now=GetTickCount64();
   ledger.troubles.lost="";
   for(int i=ArraySize(ledger.orders.rows)-1; i>=0; i--)
     {
      if(ledger.orders.rows[i].ended)
         continue;
      ledger.turn.busy=true;
      ulong passed=now-ledger.orders.rows[i].looked;
      if(ledger.orders.rows[i].waited>=MTNET_LONG)
         ledger.troubles.lost="the end of an order for "+ledger.orders.rows[i].name
                              +" is not known";
      if(passed<MTNET_ORDER_LOOK)
         continue;
      // Only time in which the account could be looked at counts.
      if(ledger.orders.rows[i].looked>0)
         ledger.orders.rows[i].waited+=(ulong)MathMin(passed,(ulong)MTNET_IDLE);
      ledger.orders.rows[i].looked=now;
      Resolve(ledger,i);
     }
  }

void CMtnetResolver::Resolve(CMtnetLedger &ledger,const int at)
  {
   MtnetFate fate;
   if(ledger.orders.rows[at].ticket==0)
      ledger.orders.rows[at].ticket=ledger.orders.Search(ledger.orders.rows[at]);
   ulong ticket=ledger.orders.rows[at].ticket;
   if(ticket==0)
     {
      GiveUp(ledger,at);
      return;
     }
   CMtnetHistory::Fate(ticket,fate);
   bool pending=(ledger.orders.rows[at].key!="");
   if(pending && (fate.open || fate.ended))
      EndPending(ledger,at,fate);
   else if(fate.ended)
      EndMarket(ledger,at,fate);
   else if(!fate.open)
      GiveUp(ledger,at);
  }

//--- a market order has ended: filled, in part, or not at all
void CMtnetResolver::EndMarket(CMtnetLedger &ledger,const int at,const MtnetFate &fate)
  {
   int copy=ledger.copies.Find(ledger.orders.rows[at].name);
   int side=(ledger.orders.rows[at].type==ORDER_TYPE_BUY ? 1 : -1);
   ledger.orders.rows[at].ended=true;
   ledger.dirty=true;
   ledger.turn.touched=true;
   ledger.copies.rows[copy].order=0;
   ledger.copies.rows[copy].held=NormalizeDouble(ledger.copies.rows[copy].held+side*fate.filled,8);
   ulong id=(fate.position>0 ? fate.position : ledger.orders.rows[at].ticket);
   if(fate.filled>0)
     {
      ledger.copies.AddId(copy,id);
      ledger.copies.rows[copy].wait.Taken();
      ledger.symbols.Taken(ledger.copies.rows[copy].spec);
     }
   else
      ledger.copies.rows[copy].wait.Refused(TRADE_RETCODE_REJECT);
   Print("mtnet: order ",ledger.orders.rows[at].ticket," of ",ledger.orders.rows[at].name,": ",
         CMtnetText::Lots(fate.filled)," of ",CMtnetText::Lots(ledger.orders.rows[at].lots),
         " lots were filled");
  }

//--- A pending order has arrived. Its further fate is found by its ticket.
void CMtnetResolver::EndPending(CMtnetLedger &ledger,const int at,const MtnetFate &fate)
  {
   int row=ledger.follows.FindKey(ledger.orders.rows[at].key);
   ledger.orders.rows[at].ended=true;
   ledger.dirty=true;
   ledger.turn.touched=true;
   ledger.follows.rows[row].sent=0;
   ledger.follows.rows[row].order=ledger.orders.rows[at].ticket;
   ledger.follows.rows[row].removing=false;
   ledger.follows.rows[row].wait.Taken();
  }

//--- It is found nowhere. An opening that is sent again too early would be bought twice, and one
//--- that is never sent again is missing: minutes of a steady connection decide.
void CMtnetResolver::GiveUp(CMtnetLedger &ledger,const int at)
  {
   string name=ledger.orders.rows[at].name,key=ledger.orders.rows[at].key;
   if(ledger.orders.rows[at].waited<ledger.orders.rows[at].patience)
      return;
   Print("mtnet: order ",ledger.orders.rows[at].comment," of ",name," never arrived");
   if(key!="")
      ledger.follows.rows[ledger.follows.FindKey(key)].sent=0;
   else
      ledger.copies.rows[ledger.copies.Find(name)].order=0;
   ledger.orders.rows[at].ended=true;
   ledger.dirty=true;
   ledger.turn.touched=true;
  }
//+------------------------------------------------------------------+
