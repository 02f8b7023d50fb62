//+------------------------------------------------------------------+
//| MtnetPublisher.mq5: publishes the positions of this account      |
//+------------------------------------------------------------------+
#property version     "1.10"
#property description "Publishes the net position of each symbol of this account to a channel."
#property description "Allow the server in Tools/Options/Expert Advisors."
#property description "Run in an imitation of a terminal, not in MetaTrader."
#property description "Try it on a demo account first."

#include "MtnetLink.mqh"

input group "Server"
input string InpHost="127.0.0.1";   // Host
input int    InpPort=8081;          // Port
input bool   InpTls=false;          // TLS; automatic on port 443
input string InpLogin="";           // Login; empty = none
input string InpPassword="";        // Password
input group "Channel"
input string InpChannel="main";     // Channel
input string InpSuffix="";          // Suffix of this broker's symbols
input long   InpMagic=-1;           // Published magic number; -1 = all positions
input string InpAcceptEpoch="";     // Journal whose positions may be replaced

#define TIMER    200     // ms
#define RESEND   10000   // ms without an answer before a position is sent again
#define RECOUNT  10000   // ms between two counts that must both lack a position
#define REASK    60000   // maximum ms between two attempts for a refused signal
#define RESUBSCRIBE 30000 // maximum ms between two attempts to subscribe
#define QUARTER  900     // s; broker clocks differ from UTC by whole quarters of an hour
#define ALMOST   0.000001
#define CENT     0.005   // of the account's currency
#define BUTTON   "mtnet-take-over"

//--- a key of the channel: its present and its wanted volume
struct Row
  {
   string            symbol;
   string            ticket;    // of a row of another program; this one publishes none
   double            has;       // lots in the channel, as far as known
   bool              counted;   // the lots of this account are known
   double            want;      // lots of this account
   bool              unsure;    // something was sent with an unknown result
   string            id;        // of the signal that waits for its answer; "" = none
   double            sending;   // lots under that id
   long              time;      // ms; a position is resent byte for byte
   bool              take;      // it was sent with a person's confirmation
   ulong             when;      // time of sending, 0 = not yet
   ulong             next;      // time of the next attempt after a refusal
   uint              delay;     // ms
   string            why;       // of the refusal
   ulong             lacked;    // since when the counts lack it, 0 = they do not
  };

//--- a position of the account in the last count
struct Counted
  {
   string            symbol;
   long              identifier;
  };

//--- a symbol in one count
struct Sum
  {
   string            symbol;
   double            lots;
   long              opened;    // s, broker time; of the oldest position
  };

CMtnetLink  g_link;
CMtnetRetry g_asking(RESUBSCRIBE);
CMtnetRetry g_denied(REASK);     // this login may not publish
Row         g_rows[];
Row         g_snapshot[];
Counted     g_counted[];
string      g_server="";
long        g_login=0;
string      g_epoch="";
long        g_count=0;
bool        g_replacing=false;   // between SNAPSHOT and SYNCED
bool        g_synced=false;      // the channel's positions are known
bool        g_met=false;         // and have been since the last connection
bool        g_answered=false;    // and this login may publish
bool        g_created=false;     // the channel begins with this program
bool        g_fenced=false;      // another publisher has the channel: a person decides
bool        g_take=false;        // a person has decided
string      g_mode="";           // of a paused channel
string      g_notice="";
string      g_run="";
long        g_counter=0;

int OnInit(void)
  {
   if(MQLInfoInteger(MQL_TESTER)!=0)
     {
      Print("mtnet: a tester has no server to publish to");
      return(INIT_FAILED);
     }
   Begin();
   return(EventSetMillisecondTimer(TIMER) ? INIT_SUCCEEDED : INIT_FAILED);
  }

