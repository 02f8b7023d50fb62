//+------------------------------------------------------------------+
//| Session.mqh: one session with an mtnet server, kept alive        |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Backoff.mqh>
#include <Mtnet/Common/Frame.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Server/Socket.mqh>

#define MTNET_ASK             6000    // ms of silence before the server is sent a PING
#define MTNET_BLIND           12000   // ms of silence; the server sends at least every 5 s
#define MTNET_PAYLOAD         1024    // maximum bytes of a frame to a server without `services`
#define MTNET_PAYLOAD_LONGER  8192    // and to one with
#define MTNET_STABLE          30000   // ms after which a connection counts as a success

//--- where the server is, and as whom it is addressed
struct MtnetServer
  {
   string            hosts;      // "host1,host2:9000"; the next one when one fails
   int               port;       // of hosts without one
   bool              tls;        // port 443 has it anyway
   string            pin;        // SHA-1 thumbprint of the certificate; "" = any that is trusted
   string            login;      // "" = none
   string            password;   // never printed
   string            name;       // shown in the server's status
   string            client;     // program and version
  };

class CMtnetSession
  {
private:
   MtnetServer       m_server;
   string            m_hosts[];
   int               m_host;        // that is tried, or connected
   int               m_failed;      // hosts in a row that did not answer
   CMtnetSocket      m_socket;
   CMtnetDecoder     m_decoder;
   CMtnetBackoff     m_backoff;
   ENUM_MTNET_CAUSE  m_cause;
   string            m_state;
   bool              m_open;        // between Open and Close
   bool              m_welcome;
   bool              m_asked;
   bool              m_proven;
   string            m_services;
   string            m_login_error; // what an ERROR before the end said
   ulong             m_heard;
   ulong             m_welcomed;
   uint              m_blind;       // ms
   long              m_connections;

   void              Connect(void);
   void              Address(string &host,int &port) const;
   void              Hello(void);
   void              Receive(void);
   void              Watch(void);
   bool              Passes(const CMtnetFrame &frame);
   void              Welcome(const CMtnetFrame &frame);
   bool              Error(const CMtnetFrame &frame);
   void              Failed(const ENUM_MTNET_CAUSE cause);
   string            Countdown(void) const;

public:
                     CMtnetSession(void);
   void              Open(const MtnetServer &server);
   void              Close(void);
   void              Work(void);
   bool              Next(CMtnetFrame &frame);
   bool              Say(const string payload);
   bool              Fits(const string payload) const;
   void              Drop(const ENUM_MTNET_CAUSE cause,const string why);
   void              Proven(void);
   bool              IsWelcome(void) const;
   bool              IsBlind(void) const;
   bool              Has(const string service) const;
   bool              HasServices(void) const;
   int               Longest(void) const;
   long              Connections(void) const;
   ENUM_MTNET_CAUSE  Cause(void) const;
   string            State(void) const;
   string            Brief(void) const;
   string            Why(void) const;
   string            Thumbprint(void) const;
  };

CMtnetSession::CMtnetSession(void)
  {
   m_open=false;
   m_cause=MTNET_CAUSE_NONE;
   m_state="not connected yet";
   m_welcome=false;
   m_asked=false;
   m_proven=false;
   m_services="";
   m_login_error="";
   m_heard=0;
   m_welcomed=0;
   m_blind=MTNET_BLIND;
   m_host=0;
   m_failed=0;
   m_connections=0;
  }

//--- begins to connect; the password stays in this class and is never printed
void CMtnetSession::Open(const MtnetServer &server)
  {
   Close();
   m_server=server;
   CMtnetText::Items(server.hosts,m_hosts);
   m_host=0;
   m_failed=0;
   m_cause=MTNET_CAUSE_NONE;
   m_state=(ArraySize(m_hosts)>0 ? "not connected yet" : "no server is named in InpHost");
   m_open=(ArraySize(m_hosts)>0);
   m_backoff.Succeed();
   MathSrand((int)(GetTickCount64()%32768));
  }

//--- ends the session for good, with a farewell: the server need not wait for a return
void CMtnetSession::Close(void)
  {
   if(m_welcome && Say("BYE"))
      m_socket.Flush();
   m_socket.Close();
   m_welcome=false;
   m_open=false;
  }

bool CMtnetSession::IsWelcome(void) const
  {
   return(m_welcome);
  }

//--- nothing that the server says now would be heard
bool CMtnetSession::IsBlind(void) const
  {
   return(!m_welcome || GetTickCount64()-m_heard>m_blind);
  }

//--- false for old servers too, which name no services
bool CMtnetSession::Has(const string service) const
  {
   return(CMtnetText::IsListed(m_services,service));
  }

