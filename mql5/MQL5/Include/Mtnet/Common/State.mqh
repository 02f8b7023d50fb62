//+------------------------------------------------------------------+
//| State.mqh: what a program must know after a restart              |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Frame.mqh>
#include <Mtnet/Common/Text.mqh>

enum ENUM_MTNET_STATE
  {
   MTNET_STATE_NONE,      // there is no file: a first start
   MTNET_STATE_WHOLE,     // it was read
   MTNET_STATE_DAMAGED,   // it cannot be read, or its checksum is wrong
   MTNET_STATE_OTHER      // it is of another account, server or channel
  };

//+------------------------------------------------------------------+
//| A file of rows. A row is a payload as in a frame, VERB|key=value,|
//| the first is STATE and the last SUM. It is replaced at once as a |
//| whole: a kill leaves the old one or the new one.                 |
//+------------------------------------------------------------------+
class CMtnetState
  {
private:
   string            m_file;
   int               m_common;    // FILE_COMMON: all terminals of this computer share it
   string            m_head;
   string            m_rows;
   uchar             m_bytes[];   // of the file that was read
   int               m_size;
   int               m_at;        // of the next row

   bool              ReadFile(void);
   bool              IsWhole(int &end) const;
   bool              Line(CMtnetFrame &frame);

public:
                     CMtnetState(void);
   void              Begin(const string role,const long login,const string server,
                           const string channel,const string suffix="",
                           const bool common=false);
   string            File(void) const;
   ENUM_MTNET_STATE  Load(void);
   bool              Next(CMtnetFrame &frame);
   void              Clear(void);
   void              Add(const string payload);
   bool              Save(void);
  };

CMtnetState::CMtnetState(void)
  {
   m_file="";
   m_common=0;
   m_head="";
   m_rows="";
   m_size=0;
   m_at=0;
  }

//--- The file is of a role, account, broker's server and channel, which stand in it as well: people
//--- copy files.
void CMtnetState::Begin(const string role,const long login,const string server,
                        const string channel,const string suffix,const bool common)
  {
   m_common=(common ? FILE_COMMON : 0);
   m_file=CMtnetText::FileName(role,login,server,channel,suffix)+".txt";
   m_head="STATE"+CMtnetText::Field("v","1")+CMtnetText::Field("login",IntegerToString(login))
          +CMtnetText::Field("server",server)+CMtnetText::Field("channel",channel);
   Clear();
  }

//--- below MQL5/Files
string CMtnetState::File(void) const
  {
   return(m_file);
  }

void CMtnetState::Clear(void)
  {
   m_rows="";
  }

//--- adds a row to what Save writes
void CMtnetState::Add(const string payload)
  {
   m_rows+=payload+"\n";
  }

//--- Replaces the file. False = it could not be written, and the old one stands.
bool CMtnetState::Save(void)
  {
   string text=m_head+"\n"+m_rows;
   uchar bytes[];
   string sum="SUM"+CMtnetText::Field("of",CMtnetText::Short(text))+"\n";
   int size=CMtnetText::Bytes(text+sum,bytes);
   int file=FileOpen(m_file+".new",FILE_WRITE|FILE_BIN|m_common);
   bool whole=(file!=INVALID_HANDLE && FileWriteArray(file,bytes,0,size)==(uint)size);
   if(file!=INVALID_HANDLE)
      FileClose(file);
   if(whole && FileMove(m_file+".new",m_common,m_file,FILE_REWRITE|m_common))
      return(true);
   Print("mtnet: ",m_file," cannot be written, error ",GetLastError());
   return(false);
  }

ENUM_MTNET_STATE CMtnetState::Load(void)
  {
   CMtnetFrame head;
   int end=0;
   m_at=0;
   m_size=0;
   if(!FileIsExist(m_file,m_common))
      return(MTNET_STATE_NONE);
   if(!ReadFile() || !IsWhole(end))
      return(MTNET_STATE_DAMAGED);
   m_size=end;
   int first=0;
   while(first<m_size && m_bytes[first]!='\n')
      first++;
   if(CharArrayToString(m_bytes,0,first,CP_UTF8)!=m_head)
      return(MTNET_STATE_OTHER);
   m_at=first+1;
   return(MTNET_STATE_WHOLE);
  }

bool CMtnetState::ReadFile(void)
  {
   ArrayResize(m_bytes,0);
   int file=FileOpen(m_file,FILE_READ|FILE_BIN|m_common);
   if(file==INVALID_HANDLE)
      return(false);
   m_size=(int)FileReadArray(file,m_bytes);
   FileClose(file);
   return(m_size>0);
  }

//--- `end` is where the last row, SUM, begins
bool CMtnetState::IsWhole(int &end) const
  {
   end=m_size-1;
   while(end>0 && m_bytes[end-1]!='\n')
      end--;
   CMtnetFrame last;
   return(end>0 && m_bytes[m_size-1]=='\n' && last.Read(m_bytes,end,m_size-1)
          && last.Verb()=="SUM"
          && last.Text("of")==CMtnetText::Hex(CMtnetText::Hash(m_bytes,end)));
  }

//--- the rows that were added, in their order
bool CMtnetState::Next(CMtnetFrame &frame)
  {
   while(m_at<m_size)
      if(Line(frame))
         return(true);
   return(false);
  }

bool CMtnetState::Line(CMtnetFrame &frame)
  {
   int from=m_at;
   while(m_at<m_size && m_bytes[m_at]!='\n')
      m_at++;
   m_at++;
   return(frame.Read(m_bytes,from,m_at-1));
  }
//+------------------------------------------------------------------+
