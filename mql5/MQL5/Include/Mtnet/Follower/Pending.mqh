//+------------------------------------------------------------------+
//| Pending.mqh: pending orders as the provider has them             |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/History.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Follower/Ledger.mqh>
#include <Mtnet/Follower/Sender.mqh>

#define MTNET_GRACE      2000     // ms for an order here to be filled as the provider's was

class CMtnetPending
  {
private:
   static void       Pend(CMtnetLedger &ledger,const int row);
   static void       Count(CMtnetLedger &ledger,const int row,const int copy,const double filled,
                           const int side,const ulong position);
   static void       Vanished(CMtnetLedger &ledger,const int row,const int copy);
   static void       Place(CMtnetLedger &ledger,const int row);
   static void       SendOrder(CMtnetLedger &ledger,const int row,const double lots);
   static void       Correct(CMtnetLedger &ledger,const int row,const int placed);
   static void       RemoveOrder(CMtnetLedger &ledger,const int row);

public:
   static void       PendAll(CMtnetLedger &ledger);
   static void       AdoptOrders(CMtnetLedger &ledger);
   static void       CheckOrders(CMtnetLedger &ledger);
  };

//--- Orders with the mark that the ledger does not know: it was lost. Their key stands in the
//--- comment; the provider's side of it, if there is any, is known by now.
void CMtnetPending::AdoptOrders(CMtnetLedger &ledger)
  {
   for(int i=0; i<ArraySize(ledger.copies.placed); i++)
     {
      ulong ticket=ledger.copies.placed[i].ticket;
      bool known=false;
      for(int k=0; k<ArraySize(ledger.follows.rows) && !known; k++)
         known=(ledger.follows.rows[k].order==ticket || ledger.follows.rows[k].sent!=0);
      string tag=CMtnetOrders::TagOf(ledger.orders.Mark(),ledger.copies.placed[i].comment);
      string symbol=ledger.symbols.Theirs(ledger.copies.placed[i].symbol);
      if(known || tag=="" || symbol=="")
         continue;
      int row=ledger.follows.Attach(symbol,StringSubstr(tag,StringLen(ledger.orders.Mark())+1));
      ledger.follows.rows[row].spec=ledger.symbols.Row(symbol);
      if(ledger.follows.rows[row].order==0)
         ledger.follows.rows[row].order=ticket;
     }
  }

//--- What pending orders have filled is held, whether the provider's were filled or not.
void CMtnetPending::CheckOrders(CMtnetLedger &ledger)
  {
   for(int i=0; i<ArraySize(ledger.copies.rows); i++)
      ledger.copies.rows[i].unclear=false;
   for(int i=0; i<ArraySize(ledger.follows.rows); i++)
     {
      ulong order=ledger.follows.rows[i].order;
      if(order==0 && ledger.follows.rows[i].sent==0)
         continue;
      int copy=ledger.CopyOf(i);
      int placed=(order==0 ? -1 : ledger.copies.FindPlaced(order));
      if(order==0)
         ledger.copies.rows[copy].unclear=true;
      else if(placed<0)
         Vanished(ledger,i,copy);
      else
         Count(ledger,i,copy,
               ledger.copies.placed[placed].initial-ledger.copies.placed[placed].lots,
               ledger.copies.placed[placed].type%2==0 ? 1 : -1,order);
     }
  }

void CMtnetPending::Count(CMtnetLedger &ledger,const int row,const int copy,const double filled,
                          const int side,const ulong position)
  {
   double more=filled-ledger.follows.rows[row].got;
   if(more<MTNET_LEAST)
      return;
   ledger.follows.rows[row].got=filled;
   ledger.copies.rows[copy].held=NormalizeDouble(ledger.copies.rows[copy].held+side*more,8);
   ledger.copies.AddId(copy,position);
   if(ledger.follows.rows[row].IsOrder() && ledger.follows.rows[row].lots>0)
      ledger.follows.rows[row].early=NormalizeDouble(ledger.follows.rows[row].early+side*more,8);
   ledger.dirty=true;
   ledger.turn.plan=true;
   ledger.turn.touched=true;
  }

