//+------------------------------------------------------------------+
//| MtnetLink.mqh: one connection of dialect 2 to an mtnet server    |
//| Goes into the same folder as the Expert Advisors that include it |
//+------------------------------------------------------------------+
#define LINK_TIMEOUT   5000     // ms to connect, and to send
#define LINK_ASK       6000     // ms of silence before the server is sent a PING
#define LINK_BLIND     12000    // ms of silence; the server sends at least every 5 s
#define LINK_DELAY     1000     // ms before the second attempt to connect
#define LINK_DELAY_MAX 60000    // ms; each further delay is twice as long, up to this
#define LINK_REFUSED   300000   // ms after a failed login: a retry each second would be a ban
#define LINK_PAYLOAD   1024     // maximum bytes of a frame to the server
#define LINK_BUFFER    65536    // maximum bytes without a frame; a server's frame has 4,096
#define LINK_SETTLES   10000    // ms after connecting to the broker until positions are complete
#define RETRY_FIRST    1000     // ms before the first retry after a refusal

//--- the value of a hex digit, -1 if it is not one
int HexDigit(const uchar digit)
  {
   if(digit>='0' && digit<='9')
      return(digit-'0');
   if(digit>='A' && digit<='F')
      return(digit-'A'+10);
   if(digit>='a' && digit<='f')
      return(digit-'a'+10);
   return(-1);
  }

//--- a field, escaped for a frame
string Field(const string key,const string value)
  {
   string shown="|"+key+"=";
   for(int i=0; i<StringLen(value); i++)
     {
      ushort letter=StringGetCharacter(value,i);
      if(letter<32 || letter==127 || letter=='%' || letter=='|' || letter=='<' || letter=='>')
         shown+=StringFormat("%%%02X",(int)letter);
      else
         shown+=ShortToString(letter);
     }
   return(shown);
  }

//--- lots without trailing zeros; the server accepts at most five decimals
string LotsText(const double lots)
  {
   string text=DoubleToString(lots,5);
   int size=StringLen(text);
   while(size>1 && StringGetCharacter(text,size-1)=='0')
      size--;
   if(StringGetCharacter(text,size-1)=='.')
      size--;
   text=StringSubstr(text,0,size);
   return(text=="-0" ? "0" : text);
  }

//--- a broker's symbol without the suffix; "" = it does not end with it
string WithoutSuffix(const string ours,const string suffix)
  {
   if(suffix=="")
      return(ours);
   int size=StringLen(ours)-StringLen(suffix);
   if(size<1 || StringSubstr(ours,size)!=suffix)
      return("");
   return(StringSubstr(ours,0,size));
  }

//--- whether a comma-separated list contains a name
bool IsListed(const string list,const string name)
  {
   string parts[];
   int size=StringSplit(list,',',parts);
   for(int i=0; i<size; i++)
      if(parts[i]==name)
         return(true);
   return(false);
  }

//--- whether the terminal knows the positions of the account
bool AccountReady(void)
  {
   static ulong since=0;
   static long  account=0;
   // Just after its start a terminal shows no positions: a publisher would publish a flat
   // account, and a follower would buy everything a second time.
   if(TerminalInfoInteger(TERMINAL_CONNECTED)==0 || AccountInfoInteger(ACCOUNT_LOGIN)==0)
     {
      since=0;
      return(false);
     }
   if(AccountInfoInteger(ACCOUNT_LOGIN)!=account)
     {
      account=AccountInfoInteger(ACCOUNT_LOGIN);
      since=0;
     }
   if(since==0)
      since=GetTickCount64();
   return(GetTickCount64()-since>=LINK_SETTLES);
  }

//--- replaces a file atomically
bool WriteText(const string name,const string text)
  {
   uchar bytes[];
   int size=StringToCharArray(text,bytes,0,WHOLE_ARRAY,CP_UTF8)-1;
   int file=FileOpen(name+".new",FILE_WRITE|FILE_BIN);
   if(file==INVALID_HANDLE)
      return(false);
   bool whole=(size>0 && FileWriteArray(file,bytes,0,size)==(uint)size);
   FileClose(file);
   return(whole && FileMove(name+".new",0,name,FILE_REWRITE));
  }

