//+------------------------------------------------------------------+
//| MtnetFollower.mq5: follows a channel of an mtnet server          |
//+------------------------------------------------------------------+
#property version     "1.10"
#property description "Copies the positions of a channel of an mtnet server."
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
input string InpSymbols="";         // Symbols, separated by commas; empty = all
input string InpSuffix="";          // Suffix of this broker's symbols
input string InpAcceptEpoch="";     // Accepted journal; the alert shows the word
input group "Trading"
input bool   InpTrade=false;        // Trade; false = only log the trades
input double InpMultiplier=1.0;     // Lots here for one lot of the provider
input double InpMaxLots=1.0;        // Maximum lots of one symbol
input long   InpMagic=20260801;     // Magic number of this program's positions
input int    InpDeviation=20;       // Accepted slippage in points

#define TIMER       200     // ms
#define UNCERTAIN   15000   // ms until an order must appear among the positions
#define RETRY       5000    // ms after a refused order
#define RESUBSCRIBE 30000   // maximum ms between two attempts to subscribe
#define ALMOST      0.000001

//--- a position of the provider
struct Entry
  {
   string            symbol;
   string            ticket;
   double            lots;
   long              seq;        // of the entry that set it, 0 = before this run
  };

//--- a symbol of the provider, and the work for it
struct Follow
  {
   string            symbol;
   string            ours;       // its name at this broker
   long              seq;        // of the last signal, 0 = none to acknowledge
   string            told;       // the last ACK
   double            price;      // of the last order
   double            expected;   // lots after the last order
   ulong             uncertain;  // until then the terminal may not show them
   ulong             next;       // time of the next attempt
  };

CMtnetLink  g_link;
CMtnetRetry g_asking(RESUBSCRIBE);
Entry       g_entries[];
Entry       g_snapshot[];
Entry       g_released[];        // positions of an older filter, not in this one
Follow      g_follows[];
string      g_wanted[];
string      g_epoch="";
long        g_seq=0;
string      g_hash="";           // of the entry with that number, "" = unknown
bool        g_diverged=false;    // the journal lacks that entry
bool        g_replacing=false;   // between SNAPSHOT and SYNCED
long        g_count=0;
bool        g_resumes=false;     // the entries are the state at g_seq
bool        g_whole=false;       // and no replay was interrupted in them
bool        g_live=false;        // new signals arrive at once
bool        g_hold=false;        // another journal or history: a person decides
string      g_provider="";
string      g_mode="";           // of a paused channel
string      g_notice="";
string      g_refusal="";
string      g_filter="";

int OnInit(void)
  {
   if(MQLInfoInteger(MQL_TESTER)!=0)
     {
      Print("mtnet: a tester has no server to follow");
      return(INIT_FAILED);
     }
   if(InpMultiplier<=0 || InpMaxLots<=0 || InpMagic==0)
     {
      Print("mtnet: multiplier, lots and magic number must be greater than 0");
      return(INIT_PARAMETERS_INCORRECT);
     }
   Reset();
   ReadFilter();
   if(!Load())
     {
      Alert("mtnet: ",StateFile()," cannot be read; move it away to begin anew");
      return(INIT_FAILED);
     }
   if(!InpTrade)
      Print("mtnet: InpTrade is off, nothing is bought or sold");
   g_link.Open(InpHost,InpPort,InpTls,InpLogin,InpPassword,
               IntegerToString(AccountInfoInteger(ACCOUNT_LOGIN)),"MtnetFollower 1.10");
   return(EventSetMillisecondTimer(TIMER) ? INIT_SUCCEEDED : INIT_FAILED);
  }

//--- The terminal keeps these values when only an input has changed.
void Reset(void)
  {
   ArrayResize(g_entries,0);
   ArrayResize(g_snapshot,0);
   ArrayResize(g_released,0);
   ArrayResize(g_follows,0);
   ArrayResize(g_wanted,0);
   g_filter="";
   g_provider="";
   g_mode="";
   g_notice="";
   g_epoch="";
   g_seq=0;
   g_hash="";
   g_diverged=false;
   g_asking.Reset();
   g_resumes=false;
   g_whole=false;
   g_live=false;
   g_hold=false;
   g_replacing=false;
  }

