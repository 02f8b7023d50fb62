//+------------------------------------------------------------------+
//| Follower.mqh: one account follows one channel                    |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/Account.mqh>
#include <Mtnet/Account/History.mqh>
#include <Mtnet/Account/Mark.mqh>
#include <Mtnet/Common/Clock.mqh>
#include <Mtnet/Common/Lock.mqh>
#include <Mtnet/Common/Panel.mqh>
#include <Mtnet/Follower/Book.mqh>
#include <Mtnet/Follower/Trader.mqh>
#include <Mtnet/Server/Report.mqh>
#include <Mtnet/Server/Session.mqh>
#include <Mtnet/Server/Subscription.mqh>

#define MTNET_DAYS     30       // of history that are searched for positions of a lost ledger
#define MTNET_PATIENT  30000    // ms after the start until being blind is an incident
#define MTNET_BRIEF    5000     // ms, later: connecting again takes a moment

//--- what a person has set, beside the server and the rules of trading
struct MtnetFollowing
  {
   string            channel;
   string            symbols;     // of the provider, separated by commas; "" = all
   string            map;         // "XAUUSD=GOLD,..."
   string            prefix;
   string            suffix;
   string            accepted;    // the word that accepts another history
   int               blind;       // minutes until everything is closed; 0 = never
  };

class CMtnetFollower
  {
private:
   MtnetServer       m_server;
   MtnetFollowing    m_following;
   CMtnetSession     m_session;
   CMtnetSubscription m_subscription;
   CMtnetAccount     m_account;
   CMtnetBook        m_book;
   CMtnetTrader      m_trader;
   CMtnetLock        m_lock;
   CMtnetReport      m_report;
   CMtnetPanel       m_panel;
   bool              m_begun;        // the account is known, and its ledger was read
   bool              m_first;        // there was no ledger
   bool              m_damaged;
   bool              m_own;          // this account is the channel's provider itself
   ulong             m_asked;        // tick count at which that was looked at
   bool              m_defended;     // everything was closed, since nothing is heard
   long              m_connection;   // on which the channel was asked for
   long              m_ahead;        // ms that the server's clock is ahead of this computer's
   ulong             m_seen;         // tick count at which the channel was known last

   void              Begin(void);
   void              End(void);
   void              Connect(void);
   void              Listen(void);
   void              Take(const CMtnetFrame &frame);
   void              TakeTime(const CMtnetFrame &frame);
   void              TakeEntry(const CMtnetFrame &frame);
   bool              TakeEvent(const CMtnetFrame &frame);
   void              Ask(void);
   bool              IsFresh(void);
   bool              IsOwn(void);
   void              Trade(void);
   void              Defend(void);
   void              Show(void);
   string            Line(void) const;

public:
                     CMtnetFollower(void);
   int               Open(const MtnetServer &server,const MtnetFollowing &following,
                          const MtnetRules &rules);
   void              Timer(void);
   void              Traded(void) { m_trader.Touch(); }
   void              Close(void);
  };

CMtnetFollower::CMtnetFollower(void)
  {
   m_begun=false;
   m_first=false;
   m_damaged=false;
   m_own=false;
   m_asked=0;
   m_defended=false;
   m_connection=0;
   m_ahead=0;
   m_seen=0;
  }

//--- the answer of OnInit
int CMtnetFollower::Open(const MtnetServer &server,const MtnetFollowing &following,
                         const MtnetRules &rules)
  {
   string why="";
   m_server=server;
   m_following=following;
   m_panel.Begin("mtnet "+following.channel);
   if(rules.multiplier<=0 || rules.magic<=0)
      why="InpMultiplier and InpMagic must be greater than 0";
   else if(following.channel=="")
      why="InpChannel names no channel";
   if(why!="" || !m_trader.Open(rules,following.map,following.prefix,following.suffix,
                                following.symbols,why))
     {
      m_panel.Tell(why);
      return(INIT_PARAMETERS_INCORRECT);
     }
   if(!rules.trade)
      Print("mtnet: InpTrade is off, nothing is bought or sold");
   m_seen=GetTickCount64();
   return(INIT_SUCCEEDED);
  }