//--- The terminal keeps these values when only an input has changed.
void Begin(void)
  {
   ArrayResize(g_rows,0);
   ArrayResize(g_snapshot,0);
   ArrayResize(g_counted,0);
   g_replacing=false;
   g_synced=false;
   g_met=false;
   g_answered=false;
   g_created=false;
   g_fenced=false;
   g_take=false;
   g_epoch="";
   g_mode="";
   g_notice="";
   g_asking.Reset();
   g_denied.Reset();
   ObjectDelete(0,BUTTON);
   g_login=AccountInfoInteger(ACCOUNT_LOGIN);
   g_server=AccountInfoString(ACCOUNT_SERVER);
   if(g_login==0)
      return;
   Load();
   // A counter alone would restart at 1 and repeat the ids of yesterday.
   g_run=IntegerToString(g_login)+"-"+IntegerToString((long)TimeGMT())
         +"-"+IntegerToString((long)GetTickCount64());
   Connect();
   if(g_fenced)
      Wait("another publisher has taken the channel over");
  }

void Connect(void)
  {
   g_link.Open(InpHost,InpPort,InpTls,InpLogin,InpPassword,IntegerToString(g_login),
               "MtnetPublisher 1.10");
  }

void OnDeinit(const int reason)
  {
   EventKillTimer();
   g_link.Bye();
   ObjectDelete(0,BUTTON);
   Comment("");
  }

void OnTrade(void)
  {
   Publish();
  }

void OnTimer(void)
  {
   if(!IsSameAccount())
     {
      g_link.Bye();
      Begin();
     }
   if(g_login==0)
      return;
   g_link.Work();
   CMtnetFrame frame;
   while(g_link.Next(frame))
      Take(frame);
   if(g_link.Welcomed() && g_asking.Due())
      Subscribe();
   Publish();
   Show();
  }

//--- a person takes the channel over, once
void OnChartEvent(const int id,const long &lparam,const double &dparam,const string &sparam)
  {
   if(id!=CHARTEVENT_OBJECT_CLICK || sparam!=BUTTON)
      return;
   ObjectDelete(0,BUTTON);
   g_take=true;
   g_fenced=false;
   Save();
   Connect();
  }

void Show(void)
  {
   string text="mtnet "+InpChannel+": "+g_link.State();
   if(g_mode!="")
      text+="\nPAUSED: "+(g_mode=="frozen" ? "the server takes nothing"
                          : "the server takes only what closes");
   if(g_notice!="")
      text+="\n"+g_notice;
   for(int i=0; i<ArraySize(g_rows); i++)
     {
      string trouble=Trouble(g_rows[i]);
      if(g_rows[i].want!=0 || trouble!="")
         text+="\n"+g_rows[i].symbol+(g_rows[i].ticket=="" ? "" : " #"+g_rows[i].ticket)+": "
               +LotsText(g_rows[i].want)+trouble;
     }
   Comment(text);
  }

string Trouble(const Row &row)
  {
   if(!row.counted && row.lacked==0)
      return(" not counted yet");
   if(row.lacked>0)
      return(" NOT AMONG THE POSITIONS, counted again");
   if(row.why!="")
      return(" REFUSED: "+row.why);
   return(row.id=="" && MathAbs(row.has-row.want)<ALMOST ? "" : " not stored yet");
  }

//--- stop until a person decides
void Wait(const string why)
  {
   g_link.Stop(why);
   ObjectCreate(0,BUTTON,OBJ_BUTTON,0,0,0);
   ObjectSetInteger(0,BUTTON,OBJPROP_XDISTANCE,10);
   ObjectSetInteger(0,BUTTON,OBJPROP_YDISTANCE,80);
   ObjectSetInteger(0,BUTTON,OBJPROP_XSIZE,260);
   ObjectSetInteger(0,BUTTON,OBJPROP_YSIZE,26);
   ObjectSetString(0,BUTTON,OBJPROP_TEXT,"Take over channel "+InpChannel);
  }

