//+------------------------------------------------------------------+
//| Outbox.mqh: PUBLISH, until the server has answered               |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Backoff.mqh>
#include <Mtnet/Common/Clock.mqh>
#include <Mtnet/Common/Frame.mqh>
#include <Mtnet/Common/Index.mqh>
#include <Mtnet/Common/Table.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Server/Session.mqh>

#define MTNET_RESEND  10000   // ms without an answer until the same frame is sent again
#define MTNET_REASK   60000   // ms; the longest delay of a position that was refused
#define MTNET_ROWS    10000   // keys that are remembered

//--- what was sent last of a key
struct MtnetSent
  {
   MtnetPosition     position;
   string            payload;
   string            id;        // that waits for its answer; "" = none
   ulong             when;      // of sending
   ulong             next;      // of the next attempt after a refusal
   uint              delay;     // ms
   string            why;       // of the refusal; "" = none
  };

class CMtnetOutbox
  {
private:
   string            m_run;
   long              m_count;
   MtnetSent         m_rows[];
   CMtnetIndex       m_keys;
   CMtnetIndex       m_ids;
   int               m_waiting;
   bool              m_answered;   // this connection may publish
   CMtnetBackoff     m_denied;

   int               Row(const MtnetPosition &position);
   void              Purge(void);
   void              Answered(const int at);
   bool              IsResend(const int at,const MtnetPosition &position) const;

public:
                     CMtnetOutbox(void);
   void              Begin(const string run);
   void              Welcomed(void);
   void              Retry(void);
   bool              IsDue(const MtnetPosition &position);
   bool              Send(CMtnetSession &session,const MtnetPosition &position,
                          const string channel,const string take,const int digits);
   bool              Stored(const string id,MtnetPosition &position);
   bool              Refused(const CMtnetFrame &frame,const bool paused,MtnetPosition &position);
   void              Done(const MtnetPosition &position);
   int               Waiting(void) const;
   int               Refusals(string &first) const;
   static bool       Same(const MtnetPosition &one,const MtnetPosition &other);
  };

CMtnetOutbox::CMtnetOutbox(void)
  {
   Begin("");
  }

//--- Ids begin with `run`, which no other run has had: a counter that starts again at 1 would
//--- repeat the ids of yesterday.
void CMtnetOutbox::Begin(const string run)
  {
   m_run=run;
   m_count=0;
   ArrayResize(m_rows,0);
   m_keys.Clear();
   Welcomed();
  }

//--- Signals of an older connection may be stored or not: what the channel shows decides.
void CMtnetOutbox::Welcomed(void)
  {
   for(int i=0; i<ArraySize(m_rows); i++)
      m_rows[i].id="";
   m_ids.Clear();
   m_waiting=0;
   m_answered=false;
   m_denied.Succeed();
   Retry();
  }

//--- the reason of refusals may have ended
void CMtnetOutbox::Retry(void)
  {
   m_denied.Succeed();
   for(int i=0; i<ArraySize(m_rows); i++)
     {
      m_rows[i].next=0;
      m_rows[i].delay=MTNET_SECOND;
     }
  }

int CMtnetOutbox::Waiting(void) const
  {
   return(m_waiting);
  }

//--- how many positions are refused, and why one of them
int CMtnetOutbox::Refusals(string &first) const
  {
   int count=0;
   first="";
   for(int i=0; i<ArraySize(m_rows); i++)
     {
      if(m_rows[i].why=="")
         continue;
      if(count==0)
         first=m_rows[i].position.symbol+": "+m_rows[i].why;
      count++;
     }
   return(count);
  }

//--- closed tickets need no rows
void CMtnetOutbox::Purge(void)
  {
   if(m_waiting>0 || ArraySize(m_rows)<MTNET_ROWS)
      return;
   ArrayResize(m_rows,0);
   m_keys.Clear();
   m_ids.Clear();
  }

int CMtnetOutbox::Row(const MtnetPosition &position)
  {
   string key=CMtnetTable::Key(position.symbol,position.ticket);
   int at=m_keys.Find(key);
   if(at>=0)
      return(at);
   at=ArraySize(m_rows);
   ArrayResize(m_rows,at+1,256);
   m_rows[at].position=position;
   m_rows[at].payload="";
   m_rows[at].id="";
   m_rows[at].when=0;
   m_rows[at].next=0;
   m_rows[at].delay=MTNET_SECOND;
   m_rows[at].why="";
   m_keys.Set(key,at);
   return(at);
  }

