// A script: fetches a template until the first short read, and applies it to the chart.
#include "Winsock.mqh"
input string Host="127.0.0.1";
input ushort Port=8080;
#define FIELD  10

void OnStart(void)
  {
   uchar all[];
   uint client=Dial(Host,Port);
   if(client==NO_SOCKET)
      return;
   while(Receive(client,all)==0)
      continue;
   Shut(client);
   string symbol=CharArrayToString(all,0,FIELD);
   string period=CharArrayToString(all,FIELD,FIELD);
   int file=FileOpen("received.tpl",FILE_WRITE|FILE_SHARE_WRITE|FILE_BIN);
   FileWriteArray(file,all,2*FIELD);
   FileClose(file);
   ChartSetSymbolPeriod(0,symbol,(ENUM_TIMEFRAMES)StringToInteger(period));
   ChartApplyTemplate(0,"\\Files\\received.tpl");
  }