//+------------------------------------------------------------------+
//| Messages of the server                                           |
//+------------------------------------------------------------------+
void Take(const CMtnetFrame &frame)
  {
   string verb=frame.Verb();
   if(verb=="WELCOME")
      Greet();
   else if(verb=="ERROR")
      TakeError(frame);
   else if(verb=="STORED")
      TakeStored(frame);
   else if(verb=="NOTICE")
      Tell(frame.Text("text"));
   else if(verb=="CHANNELS")
      TakeChannels(frame.Text("channels"));
   else if(frame.Text("channel")!=InpChannel)
      return;
   else if(verb=="SNAPSHOT")
     {
      ArrayResize(g_snapshot,0);
      g_replacing=frame.Number("count",g_count);
      g_synced=false;
     }
   else if(verb=="POSITION" && g_replacing)
      TakePosition(frame);
   else if(verb=="SYNCED" && g_replacing)
      TakeSynced(frame);
   else if(verb=="PAUSED" || verb=="RESUMED")
      TakeMode(verb=="PAUSED" ? frame.Text("mode") : "");
   else if(verb=="FLATTENED")
      Tell("The channel was flattened by a person; this account was not");
  }

//--- text for people
void Tell(const string text)
  {
   g_notice=text;
   Alert("mtnet: ",text);
  }

//--- Signals of an older connection may be stored or not: they are published again.
void Greet(void)
  {
   g_mode="";
   g_met=false;
   g_answered=false;
   for(int i=0; i<ArraySize(g_rows); i++)
      Forget(g_rows[i]);
   Subscribe();
  }

//--- the answer to the last signal is lost
void Forget(Row &row)
  {
   row.unsure=(row.unsure || (row.id!="" && row.when>0));
   row.id="";
   row.next=0;
   row.delay=RETRY_FIRST;
  }

//--- First read the channel: otherwise positions closed while this program was not running would
//--- stay open with followers. The subscription also reports pauses and flattening.
void Subscribe(void)
  {
   g_synced=false;
   g_replacing=false;
   if(g_asking.Waits())
      g_asking.Later();
   g_link.Say("SUBSCRIBE"+Field("channel",InpChannel));
  }

void TakeChannels(const string channels)
  {
   if(!g_asking.Waits() || !IsListed(channels,InpChannel))
      return;
   g_asking.Reset();
   Subscribe();
  }

//--- The whole state includes everything that a pause has refused.
void TakeMode(const string mode)
  {
   bool better=(mode=="" || (mode=="close_only" && g_mode=="frozen"));
   if(mode!=g_mode)
      Print("mtnet: ",mode=="" ? "the channel is resumed" : "the channel is paused: "+mode);
   g_mode=mode;
   g_denied.Reset();
   if(!better)
      return;
   for(int i=0; i<ArraySize(g_rows); i++)
     {
      g_rows[i].next=0;
      g_rows[i].delay=RETRY_FIRST;
     }
   Subscribe();
  }

void TakePosition(const CMtnetFrame &frame)
  {
   Row row;
   NewRow(row,frame.Text("symbol"),frame.Text("ticket"));
   if(row.symbol=="" || !frame.Lots("volume",row.has))
     {
      g_link.Drop("a position that cannot be read");
      return;
     }
   int size=ArraySize(g_snapshot);
   ArrayResize(g_snapshot,size+1,64);
   g_snapshot[size]=row;
  }

void TakeSynced(const CMtnetFrame &frame)
  {
   string epoch=frame.Text("epoch");
   g_replacing=false;
   if(ArraySize(g_snapshot)!=g_count)
     {
      g_link.Drop("a snapshot that is not whole");
      return;
     }
   // A new journal while this program is connected is a person's decision.
   bool known=(epoch==g_epoch || epoch==InpAcceptEpoch || g_met || g_created);
   if(!known && g_count>0 && !g_take)
     {
      Wait("the channel holds positions that this account did not publish. To close there what "
           "this account does not hold, for all who follow, use the button, or set "
           "InpAcceptEpoch to "+epoch);
      return;
     }
   bool other=(epoch!=g_epoch);
   g_epoch=epoch;
   g_created=false;
   g_met=true;
   if(other)
      Save();
   Believe();
   g_asking.Reset();
   Ready();
  }

void Ready(void)
  {
   g_synced=true;
   g_link.Synced();
  }

void Believe(void)
  {
   for(int i=0; i<ArraySize(g_rows); i++)
      g_rows[i].has=0;
   for(int i=0; i<ArraySize(g_snapshot); i++)
     {
      int at=RowOf(g_snapshot[i].symbol,g_snapshot[i].ticket);
      g_rows[at].has=g_snapshot[i].has;
     }
  }

