//+------------------------------------------------------------------+
//| Provider.mqh: keeps a channel equal to the account               |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/Account.mqh>
#include <Mtnet/Common/Frame.mqh>
#include <Mtnet/Common/Lock.mqh>
#include <Mtnet/Common/Panel.mqh>
#include <Mtnet/Common/State.mqh>
#include <Mtnet/Common/Table.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Provider/Filter.mqh>
#include <Mtnet/Provider/Holdings.mqh>
#include <Mtnet/Provider/Outbox.mqh>
#include <Mtnet/Server/Report.mqh>
#include <Mtnet/Server/Session.mqh>
#include <Mtnet/Server/Subscription.mqh>

#define MTNET_BURST     50      // signals of one turn: the timer must not take long
#define MTNET_TROUBLE   30000   // ms of trouble that often ends by itself, until an alert

//--- what a person decides
struct MtnetProviderOptions
  {
   MtnetServer       server;
   MtnetScope        scope;
   string            magics;         // "100,200-299"; "" = all
   string            comment;        // a part of it; "" = all
   string            symbols;        // of the channel; "" = all
   bool              take;           // take the channel over from its present publisher
   string            accept_epoch;   // journal whose positions may be replaced
  };

class CMtnetProvider
  {
private:
   MtnetProviderOptions m_options;
   CMtnetSession     m_session;
   CMtnetSubscription m_subscription;
   CMtnetAccount     m_account;
   CMtnetFilter      m_filter;
   CMtnetHoldings    m_holdings;
   CMtnetOutbox      m_outbox;
   CMtnetState       m_state;
   CMtnetLock        m_lock;
   CMtnetReport      m_report;
   CMtnetPanel       m_panel;
   CMtnetTable       m_shown;        // by the channel
   long              m_count;        // of the snapshot that is coming, -1 = none is
   long              m_seq;          // of the channel
   string            m_epoch;        // of the journal, "" = unknown
   string            m_own_epoch;    // to which this account has published
   bool              m_fenced;       // another publisher holds it: a person decides
   bool              m_took;         // InpTakeOver has had its effect
   long              m_run;
   bool              m_dirty;        // the state must be saved before anything is sent
   int               m_differences;  // between account and channel
   int               m_left;         // signals that may be sent in this turn
   long              m_account_seen; // versions that were compared
   long              m_shown_seen;

   void              Restart(void);
   void              Load(void);
   void              ReadState(const CMtnetFrame &row);
   void              Save(void);
   void              Connect(void);
   void              Take(const CMtnetFrame &frame);
   void              TakeEvent(const ENUM_MTNET_EVENT event);
   void              TakeSnapshot(const CMtnetFrame &frame);
   void              TakePosition(const CMtnetFrame &frame);
   void              TakeSignal(const CMtnetFrame &frame);
   void              TakeSynced(const CMtnetFrame &frame);
   void              TakeStored(const CMtnetFrame &frame);
   void              TakeError(const CMtnetFrame &frame);
   void              Subscribe(void);
   void              Own(const string epoch);
   void              Fence(const string text);
   bool              KnowsChannel(void) const;
   bool              IsOurs(void);
   int               Foreign(void) const;
   void              Publish(void);
   bool              IsQuiet(void) const;
   void              SendCloses(void);
   void              SendWanted(const bool reductions);
   void              SendOne(MtnetPosition &position,const bool reduces,const bool opens);
   bool              Reduces(const MtnetPosition &wanted,const MtnetPosition &shown) const;
   string            TakeWord(void) const;
   void              Watch(void);
   void              WatchPositions(const bool welcome);
   bool              IsPersonal(const ENUM_MTNET_CAUSE cause) const;
   string            Line(void) const;

public:
                     CMtnetProvider(void);
   bool              Begin(const MtnetProviderOptions &options,string &why);
   void              End(void);
   void              Work(void);
   void              Hurry(void);
  };

CMtnetProvider::CMtnetProvider(void)
  {
   m_count=-1;
   m_seq=0;
   m_epoch="";
   m_own_epoch="";
   m_fenced=false;
   m_took=false;
   m_run=0;
   m_dirty=false;
   m_differences=0;
   m_left=0;
   m_account_seen=-1;
   m_shown_seen=-1;
  }

//--- False = an input is wrong; `why` names it.
bool CMtnetProvider::Begin(const MtnetProviderOptions &options,string &why)
  {
   m_options=options;
   why="";
   if(!m_filter.Begin(options.magics,options.comment,options.symbols))
      why="InpMagics is a list of numbers and ranges, as 100,200-299";
   else if(options.server.hosts=="")
      why="InpHost names no server";
   else if(options.scope.channel=="")
      why="InpChannel names no channel";
   if(why!="")
      return(false);
   Restart();
   return(true);
  }

