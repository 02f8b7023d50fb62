//+------------------------------------------------------------------+
//| Subscription.mqh: asks for a channel until it is granted         |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Backoff.mqh>
#include <Mtnet/Common/Frame.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Server/Session.mqh>

//--- what people do to a channel
enum ENUM_MTNET_MODE
  {
   MTNET_MODE_OPEN,         // everything is taken
   MTNET_MODE_CLOSE_ONLY,   // pause: only what closes or reduces
   MTNET_MODE_FROZEN        // freeze: nothing
  };

//--- what a frame was about
enum ENUM_MTNET_EVENT
  {
   MTNET_EVENT_NONE,        // not about the subscription: the program's
   MTNET_EVENT_HANDLED,     // nothing is left to do
   MTNET_EVENT_REFUSED,     // the subscription was refused; Why() says why
   MTNET_EVENT_MODE,        // Mode() has changed
   MTNET_EVENT_RESUMED,     // everything is taken again: publish the whole state
   MTNET_EVENT_FLATTENED,   // a person has closed every position of the channel
   MTNET_EVENT_NOTICE       // Notice() is for people
  };

class CMtnetSubscription
  {
private:
   string            m_channel;
   CMtnetBackoff     m_backoff;
   bool              m_granted;
   bool              m_asked;     // and not answered yet
   string            m_code;      // of the refusal
   string            m_why;
   string            m_notice;
   string            m_provider;  // "up", "down" or ""
   ENUM_MTNET_MODE   m_mode;

   ENUM_MTNET_EVENT  Refused(const CMtnetFrame &frame);
   ENUM_MTNET_EVENT  Paused(const ENUM_MTNET_MODE mode);

public:
                     CMtnetSubscription(void);
   void              Begin(const string channel);
   void              Welcomed(void);
   bool              IsDue(void) const;
   void              Ask(CMtnetSession &session,const string fields="");
   void              Granted(void);
   ENUM_MTNET_EVENT  Take(const CMtnetFrame &frame);
   bool              IsGranted(void) const;
   bool              IsRefused(void) const;
   bool              IsUnknown(void) const;
   string            Code(void) const;
   string            Why(void) const;
   string            Notice(void) const;
   string            Provider(void) const;
   ENUM_MTNET_MODE   Mode(void) const;
  };

CMtnetSubscription::CMtnetSubscription(void)
  {
   Begin("");
  }

void CMtnetSubscription::Begin(const string channel)
  {
   m_channel=channel;
   m_notice="";
   m_provider="";
   m_backoff.Succeed();
   Welcomed();
  }

//--- on each connection: PAUSED and STATUS come again
void CMtnetSubscription::Welcomed(void)
  {
   m_granted=false;
   m_asked=false;
   m_code="";
   m_why="";
   m_provider="";
   m_mode=MTNET_MODE_OPEN;
  }

bool CMtnetSubscription::IsGranted(void) const
  {
   return(m_granted);
  }

bool CMtnetSubscription::IsRefused(void) const
  {
   return(m_code!="");
  }

//--- There is no such channel: its first PUBLISH makes it. While it is asked for again nothing is
//--- known: it may have come.
bool CMtnetSubscription::IsUnknown(void) const
  {
   return(m_code=="channel" && !m_asked);
  }

//--- of the last refusal; "" = it was not refused
string CMtnetSubscription::Code(void) const
  {
   return(m_code);
  }

string CMtnetSubscription::Why(void) const
  {
   return(m_why);
  }

string CMtnetSubscription::Notice(void) const
  {
   return(m_notice);
  }

string CMtnetSubscription::Provider(void) const
  {
   return(m_provider);
  }

ENUM_MTNET_MODE CMtnetSubscription::Mode(void) const
  {
   return(m_mode);
  }

//--- a refusal may have ended
bool CMtnetSubscription::IsDue(void) const
  {
   return(m_backoff.IsDue());
  }

//--- `fields` are those of SUBSCRIBE behind `channel`; they replace the former filter
void CMtnetSubscription::Ask(CMtnetSession &session,const string fields)
  {
   m_granted=false;
   m_asked=true;
   if(m_backoff.Waits())
      m_backoff.Later(MTNET_SECOND,30*MTNET_SECOND);
   session.Say("SUBSCRIBE"+CMtnetText::Field("channel",m_channel)+fields);
  }

//--- SYNCED has come
void CMtnetSubscription::Granted(void)
  {
   m_granted=true;
   m_asked=false;
   m_code="";
   m_why="";
   m_backoff.Succeed();
  }

ENUM_MTNET_EVENT CMtnetSubscription::Take(const CMtnetFrame &frame)
  {
   string verb=frame.Verb();
   if(verb=="NOTICE")
     {
      m_notice=frame.Text("text");
      return(MTNET_EVENT_NOTICE);
     }
   if(verb=="CHANNELS")
     {
      if(m_backoff.Waits() && CMtnetText::IsListed(frame.Text("channels"),m_channel))
         m_backoff.Now();
      return(MTNET_EVENT_HANDLED);
     }
   if(frame.Text("channel")!=m_channel)
      return(MTNET_EVENT_NONE);
   if(verb=="ERROR")
      return(Refused(frame));
   if(verb=="STATUS")
     {
      m_provider=frame.Text("publisher");
      return(MTNET_EVENT_HANDLED);
     }
   if(verb=="PAUSED")
      return(Paused(frame.Text("mode")=="frozen" ? MTNET_MODE_FROZEN : MTNET_MODE_CLOSE_ONLY));
   if(verb=="RESUMED")
     {
      m_mode=MTNET_MODE_OPEN;
      return(MTNET_EVENT_RESUMED);
     }
   return(verb=="FLATTENED" ? MTNET_EVENT_FLATTENED : MTNET_EVENT_NONE);
  }

ENUM_MTNET_EVENT CMtnetSubscription::Paused(const ENUM_MTNET_MODE mode)
  {
   bool same=(mode==m_mode);
   m_mode=mode;
   return(same ? MTNET_EVENT_HANDLED : MTNET_EVENT_MODE);
  }

//--- A refused subscription is asked for again: channels and rights change. The refusal of a
//--- filter ends only when a person changes it, and twenty errors a minute end the connection.
ENUM_MTNET_EVENT CMtnetSubscription::Refused(const CMtnetFrame &frame)
  {
   string code=frame.Text("code");
   bool about=(code=="channel" || code=="denied" || code=="server" || code=="field");
   if(m_granted || frame.Has("id") || !about)
      return(MTNET_EVENT_NONE);
   bool same=(code==m_code && frame.Text("text")==m_why);
   m_asked=false;
   m_code=code;
   m_why=frame.Text("text");
   m_backoff.Later(code=="field" ? 60*MTNET_SECOND : MTNET_SECOND,
                   (code=="field" ? 300 : 30)*MTNET_SECOND);
   return(same ? MTNET_EVENT_HANDLED : MTNET_EVENT_REFUSED);
  }
//+------------------------------------------------------------------+
