//+------------------------------------------------------------------+
//| Proof.mqh: what is held, when terminal and ledger differ         |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/History.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Follower/Ledger.mqh>

#define MTNET_UNPROVEN   60000    // ms until people are told that terminal and history differ
#define MTNET_GIVE_UP    600000   // ms until a copy that nobody needs counts as closed

class CMtnetProof
  {
private:
   static void       Prove(CMtnetLedger &ledger,const int copy);
   static string     Difference(CMtnetLedger &ledger,const int copy);
   static void       Accept(CMtnetLedger &ledger,const int copy);
   static void       Closed(CMtnetLedger &ledger,const int copy);

public:
   static void       ProveAll(CMtnetLedger &ledger);
  };

void CMtnetProof::ProveAll(CMtnetLedger &ledger)
  {
   ledger.troubles.unproven="";
   for(int i=0; i<ArraySize(ledger.copies.rows); i++)
      Prove(ledger,i);
  }

//--- Compares the terminal with what is held. The deals of the copy's positions decide.
void CMtnetProof::Prove(CMtnetLedger &ledger,const int copy)
  {
   if(ledger.copies.rows[copy].order!=0 || ledger.copies.rows[copy].unclear)
      return;
   if(!ledger.IsUnproven(copy))
     {
      if(ledger.copies.rows[copy].unproven>0
         || (ledger.copies.rows[copy].held==0 && ArraySize(ledger.copies.rows[copy].ids)>0))
         ledger.copies.Settle(copy);
      return;
     }
   ulong now=GetTickCount64();
   ledger.turn.busy=true;
   if(ledger.copies.rows[copy].unproven==0)
      ledger.copies.rows[copy].unproven=now;
   ulong waited=now-ledger.copies.rows[copy].unproven;
   if(waited>=MTNET_UNPROVEN)
      ledger.troubles.unproven=Difference(ledger,copy);
   if(now<ledger.copies.rows[copy].look)
      return;
   ledger.copies.rows[copy].look=now+MTNET_ORDER_LOOK;
   bool known=false;
   double lots=CMtnetHistory::OpenLots(ledger.copies.rows[copy].ids,known);
   // A copy that the history does not know stays unproven: to count it as closed would close it
   // when the terminal has loaded it. Only where it is to be closed anyway nothing is lost.
   bool needless=(ledger.copies.rows[copy].part==0 && ledger.copies.rows[copy].have==0);
   if(known ? CMtnetText::SameLots(lots,ledger.copies.rows[copy].have) :
      needless && waited>=MTNET_GIVE_UP)
      Accept(ledger,copy);
  }

string CMtnetProof::Difference(CMtnetLedger &ledger,const int copy)
  {
   return("the terminal shows "+CMtnetText::Lots(ledger.copies.rows[copy].have)+" lots of "
          +ledger.copies.rows[copy].name+" and not "
          +CMtnetText::Lots(ledger.copies.rows[copy].held)+"; nothing is sent for it");
  }

//--- It is proven that the terminal is right.
void CMtnetProof::Accept(CMtnetLedger &ledger,const int copy)
  {
   double held=ledger.copies.rows[copy].held,have=ledger.copies.rows[copy].have;
   if(held!=0 && (have==0 || have*held<0 || MathAbs(have)<MathAbs(held)))
      Closed(ledger,copy);
   ledger.copies.Settle(copy);
   ledger.dirty=true;
   ledger.turn.plan=true;
  }

//--- Somebody else has closed: a hand, a stop, the broker. It is not bought again before the
//--- provider is flat; a part that was closed stays closed.
void CMtnetProof::Closed(CMtnetLedger &ledger,const int copy)
  {
   double held=ledger.copies.rows[copy].held,have=ledger.copies.rows[copy].have;
   double left=(have*held>0 ? MathAbs(have) : 0),sum=0;
   int size=ArraySize(ledger.follows.rows);
   for(int i=0; i<size; i++)
      if(ledger.follows.rows[i].copy==copy && ledger.follows.rows[i].decision==MTNET_COPIED)
         sum+=ledger.follows.rows[i].Share();
   Print("mtnet: ",ledger.copies.rows[copy].name,": ",CMtnetText::Lots(held),
         " lots were held, and ",CMtnetText::Lots(have)," are left");
   // The oldest are cut first, since those a broker closes first.
   double excess=MathAbs(sum)-left;
   for(int i=0; i<size && (left==0 || excess>MTNET_LEAST); i++)
     {
      if(ledger.follows.rows[i].copy!=copy || ledger.follows.rows[i].decision!=MTNET_COPIED
         || ledger.follows.rows[i].lots==0 || ledger.follows.rows[i].side*held<0)
         continue;
      if(ledger.follows.rows[i].IsOrder() && ledger.follows.rows[i].early==0)
         continue;
      double part=MathAbs(ledger.follows.rows[i].Share());
      if(left==0 || part<=excess+MTNET_LEAST)
         ledger.follows.Release(i,"it was closed here");
      else
         ledger.follows.Cut(i,part-excess);
      excess-=part;
     }
  }
//+------------------------------------------------------------------+