//--- The account is another one, or the program starts. The terminal keeps the values of a program
//--- when only an input has changed: all of them are set here.
void CMtnetProvider::Restart(void)
  {
   m_session.Close();
   m_lock.Release();
   m_account.Begin();
   m_holdings.Begin(m_options.scope);
   m_shown.Clear();
   m_subscription.Begin(m_options.scope.channel);
   m_panel.Begin("mtnet "+m_options.scope.channel);
   m_count=-1;
   m_seq=0;
   m_epoch="";
   m_dirty=false;
   m_account_seen=-1;
   if(!m_account.IsKnown())
      return;
   Load();
   m_outbox.Begin(IntegerToString(m_account.Login())+"-"+IntegerToString(m_run));
   m_lock.Begin("provider",m_account.Login(),m_account.Server(),m_options.scope.channel);
  }

void CMtnetProvider::End(void)
  {
   m_session.Close();
   m_lock.Release();
   m_panel.End();
  }

//+------------------------------------------------------------------+
//| State that survives a restart                                    |
//+------------------------------------------------------------------+
void CMtnetProvider::Load(void)
  {
   CMtnetFrame row;
   m_own_epoch="";
   m_fenced=false;
   m_took=false;
   m_run=0;
   m_state.Begin("provider",m_account.Login(),m_account.Server(),m_options.scope.channel);
   ENUM_MTNET_STATE state=m_state.Load();
   while(state==MTNET_STATE_WHOLE && m_state.Next(row))
      if(!m_holdings.Load(row))
         ReadState(row);
   // No position is closed because of a lost file: a person is asked where it matters.
   m_panel.Check("state",state==MTNET_STATE_DAMAGED,m_state.File()+" is damaged and not used");
   // A person's decision has its effect once; switched off and on again it is a new one.
   if(m_options.take && !m_took)
      m_fenced=false;
   m_took=(m_took && m_options.take);
   // A clock that went back must not give the ids of an older run again.
   m_run=(long)MathMax(CMtnetClock::Now(),m_run+1);
   m_dirty=true;
  }

void CMtnetProvider::ReadState(const CMtnetFrame &row)
  {
   if(row.Verb()=="RUN")
      row.Number("number",m_run);
   else if(row.Verb()=="JOURNAL")
     {
      m_own_epoch=row.Text("epoch");
      m_fenced=(row.Text("fenced")=="1");
      m_took=(row.Text("took")=="1");
     }
  }

void CMtnetProvider::Save(void)
  {
   m_state.Clear();
   m_state.Add("RUN"+CMtnetText::Field("number",IntegerToString(m_run)));
   m_state.Add("JOURNAL"+CMtnetText::Field("epoch",m_own_epoch)
               +CMtnetText::Field("fenced",m_fenced ? "1" : "0")
               +CMtnetText::Field("took",m_took ? "1" : "0"));
   m_holdings.Save(m_state);
   m_dirty=!m_state.Save();
   m_panel.Check("file",m_dirty,m_state.File()+" cannot be written");
   if(!m_dirty)
      m_panel.Clear("state");
  }

//+------------------------------------------------------------------+
//| Work                                                             |
//+------------------------------------------------------------------+

//--- call it from the timer, several times a second
void CMtnetProvider::Work(void)
  {
   if(!m_account.IsSame())
      Restart();
   if(!m_account.IsKnown())
     {
      m_panel.Show("no account is logged in");
      return;
     }
   bool held=m_lock.IsHeld();
   bool taken=m_lock.Take();
   if(taken && !held && !m_fenced)
      Connect();
   if(taken && !m_fenced)
     {
      m_session.Work();
      CMtnetFrame frame;
      while(m_session.Next(frame))
         Take(frame);
      if(m_session.IsWelcome() && m_subscription.IsDue())
         Subscribe();
      m_report.Work(m_session,m_account);
      Publish();
     }
   Watch();
   m_panel.Show(Line());
  }

//--- call it when the account has traded: what closed is told at once
void CMtnetProvider::Hurry(void)
  {
   if(m_lock.IsHeld() && m_account.IsSame())
     {
      Publish();
      m_session.Work();
     }
  }

//--- Under one name the server takes a publisher of this account for the same one: after a crash it
//--- goes on, on another computer too, and the one that is replaced is fenced.
void CMtnetProvider::Connect(void)
  {
   MtnetServer server=m_options.server;
   server.name="provider-"+IntegerToString(m_account.Login());
   m_session.Open(server);
  }

