//+------------------------------------------------------------------+
//| Holdings.mqh: what of the account belongs into the channel       |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Account/Account.mqh>
#include <Mtnet/Account/History.mqh>
#include <Mtnet/Account/Mark.mqh>
#include <Mtnet/Common/Frame.mqh>
#include <Mtnet/Common/Index.mqh>
#include <Mtnet/Common/State.mqh>
#include <Mtnet/Common/Table.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Provider/Filter.mqh>

#define MTNET_REMEMBERED  10000   // closed keys

//--- how positions are published
enum ENUM_MTNET_FORM
  {
   MTNET_FORM_NET,      // Net position of each symbol
   MTNET_FORM_TICKETS   // Each position by its ticket, pending orders too
  };

struct MtnetScope
  {
   ENUM_MTNET_FORM   form;
   bool              stops;      // SL and TP too
   bool              pending;    // pending orders too, by ticket
   string            prefix;     // of this broker's symbols, left out in the channel
   string            suffix;
   string            channel;    // whose copies are no positions of our own
  };

//--- a position or order that was counted, by its identifier
struct MtnetKnown
  {
   ulong             id;
   string            symbol;     // in the channel
   string            ticket;     // "" = part of a net position
   bool              order;
  };

class CMtnetHoldings
  {
private:
   MtnetScope        m_scope;
   MtnetKnown        m_known[];
   int               m_size;
   CMtnetIndex       m_ids;      // rows of m_known
   CMtnetIndex       m_keys;     // how many known ones a key has
   CMtnetTable       m_wanted;
   MtnetPosition     m_sums[];   // of a count, by key
   int               m_count;
   CMtnetIndex       m_rows;     // of m_sums
   CMtnetIndex       m_unsure;   // keys of which something is missing
   CMtnetIndex       m_proven;   // keys of which all that is missing has gone, to m_ended
   ulong             m_ended[];  // the last position that ended of each
   CMtnetIndex       m_checked;  // net positions that were whole when they were counted
   int               m_missing;
   long              m_version;  // of the count that m_wanted comes from
   bool              m_changed;  // m_known has

   void              Collect(const CMtnetAccount &account,const CMtnetFilter &filter);
   bool              Belongs(const MtnetHolding &holding,const string symbol,
                             const CMtnetFilter &filter,const long login) const;
   string            NameOf(const string ours) const;
   void              Add(const MtnetHolding &holding,const string symbol);
   void              AddNet(MtnetPosition &sum,const MtnetHolding &holding,const int digits);
   void              Position(const MtnetHolding &holding,const string symbol,const int digits,
                              MtnetPosition &position) const;
   void              Know(const MtnetKnown &known);
   void              Forget(const int at);
   void              CheckKnown(CMtnetAccount &account);
   void              CheckShown(CMtnetAccount &account,const CMtnetTable &shown);
   void              CheckLess(CMtnetAccount &account,const MtnetPosition &shown,
                               const MtnetPosition &wanted);
   void              Doubt(const string key);
   void              Prove(const string key,const ulong id);
   ulong             Identifier(const string ticket) const;

public:
                     CMtnetHoldings(void);
   void              Begin(const MtnetScope &scope);
   bool              Load(const CMtnetFrame &row);
   void              Save(CMtnetState &state) const;
   bool              Update(CMtnetAccount &account,const CMtnetFilter &filter,
                            const CMtnetTable &shown);
   int               Size(void) const;
   void              Get(const int at,MtnetPosition &wanted) const;
   int               Find(const string symbol,const string ticket) const;
   bool              IsSure(const string symbol,const string ticket) const;
   bool              IsKnown(const string symbol,const string ticket) const;
   double            ClosingPrice(const CMtnetAccount &account,const string symbol,
                                  const string ticket) const;
   int               Missing(void) const;
   string            Ours(const string symbol) const;
   static int        Decimals(const string ours);
  };

CMtnetHoldings::CMtnetHoldings(void)
  {
   m_size=0;
   m_count=0;
   m_missing=0;
   m_version=-1;
   m_changed=false;
  }

