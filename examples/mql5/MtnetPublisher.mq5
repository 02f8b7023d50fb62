//+------------------------------------------------------------------+
//| MtnetPublisher.mq5: tells an mtnet server what this account holds|
//+------------------------------------------------------------------+
#property version     "1.00"
#property description "Publishes the net position of each symbol of this account to a channel."
#property description "The server must stand in Tools/Options/Expert Advisors."
#property description "Not yet run in a terminal: try it on a demo account first."

#include "MtnetLink.mqh"

input group "Server"
input string InpHost="127.0.0.1";   // Host
input int    InpPort=8081;          // Port
input bool   InpTls=false;          // TLS; on port 443 the terminal starts it by itself
input string InpLogin="";           // Login; empty = none
input string InpPassword="";        // Password
input group "Channel"
input string InpChannel="main";     // Channel
input string InpSuffix="";          // What this broker writes behind a symbol
input long   InpMagic=-1;           // Magic number that is published; -1 = all positions
input bool   InpTakeOver=false;     // Close in the channel what this account does not hold

#define TIMER    200     // ms
#define RESEND   10000   // ms without an answer before a position is sent again
#define ALMOST   0.000001

//--- a position as the channel has it, or is to have it
struct Row
  {
   string            symbol;
   string            ticket;   // of a row that another program published; here there are none
   double            lots;
   string            id;       // "" = the server has stored it
   long              time;     // ms; a position that is sent again is the same to the byte
   bool              sent;     // on this connection
   bool              refused;
   ulong             when;     // it was sent
  };

CMtnetLink g_link;
Row        g_rows[];
Row        g_snapshot[];
string     g_epoch="";
long       g_count=0;
bool       g_replacing=false;   // between SNAPSHOT and SYNCED
bool       g_synced=false;      // the channel's positions are known
bool       g_created=false;     // the channel begins with this program
string     g_run="";
long       g_counter=0;

int OnInit(void)
  {
   if(MQLInfoInteger(MQL_TESTER)!=0)
     {
      Print("mtnet: a tester has no server to publish to");
      return(INIT_FAILED);
     }
   // When only an input was changed, a terminal keeps what these held.
   ArrayResize(g_rows,0);
   ArrayResize(g_snapshot,0);
   g_replacing=false;
   g_synced=false;
   g_created=false;
   g_epoch=(FileIsExist(StateFile()) ? ReadText(StateFile()) : "");
   // A counter alone would start at 1 again and meet the ids of yesterday.
   g_run=IntegerToString(AccountInfoInteger(ACCOUNT_LOGIN))+"-"+IntegerToString((long)TimeGMT())
         +"-"+IntegerToString((long)GetTickCount64());
   g_link.Open(InpHost,InpPort,InpTls,InpLogin,InpPassword,
               IntegerToString(AccountInfoInteger(ACCOUNT_LOGIN)),"MtnetPublisher 1.00");
   return(EventSetMillisecondTimer(TIMER) ? INIT_SUCCEEDED : INIT_FAILED);
  }

void OnDeinit(const int reason)
  {
   EventKillTimer();
   g_link.Bye();
   Comment("");
  }

void OnTrade(void)
  {
   Publish();
  }

void OnTimer(void)
  {
   g_link.Work();
   CMtnetFrame frame;
   while(g_link.Next(frame))
      Take(frame);
   Publish();
   Show();
  }

void Show(void)
  {
   string text="mtnet "+InpChannel+": "+g_link.State();
   for(int i=0; i<ArraySize(g_rows); i++)
      text+="\n"+g_rows[i].symbol+": "+LotsText(g_rows[i].lots)
            +(g_rows[i].id=="" ? "" : (g_rows[i].refused ? " REFUSED" : " not stored yet"));
   Comment(text);
  }

//+------------------------------------------------------------------+
//| What the server says                                             |
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
   else if(frame.Text("channel")!=InpChannel)
      return;
   else if(verb=="SNAPSHOT")
     {
      ArrayResize(g_snapshot,0);
      g_replacing=frame.Number("count",g_count);
     }
   else if(verb=="POSITION" && g_replacing)
      TakePosition(frame);
   else if(verb=="SYNCED" && g_replacing)
      TakeSynced(frame);
  }

//--- First see what followers were told: what was closed while this program did not run would
//--- otherwise stay open with them.
void Greet(void)
  {
   g_synced=false;
   g_replacing=false;
   for(int i=0; i<ArraySize(g_rows); i++)
      g_rows[i].sent=false;
   g_link.Say("SUBSCRIBE"+Field("channel",InpChannel));
  }

void TakePosition(const CMtnetFrame &frame)
  {
   Row row;
   NewRow(row,frame.Text("symbol"),frame.Text("ticket"));
   if(row.symbol=="" || !frame.Lots("volume",row.lots))
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
   if(epoch!=g_epoch && g_count>0 && !InpTakeOver && !g_created)
     {
      g_link.Stop("the channel holds positions that this account did not publish. "
                  "InpTakeOver closes what it does not hold, for all who follow");
      return;
     }
   if(epoch!=g_epoch && !WriteText(StateFile(),epoch))
      Print("mtnet: ",StateFile()," cannot be written, error ",GetLastError());
   g_epoch=epoch;
   g_created=false;
   Believe();
   g_link.Say("UNSUBSCRIBE"+Field("channel",InpChannel));
   Ready();
  }

void Ready(void)
  {
   g_synced=true;
   g_link.Synced();
  }

