//+------------------------------------------------------------------+
//| History.mqh: what the account's history says                     |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/Mark.mqh>
#include <Mtnet/Common/Text.mqh>

#define MTNET_HISTORY_BEFORE  3600    // s; the clocks of terminal and broker differ
#define MTNET_HISTORY_AFTER   86400   // s

//--- what has become of an order
struct MtnetFate
  {
   bool              open;       // it waits at the broker
   bool              ended;      // it stands in the history
   double            filled;     // lots
   ulong             position;   // identifier of the position that it changed
  };

class CMtnetHistory
  {
private:
   static double     SelectedLots(bool &known);

public:
   static void       Fate(const ulong ticket,MtnetFate &fate);
   static double     OpenLots(const ulong &ids[],bool &known);
   static double     ClosingPrice(const ulong id);
   static bool       Select(const datetime since);
   static bool       HoldsOpen(const long magic,const string mark,const int days);
  };

//--- Neither open nor ended: the terminal does not know it (yet).
void CMtnetHistory::Fate(const ulong ticket,MtnetFate &fate)
  {
   fate.open=false;
   fate.ended=false;
   fate.filled=0;
   fate.position=0;
   if(OrderSelect(ticket))
     {
      fate.open=true;
      return;
     }
   if(!HistoryOrderSelect(ticket))
      return;
   fate.ended=true;
   // What is left of an order that ended was never filled, whatever its state is called.
   fate.filled=HistoryOrderGetDouble(ticket,ORDER_VOLUME_INITIAL)
               -HistoryOrderGetDouble(ticket,ORDER_VOLUME_CURRENT);
   fate.position=(ulong)HistoryOrderGetInteger(ticket,ORDER_POSITION_ID);
  }

//--- Lots, signed, that the deals of these positions leave open. known = there are deals of them.
double CMtnetHistory::OpenLots(const ulong &ids[],bool &known)
  {
   double lots=0;
   known=false;
   for(int i=0; i<ArraySize(ids); i++)
      if(HistorySelectByPosition((long)ids[i]))
         lots+=SelectedLots(known);
   return(NormalizeDouble(lots,8));
  }

//--- The same of the position that is selected. Brokers put old deals away: one whose opening is
//--- gone and that has closings is closed, or the terminal would show it.
double CMtnetHistory::SelectedLots(bool &known)
  {
   double lots=0;
   bool opened=false;
   for(int i=HistoryDealsTotal()-1; i>=0; i--)
     {
      ulong deal=HistoryDealGetTicket(i);
      long type=HistoryDealGetInteger(deal,DEAL_TYPE);
      if(deal==0 || (type!=DEAL_TYPE_BUY && type!=DEAL_TYPE_SELL))
         continue;
      long entry=HistoryDealGetInteger(deal,DEAL_ENTRY);
      known=true;
      opened=(opened || entry==DEAL_ENTRY_IN || entry==DEAL_ENTRY_INOUT);
      lots+=(type==DEAL_TYPE_BUY ? 1 : -1)*HistoryDealGetDouble(deal,DEAL_VOLUME);
     }
   return(opened ? lots : 0);
  }

//--- Average price of the order that closed what was left of a position; 0 = it is not known.
double CMtnetHistory::ClosingPrice(const ulong id)
  {
   double lots=0,money=0;
   long order=0;
   if(!HistorySelectByPosition((long)id))
      return(0);
   for(int i=HistoryDealsTotal()-1; i>=0; i--)
     {
      ulong deal=HistoryDealGetTicket(i);
      long entry=HistoryDealGetInteger(deal,DEAL_ENTRY);
      if(deal==0 || (entry!=DEAL_ENTRY_OUT && entry!=DEAL_ENTRY_OUT_BY))
         continue;
      if(order==0)
         order=HistoryDealGetInteger(deal,DEAL_ORDER);
      if(HistoryDealGetInteger(deal,DEAL_ORDER)!=order)
         break;
      lots+=HistoryDealGetDouble(deal,DEAL_VOLUME);
      money+=HistoryDealGetDouble(deal,DEAL_VOLUME)*HistoryDealGetDouble(deal,DEAL_PRICE);
     }
   return(lots>0 ? money/lots : 0);
  }

bool CMtnetHistory::Select(const datetime since)
  {
   return(HistorySelect(since-MTNET_HISTORY_BEFORE,TimeTradeServer()+MTNET_HISTORY_AFTER));
  }

//--- Whether deals of these days leave a position of a magic number open: a terminal that shows
//--- none has not loaded its positions yet.
bool CMtnetHistory::HoldsOpen(const long magic,const string mark,const int days)
  {
   ulong ids[];
   int size=0;
   if(!Select(TimeTradeServer()-days*86400))
      return(false);
   for(int i=HistoryDealsTotal()-1; i>=0; i--)
     {
      ulong deal=HistoryDealGetTicket(i);
      if(deal==0 || HistoryDealGetInteger(deal,DEAL_MAGIC)!=magic
         || CMtnetMark::IsOfOther(mark,HistoryDealGetString(deal,DEAL_COMMENT)))
         continue;
      ArrayResize(ids,size+1,64);
      ids[size]=(ulong)HistoryDealGetInteger(deal,DEAL_POSITION_ID);
      size++;
     }
   for(int i=0; i<size; i++)
     {
      ulong one[1];
      bool known=false;
      one[0]=ids[i];
      if(MathAbs(OpenLots(one,known))>MTNET_LEAST)
         return(true);
     }
   return(false);
  }
//+------------------------------------------------------------------+