void CMtnetHoldings::Begin(const MtnetScope &scope)
  {
   m_scope=scope;
   m_size=0;
   m_count=0;
   m_missing=0;
   m_version=-1;
   m_changed=false;
   m_ids.Clear();
   m_keys.Clear();
   m_proven.Clear();
   ArrayResize(m_ended,0);
   m_unsure.Clear();
   m_checked.Clear();
   m_wanted.Clear();
  }

//--- a row of the state file; false = it is another one's
bool CMtnetHoldings::Load(const CMtnetFrame &row)
  {
   MtnetKnown known;
   long id=0;
   if(row.Verb()!="KNOWN" || !row.Number("id",id))
      return(false);
   known.id=(ulong)id;
   known.symbol=row.Text("symbol");
   known.ticket=row.Text("ticket");
   known.order=row.Has("order");
   // After a change of the form each position is known anew.
   if((known.ticket=="")==(m_scope.form==MTNET_FORM_NET))
     {
      Know(known);
      m_checked.Set(CMtnetTable::Key(known.symbol,known.ticket),1);
     }
   return(true);
  }

void CMtnetHoldings::Save(CMtnetState &state) const
  {
   for(int i=0; i<m_size; i++)
      state.Add("KNOWN"+CMtnetText::Field("id",IntegerToString((long)m_known[i].id))
                +CMtnetText::Field("symbol",m_known[i].symbol)
                +(m_known[i].ticket=="" ? "" : CMtnetText::Field("ticket",m_known[i].ticket))
                +(m_known[i].order ? CMtnetText::Field("order","1") : ""));
  }

int CMtnetHoldings::Size(void) const
  {
   return(m_wanted.Size());
  }

void CMtnetHoldings::Get(const int at,MtnetPosition &wanted) const
  {
   m_wanted.Get(at,wanted);
  }

int CMtnetHoldings::Find(const string symbol,const string ticket) const
  {
   return(m_wanted.Find(symbol,ticket));
  }

//--- false = something of it is missing that may still be there
bool CMtnetHoldings::IsSure(const string symbol,const string ticket) const
  {
   return(m_unsure.Find(CMtnetTable::Key(symbol,ticket))<0);
  }

//--- whether this account has held it
bool CMtnetHoldings::IsKnown(const string symbol,const string ticket) const
  {
   string key=CMtnetTable::Key(symbol,ticket);
   return(m_wanted.Find(symbol,ticket)>=0 || m_keys.Find(key)>0 || m_proven.Find(key)>=0);
  }

//--- The price at which what is gone was closed; 0 = unknown. A net position of a hedging account
//--- is several, which were closed at prices of their own.
double CMtnetHoldings::ClosingPrice(const CMtnetAccount &account,const string symbol,
                                    const string ticket) const
  {
   ulong id=Identifier(ticket);
   int at=m_proven.Find(CMtnetTable::Key(symbol,ticket));
   if(ticket=="" && at>=0 && !account.IsHedging())
      id=m_ended[at];
   return(id==0 ? 0 : CMtnetHistory::ClosingPrice(id));
  }

//--- positions that are missing and not known to be closed
int CMtnetHoldings::Missing(void) const
  {
   return(m_missing);
  }

//+------------------------------------------------------------------+
//| Names                                                            |
//+------------------------------------------------------------------+

//--- the channel's name of a broker's symbol; one without prefix and suffix keeps its own
string CMtnetHoldings::NameOf(const string ours) const
  {
   int before=StringLen(m_scope.prefix),behind=StringLen(m_scope.suffix);
   int size=StringLen(ours)-before-behind;
   if(size<1 || (before>0 && StringSubstr(ours,0,before)!=m_scope.prefix)
      || (behind>0 && StringSubstr(ours,before+size)!=m_scope.suffix))
      return(ours);
   return(StringSubstr(ours,before,size));
  }

string CMtnetHoldings::Ours(const string symbol) const
  {
   string ours=m_scope.prefix+symbol+m_scope.suffix;
   // One that has no suffix here was published as it is.
   return(SymbolInfoInteger(ours,SYMBOL_EXIST)!=0 ? ours : symbol);
  }

//--- Decimals of its prices. A symbol that the terminal does not know yet says 0, which would
//--- round a stop loss.
int CMtnetHoldings::Decimals(const string ours)
  {
   int digits=(int)SymbolInfoInteger(ours,SYMBOL_DIGITS);
   return(digits>0 ? digits : 5);
  }