void TakeStored(const CMtnetFrame &frame)
  {
   int at=RowOfId(frame.Text("id"));
   if(at<0)
      return;
   g_rows[at].id="";
   g_rows[at].why="";
   g_rows[at].has=g_rows[at].sending;
   // A snapshot in transit may be older than this.
   g_rows[at].unsure=!g_synced;
   g_answered=true;
   g_denied.Reset();
   if(g_rows[at].take)
      g_take=false;
   Print("mtnet: stored ",g_rows[at].symbol," ",LotsText(g_rows[at].has));
   // The channel exists now: read the name of its journal, for the next start.
   if(g_created)
      Subscribe();
  }

void TakeError(const CMtnetFrame &frame)
  {
   string code=frame.Text("code");
   if(code=="fenced")
     {
      g_fenced=true;
      Save();
      Wait("another publisher has taken the channel over");
     }
   else if(frame.Has("id"))
      Refused(frame);
   else if(!g_synced && (code=="channel" || code=="denied" || code=="server"))
     {
      g_asking.Later();
      // A channel that never had a publisher is unknown, so nobody follows it.
      if(code=="channel")
        {
         g_created=true;
         Ready();
        }
     }
  }

//--- A refused signal is certainly not stored. It is tried again, since most reasons end.
void Refused(const CMtnetFrame &frame)
  {
   int at=RowOfId(frame.Text("id"));
   if(at<0)
      return;
   string why=frame.Text("text");
   g_rows[at].id="";
   // The closing of a reversal is always accepted.
   if(frame.Text("closed")=="1")
      g_rows[at].has=0;
   if(why!=g_rows[at].why && frame.Text("code")!="server")
      Alert("mtnet: ",g_rows[at].symbol," was refused: ",why);
   // Provoke no second answer like this: each counts as an error.
   if(frame.Text("code")=="denied" && g_mode=="")
      g_denied.Later();
   else
      g_answered=true;
   g_rows[at].why=why;
   g_rows[at].next=GetTickCount64()+g_rows[at].delay;
   g_rows[at].delay=(uint)MathMin(2*g_rows[at].delay,REASK);
  }

//+------------------------------------------------------------------+
//| Positions of this account                                        |
//+------------------------------------------------------------------+
bool IsSameAccount(void)
  {
   return(AccountInfoInteger(ACCOUNT_LOGIN)==0
          || (AccountInfoInteger(ACCOUNT_LOGIN)==g_login
              && AccountInfoString(ACCOUNT_SERVER)==g_server));
  }

void Publish(void)
  {
   if(!IsSameAccount())
      return;
   if(!AccountReady())
     {
      for(int i=0; i<ArraySize(g_rows); i++)
         g_rows[i].lacked=0;
      return;
     }
   if(!g_synced || !g_link.Welcomed() || !Look())
      return;
   // Closes first: they are never refused, and free places.
   SendAll(true);
   SendAll(false);
  }

//--- false = the terminal does not show all positions
bool Look(void)
  {
   Sum sums[];
   Counted counted[];
   int total=PositionsTotal();
   for(int i=total-1; i>=0; i--)
     {
      if(PositionGetTicket(i)==0)
         return(false);
      bool ours=(InpMagic==-1 || PositionGetInteger(POSITION_MAGIC)==InpMagic);
      if(ours && !Count(sums,counted))
         return(false);
     }
   // A position that closed meanwhile has shifted the others.
   if(PositionsTotal()!=total)
      return(false);
   for(int i=0; i<ArraySize(sums); i++)
      RowOf(sums[i].symbol,"");
   bool changed=false;
   for(int i=0; i<ArraySize(g_rows); i++)
      changed=(Weigh(g_rows[i],sums,counted,total) || changed);
   if(changed)
      Save();
   return(true);
  }

