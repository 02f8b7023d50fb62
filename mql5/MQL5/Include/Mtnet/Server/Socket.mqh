//+------------------------------------------------------------------+
//| Socket.mqh: a connection that never makes the timer wait         |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Backoff.mqh>
#include <Mtnet/Common/Text.mqh>

#define MTNET_CONNECT   3000      // ms; SocketConnect and the handshake make the program wait
#define MTNET_PIECE     4096      // bytes of one read or write
#define MTNET_TURN      32768     // bytes of one call: the rest has to wait for the next timer
#define MTNET_OUTPUT    1048576   // bytes that wait; more means that the server does not read
#define MTNET_TLS_PORT  443       // here the terminal starts TLS by itself

//--- errors of the terminal
#define MTNET_ERROR_NOT_ALLOWED  4014
#define MTNET_ERROR_CONNECT      5272
#define MTNET_ERROR_TLS          5274

class CMtnetSocket
  {
private:
   int               m_socket;
   bool              m_secure;
   string            m_thumbprint;
   string            m_why;
   uchar             m_out[];
   int               m_size;      // of what waits in m_out
   int               m_sent;      // of these

   ENUM_MTNET_CAUSE  Fail(const ENUM_MTNET_CAUSE cause,const string why);
   ENUM_MTNET_CAUSE  Refused(const string host,const int error);
   ENUM_MTNET_CAUSE  Secure(const string host,const int port,const bool tls,const string pin);
   bool              HasCertificate(void);
   int               SendPiece(const int size);

public:
                     CMtnetSocket(void);
                    ~CMtnetSocket(void);
   ENUM_MTNET_CAUSE  Connect(const string host,const int port,const bool tls,const string pin);
   void              Close(void);
   bool              IsOpen(void) const;
   bool              IsSecure(void) const;
   string            Why(void) const;
   string            Thumbprint(void) const;
   int               Waiting(void) const;
   bool              Put(const uchar &bytes[],const int size);
   bool              Flush(void);
   int               Get(uchar &block[]);
   static bool       IsLoopback(const string host);
   static string     Plain(const string thumbprint);
  };

CMtnetSocket::CMtnetSocket(void)
  {
   m_socket=INVALID_HANDLE;
   m_why="";
   Close();
  }

CMtnetSocket::~CMtnetSocket(void)
  {
   Close();
  }

bool CMtnetSocket::IsOpen(void) const
  {
   return(m_socket!=INVALID_HANDLE);
  }

bool CMtnetSocket::IsSecure(void) const
  {
   return(m_secure);
  }

//--- what went wrong last, for people
string CMtnetSocket::Why(void) const
  {
   return(m_why);
  }

//--- SHA-1 of the server's certificate, as InpPin wants it; "" without TLS
string CMtnetSocket::Thumbprint(void) const
  {
   return(m_thumbprint);
  }

int CMtnetSocket::Waiting(void) const
  {
   return(m_size-m_sent);
  }

//--- bytes to such a host do not leave this machine
bool CMtnetSocket::IsLoopback(const string host)
  {
   string name=host;
   StringToLower(name);
   if(name=="localhost" || name=="::1" || name=="[::1]")
      return(true);
   string parts[];
   if(StringSplit(name,'.',parts)!=4 || parts[0]!="127")
      return(false);
   // "127.example.com" is no address.
   long number=0;
   for(int i=1; i<4; i++)
      if(!CMtnetText::ToNumber(parts[i],number) || number>255)
         return(false);
   return(true);
  }

//--- a thumbprint without the blanks and colons that programs put between its digits
string CMtnetSocket::Plain(const string thumbprint)
  {
   string plain=thumbprint;
   StringReplace(plain,":","");
   StringReplace(plain," ","");
   StringToLower(plain);
   return(plain);
  }

//--- Waits up to MTNET_CONNECT for the connection, and as long for the handshake. It never falls
//--- back to plain TCP: HELLO may hold a password.
ENUM_MTNET_CAUSE CMtnetSocket::Connect(const string host,const int port,const bool tls,
                                       const string pin)
  {
   Close();
   m_socket=SocketCreate();
   if(m_socket==INVALID_HANDLE)
      return(Refused(host,GetLastError()));
   // Without these a terminal waits without limit.
   SocketTimeouts(m_socket,MTNET_CONNECT,MTNET_CONNECT);
   ResetLastError();
   if(!SocketConnect(m_socket,host,(uint)port,MTNET_CONNECT))
      return(Refused(host,GetLastError()));
   return(Secure(host,port,tls,pin));
  }