void OnDeinit(const int reason)
  {
   EventKillTimer();
   g_link.Bye();
   Comment("");
  }

void OnTimer(void)
  {
   g_link.Work();
   CMtnetFrame frame;
   while(g_link.Next(frame))
      Take(frame);
   if(g_link.Welcomed() && g_asking.Due())
      Subscribe();
   if(g_live && !g_link.Welcomed())
     {
      g_live=false;
      Alert("mtnet: blind, ",g_link.State(),"; nothing is opened until this changes");
     }
   if(!g_link.Welcomed())
      g_replacing=false;
   Reconcile();
   Show();
  }

void Show(void)
  {
   string text="mtnet "+InpChannel+": "+g_link.State()+"\nprovider: "+g_provider;
   if(g_mode!="")
      text+="\nPAUSED: the server takes "+(g_mode=="frozen" ? "nothing" : "only what closes");
   if(g_notice!="")
      text+="\n"+g_notice;
   if(g_hold)
      text+="\nANOTHER JOURNAL: nothing is done, see the log";
   if(g_link.Welcomed() && g_asking.Waits())
      text+="\nNOTHING IS FOLLOWED: "+g_refusal;
   for(int i=0; i<ArraySize(g_follows); i++)
      text+="\n"+g_follows[i].symbol+": "+LotsText(Provided(g_follows[i].symbol))+" "
            +g_follows[i].told;
   Comment(text+Unfollowed());
  }

//--- lists positions of symbols that the filter leaves out
string Unfollowed(void)
  {
   string text="";
   for(int i=0; i<PositionsTotal(); i++)
     {
      if(PositionGetTicket(i)==0 || PositionGetInteger(POSITION_MAGIC)!=InpMagic)
         continue;
      string ours=PositionGetString(POSITION_SYMBOL);
      if(!Wanted(WithoutSuffix(ours,InpSuffix)))
         text+="\n"+ours+": "+LotsText(PositionGetDouble(POSITION_VOLUME))
               +" lots are left to you";
     }
   return(text);
  }

//+------------------------------------------------------------------+
//| Messages of the server                                           |
//+------------------------------------------------------------------+
void Take(const CMtnetFrame &frame)
  {
   string verb=frame.Verb();
   if(verb=="WELCOME")
     {
      g_mode="";
      Subscribe();
     }
   else if(verb=="ERROR")
      TakeError(frame);
   else if(verb=="NOTICE")
      Notice(frame.Text("text"));
   else if(verb=="CHANNELS")
      TakeChannels(frame.Text("channels"));
   else if(frame.Text("channel")!=InpChannel)
      return;
   else if(verb=="SNAPSHOT")
      TakeSnapshot(frame);
   else if(verb=="POSITION")
      TakePosition(frame);
   else if(verb=="SIGNAL")
      TakeSignal(frame);
   else if(verb=="SYNCED")
      TakeSynced(frame);
   else if(verb=="STATUS")
      g_provider=frame.Text("publisher");
   else if(verb=="PAUSED")
      g_mode=frame.Text("mode");
   else if(verb=="RESUMED")
      g_mode="";
   else if(verb=="FLATTENED")
      Notice("The channel was flattened by a person");
  }

//--- text for people
void Notice(const string text)
  {
   g_notice=text;
   Alert("mtnet: ",text);
  }

//--- A refused subscription is requested again: channels and rights change.
void TakeError(const CMtnetFrame &frame)
  {
   string code=frame.Text("code");
   bool asked=(code=="channel" || code=="denied" || code=="server");
   if(!asked || g_live || g_hold)
      return;
   if(frame.Text("text")!=g_refusal)
      Alert("mtnet: nothing is followed: ",frame.Text("text"));
   g_refusal=frame.Text("text");
   g_asking.Later();
  }

void TakeChannels(const string channels)
  {
   if(!g_asking.Waits() || !IsListed(channels,InpChannel))
      return;
   g_asking.Reset();
   Subscribe();
  }