//--- the identifier in a ticket that this account published; 0 = it is another program's
ulong CMtnetHoldings::Identifier(const string ticket) const
  {
   long id=0;
   return(ticket!="" && CMtnetText::ToNumber(ticket,id) ? (ulong)id : 0);
  }

//+------------------------------------------------------------------+
//| From a count to the positions of the channel                     |
//+------------------------------------------------------------------+

//--- Takes over the account's last count. True = what must be saved has changed.
bool CMtnetHoldings::Update(CMtnetAccount &account,const CMtnetFilter &filter,
                            const CMtnetTable &shown)
  {
   m_unsure.Clear();
   m_missing=0;
   m_changed=false;
   // Closed tickets need not be remembered for ever: their deals prove it again.
   if(m_proven.Used()>MTNET_REMEMBERED || ArraySize(m_ended)>MTNET_REMEMBERED)
     {
      m_proven.Clear();
      ArrayResize(m_ended,0);
     }
   if(m_version!=account.Version())
      Collect(account,filter);
   m_version=account.Version();
   CheckKnown(account);
   CheckShown(account,shown);
   return(m_changed);
  }

//--- the count by the keys of the channel
void CMtnetHoldings::Collect(const CMtnetAccount &account,const CMtnetFilter &filter)
  {
   MtnetHolding holding;
   m_wanted.Clear();
   m_rows.Clear();
   m_count=0;
   for(int i=0; i<account.Size(); i++)
     {
      account.Get(i,holding);
      string symbol=NameOf(holding.symbol);
      if(Belongs(holding,symbol,filter,account.Login()))
         Add(holding,symbol);
     }
   for(int i=0; i<m_count; i++)
      m_wanted.Set(m_sums[i]);
  }

bool CMtnetHoldings::Belongs(const MtnetHolding &holding,const string symbol,
                             const CMtnetFilter &filter,const long login) const
  {
   bool pending=(holding.type!="position");
   if(pending && (m_scope.form==MTNET_FORM_NET || !m_scope.pending))
      return(false);
   return(filter.Passes(symbol,holding.magic,holding.comment)
          && !CMtnetMark::IsCopy(m_scope.channel,login,holding.magic,holding.comment));
  }

void CMtnetHoldings::Add(const MtnetHolding &holding,const string symbol)
  {
   int digits=Decimals(holding.symbol);
   string ticket=(m_scope.form==MTNET_FORM_NET ? "" : IntegerToString((long)holding.id));
   string key=CMtnetTable::Key(symbol,ticket);
   int at=m_rows.Find(key);
   if(at>=0)
      AddNet(m_sums[at],holding,digits);
   else
     {
      at=m_count;
      m_count++;
      if(m_count>ArraySize(m_sums))
         ArrayResize(m_sums,m_count,256);
      m_rows.Set(key,at);
      Position(holding,symbol,digits,m_sums[at]);
      m_sums[at].ticket=ticket;
     }
   MtnetKnown known;
   known.id=holding.id;
   known.symbol=symbol;
   known.ticket=ticket;
   known.order=(holding.type!="position");
   Know(known);
  }

//--- a price, stops and a magic number belong to one position, not to a sum
void CMtnetHoldings::AddNet(MtnetPosition &sum,const MtnetHolding &holding,const int digits)
  {
   sum.lots=NormalizeDouble(sum.lots+holding.lots,MTNET_LOTS_DIGITS);
   sum.price=0;
   sum.sl=0;
   sum.tp=0;
   if(sum.magic!=holding.magic)
      sum.magic=0;
   sum.time=(long)MathMin(sum.time,holding.opened);
  }

void CMtnetHoldings::Position(const MtnetHolding &holding,const string symbol,const int digits,
                              MtnetPosition &position) const
  {
   CMtnetTable::Reset(position);
   position.symbol=symbol;
   position.type=holding.type;
   position.lots=NormalizeDouble(holding.lots,MTNET_LOTS_DIGITS);
   position.price=NormalizeDouble(holding.price,digits);
   position.sl=(m_scope.stops ? NormalizeDouble(holding.sl,digits) : 0);
   position.tp=(m_scope.stops ? NormalizeDouble(holding.tp,digits) : 0);
   position.magic=holding.magic;
   position.time=holding.opened;
  }

