//+------------------------------------------------------------------+
//| Lock.mqh: one program works for an account, the others say so    |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Text.mqh>

#define MTNET_LOCK_RETRY  5000   // ms until a lock that another program holds is tried again

//+------------------------------------------------------------------+
//| A file in the folder that all terminals of this computer share,  |
//| open as long as the program runs. The system refuses it to every |
//| other program, in this terminal or another, and gives it free    |
//| when the program ends or is killed: nothing stale is left behind.|
//| Terminals on other computers are told apart by the server.       |
//+------------------------------------------------------------------+
class CMtnetLock
  {
private:
   string            m_file;
   int               m_handle;
   ulong             m_next;

public:
                     CMtnetLock(void);
                    ~CMtnetLock(void);
   void              Begin(const string role,const long login,const string server,
                           const string channel,const string suffix="");
   bool              Take(void);
   bool              IsHeld(void) const;
   void              Release(void);
   static bool       IsTaken(const string role,const long login,const string server,
                             const string channel,const string suffix="");
  };

CMtnetLock::CMtnetLock(void)
  {
   m_file="";
   m_handle=INVALID_HANDLE;
   m_next=0;
  }

CMtnetLock::~CMtnetLock(void)
  {
   Release();
  }

//--- `suffix` tells apart what may work side by side, as the magic numbers of two followers
void CMtnetLock::Begin(const string role,const long login,const string server,
                       const string channel,const string suffix)
  {
   Release();
   m_file=CMtnetText::FileName(role,login,server,channel,suffix)+".lock";
   m_next=0;
  }

//--- True = this program holds it. Call it from the timer: it looks again every 5 s.
bool CMtnetLock::Take(void)
  {
   if(m_handle!=INVALID_HANDLE)
      return(true);
   if(m_file=="" || GetTickCount64()<m_next)
      return(false);
   m_next=GetTickCount64()+MTNET_LOCK_RETRY;
   // Without FILE_SHARE_READ and FILE_SHARE_WRITE nobody else can open it.
   m_handle=FileOpen(m_file,FILE_WRITE|FILE_BIN|FILE_COMMON);
   return(m_handle!=INVALID_HANDLE);
  }

bool CMtnetLock::IsHeld(void) const
  {
   return(m_handle!=INVALID_HANDLE);
  }

//--- whether a program of this role works for the account, here or in another terminal
bool CMtnetLock::IsTaken(const string role,const long login,const string server,
                         const string channel,const string suffix)
  {
   string file=CMtnetText::FileName(role,login,server,channel,suffix)+".lock";
   if(!FileIsExist(file,FILE_COMMON))
      return(false);
   int handle=FileOpen(file,FILE_READ|FILE_BIN|FILE_COMMON|FILE_SHARE_READ|FILE_SHARE_WRITE);
   if(handle==INVALID_HANDLE)
      return(true);
   FileClose(handle);
   return(false);
  }

void CMtnetLock::Release(void)
  {
   if(m_handle!=INVALID_HANDLE)
      FileClose(m_handle);
   m_handle=INVALID_HANDLE;
   m_next=0;
  }
//+------------------------------------------------------------------+