void Subscribe(void)
  {
   // The positions of the account decide whether a journal needs a person's acceptance.
   if(g_epoch=="" && !AccountReady())
     {
      g_refusal="the terminal does not show its positions yet";
      g_asking.Later();
      return;
     }
   string payload="SUBSCRIBE"+Field("channel",InpChannel);
   if(g_filter!="")
      payload+=Field("symbols",g_filter);
   if(g_resumes)
      payload+=Field("epoch",g_epoch)+Field("after",IntegerToString(g_seq));
   if(g_resumes && g_hash!="")
      payload+=Field("h",g_hash);
   if(g_asking.Waits())
      g_asking.Later();
   // The answer may concern the known journal; until then nothing is done.
   g_whole=(g_whole && !g_hold);
   g_hold=false;
   g_link.Say(payload);
  }

void TakeSnapshot(const CMtnetFrame &frame)
  {
   ArrayResize(g_snapshot,0);
   g_replacing=frame.Number("count",g_count);
   g_diverged=(frame.Text("diverged")=="1");
   if(!g_replacing)
      g_link.Drop("a snapshot without a count");
  }

void TakePosition(const CMtnetFrame &frame)
  {
   Entry entry;
   if(!g_replacing || !ReadEntry(frame,entry))
     {
      g_link.Drop("a position that cannot be read");
      return;
     }
   int size=ArraySize(g_snapshot);
   ArrayResize(g_snapshot,size+1,256);
   g_snapshot[size]=entry;
  }

void TakeSignal(const CMtnetFrame &frame)
  {
   if(g_hold)
      return;
   Entry entry;
   long previous=0;
   bool good=(!g_replacing && ReadEntry(frame,entry));
   // A filtered subscription leaves numbers out; prev is the number before.
   if(good && frame.Has("prev"))
      good=(frame.Number("prev",previous) && previous==g_seq);
   else if(good)
      good=(entry.seq==g_seq+1);
   if(!good)
     {
      g_link.Drop("a signal is missing or cannot be read; it is asked for again");
      return;
     }
   g_seq=entry.seq;
   g_hash=frame.Text("h");
   SetEntry(entry);
   g_follows[FollowOf(entry.symbol)].seq=entry.seq;
   // A replay is not traded step by step: only its end counts.
   if(g_live)
      Save();
   else
      g_whole=false;
  }

void TakeSynced(const CMtnetFrame &frame)
  {
   string epoch=frame.Text("epoch");
   long seq=0;
   if(!frame.Number("seq",seq) || (g_replacing && ArraySize(g_snapshot)!=g_count))
     {
      g_link.Drop("a snapshot that is not whole");
      return;
     }
   g_asking.Reset();
   g_refusal="";
   if(!Accepts(epoch,seq))
      return;
   if(g_replacing)
      Replace(seq);
   g_replacing=false;
   g_epoch=epoch;
   g_seq=seq;
   g_hash=frame.Text("h");
   g_resumes=true;
   g_whole=true;
   g_live=true;
   g_link.Synced();
   AddHeld();
   Release();
   Save();
   if(g_seq>0)
      g_link.Say("ACK"+Field("channel",InpChannel)+Field("seq",IntegerToString(g_seq)));
  }

//--- Another journal, or one that went back, may be another server, a wrong data folder or an old
//--- backup: none of these may close open positions.
bool Accepts(const string epoch,const long seq)
  {
   bool fresh=(g_epoch=="" && !HoldsAny());
   bool back=(epoch==g_epoch && g_replacing && (g_diverged || seq<g_seq));
   // Accepting one loss of entries does not accept the next.
   string word=(back ? epoch+"-"+IntegerToString(g_seq) : epoch);
   g_diverged=false;
   g_hold=!(word==InpAcceptEpoch || fresh || (epoch==g_epoch && !back));
   if(g_hold)
     {
      g_live=false;
      g_replacing=false;
      Alert("mtnet: the channel has ",back ? "lost entries that were followed" : "another journal",
            ". Nothing is done. To follow it, and to close what it does not name, set "
            "InpAcceptEpoch to ",word);
     }
   return(!g_hold);
  }