//--- the text of a file, "" when it cannot be read
string ReadText(const string name)
  {
   uchar bytes[];
   int file=FileOpen(name,FILE_READ|FILE_BIN);
   if(file==INVALID_HANDLE)
      return("");
   int size=(int)FileReadArray(file,bytes);
   FileClose(file);
   return(size>0 ? CharArrayToString(bytes,0,size,CP_UTF8) : "");
  }

//+------------------------------------------------------------------+
//| Back-off: refused requests are repeated with growing delays      |
//+------------------------------------------------------------------+
class CMtnetRetry
  {
private:
   uint              m_most;
   uint              m_delay;
   ulong             m_next;     // 0 = nothing to repeat

public:
                     CMtnetRetry(const uint most);
   void              Reset(void);
   void              Later(void);
   bool              Waits(void) const;
   bool              Due(void) const;
  };

CMtnetRetry::CMtnetRetry(const uint most)
  {
   m_most=most;
   Reset();
  }

void CMtnetRetry::Reset(void)
  {
   m_delay=RETRY_FIRST;
   m_next=0;
  }

void CMtnetRetry::Later(void)
  {
   m_next=GetTickCount64()+m_delay;
   m_delay=(uint)MathMin(2*m_delay,m_most);
  }

bool CMtnetRetry::Waits(void) const
  {
   return(m_next>0);
  }

bool CMtnetRetry::Due(void) const
  {
   return(m_next>0 && GetTickCount64()>=m_next);
  }

//+------------------------------------------------------------------+
//| A decoded frame                                                  |
//+------------------------------------------------------------------+
class CMtnetFrame
  {
private:
   string            m_verb;
   string            m_keys[];
   string            m_values[];

   int               Find(const string key) const;
   bool              AddField(const uchar &bytes[],const int from,const int to);
   bool              Undo(const uchar &bytes[],const int from,const int to,string &text) const;

public:
   bool              Read(const uchar &bytes[],const int from,const int to);
   string            Verb(void) const;
   bool              Has(const string key) const;
   string            Text(const string key) const;
   bool              Number(const string key,long &number) const;
   bool              Lots(const string key,double &lots) const;
  };

string CMtnetFrame::Verb(void) const
  {
   return(m_verb);
  }

int CMtnetFrame::Find(const string key) const
  {
   for(int i=0; i<ArraySize(m_keys); i++)
      if(m_keys[i]==key)
         return(i);
   return(-1);
  }

bool CMtnetFrame::Has(const string key) const
  {
   return(Find(key)>=0);
  }

//--- "" = absent
string CMtnetFrame::Text(const string key) const
  {
   int at=Find(key);
   return(at<0 ? "" : m_values[at]);
  }

//--- StringToInteger returns 0 for invalid text, and 0 has a meaning here
bool CMtnetFrame::Number(const string key,long &number) const
  {
   string text=Text(key);
   int size=StringLen(text);
   if(size<1 || size>19)
      return(false);
   for(int i=0; i<size; i++)
      if(StringGetCharacter(text,i)<'0' || StringGetCharacter(text,i)>'9')
         return(false);
   number=StringToInteger(text);
   return(true);
  }

//--- likewise StringToDouble, whose 0 would close a position
bool CMtnetFrame::Lots(const string key,double &lots) const
  {
   string text=Text(key);
   int size=StringLen(text),digits=0,points=0;
   for(int i=0; i<size; i++)
     {
      ushort letter=StringGetCharacter(text,i);
      if(letter>='0' && letter<='9')
         digits++;
      else if(letter=='.' && digits>0)
         points++;
      else if(letter!='-' || i>0)
         return(false);
     }
   if(digits<1 || digits>13 || points>1)
      return(false);
   lots=StringToDouble(text);
   return(true);
  }

