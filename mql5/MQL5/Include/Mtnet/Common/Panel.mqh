//+------------------------------------------------------------------+
//| Panel.mqh: one line on the chart, and one alert an incident      |
//+------------------------------------------------------------------+
#property strict

#define MTNET_CALM  60000   // ms that an incident must be over before it alerts again

class CMtnetPanel
  {
private:
   string            m_title;
   string            m_shown;
   string            m_keys[];
   string            m_texts[];
   bool              m_open[];
   ulong             m_begun[];   // 0 = it is over
   ulong             m_ended[];   // 0 = it never was

   int               Find(const string key) const;
   int               Row(const string key);
   void              Open(const int at);

public:
                     CMtnetPanel(void);
   void              Begin(const string title);
   void              End(void);
   void              Raise(const string key,const string text,const uint patience=0);
   void              Clear(const string key);
   void              Check(const string key,const bool trouble,const string text,
                           const uint patience=0);
   void              Tell(const string text);
   string            Troubles(void) const;
   void              Show(const string line);
  };

CMtnetPanel::CMtnetPanel(void)
  {
   m_title="mtnet";
   m_shown="";
  }

//--- all incidents are over
void CMtnetPanel::Begin(const string title)
  {
   m_title=title;
   m_shown="";
   ArrayResize(m_keys,0);
   ArrayResize(m_texts,0);
   ArrayResize(m_open,0);
   ArrayResize(m_begun,0);
   ArrayResize(m_ended,0);
  }

void CMtnetPanel::End(void)
  {
   Comment("");
  }

int CMtnetPanel::Find(const string key) const
  {
   for(int i=0; i<ArraySize(m_keys); i++)
      if(m_keys[i]==key)
         return(i);
   return(-1);
  }

int CMtnetPanel::Row(const string key)
  {
   int at=Find(key);
   if(at>=0)
      return(at);
   at=ArraySize(m_keys);
   ArrayResize(m_keys,at+1,16);
   ArrayResize(m_texts,at+1,16);
   ArrayResize(m_open,at+1,16);
   ArrayResize(m_begun,at+1,16);
   ArrayResize(m_ended,at+1,16);
   m_keys[at]=key;
   m_texts[at]="";
   m_open[at]=false;
   m_begun[at]=0;
   m_ended[at]=0;
   return(at);
  }

//--- An incident has begun, or goes on. It is shown, and alerts once, when it has lasted for
//--- `patience` ms.
void CMtnetPanel::Raise(const string key,const string text,const uint patience)
  {
   int at=Row(key);
   ulong now=GetTickCount64();
   m_texts[at]=text;
   if(m_begun[at]==0)
      m_begun[at]=now;
   if(!m_open[at] && now-m_begun[at]>=patience)
      Open(at);
  }

//--- what flaps alerts once a calm minute
void CMtnetPanel::Open(const int at)
  {
   bool calm=(m_ended[at]==0 || GetTickCount64()-m_ended[at]>=MTNET_CALM);
   m_open[at]=true;
   if(calm)
      Alert(m_title,": ",m_texts[at]);
   else
      Print(m_title,": ",m_texts[at]);
  }

//--- it is over, if there was one
void CMtnetPanel::Clear(const string key)
  {
   int at=Find(key);
   if(at<0)
      return;
   m_begun[at]=0;
   if(!m_open[at])
      return;
   m_open[at]=false;
   m_ended[at]=GetTickCount64();
   Print(m_title,": over: ",m_texts[at]);
  }

void CMtnetPanel::Check(const string key,const bool trouble,const string text,
                        const uint patience)
  {
   if(trouble)
      Raise(key,text,patience);
   else
      Clear(key);
  }

//--- an alert of its own, as the server's NOTICE
void CMtnetPanel::Tell(const string text)
  {
   Alert(m_title,": ",text);
  }

//--- what is wrong now; "" = nothing
string CMtnetPanel::Troubles(void) const
  {
   string text="";
   for(int i=0; i<ArraySize(m_keys); i++)
      if(m_open[i])
         text+=(text=="" ? "" : "; ")+m_texts[i];
   return(text);
  }

//--- The line, with what is wrong. Writing the same text again would cost a redraw.
void CMtnetPanel::Show(const string line)
  {
   string troubles=Troubles();
   string text=m_title+": "+line+(troubles=="" ? "" : ". TROUBLE: "+troubles);
   if(text==m_shown)
      return;
   m_shown=text;
   Comment(text);
  }
//+------------------------------------------------------------------+