//--- A snapshot is complete: a position that it does not name is flat. With seq 0 nothing is known.
void Replace(const long seq)
  {
   ArrayResize(g_entries,0);
   if(seq==0)
      ArrayResize(g_follows,0);
   for(int i=0; i<ArraySize(g_follows); i++)
      g_follows[i].seq=0;
   for(int i=0; i<ArraySize(g_snapshot); i++)
     {
      SetEntry(g_snapshot[i]);
      g_follows[FollowOf(g_snapshot[i].symbol)].seq=g_snapshot[i].seq;
     }
  }

bool ReadEntry(const CMtnetFrame &frame,Entry &entry)
  {
   entry.symbol=frame.Text("symbol");
   entry.ticket=frame.Text("ticket");
   if(entry.symbol=="" || !frame.Number("seq",entry.seq)
      || !frame.Lots("volume",entry.lots))
      return(false);
   // A pending order is not a position. This program places none.
   if(frame.Has("type") && frame.Text("type")!="position")
      entry.lots=0;
   return(true);
  }

//+------------------------------------------------------------------+
//| Positions of the provider                                        |
//+------------------------------------------------------------------+
void SetEntry(const Entry &entry)
  {
   // A net position of a symbol replaces all its tickets.
   for(int i=ArraySize(g_entries)-1; i>=0; i--)
      if(g_entries[i].symbol==entry.symbol
         && (g_entries[i].ticket==entry.ticket || entry.ticket==""))
         ArrayRemove(g_entries,i,1);
   if(entry.lots==0)
      return;
   int size=ArraySize(g_entries);
   ArrayResize(g_entries,size+1,256);
   g_entries[size]=entry;
  }

//--- the sum over the tickets of a symbol, if it has any
double Provided(const string symbol)
  {
   double lots=0;
   for(int i=0; i<ArraySize(g_entries); i++)
      if(g_entries[i].symbol==symbol)
         lots+=g_entries[i].lots;
   return(lots);
  }

int FollowOf(const string symbol)
  {
   int size=ArraySize(g_follows);
   for(int i=0; i<size; i++)
      if(g_follows[i].symbol==symbol)
         return(i);
   ArrayResize(g_follows,size+1,64);
   g_follows[size].symbol=symbol;
   g_follows[size].ours=symbol+InpSuffix;
   g_follows[size].seq=0;
   g_follows[size].told="";
   g_follows[size].price=0;
   g_follows[size].expected=0;
   g_follows[size].uncertain=0;
   g_follows[size].next=0;
   return(size);
  }

//--- Releases positions of an older filter that this one leaves out: a person, who is alerted,
//--- takes care of them.
void Release(void)
  {
   for(int i=0; i<ArraySize(g_released); i++)
     {
      Alert("mtnet: ",g_released[i].symbol," is no longer followed; what is held of it is left "
            "to you");
      if(g_released[i].seq>0)
         g_link.Say("ACK"+Field("channel",InpChannel)
                    +Field("seq",IntegerToString(g_released[i].seq))+Field("status","released")
                    +Field("reason","no longer in the filter"));
     }
   ArrayResize(g_released,0);
  }

//--- positions of this program in symbols that the provider does not name
void AddHeld(void)
  {
   if(g_seq==0)
      return;
   for(int i=PositionsTotal()-1; i>=0; i--)
     {
      if(PositionGetTicket(i)==0 || PositionGetInteger(POSITION_MAGIC)!=InpMagic)
         continue;
      string symbol=WithoutSuffix(PositionGetString(POSITION_SYMBOL),InpSuffix);
      if(symbol!="" && Wanted(symbol))
         FollowOf(symbol);
     }
  }

bool HoldsAny(void)
  {
   for(int i=PositionsTotal()-1; i>=0; i--)
      if(PositionGetTicket(i)!=0 && PositionGetInteger(POSITION_MAGIC)==InpMagic)
         return(true);
   return(false);
  }

void ReadFilter(void)
  {
   string parts[];
   int size=(InpSymbols=="" ? 0 : StringSplit(InpSymbols,',',parts));
   for(int i=0; i<size; i++)
     {
      StringTrimLeft(parts[i]);
      StringTrimRight(parts[i]);
      int wanted=ArraySize(g_wanted);
      ArrayResize(g_wanted,wanted+1);
      g_wanted[wanted]=parts[i];
      g_filter+=(wanted>0 ? "," : "")+parts[i];
     }
  }

