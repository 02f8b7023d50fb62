// Serves the net volume of its chart's symbol: at each trade, and to all when somebody connects.
// Its buffer never shrinks, so a NUL and the end of a longer frame follow a shorter one.
#include "Net.mqh"
#include "Winsock.mqh"
input string Host="127.0.0.1";
input ushort Port=8081;
uint server=NO_SOCKET;
uint clients[];
uchar frame[];
bool changed=false;

int OnInit(void)
  {
   OnTrade();
   EventSetTimer(1);
   return(INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
   EventKillTimer();
   for(int i=0; i<ArraySize(clients); i++)
      if(clients[i]!=NO_SOCKET)
         Shut(clients[i]);
   if(server!=NO_SOCKET)
      Shut(server);
  }

void OnTrade(void)
  {
   string lots=DoubleToString(NetLots(Symbol()),2);
   StringToCharArray("<<"+Symbol()+"|"+lots+">>",frame);
   changed=true;
  }

void OnTimer(void)
  {
   if(server==NO_SOCKET)
     {
      server=Serve(Host,Port);
      return;
     }
   uint client=Accept(server);
   while(client!=NO_SOCKET)
     {
      Unblock(client);
      int at=ArraySize(clients);
      ArrayResize(clients,at+1);
      clients[at]=client;
      changed=true;
      client=Accept(server);
     }
   if(changed)
      Send();
   changed=false;
  }

void Send(void)
  {
   for(int i=0; i<ArraySize(clients); i++)
      if(clients[i]!=NO_SOCKET && send(clients[i],frame,ArraySize(frame),0)==FAILED)
         Shut(clients[i]);
  }
