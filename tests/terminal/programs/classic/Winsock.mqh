// Sockets of Windows, as programs used them before terminals had their own.
#property strict

#define AF_INET         2
#define SOCK_STREAM     1
#define SOCK_DGRAM      2
#define IPPROTO_TCP     6
#define IPPROTO_UDP     17
#define SD_BOTH         2
#define NO_SOCKET       0xFFFFFFFF
#define FAILED          -1
#define FIONBIO         0x8004667E
#define WSAEWOULDBLOCK  10035
#define WSA_VERSION     0x0202
#define WSA_SIZE        408
#define ADDRESS_SIZE    16
#define WAITING         16
#define PIECE           512     // bytes of one recv

#import "Ws2_32.dll"
int    WSAStartup(ushort version,uchar &data[]);
int    WSACleanup(void);
int    WSAGetLastError(void);
ushort htons(ushort number);
uint   inet_addr(uchar &text[]);
uint   socket(int family,int type,int protocol);
int    ioctlsocket(uint socket,int request,int &argument);
int    bind(uint socket,uchar &name[],int size);
int    listen(uint socket,int waiting);
uint   accept(uint socket,uchar &name[],int &size);
int    connect(uint socket,uchar &name[],int size);
int    send(uint socket,uchar &bytes[],int size,int flags);
int    recv(uint socket,uchar &bytes[],int size,int flags);
int    sendto(uint socket,uchar &bytes[],int size,int flags,uchar &name[],int size_of_name);
int    shutdown(uint socket,int how);
int    closesocket(uint socket);
#import

void Address(const string host,const ushort port,uchar &name[])
  {
   uchar text[];
   StringToCharArray(host,text);
   uint number=inet_addr(text);
   ushort swapped=htons(port);
   ArrayResize(name,ADDRESS_SIZE);
   ArrayInitialize(name,0);
   name[0]=AF_INET;
   name[2]=(uchar)swapped;
   name[3]=(uchar)(swapped>>8);
   for(int i=0; i<4; i++)
      name[4+i]=(uchar)(number>>(8*i));
  }

uint Create(const int type)
  {
   uchar data[];
   ArrayResize(data,WSA_SIZE);
   if(WSAStartup(WSA_VERSION,data)!=0)
      return(NO_SOCKET);
   return(socket(AF_INET,type,type==SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP));
  }

void Unblock(const uint socket)
  {
   int yes=1;
   ioctlsocket(socket,(int)FIONBIO,yes);
  }

uint Dial(const string host,const ushort port)
  {
   uchar name[];
   Address(host,port,name);
   uint made=Create(SOCK_STREAM);
   if(made!=NO_SOCKET && connect(made,name,ADDRESS_SIZE)==FAILED)
      Shut(made);
   if(made!=NO_SOCKET)
      Unblock(made);
   return(made);
  }

uint Serve(const string host,const ushort port)
  {
   uchar name[];
   Address(host,port,name);
   uint made=Create(SOCK_STREAM);
   if(made!=NO_SOCKET && (bind(made,name,ADDRESS_SIZE)==FAILED || listen(made,WAITING)==FAILED))
      Shut(made);
   if(made!=NO_SOCKET)
      Unblock(made);
   return(made);
  }

uint Accept(const uint server)
  {
   uchar name[];
   int size=ADDRESS_SIZE;
   ArrayResize(name,size);
   return(accept(server,name,size));
  }

void Shut(uint &socket)
  {
   shutdown(socket,SD_BOTH);
   closesocket(socket);
   socket=NO_SOCKET;
   WSACleanup();
  }

//--- Appends what is there, piece by piece; a short one is taken for the end. -1 = the connection
//--- is gone.
int Receive(const uint socket,uchar &all[])
  {
   uchar piece[PIECE];
   int size=0,sum=0;
   do
     {
      size=recv(socket,piece,PIECE,0);
      if(size<0)
         return(WSAGetLastError()==WSAEWOULDBLOCK ? sum : -1);
      ArrayCopy(all,piece,ArraySize(all),0,size);
      sum+=size;
     }
   while(size==PIECE);
   return(sum>0 ? sum : -1);
  }