bool CMtnetFrame::Read(const uchar &bytes[],const int from,const int to)
  {
   ArrayResize(m_keys,0);
   ArrayResize(m_values,0);
   m_verb="";
   int start=from;
   for(int i=from; i<=to; i++)
     {
      if(i<to && bytes[i]!='|')
         continue;
      bool good=(start==from ? Undo(bytes,start,i,m_verb) : AddField(bytes,start,i));
      if(!good)
         return(false);
      start=i+1;
     }
   return(m_verb!="");
  }

bool CMtnetFrame::AddField(const uchar &bytes[],const int from,const int to)
  {
   int equals=from;
   while(equals<to && bytes[equals]!='=')
      equals++;
   string key="",value="";
   if(equals==to || !Undo(bytes,from,equals,key) || !Undo(bytes,equals+1,to,value) || Has(key))
      return(false);
   int size=ArraySize(m_keys);
   ArrayResize(m_keys,size+1);
   ArrayResize(m_values,size+1);
   m_keys[size]=key;
   m_values[size]=value;
   return(true);
  }

//--- %XX are bytes of UTF-8, so they are decoded before the text is converted
bool CMtnetFrame::Undo(const uchar &bytes[],const int from,const int to,string &text) const
  {
   text="";
   if(from>=to)
      return(true);
   uchar plain[];
   ArrayResize(plain,to-from);
   int size=0;
   for(int i=from; i<to; i++)
     {
      uchar each=bytes[i];
      if(each=='%')
        {
         int high=(i+2<to ? HexDigit(bytes[i+1]) : -1);
         int low=(i+2<to ? HexDigit(bytes[i+2]) : -1);
         if(high<0 || low<0)
            return(false);
         each=(uchar)(high*16+low);
         i+=2;
        }
      plain[size]=each;
      size++;
     }
   text=CharArrayToString(plain,0,size,CP_UTF8);
   return(true);
  }

//+------------------------------------------------------------------+
//| A connection with automatic reconnect                            |
//+------------------------------------------------------------------+
class CMtnetLink
  {
private:
   string            m_host;
   int               m_port;
   bool              m_tls;
   string            m_hello;
   int               m_socket;
   bool              m_secure;
   bool              m_welcome;
   bool              m_stopped;
   bool              m_asked;
   uchar             m_rest[];
   int               m_start;
   int               m_at;
   ulong             m_heard;
   ulong             m_next;
   uint              m_delay;
   string            m_state;

   void              Connect(void);
   bool              Secure(void);
   int               Pull(void);
   int               ReadSome(uchar &block[]);
   bool              Cut(CMtnetFrame &frame);
   bool              Passes(const CMtnetFrame &frame);
   void              Close(void);

public:
                     CMtnetLink(void);
   void              Open(const string host,const int port,const bool tls,const string login,
                          const string password,const string name,const string client);
   void              Work(void);
   bool              Next(CMtnetFrame &frame);
   bool              Say(const string payload);
   void              Drop(const string why);
   void              Stop(const string why);
   void              Bye(void);
   void              Synced(void);
   bool              Welcomed(void) const;
   string            State(void) const;
  };

CMtnetLink::CMtnetLink(void)
  {
   m_socket=INVALID_HANDLE;
   m_port=0;
   m_tls=false;
   m_heard=0;
   Close();
  }

//--- the password stays in this class and is never printed
void CMtnetLink::Open(const string host,const int port,const bool tls,const string login,
                      const string password,const string name,const string client)
  {
   Close();
   m_stopped=false;
   m_next=0;
   m_delay=LINK_DELAY;
   m_state="not connected yet";
   m_host=host;
   m_port=port;
   m_tls=tls;
   m_hello="HELLO"+Field("v","2");
   if(login!="")
      m_hello+=Field("login",login)+Field("password",password);
   m_hello+=Field("name",name)+Field("client",client);
   if(login!="" && !tls && port!=443)
      Print("mtnet: without TLS the password can be read on the way");
   MathSrand((int)(GetTickCount64()%32768));
  }

