//+------------------------------------------------------------------+
//| Frame.mqh: frames of the server, <<VERB|key=value|...>>          |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Text.mqh>

#define MTNET_BUFFER  65536   // maximum bytes without a frame; a server's frame has 8,192

//+------------------------------------------------------------------+
//| A frame that was read                                            |
//+------------------------------------------------------------------+
class CMtnetFrame
  {
private:
   string            m_verb;
   string            m_keys[];
   string            m_values[];
   int               m_size;

   int               Find(const string key) const;
   bool              AddField(const uchar &bytes[],const int from,const int to);
   bool              Undo(const uchar &bytes[],const int from,const int to,string &text) const;
   int               Digit(const uchar digit) const;

public:
                     CMtnetFrame(void);
   bool              Read(const uchar &bytes[],const int from,const int to);
   string            Verb(void) const;
   bool              Has(const string key) const;
   string            Text(const string key) const;
   bool              Number(const string key,long &number) const;
   bool              Lots(const string key,double &lots) const;
   bool              Price(const string key,double &price) const;
  };

CMtnetFrame::CMtnetFrame(void)
  {
   m_verb="";
   m_size=0;
  }

string CMtnetFrame::Verb(void) const
  {
   return(m_verb);
  }

int CMtnetFrame::Find(const string key) const
  {
   for(int i=0; i<m_size; i++)
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

bool CMtnetFrame::Number(const string key,long &number) const
  {
   return(CMtnetText::ToNumber(Text(key),number));
  }

bool CMtnetFrame::Lots(const string key,double &lots) const
  {
   return(CMtnetText::ToLots(Text(key),lots));
  }

//--- an absent price is 0, as in MetaTrader
bool CMtnetFrame::Price(const string key,double &price) const
  {
   price=0;
   return(!Has(key) || CMtnetText::ToPrice(Text(key),price));
  }

//--- the payload from `from` to before `to`; false = it is none
bool CMtnetFrame::Read(const uchar &bytes[],const int from,const int to)
  {
   m_verb="";
   m_size=0;
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
   if(m_size==ArraySize(m_keys))
     {
      ArrayResize(m_keys,m_size+16);
      ArrayResize(m_values,m_size+16);
     }
   m_keys[m_size]=key;
   m_values[m_size]=value;
   m_size++;
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
         int high=(i+2<to ? Digit(bytes[i+1]) : -1);
         int low=(i+2<to ? Digit(bytes[i+2]) : -1);
         if(high<0 || low<0)
            return(false);
         each=(uchar)(high*16+low);
         i+=2;
        }
      plain[size]=each;
      size++;
     }
   text=CharArrayToString(plain,0,size,CP_UTF8);
   // It ends at a NUL, and nothing may come out as NULL, which is not equal to "".
   if(StringLen(text)==0)
      text="";
   return(true);
  }

int CMtnetFrame::Digit(const uchar digit) const
  {
   if(digit>='0' && digit<='9')
      return(digit-'0');
   if(digit>='A' && digit<='F')
      return(digit-'A'+10);
   if(digit>='a' && digit<='f')
      return(digit-'a'+10);
   return(-1);
  }

//+------------------------------------------------------------------+
//| Finds the frames in a stream of bytes                            |
//+------------------------------------------------------------------+
class CMtnetDecoder
  {
private:
   uchar             m_bytes[];
   int               m_size;
   int               m_start;   // of what is no frame yet
   int               m_at;      // up to here there is no end of a frame

   void              Shift(void);

public:
                     CMtnetDecoder(void);
   void              Reset(void);
   bool              Add(const uchar &block[],const int size);
   bool              Next(CMtnetFrame &frame);
  };

CMtnetDecoder::CMtnetDecoder(void)
  {
   Reset();
  }

void CMtnetDecoder::Reset(void)
  {
   m_size=0;
   m_start=0;
   m_at=0;
  }

//--- false = so many bytes without a frame: this is no mtnet server
bool CMtnetDecoder::Add(const uchar &block[],const int size)
  {
   if(m_size+size>ArraySize(m_bytes))
      ArrayResize(m_bytes,m_size+size,MTNET_BUFFER);
   ArrayCopy(m_bytes,block,m_size,0,size);
   m_size+=size;
   return(m_size-m_start<=2*MTNET_BUFFER);
  }

//--- A frame begins after the last << before the first >>. Other bytes are skipped.
bool CMtnetDecoder::Next(CMtnetFrame &frame)
  {
   while(m_at+1<m_size)
     {
      if(m_bytes[m_at]!='>' || m_bytes[m_at+1]!='>')
        {
         m_at++;
         continue;
        }
      int end=m_at,opening=end-2;
      while(opening>=m_start && (m_bytes[opening]!='<' || m_bytes[opening+1]!='<'))
         opening--;
      bool begun=(opening>=m_start);
      m_at=end+2;
      m_start=m_at;
      if(begun && frame.Read(m_bytes,opening+2,end))
         return(true);
     }
   Shift();
   return(false);
  }

//--- an incomplete frame stays until a later read completes it
void CMtnetDecoder::Shift(void)
  {
   if(m_start==0)
      return;
   ArrayCopy(m_bytes,m_bytes,0,m_start,m_size-m_start);
   m_size-=m_start;
   m_at-=m_start;
   m_start=0;
  }

//+------------------------------------------------------------------+
