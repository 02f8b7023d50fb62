//+------------------------------------------------------------------+
//| Clock.mqh: the broker's time and UTC                             |
//+------------------------------------------------------------------+
#property strict

#define MTNET_QUARTER  900   // s; clocks of brokers differ from UTC by whole quarters of an hour

class CMtnetClock
  {
public:
   static long       Now(void);
   static long       Offset(void);
   static long       Utc(const long seconds);
  };

//--- ms since 1970, UTC; as right as the clock of this computer
long CMtnetClock::Now(void)
  {
   return(1000*(long)TimeGMT());
  }

//--- s that the broker's clock is ahead of UTC; ticks lag, and computers are a little wrong
long CMtnetClock::Offset(void)
  {
   double ahead=(double)((long)TimeTradeServer()-(long)TimeGMT());
   return((long)MathRound(ahead/MTNET_QUARTER)*MTNET_QUARTER);
  }

//--- ms UTC of a time of the broker, never in the future
long CMtnetClock::Utc(const long seconds)
  {
   return(1000*(long)MathMin((long)TimeGMT(),seconds-Offset()));
  }
//+------------------------------------------------------------------+