bool CMtnetLink::Welcomed(void) const
  {
   return(m_welcome);
  }

string CMtnetLink::State(void) const
  {
   return(m_state);
  }

//--- success: the next reconnect, if needed, is soon
void CMtnetLink::Synced(void)
  {
   m_delay=LINK_DELAY;
   m_state="connected";
  }

//--- call it from the timer, several times a second
void CMtnetLink::Work(void)
  {
   if(m_stopped)
      return;
   if(m_socket==INVALID_HANDLE)
     {
      if(GetTickCount64()>=m_next)
         Connect();
      return;
     }
   // Read first, then check the clock: an order may have taken many seconds, and data that came
   // meanwhile is in the buffer.
   int got=Pull();
   ulong silence=GetTickCount64()-m_heard;
   if(got<0)
      Drop("the connection broke");
   else if(got==0 && silence>LINK_BLIND)
      Drop("nothing was heard for 12 seconds");
   else if(got==0 && silence>LINK_ASK && m_welcome && !m_asked)
      m_asked=Say("PING");
  }

void CMtnetLink::Connect(void)
  {
   m_socket=SocketCreate();
   if(m_socket==INVALID_HANDLE)
     {
      Drop("no socket, error "+IntegerToString(GetLastError()));
      return;
     }
   // Without these a terminal waits without limit.
   SocketTimeouts(m_socket,LINK_TIMEOUT,LINK_TIMEOUT);
   ResetLastError();
   if(!SocketConnect(m_socket,m_host,(uint)m_port,LINK_TIMEOUT))
     {
      Drop("no connection, error "+IntegerToString(GetLastError())
           +"; is "+m_host+" allowed in Tools/Options/Expert Advisors?");
      return;
     }
   if(!Secure())
     {
      Drop("no TLS, error "+IntegerToString(GetLastError()));
      return;
     }
   m_heard=GetTickCount64();
   m_state="waiting for the welcome";
   // At once: after 0.3 s of silence the server assumes a follower of the classic dialect.
   Say(m_hello);
  }

//--- never falls back to plain TCP: HELLO may contain a password
bool CMtnetLink::Secure(void)
  {
   string subject="",issuer="",serial="",thumbprint="";
   datetime expiration=0;
   // On port 443 the terminal has completed the handshake by itself.
   m_secure=(bool)SocketTlsCertificate(m_socket,subject,issuer,serial,thumbprint,expiration);
   if(m_tls && !m_secure)
      m_secure=SocketTlsHandshake(m_socket,m_host);
   return(m_secure || !m_tls);
  }

//--- the number of bytes received, -1 when the connection is lost
int CMtnetLink::Pull(void)
  {
   int total=0;
   while(total<LINK_BUFFER)
     {
      uchar block[];
      int got=ReadSome(block);
      if(got<0 && total==0)
         return(-1);
      if(got<=0)
         break;
      int size=ArraySize(m_rest);
      ArrayResize(m_rest,size+got,LINK_BUFFER);
      ArrayCopy(m_rest,block,size,0,got);
      total+=got;
     }
   // Frames of the classic dialect come when HELLO was late; they are not a sign of life.
   if(total>0 && m_welcome)
     {
      m_heard=GetTickCount64();
      m_asked=false;
     }
   return(total);
  }

//--- one non-blocking read; 0 = no data
int CMtnetLink::ReadSome(uchar &block[])
  {
   ArrayResize(block,0);
   // SocketTlsRead would wait until the block is full.
   if(m_secure)
      return(SocketTlsReadAvailable(m_socket,block,4096));
   uint ready=SocketIsReadable(m_socket);
   int got=0;
   if(ready>0)
      got=SocketRead(m_socket,block,(uint)MathMin(ready,4096),10);
   if(got>0)
      return(got);
   // SocketIsReadable returns 1 when it does not know, and SocketRead returns -1 both for a
   // time-out and for an error. So check the connection; silence is detected anyway.
   return(SocketIsConnected(m_socket) ? 0 : -1);
  }