//--- a symbol that the filter leaves out is unknown, not flat
bool Wanted(const string symbol)
  {
   for(int i=0; i<ArraySize(g_wanted); i++)
      if(g_wanted[i]==symbol)
         return(true);
   return(ArraySize(g_wanted)==0);
  }

//+------------------------------------------------------------------+
//| State that survives a restart                                    |
//+------------------------------------------------------------------+
string StateFile(void)
  {
   return("mtnet-"+IntegerToString(AccountInfoInteger(ACCOUNT_LOGIN))+"-"+InpChannel+"-"
          +IntegerToString(InpMagic)+".txt");
  }

void Save(void)
  {
   string text="mtnet-follower-2\t"+g_epoch+"\t"+IntegerToString(g_seq)+"\t"+g_hash+"\t"
               +g_filter+"\n";
   for(int i=0; i<ArraySize(g_entries); i++)
      text+=g_entries[i].symbol+"\t"+g_entries[i].ticket+"\t"+LotsText(g_entries[i].lots)+"\t"
            +IntegerToString(g_entries[i].seq)+"\n";
   // An older file does no harm: later signals are then sent again.
   if(!WriteText(StateFile(),text+"end"))
      Print("mtnet: ",StateFile()," cannot be written, error ",GetLastError());
  }

//--- false = there is a file that cannot be read
bool Load(void)
  {
   if(!FileIsExist(StateFile()))
      return(true);
   string lines[],parts[];
   int size=StringSplit(ReadText(StateFile()),'\n',lines);
   if(size<2 || lines[size-1]!="end" || StringSplit(lines[0],'\t',parts)!=5
      || parts[0]!="mtnet-follower-2")
      return(false);
   g_epoch=parts[1];
   g_seq=StringToInteger(parts[2]);
   g_hash=parts[3];
   // With another filter a replay does not fit these entries: without epoch and number the
   // server answers with a snapshot.
   g_resumes=(parts[4]==g_filter);
   for(int i=1; i<size-1; i++)
     {
      if(StringSplit(lines[i],'\t',parts)!=4)
         return(false);
      Entry entry;
      entry.symbol=parts[0];
      entry.ticket=parts[1];
      entry.lots=StringToDouble(parts[2]);
      entry.seq=StringToInteger(parts[3]);
      Keep(entry);
     }
   return(true);
  }

void Keep(const Entry &entry)
  {
   if(Wanted(entry.symbol))
     {
      SetEntry(entry);
      FollowOf(entry.symbol);
      return;
     }
   int size=ArraySize(g_released);
   ArrayResize(g_released,size+1,64);
   g_released[size]=entry;
  }

//+------------------------------------------------------------------+
//| From the present to the wanted positions                         |
//+------------------------------------------------------------------+
void Reconcile(void)
  {
   if(!g_whole || g_hold || !AccountReady())
      return;
   for(int i=0; i<ArraySize(g_follows); i++)
      Step(g_follows[i]);
  }

//--- at most one order per call; the timer calls again
void Step(Follow &follow)
  {
   double have=0,want=0;
   if(!SymbolSelect(follow.ours,true))
     {
      Tell(follow,"failed",0,"no symbol "+follow.ours+" here");
      return;
     }
   if(!Held(follow.ours,have))
      return;
   // A filled order appears among the positions up to a second later. Ordering again too early
   // would double the position.
   if(GetTickCount64()<follow.uncertain && MathAbs(have-follow.expected)>ALMOST)
      return;
   string why=Wants(follow,want);
   if(MathAbs(want-have)<ALMOST)
     {
      Tell(follow,why=="" ? "filled" : "failed",have,why);
      return;
     }
   if(GetTickCount64()<follow.next || IsOrdered(follow.ours))
      return;
   if(!MayTrade(why))
     {
      Tell(follow,"failed",have,why);
      return;
     }
   double excess=Excess(have,want);
   if(excess>ALMOST)
      Reduce(follow,have,excess);
   // While blind, open nothing: only close excess volume.
   else if(g_live)
      Increase(follow,have,want-have);
  }

