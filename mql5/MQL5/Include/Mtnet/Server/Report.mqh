//+------------------------------------------------------------------+
//| Report.mqh: tells the server about this terminal and its symbols |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/Account.mqh>
#include <Mtnet/Common/Clock.mqh>
#include <Mtnet/Common/Index.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Server/Session.mqh>

#define MTNET_REPORT  10000   // ms between two reports; after 60 s one does not count any more
#define MTNET_SPECS   10      // symbols a timer

class CMtnetReport
  {
private:
   ulong             m_next;
   long              m_connection;   // that was told
   string            m_symbols[];    // that were described on it
   CMtnetIndex       m_index;        // of m_symbols
   int               m_described;
   bool              m_refused;      // on it: the server does not know the verbs

   string            Payload(const CMtnetAccount &account) const;
   string            Spec(const string symbol) const;

public:
                     CMtnetReport(void);
   void              Work(CMtnetSession &session,const CMtnetAccount &account);
   void              Take(const CMtnetFrame &frame);
   void              Describe(const string symbol);
   static bool       MayTrade(string &why);
  };

CMtnetReport::CMtnetReport(void)
  {
   m_next=0;
   m_connection=0;
   m_described=0;
   m_refused=false;
  }

//--- Whether orders of this program are taken at all; `why` not.
bool CMtnetReport::MayTrade(string &why)
  {
   why="";
   if(TerminalInfoInteger(TERMINAL_TRADE_ALLOWED)==0)
      why="algo trading is off in the terminal";
   else if(MQLInfoInteger(MQL_TRADE_ALLOWED)==0)
      why="algo trading is off for this program";
   else if(AccountInfoInteger(ACCOUNT_TRADE_ALLOWED)==0)
      why="the account may not trade";
   else if(AccountInfoInteger(ACCOUNT_TRADE_EXPERT)==0)
      why="the broker does not let programs trade on this account";
   return(why=="");
  }

//--- a symbol of the broker whose volumes and prices the server should know
void CMtnetReport::Describe(const string symbol)
  {
   int size=ArraySize(m_symbols);
   if(m_index.Find(symbol)>=0)
      return;
   m_index.Set(symbol,size);
   ArrayResize(m_symbols,size+1,64);
   m_symbols[size]=symbol;
  }

//--- call it from the timer; older servers do not know the verbs
void CMtnetReport::Work(CMtnetSession &session,const CMtnetAccount &account)
  {
   if(!session.IsWelcome() || !session.HasServices())
      return;
   if(m_connection!=session.Connections())
     {
      m_connection=session.Connections();
      m_described=0;
      m_next=0;
      m_refused=false;
     }
   if(m_refused)
      return;
   if(GetTickCount64()>=m_next)
     {
      m_next=GetTickCount64()+MTNET_REPORT;
      session.Say(Payload(account));
     }
   int most=(int)MathMin(m_described+MTNET_SPECS,ArraySize(m_symbols));
   for(; m_described<most; m_described++)
     {
      string spec=Spec(m_symbols[m_described]);
      if(spec!="")
         session.Say(spec);
     }
  }

//--- Twenty errors a minute would end the connection.
void CMtnetReport::Take(const CMtnetFrame &frame)
  {
   if(frame.Verb()=="ERROR" && frame.Text("code")=="verb")
      m_refused=true;
  }

string CMtnetReport::Payload(const CMtnetAccount &account) const
  {
   string why="";
   return("REPORT"+CMtnetText::Field("trading",MayTrade(why) ? "1" : "0")
          +CMtnetText::Field("balance",DoubleToString(AccountInfoDouble(ACCOUNT_BALANCE),2))
          +CMtnetText::Field("equity",DoubleToString(AccountInfoDouble(ACCOUNT_EQUITY),2))
          +CMtnetText::Field("free",DoubleToString(AccountInfoDouble(ACCOUNT_MARGIN_FREE),2))
          +CMtnetText::Field("margin",DoubleToString(AccountInfoDouble(ACCOUNT_MARGIN),2))
          +CMtnetText::Field("currency",AccountInfoString(ACCOUNT_CURRENCY))
          +CMtnetText::Field("leverage",IntegerToString(AccountInfoInteger(ACCOUNT_LEVERAGE)))
          +CMtnetText::Field("mode",account.Mode())+CMtnetText::Field("platform","mt5")
          +CMtnetText::Field("build",IntegerToString(TerminalInfoInteger(TERMINAL_BUILD)))
          +CMtnetText::Field("account",IntegerToString(account.Login()))
          +CMtnetText::Field("server",account.Server())
          +CMtnetText::Field("offset",IntegerToString(CMtnetClock::Offset())));
  }

//--- "" = the terminal does not know the symbol yet
string CMtnetReport::Spec(const string symbol) const
  {
   double step=SymbolInfoDouble(symbol,SYMBOL_VOLUME_STEP);
   if(step<=0)
      return("");
   return("SPEC"+CMtnetText::Field("symbol",symbol)
          +CMtnetText::Field("min",CMtnetText::Lots(SymbolInfoDouble(symbol,SYMBOL_VOLUME_MIN)))
          +CMtnetText::Field("max",CMtnetText::Lots(SymbolInfoDouble(symbol,SYMBOL_VOLUME_MAX)))
          +CMtnetText::Field("step",CMtnetText::Lots(step))
          +CMtnetText::Field("contract",
                             CMtnetText::Lots(SymbolInfoDouble(symbol,SYMBOL_TRADE_CONTRACT_SIZE)))
          +CMtnetText::Field("digits",IntegerToString(SymbolInfoInteger(symbol,SYMBOL_DIGITS)))
          +CMtnetText::Field("tick",
                             DoubleToString(SymbolInfoDouble(symbol,SYMBOL_TRADE_TICK_SIZE),8))
          +CMtnetText::Field("tickvalue",
                             DoubleToString(SymbolInfoDouble(symbol,SYMBOL_TRADE_TICK_VALUE),8))
          +CMtnetText::Field("currency",SymbolInfoString(symbol,SYMBOL_CURRENCY_PROFIT)));
  }
//+------------------------------------------------------------------+
