// Says what it holds and shows what all hold: SignalClient, which sends its position and does not
// trade. It reads once a second, and shows the last frame of what it read.
#include "Net.mqh"
#include "Winsock.mqh"
input string Host="127.0.0.1";
input ushort Port=8085;
uint client=NO_SOCKET;
string waiting="";
string told="";

int OnInit(void)
  {
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
      told="";
      return;
     }
   uchar bytes[];
   int size=Receive(client,bytes);
   if(size<0)
     {
      Shut(client);
      return;
     }
   if(size>0)
      waiting+=CharArrayToString(bytes);
   string position="";
   while(TakeFrame(position))
      continue;
   if(position!="")
      Comment(position);
   string frame="<<"+Symbol()+"|"+DoubleToString(NetLots(Symbol()),2)+">>";
   if(frame!=told)
     {
      uchar own[];
      StringToCharArray(frame,own);
      send(client,own,ArraySize(own),0);
      told=frame;
     }
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
