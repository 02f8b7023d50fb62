// Sends each tick of its chart as a datagram, the terminating NUL included.
#include "Winsock.mqh"
input string Host="127.0.0.1";
input ushort Port=8082;
uint client=NO_SOCKET;
uchar server[];

int OnInit(void)
  {
   Address(Host,Port,server);
   client=Create(SOCK_DGRAM);
   Unblock(client);
   return(INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
   Shut(client);
  }

void OnTick(void)
  {
   uchar bytes[];
   string bid=DoubleToString(SymbolInfoDouble(Symbol(),SYMBOL_BID),Digits());
   StringToCharArray(Symbol()+" "+bid,bytes);
   sendto(client,bytes,ArraySize(bytes),0,server,ADDRESS_SIZE);
  }