//+------------------------------------------------------------------+
//| What is missing                                                  |
//+------------------------------------------------------------------+
void CMtnetHoldings::Know(const MtnetKnown &known)
  {
   string id=IntegerToString((long)known.id);
   int at=m_ids.Find(id);
   if(at>=0)
     {
      // A pending order has become a position.
      m_changed=(m_changed || m_known[at].order!=known.order);
      m_known[at].order=known.order;
      return;
     }
   at=m_size;
   m_size++;
   if(m_size>ArraySize(m_known))
      ArrayResize(m_known,m_size,256);
   m_known[at]=known;
   m_ids.Set(id,at);
   string key=CMtnetTable::Key(known.symbol,known.ticket);
   m_keys.Set(key,(int)MathMax(0,m_keys.Find(key))+1);
   m_changed=true;
  }

//--- the last row takes the place
void CMtnetHoldings::Forget(const int at)
  {
   string key=CMtnetTable::Key(m_known[at].symbol,m_known[at].ticket);
   int left=m_keys.Find(key)-1;
   if(left>0)
      m_keys.Set(key,left);
   else
      m_keys.Remove(key);
   m_ids.Remove(IntegerToString((long)m_known[at].id));
   m_size--;
   if(at<m_size)
     {
      m_known[at]=m_known[m_size];
      m_ids.Set(IntegerToString((long)m_known[at].id),at);
     }
   m_changed=true;
  }

void CMtnetHoldings::Doubt(const string key)
  {
   m_unsure.Set(key,1);
   m_missing++;
  }

void CMtnetHoldings::Prove(const string key,const ulong id)
  {
   int at=ArraySize(m_ended);
   ArrayResize(m_ended,at+1,256);
   m_ended[at]=id;
   m_proven.Set(key,at);
  }

//--- Those that were counted before: the ones which are missing now are closed, or come back.
void CMtnetHoldings::CheckKnown(CMtnetAccount &account)
  {
   for(int i=m_size-1; i>=0; i--)
     {
      string key=CMtnetTable::Key(m_known[i].symbol,m_known[i].ticket);
      bool counted=(account.Find(m_known[i].id)>=0);
      // Counted, but not for the channel: a person has changed the filter.
      if(counted && m_rows.Find(key)>=0)
         continue;
      if(!counted && !account.IsGone("#"+IntegerToString((long)m_known[i].id),m_known[i].id,
                                     m_known[i].order))
        {
         Doubt(key);
         continue;
        }
      Prove(key,m_known[i].id);
      Forget(i);
     }
  }

//--- Those that the channel shows and this account has never counted, as after a lost state file
void CMtnetHoldings::CheckShown(CMtnetAccount &account,const CMtnetTable &shown)
  {
   MtnetPosition position,wanted;
   for(int i=0; i<shown.Size(); i++)
     {
      shown.Get(i,position);
      string key=CMtnetTable::Key(position.symbol,position.ticket);
      int at=m_wanted.Find(position.symbol,position.ticket);
      if(at>=0)
        {
         m_wanted.Get(at,wanted);
         CheckLess(account,position,wanted);
        }
      else if(m_proven.Find(key)<0 && m_keys.Find(key)<=0 && m_rows.Find(key)<0
              && !account.IsGone(key,Identifier(position.ticket),position.type!="position"))
         Doubt(key);
     }
  }

//--- On a hedging account some positions of a symbol may be missing while others are there.
void CMtnetHoldings::CheckLess(CMtnetAccount &account,const MtnetPosition &shown,
                               const MtnetPosition &wanted)
  {
   if(shown.ticket!="" || !account.IsHedging())
      return;
   string key=CMtnetTable::Key(shown.symbol,shown.ticket);
   m_proven.Remove(key);
   bool whole=(m_checked.Find(key)>=0
               || MathAbs(wanted.lots)>MathAbs(shown.lots)-MTNET_LEAST);
   if(whole || account.IsGone("less "+key,0))
      m_checked.Set(key,1);
   else
      Doubt(key);
  }
//+------------------------------------------------------------------+