//--- the order stands no longer among the open ones
void CMtnetPending::Vanished(CMtnetLedger &ledger,const int row,const int copy)
  {
   MtnetFate fate;
   ulong order=ledger.follows.rows[row].order;
   CMtnetHistory::Fate(order,fate);
   ledger.turn.busy=true;
   // Not in the history either: the terminal is loading.
   if(!fate.ended)
     {
      ledger.copies.rows[copy].unclear=true;
      return;
     }
   int side=(HistoryOrderGetInteger(order,ORDER_TYPE)%2==0 ? 1 : -1);
   Count(ledger,row,copy,fate.filled,side,fate.position>0 ? fate.position : order);
   if(fate.filled<MTNET_LEAST && !ledger.follows.rows[row].removing
      && ledger.follows.rows[row].lots>0 && ledger.follows.rows[row].IsOrder())
      ledger.follows.Release(row,"the order was removed here");
   ledger.follows.rows[row].order=0;
   ledger.follows.rows[row].got=0;
   ledger.follows.rows[row].removing=false;
   ledger.dirty=true;
   ledger.turn.plan=true;
   ledger.turn.touched=true;
  }

void CMtnetPending::PendAll(CMtnetLedger &ledger)
  {
   for(int i=0; i<ArraySize(ledger.follows.rows); i++)
      Pend(ledger,i);
  }

//--- one step for the order of one follow
void CMtnetPending::Pend(CMtnetLedger &ledger,const int row)
  {
   if(ledger.follows.rows[row].sent!=0 || ledger.follows.rows[row].decision==MTNET_LEFT
      || ledger.follows.rows[row].spec<0 || !ledger.symbols.Known(ledger.follows.rows[row].spec)
      || ledger.symbols.Waits(ledger.follows.rows[row].spec))
      return;
   bool wanted=(ledger.follows.rows[row].lots>0 && ledger.follows.rows[row].type>ORDER_TYPE_SELL
                && ledger.follows.rows[row].decision==MTNET_COPIED);
   if(ledger.follows.rows[row].order==0)
     {
      if(wanted && ledger.turn.live && ledger.follows.rows[row].early==0)
         Place(ledger,row);
      return;
     }
   int placed=ledger.copies.FindPlaced(ledger.follows.rows[row].order);
   if(placed<0)
      return;
   if(wanted)
      Correct(ledger,row,placed);
   else if(GetTickCount64()-ledger.follows.rows[row].turned>=MTNET_GRACE)
      RemoveOrder(ledger,row);
   else
      ledger.turn.busy=true;
  }

void CMtnetPending::Place(CMtnetLedger &ledger,const int row)
  {
   int spec=ledger.follows.rows[row].spec,type=ledger.follows.rows[row].type;
   double lots=ledger.symbols.Order(spec,MathAbs(ledger.follows.rows[row].Part()));
   if(type>=ORDER_TYPE_BUY_STOP_LIMIT)
      ledger.follows.rows[row].why="a stop-limit order has two prices, and the channel one";
   else if(lots<=0)
      ledger.follows.rows[row].why=ledger.symbols.Small(spec);
   else if(!ledger.follows.rows[row].wait.Waits() && ledger.pace.MayOpen() && ledger.HasTime())
      SendOrder(ledger,row,lots);
  }

