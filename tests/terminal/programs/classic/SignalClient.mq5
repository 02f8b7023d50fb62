// Follows: it reads once a second, sees nothing behind the first NUL of what it read, and acts on
// the last frame alone. A refused trade is tried again.
#include <Trade\Trade.mqh>
#include "Net.mqh"
#include "Winsock.mqh"
input string Host="127.0.0.1";
input ushort Port=8081;
uint client=NO_SOCKET;
string waiting="";

int OnInit(void)
  {
   if(AccountInfoInteger(ACCOUNT_MARGIN_MODE)==ACCOUNT_MARGIN_MODE_RETAIL_HEDGING)
      return(INIT_FAILED);
   EventSetTimer(1);
   return(INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
   EventKillTimer();
   if(client!=NO_SOCKET)
      Shut(client);
  }

void OnTimer(void)
  {
   if(client==NO_SOCKET)
     {
      client=Dial(Host,Port);
      return;
     }
   uchar bytes[];
   int size=Receive(client,bytes);
   if(size<0)
      Shut(client);
   if(size>0)
      waiting+=CharArrayToString(bytes);
   string position="";
   while(TakeFrame(position))
      continue;
   string fields[];
   if(StringSplit(position,'|',fields)!=2)
      return;
   if(!Trade(fields[0],NormalizeDouble(StringToDouble(fields[1]),2)))
      waiting="<<"+position+">>"+waiting;
  }

bool TakeFrame(string &position)
  {
   int from=StringFind(waiting,"<<"),to=StringFind(waiting,">>");
   if(from<0 || to<0)
      return(false);
   position=StringSubstr(waiting,from+2,to-from-2);
   waiting=StringSubstr(waiting,to+2);
   return(true);
  }

bool Trade(const string symbol,const double wanted)
  {
   CTrade trade;
   double held=NetLots(symbol);
   double rest=NormalizeDouble(wanted-held,2);
   if(rest==0)
      return(true);
   if(wanted==0)
      return(trade.PositionClose(symbol));
   return(rest>0 ? trade.Buy(rest,symbol) : trade.Sell(-rest,symbol));
  }