//--- the next frame for the program
bool CMtnetLink::Next(CMtnetFrame &frame)
  {
   while(Cut(frame))
      if(Passes(frame))
         return(true);
   return(false);
  }

//--- A frame begins after the last << before the first >>. Other bytes are skipped.
bool CMtnetLink::Cut(CMtnetFrame &frame)
  {
   int size=ArraySize(m_rest);
   while(m_at+1<size)
     {
      if(m_rest[m_at]!='>' || m_rest[m_at+1]!='>')
        {
         m_at++;
         continue;
        }
      int end=m_at,opening=end-2;
      while(opening>=m_start && (m_rest[opening]!='<' || m_rest[opening+1]!='<'))
         opening--;
      bool begun=(opening>=m_start);
      m_at=end+2;
      m_start=m_at;
      if(begun && frame.Read(m_rest,opening+2,end))
         return(true);
     }
   // An incomplete frame stays until a later read completes it.
   if(m_start>0)
     {
      ArrayRemove(m_rest,0,m_start);
      m_at-=m_start;
      m_start=0;
     }
   if(ArraySize(m_rest)>LINK_BUFFER)
      Drop("this is no mtnet server");
   return(false);
  }

//--- handles the frames of the link itself
bool CMtnetLink::Passes(const CMtnetFrame &frame)
  {
   string verb=frame.Verb();
   if(verb=="ERROR")
     {
      string code=frame.Text("code");
      Print("mtnet: the server says ",code,": ",frame.Text("text"));
      if(code=="login" || code=="banned")
        {
         m_delay=LINK_REFUSED;
         Drop(frame.Text("text"));
         return(false);
        }
      return(m_welcome);
     }
   if(verb=="WELCOME")
     {
      m_welcome=true;
      m_heard=GetTickCount64();
      return(true);
     }
   if(verb=="PING")
     {
      Say("PONG");
      return(false);
     }
   return(m_welcome);
  }

bool CMtnetLink::Say(const string payload)
  {
   if(m_socket==INVALID_HANDLE)
      return(false);
   uchar bytes[];
   // StringToCharArray counts the NUL that it appends; the NUL is not sent.
   int size=StringToCharArray("<<"+payload+">>",bytes,0,WHOLE_ARRAY,CP_UTF8)-1;
   if(size>LINK_PAYLOAD+4)
     {
      Print("mtnet: a frame of ",size," bytes is too long for the server and was not sent");
      return(false);
     }
   int done=0;
   while(done<size)
     {
      uchar part[];
      ArrayCopy(part,bytes,0,done,size-done);
      int sent=(m_secure ? SocketTlsSend(m_socket,part,(uint)(size-done))
                : SocketSend(m_socket,part,(uint)(size-done)));
      if(sent<=0)
        {
         Drop("nothing can be sent, error "+IntegerToString(GetLastError()));
         return(false);
        }
      done+=sent;
     }
   return(true);
  }

//--- reconnect later, after a random delay: a restarted server is not stormed
void CMtnetLink::Drop(const string why)
  {
   Close();
   m_next=GetTickCount64()+m_delay/2+(ulong)(m_delay*(MathRand()/32767.0));
   m_delay=(uint)MathMin(2*m_delay,MathMax(m_delay,LINK_DELAY_MAX));
   m_state="not connected: "+why;
   Print("mtnet: ",m_state);
  }

//--- do not reconnect: a person must decide
void CMtnetLink::Stop(const string why)
  {
   Close();
   m_stopped=true;
   m_state="stopped: "+why;
   Alert("mtnet: ",m_state);
  }

void CMtnetLink::Bye(void)
  {
   if(m_welcome)
      Say("BYE");
   Close();
  }

void CMtnetLink::Close(void)
  {
   if(m_socket!=INVALID_HANDLE)
      SocketClose(m_socket);
   m_socket=INVALID_HANDLE;
   m_welcome=false;
   m_asked=false;
   m_secure=false;
   ArrayResize(m_rest,0);
   m_start=0;
   m_at=0;
  }
//+------------------------------------------------------------------+