//--- The account is known. Everything of a former one is forgotten.
void CMtnetFollower::Begin(void)
  {
   m_account.Begin();
   if(!m_account.IsKnown())
      return;
   m_lock.Begin("follower",m_account.Login(),m_account.Server(),m_following.channel,
                IntegerToString(m_trader.Magic()));
   if(!m_lock.Take())
      return;
   m_book.Reset();
   m_trader.Begin(!m_account.IsHedging(),m_account.Login(),m_account.Server(),
                  m_following.channel);
   ENUM_MTNET_STATE state=m_trader.Load(m_book);
   m_first=(state==MTNET_STATE_NONE || state==MTNET_STATE_OTHER);
   m_damaged=(state==MTNET_STATE_DAMAGED);
   m_subscription.Begin(m_following.channel);
   m_connection=0;
   m_defended=false;
   m_seen=GetTickCount64();
   m_asked=0;
   m_server.name=IntegerToString(m_account.Login());
   m_session.Open(m_server);
   m_begun=true;
  }

void CMtnetFollower::End(void)
  {
   if(m_begun && !m_damaged)
      m_trader.Save(m_book,true);
   m_session.Close();
   m_lock.Release();
   m_begun=false;
  }

void CMtnetFollower::Close(void)
  {
   End();
   m_panel.End();
  }

//+------------------------------------------------------------------+
//| One turn                                                         |
//+------------------------------------------------------------------+
void CMtnetFollower::Timer(void)
  {
   if(m_begun && !m_account.IsSame())
      End();
   if(!m_begun)
      Begin();
   if(m_begun && !m_damaged)
     {
      Connect();
      Trade();
      m_report.Work(m_session,m_account);
      m_panel.Check("disk",!m_trader.Save(m_book),m_trader.File()+" cannot be written");
     }
   Show();
  }

void CMtnetFollower::Connect(void)
  {
   m_session.Work();
   Listen();
   if(!m_session.IsWelcome())
      m_book.Lost();
   else if(m_connection!=m_session.Connections() || m_subscription.IsDue())
      Ask();
  }

void CMtnetFollower::Listen(void)
  {
   CMtnetFrame frame;
   while(m_session.Next(frame))
      Take(frame);
  }

void CMtnetFollower::Take(const CMtnetFrame &frame)
  {
   TakeTime(frame);
   if(!TakeEvent(frame) && frame.Text("channel")==m_following.channel)
      TakeEntry(frame);
  }

//--- Ages are judged by the server's clock: this computer's may be wrong.
void CMtnetFollower::TakeTime(const CMtnetFrame &frame)
  {
   long time=0;
   string verb=frame.Verb();
   if((verb=="WELCOME" || verb=="PING") && frame.Number("time",time) && time>0)
      m_ahead=time-CMtnetClock::Now();
  }

//--- true = it was about the subscription
bool CMtnetFollower::TakeEvent(const CMtnetFrame &frame)
  {
   ENUM_MTNET_EVENT event=m_subscription.Take(frame);
   if(event==MTNET_EVENT_NOTICE)
      m_panel.Tell(m_subscription.Notice());
   else if(event==MTNET_EVENT_FLATTENED)
      m_panel.Tell("the channel was flattened by a person");
   return(event!=MTNET_EVENT_NONE);
  }

void CMtnetFollower::TakeEntry(const CMtnetFrame &frame)
  {
   MtnetPosition entry;
   ENUM_MTNET_BOOK result=m_book.Take(frame,m_first,m_following.accepted);
   if(result==MTNET_BOOK_CHANGED)
     {
      m_book.Last(entry);
      m_trader.Take(entry);
     }
   else if(result==MTNET_BOOK_SYNCED)
     {
      m_subscription.Granted();
      m_session.Proven();
      m_trader.Synced(m_book,frame);
      m_first=false;
      m_trader.Save(m_book,true);
     }
   else if(result==MTNET_BOOK_HELD)
      m_subscription.Granted();
   else if(result==MTNET_BOOK_BROKEN)
      m_session.Drop(MTNET_CAUSE_LOST,m_book.Why());
  }

//--- The positions of the account decide whether a first history needs a person: they must be
//--- known before it is asked for.
void CMtnetFollower::Ask(void)
  {
   if(m_book.Epoch()=="" && (!m_account.IsReady() || !m_trader.Look()))
      return;
   if(m_book.Epoch()=="")
      m_first=IsFresh();
   m_connection=m_session.Connections();
   m_book.Asked();
   m_subscription.Ask(m_session,m_book.Claim());
  }