//--- adds the selected position; false = already counted, because others have shifted
bool Count(Sum &sums[],Counted &counted[])
  {
   string ours=PositionGetString(POSITION_SYMBOL),symbol=WithoutSuffix(ours,InpSuffix);
   if(symbol=="")
      symbol=ours;
   int size=ArraySize(counted);
   ArrayResize(counted,size+1,64);
   counted[size].symbol=symbol;
   counted[size].identifier=PositionGetInteger(POSITION_IDENTIFIER);
   for(int i=0; i<size; i++)
      if(counted[i].identifier==counted[size].identifier)
         return(false);
   int at=SumOf(sums,symbol);
   long opened=(long)PositionGetInteger(POSITION_TIME);
   if(at<0)
     {
      at=ArraySize(sums);
      ArrayResize(sums,at+1,64);
      sums[at].symbol=symbol;
      sums[at].lots=0;
      sums[at].opened=opened;
     }
   bool bought=(PositionGetInteger(POSITION_TYPE)==POSITION_TYPE_BUY);
   sums[at].lots+=(bought ? 1 : -1)*PositionGetDouble(POSITION_VOLUME);
   sums[at].opened=MathMin(sums[at].opened,opened);
   return(true);
  }

int SumOf(const Sum &sums[],const string symbol)
  {
   for(int i=0; i<ArraySize(sums); i++)
      if(sums[i].symbol==symbol)
         return(i);
   return(-1);
  }

//--- Evaluates a count: a terminal that has just connected shows some positions later than others.
//--- True = the accepted positions have changed.
bool Weigh(Row &row,const Sum &sums[],const Counted &counted[],const int total)
  {
   int at=(row.ticket=="" ? SumOf(sums,row.symbol) : -1);
   double lots=(at<0 ? 0 : NormalizeDouble(sums[at].lots,5));
   bool open=false;
   if(Lacks(row,lots,counted,open))
     {
      if(row.lacked==0 || open)
         row.lacked=GetTickCount64();
      bool twice=(GetTickCount64()-row.lacked>=RECOUNT);
      if(!twice || (total==0 && !IsFlat()))
         return(false);
     }
   row.lacked=0;
   row.counted=true;
   if(MathAbs(row.want-lots)>=ALMOST || (row.id=="" && MathAbs(row.has-lots)>=ALMOST))
      row.time=Since(row,at<0 ? 0 : sums[at].opened);
   row.want=lots;
   return(row.ticket=="" && Remember(row.symbol,counted));
  }

//--- Whether a position is missing that is not known to be closed. `open`: its deals show that it
//--- is open.
bool Lacks(const Row &row,const double lots,const Counted &counted[],bool &open)
  {
   bool known=false,lacks=false;
   // A position that the channel lacks cannot be closed there by mistake, and a symbol with one
   // position is there as a whole.
   if(row.has==0 || (lots!=0 && !IsHedging()))
      return(false);
   for(int i=0; i<ArraySize(g_counted) && row.ticket==""; i++)
     {
      if(g_counted[i].symbol!=row.symbol)
         continue;
      known=true;
      if(IsCounted(counted,g_counted[i]))
         continue;
      double left=0;
      bool told=IsTold(g_counted[i].identifier,left);
      if(!told || left>ALMOST)
         lacks=true;
      if(told && left>ALMOST)
         open=true;
     }
   if(known || (row.counted && MathAbs(row.want-lots)<ALMOST))
      return(lacks);
   // For positions that this program has not counted there are no deals to check.
   return((row.has>0 ? row.has-lots : lots-row.has)>ALMOST);
  }

//--- Lots of a position that its deals leave open. False = the history has no deal of it.
bool IsTold(const long identifier,double &left)
  {
   bool turned=false;
   left=0;
   if(!HistorySelectByPosition(identifier) || HistoryDealsTotal()==0)
      return(false);
   for(int i=0; i<HistoryDealsTotal(); i++)
     {
      ulong deal=HistoryDealGetTicket(i);
      long type=HistoryDealGetInteger(deal,DEAL_TYPE);
      if(type!=DEAL_TYPE_BUY && type!=DEAL_TYPE_SELL)
         continue;
      double lots=HistoryDealGetDouble(deal,DEAL_VOLUME);
      left+=(type==DEAL_TYPE_BUY ? lots : -lots);
      turned=(HistoryDealGetInteger(deal,DEAL_ENTRY)==DEAL_ENTRY_INOUT);
     }
   left=MathAbs(left);
   // After a reversal the position may continue under another identifier.
   return(!turned);
  }