//+------------------------------------------------------------------+
//| Messages of the server                                           |
//+------------------------------------------------------------------+
void CMtnetProvider::Take(const CMtnetFrame &frame)
  {
   string verb=frame.Verb();
   if(verb=="WELCOME")
     {
      m_subscription.Welcomed();
      m_outbox.Welcomed();
      Subscribe();
      return;
     }
   if(verb=="STORED")
      TakeStored(frame);
   else if(verb=="ERROR")
      TakeError(frame);
   m_report.Take(frame);
   TakeEvent(m_subscription.Take(frame));
   if(frame.Text("channel")!=m_options.scope.channel)
      return;
   if(verb=="SNAPSHOT")
      TakeSnapshot(frame);
   else if(verb=="POSITION" && m_count>=0)
      TakePosition(frame);
   else if(verb=="SIGNAL")
      TakeSignal(frame);
   else if(verb=="SYNCED")
      TakeSynced(frame);
  }

void CMtnetProvider::TakeEvent(const ENUM_MTNET_EVENT event)
  {
   if(event==MTNET_EVENT_NOTICE)
      m_panel.Tell(m_subscription.Notice());
   else if(event==MTNET_EVENT_FLATTENED)
      m_panel.Tell("a person has closed every position of the channel; this account was left "
                   "alone, and what it holds is published again when the channel is resumed");
   else if(event==MTNET_EVENT_RESUMED)
      Print("mtnet: the channel is resumed: what it lacks is published");
   // What a pause or a freeze has refused may be taken now.
   if(event==MTNET_EVENT_RESUMED || event==MTNET_EVENT_MODE)
      m_outbox.Retry();
  }

//--- First the channel is read: positions that closed while this program was not running would
//--- else stay open with followers. It also stays subscribed: so it learns of pauses.
void CMtnetProvider::Subscribe(void)
  {
   m_count=-1;
   m_shown.Clear();
   m_subscription.Ask(m_session);
  }

void CMtnetProvider::TakeSnapshot(const CMtnetFrame &frame)
  {
   m_shown.Clear();
   if(!frame.Number("count",m_count))
      m_session.Drop(MTNET_CAUSE_SERVER,"a snapshot without a count");
  }

void CMtnetProvider::TakePosition(const CMtnetFrame &frame)
  {
   MtnetPosition position;
   if(CMtnetTable::Read(frame,position))
      m_shown.Set(position);
   else
      m_session.Drop(MTNET_CAUSE_SERVER,"a position that cannot be read");
  }

//--- our own signals come back here too
void CMtnetProvider::TakeSignal(const CMtnetFrame &frame)
  {
   MtnetPosition position;
   if(!m_subscription.IsGranted())
      return;
   if(!CMtnetTable::Read(frame,position) || position.seq!=m_seq+1)
     {
      m_session.Drop(MTNET_CAUSE_SERVER,"a signal is missing or cannot be read");
      return;
     }
   m_seq=position.seq;
   m_shown.Apply(position);
  }

void CMtnetProvider::TakeSynced(const CMtnetFrame &frame)
  {
   if(m_count!=m_shown.Size() || !frame.Number("seq",m_seq))
     {
      m_session.Drop(MTNET_CAUSE_SERVER,"a snapshot that is not whole");
      return;
     }
   m_count=-1;
   // A new journal while this program is connected, as after `accept --new-epoch`, is a person's
   // decision.
   if(m_epoch!="" && m_own_epoch==m_epoch && m_subscription.IsGranted())
      Own(frame.Text("epoch"));
   m_epoch=frame.Text("epoch");
   m_subscription.Granted();
   m_session.Proven();
  }

//--- this account has published, or may publish, to that journal
void CMtnetProvider::Own(const string epoch)
  {
   m_dirty=(m_dirty || m_own_epoch!=epoch);
   m_own_epoch=epoch;
  }

void CMtnetProvider::TakeStored(const CMtnetFrame &frame)
  {
   MtnetPosition position;
   long seq=0;
   if(m_options.take && !m_took)
     {
      m_took=true;
      m_dirty=true;
     }
   m_session.Proven();
   bool last=m_outbox.Stored(frame.Text("id"),position);
   // What was stored before the snapshot was taken may have been changed by others since.
   if(last && frame.Number("seq",seq) && (seq>m_seq || !m_subscription.IsGranted()))
      m_shown.Apply(position);
  }

