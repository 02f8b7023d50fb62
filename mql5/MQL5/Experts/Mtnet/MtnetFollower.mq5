//+------------------------------------------------------------------+
//| MtnetFollower.mq5: copies a channel of an mtnet server           |
//+------------------------------------------------------------------+
#property strict
#property version     "2.00"
#property description "Copies the positions and orders of a channel of an mtnet server."
#property description "Allow the server in Tools/Options/Expert Advisors."
#property description "Run in an imitation of a terminal, not in MetaTrader."
#property description "Try it on a demo account first."

#include <Mtnet/Follower/Follower.mqh>

#define TIMER  100   // ms

input group "Server"
input string InpHost="127.0.0.1";   // Hosts, as host1,host2:9000
input int    InpPort=8081;          // Port of hosts that name none
input bool   InpTls=false;          // TLS; on port 443 always
input string InpPin="";             // SHA-1 thumbprint of the certificate; empty = any
input string InpLogin="";           // Login; empty = none
input string InpPassword="";        // Password or token
input group "Channel"
input string InpChannel="main";     // Channel
input string InpSymbols="";         // The provider's symbols, separated by commas; empty = all
input string InpMap="";             // Symbols with another name here: XAUUSD=GOLD,GER40=DE40
input string InpPrefix="";          // Prefix of this broker's symbols
input string InpSuffix="";          // Suffix of this broker's symbols
input string InpAcceptEpoch="";     // Word that accepts another history; an alert shows it
input group "Trading"
input bool   InpTrade=false;        // Trade; false = nothing is bought or sold
input double InpMultiplier=1.0;     // Lots here for one lot of the provider, fixed at each opening
input double InpMaxLots=1.0;        // Maximum lots of one symbol; 0 = no limit
input bool   InpStops=true;         // Copy stop loss and take profit
input bool   InpPending=true;       // Copy pending orders
input int    InpMaxAge=0;           // Maximum age of an opening in seconds; 0 = any
input int    InpMaxSlippage=0;      // Maximum points from the provider's price to open; 0 = any
input int    InpDeviation=20;       // Deviation in points that the broker may fill at
input int    InpOrdersMinute=60;    // Maximum orders a minute, closings twice; 0 = no limit
input long   InpMagic=20260801;     // Magic number of this program's positions and orders
input int    InpBlindMinutes=0;     // Close everything when blind for so many minutes; 0 = never

CMtnetFollower g_follower;

int OnInit(void)
  {
   if(MQLInfoInteger(MQL_TESTER)!=0)
     {
      Print("mtnet: a tester has no server to follow");
      return(INIT_FAILED);
     }
   MtnetServer server;
   server.hosts=InpHost;
   server.port=InpPort;
   server.tls=InpTls;
   server.pin=InpPin;
   server.login=InpLogin;
   server.password=InpPassword;
   server.name="";
   server.client="MtnetFollower 2.00";
   MtnetFollowing following;
   following.channel=InpChannel;
   following.symbols=InpSymbols;
   following.map=InpMap;
   following.prefix=InpPrefix;
   following.suffix=InpSuffix;
   following.accepted=InpAcceptEpoch;
   following.blind=InpBlindMinutes;
   MtnetRules rules;
   rules.trade=InpTrade;
   rules.multiplier=InpMultiplier;
   rules.most=InpMaxLots;
   rules.magic=InpMagic;
   rules.deviation=InpDeviation;
   rules.orders=InpOrdersMinute;
   rules.age=InpMaxAge;
   rules.slippage=InpMaxSlippage;
   rules.stops=InpStops;
   rules.pending=InpPending;
   int answer=g_follower.Open(server,following,rules);
   if(answer!=INIT_SUCCEEDED)
      return(answer);
   return(EventSetMillisecondTimer(TIMER) ? INIT_SUCCEEDED : INIT_FAILED);
  }

void OnDeinit(const int reason)
  {
   EventKillTimer();
   g_follower.Close();
  }

void OnTimer(void)
  {
   g_follower.Timer();
  }

//--- positions and orders have changed; the next turn looks at once
void OnTrade(void)
  {
   g_follower.Traded();
  }
//+------------------------------------------------------------------+
