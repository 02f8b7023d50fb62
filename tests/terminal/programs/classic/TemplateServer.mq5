// Serves its chart's template to everybody who connects, and closes. A click on the chart takes the
// template; its bytes are appended to what was taken before.
#include "Winsock.mqh"
input string Host="127.0.0.1";
input ushort Port=8080;
#define FIELD          10
#define GENERIC_READ   0x80000000
#define OPEN_EXISTING  3

#import "kernel32.dll"
int  CreateFileW(string name,uint access,uint share,uint security,uint how,uint flags,int like);
bool ReadFile(int file,ushort &buffer[],uint size,uint &done,int overlapped);
uint GetFileSize(int file,int high);
bool CloseHandle(int file);
#import

uint server=NO_SOCKET;
uchar served[];

int OnInit(void)
  {
   EventSetTimer(1);
   return(INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
   EventKillTimer();
   if(server!=NO_SOCKET)
      Shut(server);
  }

void OnChartEvent(const int id,const long &lparam,const double &dparam,const string &sparam)
  {
   AddField(Symbol());
   AddField(IntegerToString(Period()));
   string text=Template();
   StringReplace(text,MQLInfoString(MQL_PROGRAM_NAME)+".ex5"," ");
   ushort units[];
   StringToShortArray(text,units);
   int at=ArraySize(served);
   ArrayResize(served,at+2*ArraySize(units));
   for(int i=0; i<ArraySize(units); i++)
     {
      served[at+2*i]=(uchar)units[i];
      served[at+2*i+1]=(uchar)(units[i]>>8);
     }
  }

//--- what is behind the terminating 0 is what the memory held
void AddField(const string text)
  {
   uchar field[];
   StringToCharArray(text,field);
   ArrayResize(field,FIELD);
   ArrayCopy(served,field,ArraySize(served));
  }

string Template(void)
  {
   ushort units[];
   uint done=0;
   ChartSaveTemplate(0,"served.tpl");
   int file=CreateFileW(TerminalInfoString(TERMINAL_PATH)+"\\Profiles\\Templates\\served.tpl",
                        GENERIC_READ,1,0,OPEN_EXISTING,0,0);
   if(file==INVALID_HANDLE)
      return("");
   uint size=GetFileSize(file,0);
   ArrayResize(units,(int)size);
   ArrayInitialize(units,0);
   ReadFile(file,units,size,done,0);
   CloseHandle(file);
   return(ShortArrayToString(units));
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
      send(client,served,ArraySize(served),0);
      Shut(client);
      client=Accept(server);
     }
  }
