// Writes each tick of its chart as text to a TCP server, as the export of MQL5 code/169 does over a
// DLL with three functions: open, write, close. Its format is not known; this one ends each with NUL.
#include "Winsock.mqh"
input string Host="127.0.0.1";
input ushort Port=8082;
uint client=NO_SOCKET;

int OnInit(void)
  {
   client=Dial(Host,Port);
   return(client==NO_SOCKET ? INIT_FAILED : INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
   if(client!=NO_SOCKET)
      Shut(client);
  }

void OnTick(void)
  {
   uchar bytes[];
   MqlTick tick;
   if(!SymbolInfoTick(Symbol(),tick))
      return;
   string text=Symbol()+" "+DoubleToString(tick.bid,Digits())+" "+DoubleToString(tick.ask,Digits());
   StringToCharArray(text,bytes);
   send(client,bytes,ArraySize(bytes),0);
  }