//--- A terminal that shows no position may not have loaded them: the history knows better.
bool CMtnetFollower::IsFresh(void)
  {
   string mark=CMtnetMark::Comment(m_following.channel);
   return(!m_trader.HoldsAny()
          && !CMtnetHistory::HoldsOpen(m_trader.Magic(),mark,MTNET_DAYS));
  }

//--- An account that publishes a channel and copies it would feed itself.
bool CMtnetFollower::IsOwn(void)
  {
   ulong now=GetTickCount64();
   if(m_asked>0 && now-m_asked<MTNET_LOCK_RETRY)
      return(m_own);
   m_asked=now;
   m_own=CMtnetLock::IsTaken("provider",m_account.Login(),m_account.Server(),
                             m_following.channel);
   return(m_own);
  }

void CMtnetFollower::Trade(void)
  {
   if(m_book.Live() && !m_session.IsBlind())
      m_seen=GetTickCount64();
   else
      Defend();
   if(!m_account.IsReady() || IsOwn())
      return;
   m_trader.Work(m_book,m_session,m_panel,CMtnetClock::Now()+m_ahead);
   m_trader.Describe(m_report);
  }

//--- The last defence: better flat than led by nobody for so long.
void CMtnetFollower::Defend(void)
  {
   ulong blind=GetTickCount64()-m_seen;
   bool due=(m_following.blind>0 && blind>=(ulong)m_following.blind*60000);
   if(due && !m_defended && m_book.Known() && !m_book.Held())
     {
      m_trader.ReleaseAll("blind for "+IntegerToString(m_following.blind)+" minutes");
      m_panel.Tell("blind for "+IntegerToString(m_following.blind)
                   +" minutes: every copy is closed, and stays closed until the provider is flat");
     }
   m_defended=(m_defended || due);
  }

//+------------------------------------------------------------------+
//| What people see                                                  |
//+------------------------------------------------------------------+
void CMtnetFollower::Show(void)
  {
   bool blind=(m_begun && !m_book.Live());
   if(!blind)
      m_defended=false;
   ulong least=(m_book.Known() ? MTNET_BRIEF : MTNET_PATIENT);
   bool late=(GetTickCount64()-m_seen>=least || m_session.Cause()>=MTNET_CAUSE_NOT_ALLOWED);
   m_panel.Check("lock",!m_begun && m_account.IsKnown() && !m_lock.IsHeld(),
                 "another program follows this channel with this account and magic number; "
                 "this one does nothing");
   m_panel.Check("damaged",m_begun && m_damaged,m_trader.File()
                 +" or the file of its orders is damaged; move both away to begin anew");
   m_panel.Check("own",m_begun && m_own,"this account publishes the same channel itself; nothing "
                 "is copied");
   m_panel.Check("broker",TerminalInfoInteger(TERMINAL_CONNECTED)==0,
                 "no connection to the broker");
   m_panel.Check("held",m_book.Held(),m_book.Why()+". Nothing is done. To follow it, and to close "
                 "what it does not name, set InpAcceptEpoch to "+m_book.Word());
   m_panel.Check("channel",m_begun && m_subscription.IsRefused(),
                 "nothing is followed: "+m_subscription.Why());
   m_panel.Check("blind",blind && late && !m_damaged && !m_book.Held()
                 && !m_subscription.IsRefused(),"blind, nothing is opened: "+m_session.State());
   m_panel.Check("empty",m_book.Live() && m_book.Seq()==0 && m_trader.HoldsAny(),
                 "the journal of the channel is empty: nothing is known, and nothing is changed");
   m_panel.Show(Line());
  }

string CMtnetFollower::Line(void) const
  {
   if(!m_begun)
      return("waits for the account");
   string text=(m_book.Live() ? "follows, entry "+IntegerToString(m_book.Seq()) :
                m_session.State());
   if(m_subscription.Provider()=="down")
      text+="; the provider is not there";
   if(m_subscription.Mode()!=MTNET_MODE_OPEN)
      text+="; PAUSED, the server takes "
            +(m_subscription.Mode()==MTNET_MODE_FROZEN ? "nothing" : "only what closes");
   return(text+"; "+m_trader.Line());
  }
//+------------------------------------------------------------------+