//--- the terminal did not connect
ENUM_MTNET_CAUSE CMtnetSocket::Refused(const string host,const int error)
  {
   string number=", error "+IntegerToString(error);
   if(error==MTNET_ERROR_NOT_ALLOWED)
      return(Fail(MTNET_CAUSE_NOT_ALLOWED,"the terminal does not allow "+host
                  +": add it in Tools/Options/Expert Advisors"+number));
   if(error==MTNET_ERROR_TLS)
      return(Fail(MTNET_CAUSE_TLS,"no TLS with "+host+number));
   return(Fail(MTNET_CAUSE_CONNECT,host+" does not answer, or is not allowed in "
               "Tools/Options/Expert Advisors"+number));
  }

ENUM_MTNET_CAUSE CMtnetSocket::Secure(const string host,const int port,const bool tls,
                                      const string pin)
  {
   ResetLastError();
   // On port 443 the terminal has made the handshake by itself.
   m_secure=HasCertificate();
   if(!m_secure && (tls || port==MTNET_TLS_PORT || pin!=""))
      m_secure=(SocketTlsHandshake(m_socket,host) && HasCertificate());
   if(!m_secure && (tls || port==MTNET_TLS_PORT || pin!=""))
      return(Fail(MTNET_CAUSE_TLS,"no TLS with "+host+", error "+IntegerToString(GetLastError())));
   if(pin!="" && Plain(pin)!=Plain(m_thumbprint))
      return(Fail(MTNET_CAUSE_PIN,host+" shows the certificate "+Plain(m_thumbprint)
                  +", which is not the one in InpPin"));
   m_why="";
   return(MTNET_CAUSE_NONE);
  }

bool CMtnetSocket::HasCertificate(void)
  {
   string subject="",issuer="",serial="";
   datetime expiration=0;
   m_thumbprint="";
   return((bool)SocketTlsCertificate(m_socket,subject,issuer,serial,m_thumbprint,expiration));
  }

ENUM_MTNET_CAUSE CMtnetSocket::Fail(const ENUM_MTNET_CAUSE cause,const string why)
  {
   Close();
   m_why=why;
   return(cause);
  }

void CMtnetSocket::Close(void)
  {
   if(m_socket!=INVALID_HANDLE)
      SocketClose(m_socket);
   m_socket=INVALID_HANDLE;
   m_secure=false;
   m_thumbprint="";
   m_size=0;
   m_sent=0;
  }

//--- Queues bytes. False = too many wait: the server does not read.
bool CMtnetSocket::Put(const uchar &bytes[],const int size)
  {
   if(m_socket==INVALID_HANDLE || Waiting()+size>MTNET_OUTPUT)
      return(false);
   if(m_size+size>ArraySize(m_out))
      ArrayResize(m_out,m_size+size,MTNET_TURN);
   ArrayCopy(m_out,bytes,m_size,0,size);
   m_size+=size;
   return(true);
  }

//--- Sends what the system takes without waiting. False = the connection is lost.
bool CMtnetSocket::Flush(void)
  {
   int most=m_sent+MTNET_TURN;
   while(m_sent<m_size && m_sent<most && SocketIsWritable(m_socket))
     {
      int sent=SendPiece((int)MathMin(MTNET_PIECE,m_size-m_sent));
      if(sent<=0)
        {
         m_why="nothing can be sent, error "+IntegerToString(GetLastError());
         return(false);
        }
      m_sent+=sent;
     }
   if(m_sent==m_size)
     {
      m_sent=0;
      m_size=0;
     }
   return(true);
  }

int CMtnetSocket::SendPiece(const int size)
  {
   uchar piece[];
   ArrayResize(piece,size);
   ArrayCopy(piece,m_out,0,m_sent,size);
   ResetLastError();
   if(m_secure)
      return(SocketTlsSend(m_socket,piece,(uint)size));
   return(SocketSend(m_socket,piece,(uint)size));
  }

//--- One read that does not wait: the number of bytes, 0 = none are there, -1 = the connection is
//--- lost.
int CMtnetSocket::Get(uchar &block[])
  {
   ArrayResize(block,0);
   int got=0;
   if(m_secure)
     {
      // SocketTlsRead would wait until the block is full, and SocketIsReadable counts encrypted
      // bytes.
      got=SocketTlsReadAvailable(m_socket,block,MTNET_PIECE);
     }
   else
     {
      uint ready=SocketIsReadable(m_socket);
      if(ready>0)
         got=SocketRead(m_socket,block,(uint)MathMin(ready,MTNET_PIECE),1);
     }
   if(got>0)
      return(got);
   // SocketIsReadable says 1 when it does not know, and -1 means a time-out as well as an error.
   // So ask for the connection; its silence is detected anyway.
   if(SocketIsConnected(m_socket))
      return(0);
   m_why="the connection ended";
   return(-1);
  }
//+------------------------------------------------------------------+
