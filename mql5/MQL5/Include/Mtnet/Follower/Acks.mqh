//+------------------------------------------------------------------+
//| Acks.mqh: what the server is told of each position               |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Follower/Ledger.mqh>
#include <Mtnet/Server/Session.mqh>

#define MTNET_REASON     100      // characters of a reason in an ACK

//--- what was told last
#define MTNET_TOLD_NOTHING  0
#define MTNET_TOLD_FILLED   1
#define MTNET_TOLD_FAILED   2
#define MTNET_TOLD_RELEASED 3
#define MTNET_TOLD_PLACED   4

class CMtnetAcks
  {
private:
   static int        Status(CMtnetLedger &ledger,const int row,string &why);
   static void       Tell(CMtnetLedger &ledger,const int row,CMtnetSession &session);

public:
   static void       TellAll(CMtnetLedger &ledger,CMtnetSession &session);
  };

void CMtnetAcks::TellAll(CMtnetLedger &ledger,CMtnetSession &session)
  {
   if(!ledger.turn.live)
      return;
   for(int i=0; i<ArraySize(ledger.follows.rows); i++)
      if(ledger.follows.rows[i].seq>0)
         Tell(ledger,i,session);
  }

//--- what can be said of a follow now
int CMtnetAcks::Status(CMtnetLedger &ledger,const int row,string &why)
  {
   int copy=ledger.follows.rows[row].copy;
   ENUM_MTNET_DECISION decision=ledger.follows.rows[row].decision;
   bool flat=(ledger.follows.rows[row].lots==0);
   // The end of a follow is told once, whatever its copy holds of others later.
   if(flat && ledger.follows.rows[row].told_status==MTNET_TOLD_FILLED
      && ledger.follows.rows[row].told_seq==ledger.follows.rows[row].seq)
      return(MTNET_TOLD_NOTHING);
   why=(flat ? "" : ledger.follows.rows[row].why);
   if(decision==MTNET_RELEASED)
      return(MTNET_TOLD_RELEASED);
   if(decision==MTNET_LEFT || copy<0)
      return(MTNET_TOLD_NOTHING);
   if(decision==MTNET_UNDECIDED)
      return(why=="" ? MTNET_TOLD_NOTHING : MTNET_TOLD_FAILED);
   if(ledger.follows.rows[row].IsOrder() && ledger.follows.rows[row].lots>0)
     {
      if(ledger.follows.rows[row].order>0 || ledger.follows.rows[row].early!=0)
         return(MTNET_TOLD_PLACED);
      return(why=="" ? MTNET_TOLD_NOTHING : MTNET_TOLD_FAILED);
     }
   if(ledger.copies.rows[copy].order!=0 || ledger.IsUnproven(copy))
      return(MTNET_TOLD_NOTHING);
   bool reached=CMtnetText::SameLots(ledger.copies.rows[copy].have,ledger.copies.rows[copy].want);
   if(ledger.copies.rows[copy].cut!="" && (why=="" || ledger.copies.rows[copy].want==0))
      why=ledger.copies.rows[copy].cut;
   if(reached && (ledger.copies.rows[copy].want!=0 || ledger.copies.rows[copy].cut==""))
      return(MTNET_TOLD_FILLED);
   if(!reached)
      why=(ledger.troubles.cannot!="" ? ledger.troubles.cannot : ledger.copies.rows[copy].why);
   return(why=="" ? MTNET_TOLD_NOTHING : MTNET_TOLD_FAILED);
  }

//--- acknowledges a result once, with the lots that are really held
void CMtnetAcks::Tell(CMtnetLedger &ledger,const int row,CMtnetSession &session)
  {
   string why="";
   int status=Status(ledger,row,why),copy=ledger.follows.rows[row].copy;
   if(status==MTNET_TOLD_FILLED)
      ledger.follows.rows[row].reached=true;
   double lots=(copy<0 ? 0 : ledger.copies.rows[copy].have);
   if(status==MTNET_TOLD_NOTHING
      || (status==ledger.follows.rows[row].told_status && why==ledger.follows.rows[row].told_why
          && ledger.follows.rows[row].seq==ledger.follows.rows[row].told_seq
          && CMtnetText::SameLots(lots,ledger.follows.rows[row].told_lots)))
      return;
   string names[]={"","filled","failed","released",""};
   string payload="ACK"+CMtnetText::Field("channel",ledger.channel)
                  +CMtnetText::Field("seq",IntegerToString(ledger.follows.rows[row].seq));
   if(status!=MTNET_TOLD_PLACED)
      payload+=CMtnetText::Field("status",names[status])
               +CMtnetText::Field("volume",CMtnetText::Lots(lots));
   if(status==MTNET_TOLD_FILLED && ledger.copies.rows[copy].price>0 && lots!=0)
      payload+=CMtnetText::Field("price",CMtnetText::Price(ledger.copies.rows[copy].price,
                                 ledger.symbols.Decimals(ledger.copies.rows[copy].spec)));
   if(why!="")
      payload+=CMtnetText::Field("reason",StringSubstr(why,0,MTNET_REASON));
   if(!session.Say(payload))
      return;
   ledger.follows.rows[row].told_status=status;
   ledger.follows.rows[row].told_seq=ledger.follows.rows[row].seq;
   ledger.follows.rows[row].told_lots=lots;
   ledger.follows.rows[row].told_why=why;
   Print("mtnet: ",ledger.follows.rows[row].Key()," ",names[status]," ",why,", holds ",
         CMtnetText::Lots(lots));
  }
//+------------------------------------------------------------------+
