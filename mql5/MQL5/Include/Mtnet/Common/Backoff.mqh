//+------------------------------------------------------------------+
//| Backoff.mqh: what has failed, and when it is tried again         |
//+------------------------------------------------------------------+
#property strict

//--- why there is no connection
enum ENUM_MTNET_CAUSE
  {
   MTNET_CAUSE_NONE,         // nothing has failed
   MTNET_CAUSE_LOST,         // the connection ended
   MTNET_CAUSE_CONNECT,      // nobody answers there: 5272
   MTNET_CAUSE_NOT_ALLOWED,  // the terminal does not allow the address: 4014
   MTNET_CAUSE_TLS,          // no TLS: 5274, 5275
   MTNET_CAUSE_PIN,          // the certificate is another one than InpPin names
   MTNET_CAUSE_CLEAR,        // a password would leave this machine in clear
   MTNET_CAUSE_SILENT,       // nothing was heard for 12 s
   MTNET_CAUSE_SLOW,         // this terminal has read too slowly
   MTNET_CAUSE_LOGIN,        // wrong password, or an account that has expired
   MTNET_CAUSE_BANNED,       // too many wrong passwords, or a person's ban
   MTNET_CAUSE_SESSIONS,     // another program of this account took the place
   MTNET_CAUSE_SERVER        // the server does not speak as it should
  };

#define MTNET_SECOND  1000   // ms

class CMtnetBackoff
  {
private:
   ulong             m_next;    // 0 = nothing waits
   uint              m_delay;   // ms, of the next failure; 0 = the first one's

public:
                     CMtnetBackoff(void);
   void              Succeed(void);
   void              Later(const uint first,const uint longest);
   void              Fail(const ENUM_MTNET_CAUSE cause);
   void              Now(void);
   bool              Waits(void) const;
   bool              IsDue(void) const;
   int               Left(void) const;
  };

CMtnetBackoff::CMtnetBackoff(void)
  {
   Succeed();
  }

//--- the next failure is the first one again
void CMtnetBackoff::Succeed(void)
  {
   m_next=0;
   m_delay=0;
  }

//--- Wait, each time twice as long up to `longest`. Half of a delay is random: a server that was
//--- restarted is not stormed.
void CMtnetBackoff::Later(const uint first,const uint longest)
  {
   m_delay=(m_delay==0 ? first : (uint)MathMin((ulong)2*m_delay,(ulong)longest));
   m_delay=(uint)MathMax(m_delay,first);
   m_next=GetTickCount64()+m_delay/2+(ulong)((m_delay/2)*(MathRand()/32767.0));
  }

void CMtnetBackoff::Fail(const ENUM_MTNET_CAUSE cause)
  {
   switch(cause)
     {
      case MTNET_CAUSE_NOT_ALLOWED:
         // It costs the server nothing, and a person waits in front of the screen.
         Later(5*MTNET_SECOND,5*MTNET_SECOND);
         break;
      case MTNET_CAUSE_TLS:
      case MTNET_CAUSE_PIN:
      case MTNET_CAUSE_CLEAR:
      case MTNET_CAUSE_SERVER:
         Later(10*MTNET_SECOND,300*MTNET_SECOND);
         break;
      case MTNET_CAUSE_LOGIN:
         // A retry each second would soon be a ban. Half of a delay is random: at least 5 minutes.
         Later(600*MTNET_SECOND,600*MTNET_SECOND);
         break;
      case MTNET_CAUSE_BANNED:
         Later(600*MTNET_SECOND,3600*MTNET_SECOND);
         break;
      case MTNET_CAUSE_SESSIONS:
         // Two programs of one account must not push each other out in turns: at least 10 minutes.
         Later(1200*MTNET_SECOND,1200*MTNET_SECOND);
         break;
      default:
         Later(MTNET_SECOND,30*MTNET_SECOND);
     }
  }

//--- do not wait any longer
void CMtnetBackoff::Now(void)
  {
   if(m_next>0)
      m_next=GetTickCount64();
  }

bool CMtnetBackoff::Waits(void) const
  {
   return(m_next>0);
  }

bool CMtnetBackoff::IsDue(void) const
  {
   return(m_next>0 && GetTickCount64()>=m_next);
  }

//--- s until it is due
int CMtnetBackoff::Left(void) const
  {
   ulong now=GetTickCount64();
   return(m_next>now ? (int)((m_next-now+999)/1000) : 0);
  }

//+------------------------------------------------------------------+
