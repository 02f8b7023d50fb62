//+------------------------------------------------------------------+
//| Market.mqh: positions as they are wanted, with their stops       |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/Limits.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Follower/Ledger.mqh>
#include <Mtnet/Follower/Planner.mqh>
#include <Mtnet/Follower/Sender.mqh>

class CMtnetMarket
  {
private:
   static void       Protect(CMtnetLedger &ledger,const int at);
   static void       Increase(CMtnetLedger &ledger,const int copy);
   static void       Reduce(CMtnetLedger &ledger,const int copy);
   static bool       MaySend(CMtnetLedger &ledger,const int copy);
   static bool       IsOccupied(CMtnetLedger &ledger,const int copy);
   static string     TicketOf(CMtnetLedger &ledger,const int copy);
   static bool       SendMarket(CMtnetLedger &ledger,const int copy,const int side,
                                const double lots,const ulong position);

public:
   static void       ProtectAll(CMtnetLedger &ledger);
   static void       IncreaseAll(CMtnetLedger &ledger);
   static void       ReduceAll(CMtnetLedger &ledger);
  };

void CMtnetMarket::ReduceAll(CMtnetLedger &ledger)
  {
   for(int i=0; i<ArraySize(ledger.copies.rows); i++)
      Reduce(ledger,i);
  }

void CMtnetMarket::IncreaseAll(CMtnetLedger &ledger)
  {
   for(int i=0; i<ArraySize(ledger.copies.rows); i++)
      Increase(ledger,i);
  }

void CMtnetMarket::ProtectAll(CMtnetLedger &ledger)
  {
   for(int i=0; i<ArraySize(ledger.copies.held); i++)
      Protect(ledger,i);
  }

//--- Closes the oldest position of the copy that is too much. One order, then its end is awaited.
void CMtnetMarket::Reduce(CMtnetLedger &ledger,const int copy)
  {
   double have=ledger.copies.rows[copy].have,want=ledger.copies.rows[copy].want;
   int side=(have>0 ? 1 : -1);
   int spec=ledger.copies.rows[copy].spec;
   if(!ledger.IsIdle(copy) || CMtnetText::SameLots(have,want))
      return;
   for(int i=0; i<ArraySize(ledger.copies.held); i++)
     {
      if(ledger.copies.held[i].copy!=copy)
         continue;
      // What is on the wrong side, or too much on the right one.
      double excess=(want*ledger.copies.held[i].side<=0 ? ledger.copies.held[i].lots :
                     MathAbs(have)-MathAbs(want));
      if(want*ledger.copies.held[i].side>0
         && (ledger.copies.held[i].side!=side || excess<MTNET_LEAST))
         continue;
      double lots=MathMin(excess,ledger.copies.held[i].lots);
      bool whole=CMtnetText::SameLots(lots,ledger.copies.held[i].lots);
      if(!whole && ledger.symbols.Known(spec))
         lots=ledger.symbols.Order(spec,lots);
      if(lots<=0)
        {
         ledger.copies.rows[copy].why="the difference is "+ledger.symbols.Small(spec);
         continue;
        }
      if(MaySend(ledger,copy) && ledger.pace.MayClose() && ledger.HasTime())
         SendMarket(ledger,copy,-ledger.copies.held[i].side,lots,ledger.copies.held[i].ticket);
      return;
     }
  }

void CMtnetMarket::Increase(CMtnetLedger &ledger,const int copy)
  {
   double have=ledger.copies.rows[copy].have,want=ledger.copies.rows[copy].want;
   if(!ledger.IsIdle(copy) || have*want<0 || MathAbs(want)-MathAbs(have)<MTNET_LEAST)
      return;
   int spec=ledger.copies.rows[copy].spec;
   double lots=ledger.symbols.Order(spec,MathAbs(want)-MathAbs(have));
   if(lots<=0)
     {
      ledger.copies.rows[copy].why="the difference is "+ledger.symbols.Small(spec);
      return;
     }
   if(!MaySend(ledger,copy) || !ledger.pace.MayOpen() || !ledger.HasTime()
      || !CMtnetPlanner::StillOpens(ledger,copy) || IsOccupied(ledger,copy))
      return;
   SendMarket(ledger,copy,want>0 ? 1 : -1,lots,0);
  }

//--- A refusal is waited for, and a closed market is not asked: the next look is soon enough.
bool CMtnetMarket::MaySend(CMtnetLedger &ledger,const int copy)
  {
   int spec=ledger.copies.rows[copy].spec;
   if(ledger.copies.rows[copy].wait.Waits() || ledger.symbols.Waits(spec))
      return(false);
   if(ledger.symbols.IsOpen(spec))
     {
      ledger.turn.busy=true;
      return(true);
     }
   ledger.copies.rows[copy].why="the market is closed";
   return(false);
  }