void CMtnetPending::SendOrder(CMtnetLedger &ledger,const int row,const double lots)
  {
   int spec=ledger.follows.rows[row].spec,at=-1;
   MtnetOrder order;
   MqlTradeRequest request={};
   MqlTradeResult result={};
   order.name=ledger.copies.rows[ledger.follows.rows[row].copy].name;
   order.key=ledger.follows.rows[row].Key();
   order.symbol=ledger.symbols.Name(spec);
   order.type=ledger.follows.rows[row].type;
   order.lots=lots;
   order.position=0;
   CMtnetSender::FillRequest(ledger,order,spec,request);
   request.action=TRADE_ACTION_PENDING;
   request.price=ledger.symbols.Price(spec,ledger.follows.rows[row].price);
   request.type_filling=ORDER_FILLING_RETURN;
   request.type_time=ORDER_TIME_GTC;
   if(ledger.rules.stops)
     {
      request.sl=ledger.symbols.Price(spec,ledger.follows.rows[row].sl);
      request.tp=ledger.symbols.Price(spec,ledger.follows.rows[row].tp);
     }
   if(CMtnetSender::Send(ledger,order,ledger.follows.rows[row].ticket,request,result,at))
      ledger.follows.rows[row].sent=ledger.orders.rows[at].serial;
   else
      CMtnetSender::Refused(ledger,spec,ledger.follows.rows[row].wait,request,result,
                            ledger.follows.rows[row].why);
  }

//--- the order stands: its price and stops are to be the provider's, and its volume too
void CMtnetPending::Correct(CMtnetLedger &ledger,const int row,const int placed)
  {
   int spec=ledger.follows.rows[row].spec;
   double lots=ledger.symbols.Order(spec,MathAbs(ledger.follows.rows[row].Part()));
   ledger.follows.rows[row].why="";
   if(ledger.copies.placed[placed].type!=ledger.follows.rows[row].type
      || !CMtnetText::SameLots(ledger.copies.placed[placed].initial,lots))
     {
      RemoveOrder(ledger,row);
      return;
     }
   double price=ledger.symbols.Price(spec,ledger.follows.rows[row].price);
   double sl=(ledger.rules.stops ? ledger.symbols.Price(spec,ledger.follows.rows[row].sl) :
              ledger.copies.placed[placed].sl);
   double tp=(ledger.rules.stops ? ledger.symbols.Price(spec,ledger.follows.rows[row].tp) :
              ledger.copies.placed[placed].tp);
   if(CMtnetText::SamePrice(price,ledger.copies.placed[placed].price)
      && CMtnetText::SamePrice(sl,ledger.copies.placed[placed].sl)
      && CMtnetText::SamePrice(tp,ledger.copies.placed[placed].tp))
      return;
   if(ledger.follows.rows[row].wait.Waits() || !ledger.pace.MayOpen() || !ledger.HasTime())
      return;
   MqlTradeRequest request={};
   MqlTradeResult result={};
   request.action=TRADE_ACTION_MODIFY;
   request.order=ledger.follows.rows[row].order;
   request.symbol=ledger.symbols.Name(spec);
   request.price=price;
   request.sl=sl;
   request.tp=tp;
   request.type_time=ORDER_TIME_GTC;
   ledger.pace.Sent();
   ledger.turn.touched=true;
   // A change that arrived twice changes nothing: its end need not be known.
   if(OrderSend(request,result))
      ledger.follows.rows[row].wait.Taken();
   else
      CMtnetSender::Refused(ledger,spec,ledger.follows.rows[row].wait,request,result,
                            ledger.follows.rows[row].why);
  }

//--- Written first, in the next turn sent: an order that is gone was then removed by this program,
//--- and not by a person.
void CMtnetPending::RemoveOrder(CMtnetLedger &ledger,const int row)
  {
   if(!ledger.follows.rows[row].removing)
     {
      ledger.turn.busy=true;
      ledger.follows.rows[row].removing=true;
      ledger.dirty=true;
      ledger.urgent=true;
      return;
     }
   if(ledger.follows.rows[row].wait.Waits() || !ledger.pace.MayClose() || !ledger.HasTime())
      return;
   MqlTradeRequest request={};
   MqlTradeResult result={};
   request.action=TRADE_ACTION_REMOVE;
   request.order=ledger.follows.rows[row].order;
   ledger.pace.Sent();
   ledger.turn.touched=true;
   if(OrderSend(request,result))
      ledger.follows.rows[row].wait.Taken();
   else
      CMtnetSender::Refused(ledger,ledger.follows.rows[row].spec,ledger.follows.rows[row].wait,
                            request,result,ledger.follows.rows[row].why);
  }
//+------------------------------------------------------------------+