//--- whether WELCOME named services: older servers do not know REPORT and SPEC
bool CMtnetSession::HasServices(void) const
  {
   return(m_services!="");
  }

//--- bytes of a payload
int CMtnetSession::Longest(void) const
  {
   return(HasServices() ? MTNET_PAYLOAD_LONGER : MTNET_PAYLOAD);
  }

//--- rises with each WELCOME
long CMtnetSession::Connections(void) const
  {
   return(m_connections);
  }

ENUM_MTNET_CAUSE CMtnetSession::Cause(void) const
  {
   return(m_cause);
  }

//--- the same as long as nothing changes, for an alert
string CMtnetSession::Why(void) const
  {
   return(m_state);
  }

//--- one line for people
string CMtnetSession::State(void) const
  {
   return(m_state+Countdown());
  }

//--- the same without the reason, beside one that is shown already
string CMtnetSession::Brief(void) const
  {
   return(m_welcome ? m_state : "not connected"+Countdown());
  }

string CMtnetSession::Countdown(void) const
  {
   int left=m_backoff.Left();
   return(m_welcome || left<2 ? "" : "; next attempt in "+IntegerToString(left)+" s");
  }

string CMtnetSession::Thumbprint(void) const
  {
   return(m_socket.Thumbprint());
  }

//--- the server did what it was asked for: the next reconnect, if needed, is soon
void CMtnetSession::Proven(void)
  {
   if(!m_welcome || m_proven)
      return;
   m_proven=true;
   m_failed=0;
   m_backoff.Succeed();
   m_cause=MTNET_CAUSE_NONE;
  }

//--- call it from the timer, several times a second
void CMtnetSession::Work(void)
  {
   if(!m_open)
      return;
   if(!m_socket.IsOpen())
     {
      if(!m_backoff.Waits() || m_backoff.IsDue())
         Connect();
      return;
     }
   // Read first, then look at the clock: an order may have taken many seconds, and what came
   // meanwhile is in the buffer.
   Receive();
   Watch();
   if(m_socket.IsOpen() && !m_socket.Flush())
      Drop(MTNET_CAUSE_LOST,m_socket.Why());
  }

//--- "host:port", "[::1]:port", or a host of the common port
void CMtnetSession::Address(string &host,int &port) const
  {
   host=m_hosts[m_host];
   port=m_server.port;
   int colon=StringFind(host,":"),next=0;
   while((next=StringFind(host,":",colon+1))>=0)
      colon=next;
   long number=0;
   bool address=(StringFind(host,":")!=colon && StringSubstr(host,0,1)!="[");
   if(colon>0 && !address && CMtnetText::ToNumber(StringSubstr(host,colon+1),number))
     {
      port=(int)number;
      host=StringSubstr(host,0,colon);
     }
  }

void CMtnetSession::Connect(void)
  {
   string host="";
   int port=0;
   Address(host,port);
   m_decoder.Reset();
   m_services="";
   m_proven=false;
   m_asked=false;
   bool tls=(m_server.tls || port==MTNET_TLS_PORT || m_server.pin!="");
   if(m_server.login!="" && !tls && !CMtnetSocket::IsLoopback(host))
     {
      Drop(MTNET_CAUSE_CLEAR,"a password is not sent in clear to "+host+": switch InpTls on");
      return;
     }
   ENUM_MTNET_CAUSE cause=m_socket.Connect(host,port,tls,m_server.pin);
   if(cause!=MTNET_CAUSE_NONE)
     {
      Drop(cause,m_socket.Why());
      return;
     }
   m_state="waiting for the welcome of "+host;
   Hello();
  }

//--- at once: after 0.3 s of silence the server assumes a follower of the classic dialect
void CMtnetSession::Hello(void)
  {
   string payload="HELLO"+CMtnetText::Field("v","2");
   if(m_server.login!="")
      payload+=CMtnetText::Field("login",m_server.login)
               +CMtnetText::Field("password",m_server.password);
   payload+=CMtnetText::Field("name",m_server.name)+CMtnetText::Field("client",m_server.client);
   m_heard=GetTickCount64();
   if(Say(payload) && !m_socket.Flush())
      Drop(MTNET_CAUSE_LOST,m_socket.Why());
  }

void CMtnetSession::Receive(void)
  {
   int total=0,got=0;
   uchar block[];
   while(total<MTNET_TURN && (got=m_socket.Get(block))>0)
     {
      total+=got;
      if(m_decoder.Add(block,got))
         continue;
      Drop(MTNET_CAUSE_SERVER,"this is no mtnet server");
      return;
     }
   // Frames of the classic dialect come when HELLO was late; they are no sign of life.
   if(total>0 && m_welcome)
     {
      m_heard=GetTickCount64();
      m_asked=false;
     }
   // What came before the end is still read: it may be an ERROR that says why.
   if(got<0 && total==0)
      Drop(MTNET_CAUSE_LOST,m_login_error=="" ? m_socket.Why() : m_login_error);
  }