bool IsHedging(void)
  {
   return(AccountInfoInteger(ACCOUNT_MARGIN_MODE)==ACCOUNT_MARGIN_MODE_RETAIL_HEDGING);
  }

//--- An account without positions has no open profit.
bool IsFlat(void)
  {
   double balance=AccountInfoDouble(ACCOUNT_BALANCE);
   double open=AccountInfoDouble(ACCOUNT_EQUITY)-balance-AccountInfoDouble(ACCOUNT_CREDIT);
   return(balance>0 && MathAbs(open)<CENT);
  }

bool IsCounted(const Counted &list[],const Counted &position)
  {
   for(int i=0; i<ArraySize(list); i++)
      if(list[i].identifier==position.identifier && list[i].symbol==position.symbol)
         return(true);
   return(false);
  }

//--- true = they differ from the remembered ones
bool Remember(const string symbol,const Counted &counted[])
  {
   int same=0,size=0;
   for(int i=0; i<ArraySize(counted); i++)
      if(counted[i].symbol==symbol)
        {
         size++;
         same+=(IsCounted(g_counted,counted[i]) ? 1 : 0);
        }
   int before=0;
   for(int i=0; i<ArraySize(g_counted); i++)
      before+=(g_counted[i].symbol==symbol ? 1 : 0);
   if(same==size && before==size)
      return(false);
   for(int i=ArraySize(g_counted)-1; i>=0; i--)
      if(g_counted[i].symbol==symbol)
         ArrayRemove(g_counted,i,1);
   for(int i=0; i<ArraySize(counted); i++)
      if(counted[i].symbol==symbol)
        {
         int at=ArraySize(g_counted);
         ArrayResize(g_counted,at+1,64);
         g_counted[at]=counted[i];
        }
   return(true);
  }

//--- ms, UTC: now; for an opening, the time at which the position was opened
long Since(const Row &row,const long opened)
  {
   long now=(long)TimeGMT(),ahead=(long)TimeTradeServer()-now;
   long offset=(long)MathRound((double)ahead/QUARTER)*QUARTER;
   return(1000*(row.has==0 && opened>0 ? MathMin(now,opened-offset) : now));
  }

//+------------------------------------------------------------------+
//| From the present to the wanted state of the channel              |
//+------------------------------------------------------------------+
void SendAll(const bool closes)
  {
   for(int i=0; i<ArraySize(g_rows); i++)
     {
      if(IsClose(g_rows[i])!=closes || !MaySend(g_rows[i]) || !IsDue(g_rows[i]))
         continue;
      if(!SendRow(g_rows[i]))
         return;
     }
  }

//--- Until the server has accepted one position, send one at a time: it may refuse them all.
bool MaySend(const Row &row)
  {
   if(g_answered)
      return(true);
   if(g_denied.Waits() && !g_denied.Due())
      return(false);
   for(int i=0; i<ArraySize(g_rows); i++)
      if(g_rows[i].id!="" && g_rows[i].when>0 && g_rows[i].id!=row.id)
         return(false);
   return(true);
  }

bool IsClose(const Row &row)
  {
   return(row.want==0 || (row.want*row.has>0 && MathAbs(row.want)<=MathAbs(row.has)));
  }

//--- Only the last position of a symbol counts, and no older one may overtake it: a newer one
//--- replaces one that waits for its answer.
bool IsDue(Row &row)
  {
   if(!row.counted)
      return(false);
   if(row.id!="" && MathAbs(row.sending-row.want)<ALMOST)
      return(row.when==0 || GetTickCount64()-row.when>RESEND);
   if(row.id=="" && !row.unsure && MathAbs(row.has-row.want)<ALMOST)
     {
      row.why="";
      return(false);
     }
   // The reason for refusing a larger position does not apply to a smaller one.
   if(GetTickCount64()<row.next && MathAbs(row.sending-row.want)<ALMOST)
      return(false);
   // A symbol has a net position or tickets, never both.
   if(row.ticket=="" && row.want!=0 && HasTickets(row.symbol))
      return(false);
   row.unsure=(row.unsure || (row.id!="" && row.when>0));
   row.id=NewId();
   row.sending=row.want;
   row.when=0;
   return(true);
  }

