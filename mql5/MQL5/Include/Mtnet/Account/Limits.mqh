//+------------------------------------------------------------------+
//| Limits.mqh: when an order may be sent, and when again            |
//+------------------------------------------------------------------+
#property strict

#define MTNET_MINUTE        60000     // ms
#define MTNET_HOUR          3600000   // ms
#define MTNET_HOUR_REFUSALS 6         // refused orders of a closed market, in an hour and symbol

//--- what an answer of the broker says about the order
enum ENUM_MTNET_ANSWER
  {
   MTNET_ANSWER_TAKEN,       // it is with the broker; its fate stands in the history
   MTNET_ANSWER_UNKNOWN,     // it may be with the broker
   MTNET_ANSWER_REFUSED      // it is not
  };

//+------------------------------------------------------------------+
//| The return codes, and how long each is waited for                |
//+------------------------------------------------------------------+
class CMtnetRetcode
  {
public:
   static ENUM_MTNET_ANSWER Answer(const uint code);
   static uint       LostAfter(const uint code);
   static bool       IsClosed(const uint code);
   static uint       First(const uint code);
   static uint       Longest(const uint code);
  };

ENUM_MTNET_ANSWER CMtnetRetcode::Answer(const uint code)
  {
   switch(code)
     {
      case TRADE_RETCODE_PLACED:
      case TRADE_RETCODE_DONE:
      case TRADE_RETCODE_DONE_PARTIAL:
         return(MTNET_ANSWER_TAKEN);
      case 0:
      case TRADE_RETCODE_ERROR:
      case TRADE_RETCODE_TIMEOUT:
      case TRADE_RETCODE_CONNECTION:
         return(MTNET_ANSWER_UNKNOWN);
     }
   return(MTNET_ANSWER_REFUSED);
  }

//--- ms of a steady connection after which an order that is found nowhere never arrived. An order
//--- that timed out may be filled minutes later; one that the terminal could not send may not.
uint CMtnetRetcode::LostAfter(const uint code)
  {
   if(code==0 || code==TRADE_RETCODE_CONNECTION || code==TRADE_RETCODE_ERROR)
      return(MTNET_MINUTE/2);
   return(3*MTNET_MINUTE);
  }

//--- whether every order of the symbol would be refused alike
bool CMtnetRetcode::IsClosed(const uint code)
  {
   return(code==TRADE_RETCODE_MARKET_CLOSED || code==TRADE_RETCODE_TRADE_DISABLED);
  }

//--- ms until the first repetition
uint CMtnetRetcode::First(const uint code)
  {
   switch(code)
     {
      case TRADE_RETCODE_REQUOTE:
      case TRADE_RETCODE_PRICE_CHANGED:
      case TRADE_RETCODE_PRICE_OFF:
         return(500);
      case TRADE_RETCODE_MARKET_CLOSED:
      case TRADE_RETCODE_TRADE_DISABLED:
         return(30000);
      case TRADE_RETCODE_NO_MONEY:
      case TRADE_RETCODE_LIMIT_VOLUME:
      case TRADE_RETCODE_LIMIT_POSITIONS:
      case TRADE_RETCODE_LONG_ONLY:
      case TRADE_RETCODE_SHORT_ONLY:
      case TRADE_RETCODE_CLOSE_ONLY:
         return(30000);
      case TRADE_RETCODE_INVALID_STOPS:
      case TRADE_RETCODE_INVALID_PRICE:
      case TRADE_RETCODE_CLIENT_DISABLES_AT:
         return(5000);
      case TRADE_RETCODE_POSITION_CLOSED:
      case TRADE_RETCODE_INVALID_FILL:
         return(0);
     }
   return(2000);
  }

//--- ms; each further wait is twice as long, up to this
uint CMtnetRetcode::Longest(const uint code)
  {
   switch(code)
     {
      case TRADE_RETCODE_REQUOTE:
      case TRADE_RETCODE_PRICE_CHANGED:
      case TRADE_RETCODE_PRICE_OFF:
         return(15000);
      case TRADE_RETCODE_POSITION_CLOSED:
         return(5000);
      case TRADE_RETCODE_CLIENT_DISABLES_AT:
         return(30000);
      case TRADE_RETCODE_MARKET_CLOSED:
      case TRADE_RETCODE_TRADE_DISABLED:
         return(20*MTNET_MINUTE);
     }
   return(10*MTNET_MINUTE);
  }

//+------------------------------------------------------------------+
//| A wait after refusals                                            |
//+------------------------------------------------------------------+
struct MtnetWait
  {
   ulong             next;       // 0 = nothing waits
   uint              delay;      // ms, 0 = the last order was taken
   ulong             closed[MTNET_HOUR_REFUSALS];  // times of refusals by a closed market
   int               at;         // the oldest of them

   void              Begin(void);
   void              Taken(void);
   void              Refused(const uint code);
   bool              Waits(void) const { return(next>GetTickCount64()); }
  };

void MtnetWait::Begin(void)
  {
   ArrayInitialize(closed,0);
   at=0;
   Taken();
  }

//--- The refusals of the hour still count: a market that opens and closes again and again is a
//--- closed one.
void MtnetWait::Taken(void)
  {
   next=0;
   delay=0;
  }

void MtnetWait::Refused(const uint code)
  {
   ulong now=GetTickCount64();
   bool market=CMtnetRetcode::IsClosed(code);
   uint longest=CMtnetRetcode::Longest(code);
   delay=(delay==0 ? CMtnetRetcode::First(code) :
          (uint)MathMin((ulong)(market ? 4 : 2)*delay,(ulong)longest));
   delay=(uint)MathMax(delay,CMtnetRetcode::First(code));
   next=now+delay;
   if(!market)
      return;
   closed[at]=now;
   at=(at+1)%MTNET_HOUR_REFUSALS;
   if(closed[at]>0)
      next=(ulong)MathMax(next,closed[at]+MTNET_HOUR+1);
  }

//+------------------------------------------------------------------+
//| Orders a minute, of the whole account                            |
//+------------------------------------------------------------------+
class CMtnetPace
  {
private:
   ulong             m_sent[];
   int               m_most;

   int               Recent(void);

public:
   void              Open(const int most);
   bool              MayOpen(void);
   bool              MayClose(void);
   void              Sent(void);
  };

void CMtnetPace::Open(const int most)
  {
   m_most=most;
   ArrayResize(m_sent,0);
  }

int CMtnetPace::Recent(void)
  {
   ulong now=GetTickCount64();
   int size=ArraySize(m_sent),old=0;
   while(old<size && now-m_sent[old]>=MTNET_MINUTE)
      old++;
   if(old>0)
      ArrayRemove(m_sent,0,old);
   return(size-old);
  }

bool CMtnetPace::MayOpen(void)
  {
   return(m_most<=0 || Recent()<m_most);
  }

//--- Openings never use up what closings need.
bool CMtnetPace::MayClose(void)
  {
   return(m_most<=0 || Recent()<2*m_most);
  }

void CMtnetPace::Sent(void)
  {
   int size=ArraySize(m_sent);
   ArrayResize(m_sent,size+1,256);
   m_sent[size]=GetTickCount64();
  }
//+------------------------------------------------------------------+