void CMtnetSession::Watch(void)
  {
   if(!m_socket.IsOpen())
      return;
   ulong now=GetTickCount64(),silence=now-m_heard;
   if(silence>m_blind)
      Drop(MTNET_CAUSE_SILENT,"nothing was heard for "+IntegerToString((long)(silence/1000))
           +" s");
   else if(silence>m_blind/2 && m_welcome && !m_asked)
      m_asked=Say("PING");
   else if(m_welcome && now-m_welcomed>MTNET_STABLE)
      Proven();
  }

//--- the next frame for the program: WELCOME, then all but PONG
bool CMtnetSession::Next(CMtnetFrame &frame)
  {
   while(m_socket.IsOpen() && m_decoder.Next(frame))
      if(Passes(frame))
         return(true);
   return(false);
  }

//--- handles the frames of the session itself
bool CMtnetSession::Passes(const CMtnetFrame &frame)
  {
   string verb=frame.Verb();
   if(verb=="WELCOME")
      Welcome(frame);
   else if(verb=="ERROR")
      return(Error(frame));
   else if(verb=="PING" && m_welcome)
      Say("PONG");
   return(m_welcome && verb!="PONG");
  }

void CMtnetSession::Welcome(const CMtnetFrame &frame)
  {
   m_welcome=true;
   m_connections++;
   m_login_error="";
   m_heard=GetTickCount64();
   m_welcomed=m_heard;
   m_services=frame.Text("services");
   // A server whose heartbeat is slower is waited for longer.
   double heartbeat=5;
   if(!CMtnetText::ToPrice(frame.Text("heartbeat"),heartbeat) || heartbeat<5)
      heartbeat=5;
   m_blind=(uint)(MTNET_BLIND/5*heartbeat);
   m_state="connected to "+m_hosts[m_host];
  }

//--- False = the session ends. Other errors are the program's.
bool CMtnetSession::Error(const CMtnetFrame &frame)
  {
   string code=frame.Text("code"),text=frame.Text("text");
   Print("mtnet: the server says ",code,": ",text);
   if(code=="login" || code=="expired")
      Drop(MTNET_CAUSE_LOGIN,text);
   else if(code=="banned")
      Drop(MTNET_CAUSE_BANNED,text);
   else if(code=="sessions")
      Drop(MTNET_CAUSE_SESSIONS,text);
   else if(code=="slow")
      Drop(MTNET_CAUSE_SLOW,text);
   else if(code=="frame" || code=="timeout")
      Drop(MTNET_CAUSE_LOST,text);
   else
     {
      m_login_error=(m_welcome ? "" : text);
      return(m_welcome);
     }
   return(false);
  }

bool CMtnetSession::Fits(const string payload) const
  {
   return(CMtnetText::Size(payload)<=Longest());
  }

//--- Queues a frame; the timer sends it. False = it cannot be sent.
bool CMtnetSession::Say(const string payload)
  {
   if(!m_socket.IsOpen())
      return(false);
   uchar bytes[];
   int size=CMtnetText::Bytes("<<"+payload+">>",bytes);
   if(size>Longest()+4)
     {
      Print("mtnet: a frame of ",size," bytes is too long for the server and was not sent");
      return(false);
     }
   if(m_socket.Put(bytes,size))
      return(true);
   Drop(MTNET_CAUSE_LOST,"the server does not read");
   return(false);
  }

//--- ends this connection; the next attempt follows, with another host when this one is gone
void CMtnetSession::Drop(const ENUM_MTNET_CAUSE cause,const string why)
  {
   m_socket.Close();
   m_welcome=false;
   m_login_error="";
   m_state="not connected: "+why;
   // The journal is not filled with the same line.
   if(cause!=m_cause || m_failed==0)
      Print("mtnet: ",m_state);
   m_cause=cause;
   Failed(cause);
  }

void CMtnetSession::Failed(const ENUM_MTNET_CAUSE cause)
  {
   m_failed++;
   bool gone=(cause==MTNET_CAUSE_LOST || cause==MTNET_CAUSE_CONNECT || cause==MTNET_CAUSE_SILENT
              || cause==MTNET_CAUSE_TLS || cause==MTNET_CAUSE_NOT_ALLOWED);
   m_host=(m_host+1)%(int)MathMax(1,ArraySize(m_hosts));
   // The others are asked at once; a login that was refused is refused there as well.
   if(gone && m_failed%(int)MathMax(1,ArraySize(m_hosts))!=0)
      return;
   m_backoff.Fail(cause);
  }
//+------------------------------------------------------------------+