bool HasTickets(const string symbol)
  {
   for(int i=0; i<ArraySize(g_rows); i++)
      if(g_rows[i].symbol==symbol && g_rows[i].ticket!="" && g_rows[i].has!=0)
         return(true);
   return(false);
  }

bool SendRow(Row &row)
  {
   string payload="PUBLISH"+Field("id",row.id)+Field("symbol",row.symbol)
                  +Field("volume",LotsText(row.sending))+Field("channel",InpChannel);
   if(row.ticket!="")
      payload+=Field("ticket",row.ticket);
   row.take=g_take;
   payload+=Field("time",IntegerToString(row.time))+Field("take",g_take ? "1" : "free");
   if(!g_link.Say(payload))
      return(false);
   row.when=GetTickCount64();
   return(true);
  }

int RowOf(const string symbol,const string ticket)
  {
   int size=ArraySize(g_rows);
   for(int i=0; i<size; i++)
      if(g_rows[i].symbol==symbol && g_rows[i].ticket==ticket)
         return(i);
   ArrayResize(g_rows,size+1,64);
   NewRow(g_rows[size],symbol,ticket);
   return(size);
  }

int RowOfId(const string id)
  {
   for(int i=0; i<ArraySize(g_rows); i++)
      if(id!="" && g_rows[i].id==id)
         return(i);
   return(-1);
  }

void NewRow(Row &row,const string symbol,const string ticket)
  {
   row.symbol=symbol;
   row.ticket=ticket;
   row.has=0;
   row.counted=false;
   row.want=0;
   row.unsure=false;
   row.id="";
   row.sending=0;
   row.time=(long)TimeGMT()*1000;
   row.take=false;
   row.when=0;
   row.next=0;
   row.delay=RETRY_FIRST;
   row.why="";
   row.lacked=0;
  }

string NewId(void)
  {
   g_counter++;
   return(g_run+"-"+IntegerToString(g_counter));
  }

//+------------------------------------------------------------------+
//| State that survives a restart                                    |
//+------------------------------------------------------------------+
string StateFile(void)
  {
   return("mtnet-publisher-"+IntegerToString(g_login)+"-"+InpChannel+".txt");
  }

void Save(void)
  {
   string text="mtnet-publisher-2\t"+g_epoch+"\t"+g_server+"\t"+(g_fenced ? "fenced" : "")+"\n";
   for(int i=0; i<ArraySize(g_counted); i++)
      text+=g_counted[i].symbol+"\t"+IntegerToString(g_counted[i].identifier)+"\n";
   if(!WriteText(StateFile(),text+"end"))
      Print("mtnet: ",StateFile()," cannot be written, error ",GetLastError());
  }

//--- An unreadable file is ignored: a person is asked, as at a first start.
void Load(void)
  {
   if(!FileIsExist(StateFile()))
      return;
   string lines[],parts[];
   int size=StringSplit(ReadText(StateFile()),'\n',lines);
   if(size<2 || lines[size-1]!="end" || StringSplit(lines[0],'\t',parts)!=4
      || parts[0]!="mtnet-publisher-2" || parts[2]!=g_server)
     {
      Print("mtnet: ",StateFile()," cannot be read, or is of another server");
      return;
     }
   g_epoch=parts[1];
   g_fenced=(parts[3]=="fenced");
   for(int i=1; i<size-1; i++)
     {
      if(StringSplit(lines[i],'\t',parts)!=2)
         continue;
      int at=ArraySize(g_counted);
      ArrayResize(g_counted,at+1,64);
      g_counted[at].symbol=parts[0];
      g_counted[at].identifier=StringToInteger(parts[1]);
     }
  }
//+------------------------------------------------------------------+