//--- the fields that followers act on; times are not compared
bool CMtnetOutbox::Same(const MtnetPosition &one,const MtnetPosition &other)
  {
   return(CMtnetText::SameLots(one.lots,other.lots)
          && (one.lots==0 || (one.type==other.type && one.magic==other.magic
                              && CMtnetText::SamePrice(one.price,other.price)
                              && CMtnetText::SamePrice(one.sl,other.sl)
                              && CMtnetText::SamePrice(one.tp,other.tp))));
  }

bool CMtnetOutbox::IsResend(const int at,const MtnetPosition &position) const
  {
   return(m_rows[at].id!="" && Same(m_rows[at].position,position));
  }

//--- Whether a position, which the channel shows otherwise, is to be sent now. A newer position
//--- replaces one that waits for its answer.
bool CMtnetOutbox::IsDue(const MtnetPosition &position)
  {
   ulong now=GetTickCount64();
   int at=m_keys.Find(CMtnetTable::Key(position.symbol,position.ticket));
   if(at>=0 && IsResend(at,position))
      return(now-m_rows[at].when>MTNET_RESEND);
   // Until the server has taken one, they are sent one by one: it may refuse them all.
   if(!m_answered && (m_waiting>0 || (m_denied.Waits() && !m_denied.IsDue())))
      return(false);
   // The reason for refusing a larger position does not apply to a smaller one.
   return(at<0 || now>=m_rows[at].next
          || !CMtnetText::SameLots(m_rows[at].position.lots,position.lots));
  }

//--- False = nothing can be sent now. The same position again is the same frame, with its id.
bool CMtnetOutbox::Send(CMtnetSession &session,const MtnetPosition &position,
                        const string channel,const string take,const int digits)
  {
   Purge();
   int at=Row(position);
   if(!IsResend(at,position))
     {
      if(m_rows[at].id!="")
        {
         m_ids.Remove(m_rows[at].id);
         m_waiting--;
        }
      m_count++;
      m_waiting++;
      m_rows[at].position=position;
      m_rows[at].id=m_run+"-"+IntegerToString(m_count);
      // An opening happened when the position was opened, anything else now.
      long time=(position.time>0 ? position.time : CMtnetClock::Now());
      m_rows[at].payload="PUBLISH"+CMtnetText::Field("id",m_rows[at].id)
                         +CMtnetText::Field("channel",channel)
                         +CMtnetTable::Fields(position,digits)
                         +CMtnetText::Field("time",IntegerToString(time))
                         +CMtnetText::Field("take",take);
      m_ids.Set(m_rows[at].id,at);
     }
   m_rows[at].when=GetTickCount64();
   return(session.Say(m_rows[at].payload));
  }

void CMtnetOutbox::Answered(const int at)
  {
   m_ids.Remove(m_rows[at].id);
   m_rows[at].id="";
   m_waiting--;
  }

//--- False = it was not the last of its key. `position` is what is stored now.
bool CMtnetOutbox::Stored(const string id,MtnetPosition &position)
  {
   m_answered=true;
   m_denied.Succeed();
   int at=m_ids.Find(id);
   if(at<0)
      return(false);
   Answered(at);
   position=m_rows[at].position;
   m_rows[at].why="";
   m_rows[at].next=0;
   m_rows[at].delay=MTNET_SECOND;
   return(true);
  }

//--- A refused signal is certainly not stored. It is tried again, since most reasons end. True =
//--- the closing of a reversal was stored all the same: `position` is closed.
bool CMtnetOutbox::Refused(const CMtnetFrame &frame,const bool paused,MtnetPosition &position)
  {
   int at=m_ids.Find(frame.Text("id"));
   if(at<0)
      return(false);
   Answered(at);
   m_rows[at].why=frame.Text("text");
   m_rows[at].next=GetTickCount64()+m_rows[at].delay;
   m_rows[at].delay=(uint)MathMin(2*m_rows[at].delay,MTNET_REASK);
   // Twenty errors a minute end the connection.
   if(frame.Text("code")=="denied" && !paused)
      m_denied.Later(2*MTNET_SECOND,MTNET_REASK);
   else
      m_answered=true;
   position=m_rows[at].position;
   position.lots=0;
   return(frame.Text("closed")=="1");
  }

//--- the channel shows it: a refusal is over
void CMtnetOutbox::Done(const MtnetPosition &position)
  {
   int at=m_keys.Find(CMtnetTable::Key(position.symbol,position.ticket));
   if(at>=0 && m_rows[at].id=="")
      m_rows[at].why="";
  }
//+------------------------------------------------------------------+