void CMtnetProvider::TakeError(const CMtnetFrame &frame)
  {
   MtnetPosition position;
   bool paused=(m_subscription.Mode()!=MTNET_MODE_OPEN);
   if(frame.Text("code")=="fenced")
      Fence(frame.Text("text"));
   else if(frame.Has("id") && m_outbox.Refused(frame,paused,position))
      m_shown.Apply(position);
  }

//--- Two programs that take the channel from each other would be worse than one that waits.
void CMtnetProvider::Fence(const string text)
  {
   m_fenced=true;
   m_took=m_options.take;
   Save();
   m_session.Close();
   Print("mtnet: ",text);
  }

//+------------------------------------------------------------------+
//| From the account to the channel                                  |
//+------------------------------------------------------------------+

//--- A channel that never had a publisher is unknown: the first PUBLISH makes it. A snapshot that
//--- is still coming tells too little.
bool CMtnetProvider::KnowsChannel(void) const
  {
   return(m_session.IsWelcome() && m_count<0
          && (m_subscription.IsGranted() || m_subscription.IsUnknown()));
  }

void CMtnetProvider::Publish(void)
  {
   if(!m_account.IsConnected() || !KnowsChannel() || !m_account.Count() || IsQuiet())
      return;
   if(m_holdings.Update(m_account,m_filter,m_shown))
      m_dirty=true;
   if(!IsOurs())
      return;
   // Killed between a signal and the file, the program would not know its own positions.
   if(m_dirty)
      Save();
   m_account_seen=m_account.Version();
   m_shown_seen=m_shown.Version();
   m_differences=0;
   m_left=MTNET_BURST;
   SendCloses();
   SendWanted(true);
   SendWanted(false);
  }

//--- Nothing has changed since account and channel were equal.
bool CMtnetProvider::IsQuiet(void) const
  {
   return(m_differences==0 && m_holdings.Missing()==0 && !m_dirty
          && m_account_seen==m_account.Version() && m_shown_seen==m_shown.Version());
  }

//--- Whether this account may replace what the channel shows. On the wrong account, or with the
//--- wrong channel, it would close the positions of all followers.
bool CMtnetProvider::IsOurs(void)
  {
   bool ours=(m_subscription.IsUnknown() || m_epoch==m_own_epoch
              || m_epoch==m_options.accept_epoch || (m_options.take && !m_took)
              || Foreign()==0);
   if(ours && m_epoch!="" && m_epoch!=m_own_epoch)
      Own(m_epoch);
   // A terminal that still loads its positions has only to be waited for.
   m_panel.Check("foreign",!ours && m_account.IsReady(),"the channel holds "
                 +IntegerToString(Foreign())+" positions that this account did not publish. To "
                 "close there what this account does not hold, for all who follow, set "
                 "InpAcceptEpoch to "+m_epoch);
   return(ours);
  }

//--- positions of the channel that this account would close, and never held
int CMtnetProvider::Foreign(void) const
  {
   int count=0;
   MtnetPosition position;
   for(int i=0; i<m_shown.Size(); i++)
     {
      m_shown.Get(i,position);
      if(!m_holdings.IsKnown(position.symbol,position.ticket))
         count++;
     }
   return(count);
  }

//--- what the channel shows and the account holds no longer
void CMtnetProvider::SendCloses(void)
  {
   MtnetPosition position;
   for(int i=0; i<m_shown.Size(); i++)
     {
      m_shown.Get(i,position);
      if(m_holdings.Find(position.symbol,position.ticket)>=0
         || !m_holdings.IsSure(position.symbol,position.ticket))
         continue;
      position.lots=0;
      SendOne(position,true,false);
     }
  }

//--- reductions, or everything else that the channel shows otherwise
void CMtnetProvider::SendWanted(const bool reductions)
  {
   MtnetPosition wanted,shown;
   for(int i=0; i<m_holdings.Size(); i++)
     {
      m_holdings.Get(i,wanted);
      CMtnetTable::Reset(shown);
      int at=m_shown.Find(wanted.symbol,wanted.ticket);
      if(at>=0)
         m_shown.Get(at,shown);
      if(CMtnetOutbox::Same(wanted,shown))
         m_outbox.Done(wanted);
      else if(Reduces(wanted,shown)==reductions
              && m_holdings.IsSure(wanted.symbol,wanted.ticket))
         SendOne(wanted,reductions,wanted.lots*shown.lots<=0 || wanted.type!=shown.type);
     }
  }

//--- A reversal begins with a closing, which is always taken.
bool CMtnetProvider::Reduces(const MtnetPosition &wanted,const MtnetPosition &shown) const
  {
   if(shown.lots!=0 && (wanted.lots*shown.lots<0 || wanted.type!=shown.type))
      return(true);
   return(MathAbs(wanted.lots)<=MathAbs(shown.lots)+MTNET_LEAST);
  }

