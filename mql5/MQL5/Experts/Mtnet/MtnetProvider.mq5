//+------------------------------------------------------------------+
//| MtnetProvider.mq5: publishes the positions of this account       |
//+------------------------------------------------------------------+
#property strict
#property version     "2.00"
#property description "Publishes the positions of this account to a channel of an mtnet server."
#property description "Allow the server in Tools/Options/Expert Advisors."
#property description "Run in an imitation of a terminal, not in MetaTrader."
#property description "Try it on a demo account first."

#include <Mtnet/Provider/Provider.mqh>

input group "Server"
input string          InpHost="127.0.0.1";       // Hosts, as host1,host2:9000
input int             InpPort=8081;              // Port of hosts that name none
input bool            InpTls=false;              // TLS; automatic on port 443
input string          InpPin="";                 // SHA-1 thumbprint of the certificate
input string          InpLogin="";               // Login; empty = none
input string          InpPassword="";            // Password or token
input group "Channel"
input string          InpChannel="main";         // Channel
input bool            InpTakeOver=false;         // Take the channel over from its publisher
input string          InpAcceptEpoch="";         // Journal whose positions may be replaced
input group "Positions"
input ENUM_MTNET_FORM InpForm=MTNET_FORM_NET;    // What is published
input bool            InpStops=true;             // SL and TP too
input bool            InpPending=true;           // Pending orders too, by ticket
input string          InpMagics="";              // Magic numbers, as 100,200-299; empty = all
input string          InpComment="";             // A part of the comment; empty = all
input string          InpSymbols="";             // Symbols of the channel; empty = all
input string          InpPrefix="";              // Prefix of this broker's symbols
input string          InpSuffix="";              // Suffix of this broker's symbols

#define TIMER  200   // ms

CMtnetProvider g_provider;

int OnInit(void)
  {
   if(MQLInfoInteger(MQL_TESTER)!=0)
     {
      Print("mtnet: a tester has no server to publish to");
      return(INIT_FAILED);
     }
   MtnetProviderOptions options;
   Read(options);
   string why="";
   if(!g_provider.Begin(options,why))
     {
      Alert("mtnet: ",why);
      return(INIT_PARAMETERS_INCORRECT);
     }
   return(EventSetMillisecondTimer(TIMER) ? INIT_SUCCEEDED : INIT_FAILED);
  }

void Read(MtnetProviderOptions &options)
  {
   options.server.hosts=CMtnetText::Trim(InpHost);
   options.server.port=InpPort;
   options.server.tls=InpTls;
   options.server.pin=CMtnetText::Trim(InpPin);
   options.server.login=CMtnetText::Trim(InpLogin);
   options.server.password=CMtnetText::Trim(InpPassword);
   options.server.name="";
   options.server.client="MtnetProvider 2.00";
   options.scope.form=InpForm;
   options.scope.stops=InpStops;
   options.scope.pending=InpPending;
   options.scope.prefix=CMtnetText::Trim(InpPrefix);
   options.scope.suffix=CMtnetText::Trim(InpSuffix);
   options.scope.channel=CMtnetText::Trim(InpChannel);
   options.magics=CMtnetText::Trim(InpMagics);
   options.comment=CMtnetText::Trim(InpComment);
   options.symbols=CMtnetText::Trim(InpSymbols);
   options.take=InpTakeOver;
   options.accept_epoch=CMtnetText::Trim(InpAcceptEpoch);
  }

void OnDeinit(const int reason)
  {
   EventKillTimer();
   g_provider.End();
  }

void OnTimer(void)
  {
   g_provider.Work();
  }

void OnTrade(void)
  {
   g_provider.Hurry();
  }
//+------------------------------------------------------------------+