//--- lots in the broker's step, never more than the provider's; "" or why they are fewer
string Wants(const Follow &follow,double &want)
  {
   double provided=Provided(follow.symbol);
   double step=SymbolInfoDouble(follow.ours,SYMBOL_VOLUME_STEP);
   double least=SymbolInfoDouble(follow.ours,SYMBOL_VOLUME_MIN);
   double lots=MathMin(MathAbs(provided)*InpMultiplier,InpMaxLots);
   want=0;
   if(step<=0)
      return(lots>0 ? "the volume step is not known yet" : "");
   lots=NormalizeDouble(MathFloor(lots/step+ALMOST)*step,8);
   if(lots<least-ALMOST)
      return(lots>0 || provided!=0 ? "less than the smallest volume "+LotsText(least) : "");
   want=(provided>0 ? lots : -lots);
   return("");
  }

//--- volume to close before anything else
double Excess(const double have,const double want)
  {
   if(have>0)
      return(have-MathMax(0.0,MathMin(have,want)));
   return(MathMin(0.0,MathMax(have,want))-have);
  }

//--- lots of this program only; false = the terminal does not know
bool Held(const string ours,double &lots)
  {
   lots=0;
   for(int i=PositionsTotal()-1; i>=0; i--)
     {
      if(PositionGetTicket(i)==0)
         return(false);
      if(PositionGetString(POSITION_SYMBOL)!=ours || PositionGetInteger(POSITION_MAGIC)!=InpMagic)
         continue;
      bool bought=(PositionGetInteger(POSITION_TYPE)==POSITION_TYPE_BUY);
      lots+=(bought ? 1 : -1)*PositionGetDouble(POSITION_VOLUME);
     }
   lots=NormalizeDouble(lots,8);
   return(true);
  }

//--- whether an order of this program is still in progress
bool IsOrdered(const string ours)
  {
   for(int i=OrdersTotal()-1; i>=0; i--)
      if(OrderGetTicket(i)!=0 && OrderGetString(ORDER_SYMBOL)==ours
         && OrderGetInteger(ORDER_MAGIC)==InpMagic)
         return(true);
   return(false);
  }

bool MayTrade(string &why)
  {
   why="";
   if(!InpTrade)
      why="InpTrade is off";
   else if(TerminalInfoInteger(TERMINAL_TRADE_ALLOWED)==0 || MQLInfoInteger(MQL_TRADE_ALLOWED)==0)
      why="algo trading is off in the terminal";
   else if(AccountInfoInteger(ACCOUNT_TRADE_EXPERT)==0
           || AccountInfoInteger(ACCOUNT_TRADE_ALLOWED)==0)
      why="the account may not trade";
   return(why=="");
  }

//--- closes the oldest of our positions on the excess side
void Reduce(Follow &follow,const double have,const double excess)
  {
   long side=(have>0 ? POSITION_TYPE_BUY : POSITION_TYPE_SELL);
   for(int i=0; i<PositionsTotal(); i++)
     {
      ulong ticket=PositionGetTicket(i);
      if(ticket==0 || PositionGetString(POSITION_SYMBOL)!=follow.ours
         || PositionGetInteger(POSITION_MAGIC)!=InpMagic || PositionGetInteger(POSITION_TYPE)!=side)
         continue;
      double lots=MathMin(excess,PositionGetDouble(POSITION_VOLUME));
      Send(follow,have>0 ? ORDER_TYPE_SELL : ORDER_TYPE_BUY,lots,ticket,have);
      return;
     }
  }

void Increase(Follow &follow,const double have,const double more)
  {
   bool hedging=(AccountInfoInteger(ACCOUNT_MARGIN_MODE)==ACCOUNT_MARGIN_MODE_RETAIL_HEDGING);
   // A netting account has one position per symbol: ours would merge with another's.
   if(!hedging && PositionSelect(follow.ours) && PositionGetInteger(POSITION_MAGIC)!=InpMagic)
     {
      Tell(follow,"failed",have,"the position was not opened by this program");
      return;
     }
   Send(follow,more>0 ? ORDER_TYPE_BUY : ORDER_TYPE_SELL,MathAbs(more),0,have);
  }