//--- Rows that wait for an answer stay: they are sent again with their ids.
void Believe(void)
  {
   for(int i=0; i<ArraySize(g_rows); i++)
      if(g_rows[i].id=="")
         g_rows[i].lots=0;
   for(int i=0; i<ArraySize(g_snapshot); i++)
     {
      int at=RowOf(g_snapshot[i].symbol,g_snapshot[i].ticket);
      if(g_rows[at].id=="")
         g_rows[at].lots=g_snapshot[i].lots;
     }
  }

void TakeStored(const CMtnetFrame &frame)
  {
   int at=RowOfId(frame.Text("id"));
   if(at<0)
      return;
   g_rows[at].id="";
   Print("mtnet: stored ",g_rows[at].symbol," ",LotsText(g_rows[at].lots));
   // The channel exists now: learn the name of its journal, for the next start.
   if(g_created)
      g_link.Say("SUBSCRIBE"+Field("channel",InpChannel));
  }

void TakeError(const CMtnetFrame &frame)
  {
   string code=frame.Text("code");
   if(code=="fenced")
      g_link.Stop("another publisher has taken the channel over");
   else if(frame.Has("id"))
      Refused(RowOfId(frame.Text("id")),code,frame.Text("text"));
   // A channel without a publisher yet is unknown, and so nobody follows it.
   else if(code=="channel" && !g_synced)
     {
      g_created=true;
      Ready();
     }
   else if(code=="denied")
      g_link.Stop("this login needs the rights to publish and to follow");
  }

void Refused(const int at,const string code,const string text)
  {
   if(at<0 || code=="server")
      return;
   if(code=="id")
     {
      g_rows[at].id=NewId();
      g_rows[at].sent=false;
      return;
     }
   g_rows[at].refused=true;
   Alert("mtnet: ",g_rows[at].symbol," was refused: ",text);
  }

//+------------------------------------------------------------------+
//| What this account holds                                          |
//+------------------------------------------------------------------+
void Publish(void)
  {
   if(!g_synced || !g_link.Welcomed() || !AccountReady() || !Look())
      return;
   for(int i=0; i<ArraySize(g_rows); i++)
     {
      bool due=(!g_rows[i].sent || GetTickCount64()-g_rows[i].when>RESEND);
      if(g_rows[i].id!="" && !g_rows[i].refused && due && !SendRow(g_rows[i]))
         return;
     }
  }

//--- false = the terminal does not tell all positions
bool Look(void)
  {
   Row held[];
   for(int i=PositionsTotal()-1; i>=0; i--)
     {
      if(PositionGetTicket(i)==0)
         return(false);
      if(InpMagic!=-1 && PositionGetInteger(POSITION_MAGIC)!=InpMagic)
         continue;
      bool bought=(PositionGetInteger(POSITION_TYPE)==POSITION_TYPE_BUY);
      string ours=PositionGetString(POSITION_SYMBOL),name=WithoutSuffix(ours,InpSuffix);
      AddLots(held,name=="" ? ours : name,
              (bought ? 1 : -1)*PositionGetDouble(POSITION_VOLUME));
     }
   for(int i=0; i<ArraySize(held); i++)
      SetRow(RowOf(held[i].symbol,""),held[i].lots);
   for(int i=0; i<ArraySize(g_rows); i++)
      if(g_rows[i].ticket!="" || !IsAmong(held,g_rows[i].symbol))
         SetRow(i,0);
   return(true);
  }

void AddLots(Row &held[],const string symbol,const double lots)
  {
   int size=ArraySize(held),at=0;
   while(at<size && held[at].symbol!=symbol)
      at++;
   if(at==size)
     {
      ArrayResize(held,size+1,64);
      NewRow(held[at],symbol,"");
     }
   held[at].lots+=lots;
  }

bool IsAmong(const Row &held[],const string symbol)
  {
   for(int i=0; i<ArraySize(held); i++)
      if(held[i].symbol==symbol)
         return(true);
   return(false);
  }

//--- A newer position of a symbol takes the place of one that waits for its answer: only the
//--- last counts, and it must not be overtaken by an older one that is sent again.
void SetRow(const int at,const double lots)
  {
   if(MathAbs(g_rows[at].lots-lots)<ALMOST)
      return;
   g_rows[at].lots=NormalizeDouble(lots,5);
   g_rows[at].id=NewId();
   g_rows[at].time=(long)TimeGMT()*1000;
   g_rows[at].sent=false;
   g_rows[at].refused=false;
  }

bool SendRow(Row &row)
  {
   string payload="PUBLISH"+Field("id",row.id)+Field("symbol",row.symbol)
                  +Field("volume",LotsText(row.lots))+Field("channel",InpChannel);
   if(row.ticket!="")
      payload+=Field("ticket",row.ticket);
   payload+=Field("time",IntegerToString(row.time));
   row.sent=g_link.Say(payload);
   row.when=GetTickCount64();
   return(row.sent);
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
   row.lots=0;
   row.id="";
   row.time=0;
   row.sent=false;
   row.refused=false;
   row.when=0;
  }

string NewId(void)
  {
   g_counter++;
   return(g_run+"-"+IntegerToString(g_counter));
  }

string StateFile(void)
  {
   return("mtnet-publisher-"+IntegerToString(AccountInfoInteger(ACCOUNT_LOGIN))+"-"+InpChannel
          +".txt");
  }
//+------------------------------------------------------------------+