void CMtnetProvider::SendOne(MtnetPosition &position,const bool reduces,const bool opens)
  {
   m_differences++;
   bool taken=(m_subscription.Mode()==MTNET_MODE_OPEN
               || (m_subscription.Mode()==MTNET_MODE_CLOSE_ONLY && reduces));
   if(!taken || m_left==0)
      return;
   // A symbol has a net position or tickets, never both: first the other form has to close.
   if(position.lots!=0 && m_shown.HasOtherForm(position.symbol,position.ticket))
      return;
   if(!opens)
      position.time=0;
   if(!m_outbox.IsDue(position))
      return;
   m_left--;
   if(position.lots==0)
      position.price=m_holdings.ClosingPrice(m_account,position.symbol,position.ticket);
   string ours=m_holdings.Ours(position.symbol);
   m_report.Describe(ours);
   m_outbox.Send(m_session,position,m_options.scope.channel,TakeWord(),
                 CMtnetHoldings::Decimals(ours));
  }

//--- taken over once: a publisher that lost the channel does not take it back
string CMtnetProvider::TakeWord(void) const
  {
   return(m_options.take && !m_took ? "1" : "free");
  }

//+------------------------------------------------------------------+
//| What people see                                                  |
//+------------------------------------------------------------------+

//--- A person has to do something; waiting does not help.
bool CMtnetProvider::IsPersonal(const ENUM_MTNET_CAUSE cause) const
  {
   return(cause==MTNET_CAUSE_NOT_ALLOWED || cause==MTNET_CAUSE_TLS || cause==MTNET_CAUSE_PIN
          || cause==MTNET_CAUSE_CLEAR || cause==MTNET_CAUSE_LOGIN || cause==MTNET_CAUSE_BANNED
          || cause==MTNET_CAUSE_SESSIONS);
  }

void CMtnetProvider::Watch(void)
  {
   bool works=(m_lock.IsHeld() && !m_fenced),welcome=(works && m_session.IsWelcome());
   m_panel.Check("lock",!m_lock.IsHeld(),"another program publishes this account to "
                 +m_options.scope.channel+"; this one waits until it has ended");
   m_panel.Check("fenced",m_fenced,"another publisher holds the channel. Nothing is published "
                 "until InpTakeOver is switched on, or off and on again");
   m_panel.Check("connection",works && !welcome,m_session.Why(),
                 IsPersonal(m_session.Cause()) ? 0 : MTNET_TROUBLE);
   m_panel.Check("broker",works && !m_account.IsConnected(),"no connection to the broker: "
                 "nothing is published",MTNET_TROUBLE);
   bool refused=(m_subscription.Code()!="" && m_subscription.Code()!="channel");
   m_panel.Check("channel",welcome && refused,"the channel cannot be read: "
                 +m_subscription.Why());
   m_panel.Check("mode",welcome && m_subscription.Mode()!=MTNET_MODE_OPEN,
                 m_subscription.Mode()==MTNET_MODE_FROZEN
                 ? "the channel is frozen: the server takes nothing"
                 : "the channel is paused: the server takes only what closes");
   WatchPositions(welcome);
  }

void CMtnetProvider::WatchPositions(const bool welcome)
  {
   string why="";
   int refused=m_outbox.Refusals(why),missing=m_holdings.Missing();
   m_panel.Check("refused",welcome && refused>0,IntegerToString(refused)+" refused, "+why);
   m_panel.Check("missing",welcome && missing>0,IntegerToString(missing)+" positions are missing "
                 "in the terminal and not known to be closed; they are counted again",
                 MTNET_TROUBLE);
  }

//--- one line, never more than is true
string CMtnetProvider::Line(void) const
  {
   if(!m_lock.IsHeld())
      return("waits");
   if(m_fenced)
      return("stopped");
   if(!m_session.IsWelcome())
      return(m_panel.Troubles()=="" ? m_session.State() : m_session.Brief());
   if(!KnowsChannel())
      return(m_session.State()+", the channel is not read yet");
   string form=(m_options.scope.form==MTNET_FORM_NET ? " net positions" : " tickets");
   int waiting=m_outbox.Waiting();
   return(m_session.State()+", "+IntegerToString(m_holdings.Size())+form+" here, "
          +IntegerToString(m_shown.Size())+" in the channel"
          +(waiting>0 ? ", "+IntegerToString(waiting)+" not stored yet" : ""));
  }
//+------------------------------------------------------------------+