void Send(Follow &follow,const ENUM_ORDER_TYPE type,const double lots,const ulong position,
          const double have)
  {
   MqlTick tick;
   bool priced=(SymbolInfoTick(follow.ours,tick) && tick.ask>0 && tick.bid>0);
   follow.next=GetTickCount64()+RETRY;
   if(!priced)
     {
      Tell(follow,"failed",have,"no price");
      return;
     }
   MqlTradeRequest request={};
   MqlTradeResult result={};
   request.action=TRADE_ACTION_DEAL;
   request.symbol=follow.ours;
   request.position=position;
   request.type=type;
   request.volume=NormalizeDouble(
                     MathMin(lots,SymbolInfoDouble(follow.ours,SYMBOL_VOLUME_MAX)),8);
   request.price=(type==ORDER_TYPE_BUY ? tick.ask : tick.bid);
   request.deviation=(ulong)InpDeviation;
   request.magic=(ulong)InpMagic;
   request.type_filling=Filling(follow.ours);
   request.comment="mtnet";
   bool sent=OrderSend(request,result);
   Judge(follow,request,result,sent,have);
  }

//--- A refused order is tried again. An order with an unknown result may still be filled.
void Judge(Follow &follow,const MqlTradeRequest &request,const MqlTradeResult &result,
           const bool sent,const double have)
  {
   bool done=(sent && (result.retcode==TRADE_RETCODE_DONE || result.retcode==TRADE_RETCODE_PLACED
                       || result.retcode==TRADE_RETCODE_DONE_PARTIAL));
   bool open=(result.retcode==TRADE_RETCODE_TIMEOUT || result.retcode==TRADE_RETCODE_CONNECTION);
   double lots=(result.retcode==TRADE_RETCODE_DONE_PARTIAL ? result.volume : request.volume);
   Print("mtnet: ",EnumToString(request.type)," ",LotsText(request.volume)," ",follow.ours,": ",
         result.retcode," ",result.comment);
   follow.expected=NormalizeDouble(have+(request.type==ORDER_TYPE_BUY ? lots : -lots),8);
   follow.uncertain=(done || open ? GetTickCount64()+UNCERTAIN : 0);
   if(done)
     {
      follow.price=result.price;
      follow.next=0;
      return;
     }
   Tell(follow,"failed",have,"order refused: "+IntegerToString(result.retcode)+" "+result.comment);
  }

ENUM_ORDER_TYPE_FILLING Filling(const string ours)
  {
   long modes=SymbolInfoInteger(ours,SYMBOL_FILLING_MODE);
   // The rest of a partial fill is ordered again, so IOC is preferred.
   if((modes&SYMBOL_FILLING_IOC)!=0)
      return(ORDER_FILLING_IOC);
   if((modes&SYMBOL_FILLING_FOK)!=0)
      return(ORDER_FILLING_FOK);
   return(ORDER_FILLING_RETURN);
  }

//--- acknowledges the result of a signal once, with the lots really held
void Tell(Follow &follow,const string status,const double have,const string reason)
  {
   string told=status+(reason=="" ? "" : ", "+reason)+", holds "+LotsText(have);
   string once=IntegerToString(follow.seq)+": "+told;
   if(once==follow.told || !g_live)
      return;
   string payload="ACK"+Field("channel",InpChannel)+Field("seq",IntegerToString(follow.seq))
                  +Field("status",status)+Field("volume",LotsText(have));
   if(follow.price>0 && status=="filled")
      payload+=Field("price",DoubleToString(follow.price,
                                            (int)SymbolInfoInteger(follow.ours,SYMBOL_DIGITS)));
   if(reason!="")
      payload+=Field("reason",StringSubstr(reason,0,100));
   if(follow.seq==0 || g_link.Say(payload))
      follow.told=once;
   Print("mtnet: ",follow.symbol," ",told);
  }
//+------------------------------------------------------------------+
