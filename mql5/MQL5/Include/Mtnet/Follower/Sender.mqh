//+------------------------------------------------------------------+
//| Sender.mqh: one order, on disk first, then to the broker         |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/Limits.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Follower/Ledger.mqh>

class CMtnetSender
  {
public:
   static void       FillRequest(CMtnetLedger &ledger,MtnetOrder &order,const int spec,
                                 MqlTradeRequest &request);
   static bool       Send(CMtnetLedger &ledger,MtnetOrder &order,const string ticket,
                          MqlTradeRequest &request,MqlTradeResult &result,int &at);
   static void       Refused(CMtnetLedger &ledger,const int spec,MtnetWait &wait,
                             const MqlTradeRequest &request,const MqlTradeResult &result,
                             string &why);
  };

void CMtnetSender::FillRequest(CMtnetLedger &ledger,MtnetOrder &order,const int spec,
                               MqlTradeRequest &request)
  {
   request.action=TRADE_ACTION_DEAL;
   request.symbol=order.symbol;
   request.position=order.position;
   request.type=(ENUM_ORDER_TYPE)order.type;
   request.volume=order.lots;
   request.deviation=(ulong)ledger.rules.deviation;
   request.magic=(ulong)ledger.rules.magic;
   request.type_filling=ledger.symbols.Filling(spec);
  }

//--- Writes the order to disk, then sends it. False = it is certainly not with the broker.
bool CMtnetSender::Send(CMtnetLedger &ledger,MtnetOrder &order,const string ticket,
                        MqlTradeRequest &request,MqlTradeResult &result,int &at)
  {
   at=ledger.orders.Add(order,ticket);
   if(at<0)
     {
      result.retcode=TRADE_RETCODE_REJECT;
      result.comment="the order cannot be written to disk";
      return(false);
     }
   request.comment=ledger.orders.rows[at].comment;
   ledger.pace.Sent();
   ledger.turn.touched=true;
   ResetLastError();
   bool sent=OrderSend(request,result);
   Print("mtnet: ",order.name,": ",EnumToString(request.type)," ",
         CMtnetText::Lots(request.volume)," ",order.symbol,", ",request.comment,": ",
         result.retcode," ",result.comment);
   ledger.orders.rows[at].patience=CMtnetRetcode::LostAfter(result.retcode);
   ledger.orders.rows[at].ticket=result.order;
   if(sent || CMtnetRetcode::Answer(result.retcode)!=MTNET_ANSWER_REFUSED)
      return(true);
   ledger.orders.Remove(at);
   return(false);
  }

//--- waits as the return code says
void CMtnetSender::Refused(CMtnetLedger &ledger,const int spec,MtnetWait &wait,
                           const MqlTradeRequest &request,const MqlTradeResult &result,string &why)
  {
   why="order refused: "+IntegerToString(result.retcode)+" "+result.comment;
   if(ledger.symbols.Refused(spec,result.retcode,why))
      return;
   if(result.retcode==TRADE_RETCODE_INVALID_FILL
      && ledger.symbols.RefuseFilling(spec,request.type_filling))
      return;
   wait.Refused(result.retcode);
  }
//+------------------------------------------------------------------+