//--- A netted position that another program or a hand has opened is not touched.
bool CMtnetMarket::IsOccupied(CMtnetLedger &ledger,const int copy)
  {
   string name=ledger.symbols.Name(ledger.copies.rows[copy].spec);
   if(!ledger.netting || ledger.copies.rows[copy].have!=0 || !PositionSelect(name))
      return(false);
   ledger.copies.rows[copy].why="the position was not opened by this program";
   return(true);
  }

string CMtnetMarket::TicketOf(CMtnetLedger &ledger,const int copy)
  {
   string name=ledger.copies.rows[copy].name;
   int bar=StringFind(name,"|");
   return(bar<0 ? "" : StringSubstr(name,bar+1));
  }

bool CMtnetMarket::SendMarket(CMtnetLedger &ledger,const int copy,const int side,const double lots,
                              const ulong position)
  {
   int spec=ledger.copies.rows[copy].spec,at=-1;
   MtnetOrder order;
   MqlTradeRequest request={};
   MqlTradeResult result={};
   MqlTick tick;
   order.name=ledger.copies.rows[copy].name;
   order.key="";
   order.symbol=ledger.symbols.Name(spec);
   order.type=(side>0 ? ORDER_TYPE_BUY : ORDER_TYPE_SELL);
   order.lots=lots;
   order.position=position;
   if(!SymbolInfoTick(order.symbol,tick) || tick.ask<=0 || tick.bid<=0)
     {
      ledger.copies.rows[copy].why="no price of "+order.symbol;
      return(false);
     }
   CMtnetSender::FillRequest(ledger,order,spec,request);
   request.price=(side>0 ? tick.ask : tick.bid);
   if(position==0 && ledger.rules.stops && !ledger.copies.rows[copy].bare)
     {
      request.sl=ledger.symbols.Price(spec,ledger.copies.rows[copy].sl);
      request.tp=ledger.symbols.Price(spec,ledger.copies.rows[copy].tp);
     }
   if(!CMtnetSender::Send(ledger,order,TicketOf(ledger,copy),request,result,at))
     {
      // Without them first; they follow as a change.
      if(result.retcode==TRADE_RETCODE_INVALID_STOPS)
         ledger.copies.rows[copy].bare=true;
      CMtnetSender::Refused(ledger,spec,ledger.copies.rows[copy].wait,request,result,
                            ledger.copies.rows[copy].why);
      return(false);
     }
   ledger.copies.rows[copy].order=ledger.orders.rows[at].serial;
   ledger.copies.rows[copy].why="";
   if(request.sl>0 || request.tp>0)
      ledger.copies.rows[copy].stopped=true;
   if(result.price>0)
      ledger.copies.rows[copy].price=result.price;
   return(true);
  }

//--- SL and TP of one position
void CMtnetMarket::Protect(CMtnetLedger &ledger,const int at)
  {
   int copy=ledger.copies.held[at].copy,spec=ledger.copies.rows[copy].spec;
   if(ledger.copies.rows[copy].parts==0 || !ledger.IsIdle(copy) || !ledger.symbols.Known(spec)
      || ledger.copies.rows[copy].want*ledger.copies.held[at].side<=0)
      return;
   double sl=ledger.symbols.Price(spec,ledger.copies.rows[copy].sl);
   double tp=ledger.symbols.Price(spec,ledger.copies.rows[copy].tp);
   // Stops that a person has set stay, as long as the provider has none.
   if(sl==0 && tp==0 && !ledger.copies.rows[copy].stopped)
      return;
   if(CMtnetText::SamePrice(sl,ledger.copies.held[at].sl)
      && CMtnetText::SamePrice(tp,ledger.copies.held[at].tp))
      return;
   if(ledger.copies.rows[copy].stopwait.Waits() || ledger.symbols.Waits(spec)
      || !ledger.pace.MayClose() || !ledger.HasTime())
      return;
   MqlTradeRequest request={};
   MqlTradeResult result={};
   request.action=TRADE_ACTION_SLTP;
   request.position=ledger.copies.held[at].ticket;
   request.symbol=ledger.symbols.Name(spec);
   request.sl=sl;
   request.tp=tp;
   ledger.pace.Sent();
   ledger.turn.touched=true;
   ledger.copies.rows[copy].stopped=true;
   ledger.dirty=true;
   string why="";
   if(OrderSend(request,result))
      ledger.copies.rows[copy].stopwait.Taken();
   else if(result.retcode!=TRADE_RETCODE_NO_CHANGES)
      CMtnetSender::Refused(ledger,spec,ledger.copies.rows[copy].stopwait,request,result,why);
  }
//+------------------------------------------------------------------+
