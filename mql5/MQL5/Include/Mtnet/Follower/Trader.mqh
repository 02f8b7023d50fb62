//+------------------------------------------------------------------+
//| Trader.mqh: from what is held to what is to be held              |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Panel.mqh>
#include <Mtnet/Common/Text.mqh>
#include <Mtnet/Follower/Acks.mqh>
#include <Mtnet/Follower/Book.mqh>
#include <Mtnet/Follower/Ledger.mqh>
#include <Mtnet/Follower/Market.mqh>
#include <Mtnet/Follower/Pending.mqh>
#include <Mtnet/Follower/Planner.mqh>
#include <Mtnet/Follower/Proof.mqh>
#include <Mtnet/Follower/Resolver.mqh>
#include <Mtnet/Server/Report.mqh>
#include <Mtnet/Server/Session.mqh>

#define MTNET_DESCRIBED  20       // symbols that one timer describes

//+------------------------------------------------------------------+
//| The states of a copy. Only IDLE sends an order.                  |
//|                                                                  |
//|        difference: the order is written to disk, then sent       |
//|  IDLE ------------------------------------------------> ON WAY   |
//|   ^  ^                                                   |   |   |
//|   |  |  refused: wait by the return code                 |   |   |
//|   |  +---------------------------------------------------+   |   |
//|   |                                                          |   |
//|   |  shown = held                its end in the history:     |   |
//|   +----------------- UNPROVEN <------------------------------+   |
//|        or deals = shown          held += what it filled          |
//|                                                                  |
//| ON WAY ends only by the history: filled, partly filled, removed  |
//| or, found nowhere for minutes of a steady connection, lost.      |
//|  - killed before the send: the row on disk is looked for, not    |
//|    found, and given up; nothing was sent, nothing is doubled;    |
//|  - killed behind it, or the answer is lost: the row is found by  |
//|    its comment in the orders, or in the history;                 |
//|  - a deal before the answer, filled while disconnected: the same |
//|    look finds it, since answers are never believed alone.        |
//| UNPROVEN: the terminal shows other lots than are held. The deals |
//| of the copy's positions decide. They agree with the terminal:    |
//| somebody else has closed (a hand, a stop, the broker), and the   |
//| opening is released. They do not: the terminal is still loading, |
//| and nothing is sent.                                             |
//+------------------------------------------------------------------+
class CMtnetTrader
  {
private:
   CMtnetLedger      m_ledger;
   int               m_described;   // symbols of which the server may be told

   void              Changed(void);
   bool              IsDue(void) const;
   void              Trade(void);
   void              ShowTroubles(CMtnetPanel &panel);

public:
                     CMtnetTrader(void) { m_described=0; }
   bool              Open(const MtnetRules &rules,const string map,const string prefix,
                          const string suffix,const string wanted,string &why);
   void              Begin(const bool netting,const long login,const string server,
                           const string channel);
   ENUM_MTNET_STATE  Load(CMtnetBook &book) { return(m_ledger.Load(book)); }
   bool              Save(CMtnetBook &book,const bool now=false);
   string            File(void) const { return(m_ledger.File()); }
   long              Magic(void) const { return(m_ledger.rules.magic); }
   bool              Look(void);
   bool              HoldsAny(void) const { return(m_ledger.copies.HoldsAny()); }
   void              Touch(void) { m_ledger.turn.touched=true; }
   void              Take(const MtnetPosition &entry);
   void              Synced(const CMtnetBook &book,const CMtnetFrame &synced);
   void              Work(CMtnetBook &book,CMtnetSession &session,CMtnetPanel &panel,
                          const long now);
   void              ReleaseAll(const string why);
   void              Describe(CMtnetReport &report);
   string            Line(void) const;
  };

//--- false = an input is wrong; why says which
bool CMtnetTrader::Open(const MtnetRules &rules,const string map,const string prefix,
                        const string suffix,const string wanted,string &why)
  {
   m_described=0;
   return(m_ledger.Open(rules,map,prefix,suffix,wanted,why));
  }

//--- another account, or the first
void CMtnetTrader::Begin(const bool netting,const long login,const string server,
                         const string channel)
  {
   m_ledger.Begin(netting,login,server,channel);
  }

//--- false = the ledger could not be written
bool CMtnetTrader::Save(CMtnetBook &book,const bool now)
  {
   return(m_ledger.Save(book,now));
  }

//+------------------------------------------------------------------+
//| The channel                                                      |
//+------------------------------------------------------------------+
void CMtnetTrader::Changed(void)
  {
   m_ledger.turn.plan=true;
   m_ledger.turn.touched=true;
   m_ledger.dirty=true;
  }

//--- one live change
void CMtnetTrader::Take(const MtnetPosition &entry)
  {
   m_ledger.follows.Change(entry);
   Changed();
  }

//--- nothing is missing now
void CMtnetTrader::Synced(const CMtnetBook &book,const CMtnetFrame &synced)
  {
   m_ledger.Limit(synced);
   if(book.Known())
      m_ledger.follows.Take(book);
   m_ledger.follows.Retell();
   Changed();
  }

//--- nothing that is copied now is copied any more
void CMtnetTrader::ReleaseAll(const string why)
  {
   for(int i=0; i<ArraySize(m_ledger.follows.rows); i++)
      if(m_ledger.follows.rows[i].lots>0 && m_ledger.follows.rows[i].decision==MTNET_COPIED)
         m_ledger.follows.Release(i,why);
   Changed();
  }

//+------------------------------------------------------------------+
//| One turn of the timer                                            |
//+------------------------------------------------------------------+

//--- a look at the account; false = it changed meanwhile
bool CMtnetTrader::Look(void)
  {
   m_ledger.turn.looked=GetTickCount64();
   return(m_ledger.copies.Scan(m_ledger.symbols));
  }

//--- An account where nothing happens is looked at once a second.
bool CMtnetTrader::IsDue(void) const
  {
   return(m_ledger.turn.touched || m_ledger.turn.busy
          || GetTickCount64()-m_ledger.turn.looked>=MTNET_IDLE);
  }

void CMtnetTrader::Work(CMtnetBook &book,CMtnetSession &session,CMtnetPanel &panel,const long now)
  {
   m_ledger.turn.live=book.Live();
   m_ledger.turn.now=now;
   if(!IsDue() || !book.Known() || book.Held() || !Look())
      return;
   m_ledger.turn.touched=false;
   m_ledger.turn.busy=false;
   CMtnetResolver::ResolveAll(m_ledger);
   CMtnetPending::AdoptOrders(m_ledger);
   CMtnetPending::CheckOrders(m_ledger);
   CMtnetProof::ProveAll(m_ledger);
   CMtnetPlanner::Plan(m_ledger);
   Trade();
   CMtnetAcks::TellAll(m_ledger,session);
   ShowTroubles(panel);
  }

//--- Closings first: what is too much is the costliest.
void CMtnetTrader::Trade(void)
  {
   m_ledger.turn.began=GetMicrosecondCount();
   m_ledger.troubles.cannot="InpTrade is off";
   if(!m_ledger.rules.trade || !CMtnetReport::MayTrade(m_ledger.troubles.cannot))
      return;
   CMtnetMarket::ReduceAll(m_ledger);
   if(m_ledger.rules.pending)
      CMtnetPending::PendAll(m_ledger);
   // While blind nothing is opened: what the provider holds is not known.
   if(m_ledger.turn.live)
      CMtnetMarket::IncreaseAll(m_ledger);
   if(m_ledger.rules.stops)
      CMtnetMarket::ProtectAll(m_ledger);
  }

//+------------------------------------------------------------------+
//| What people and the server see                                   |
//+------------------------------------------------------------------+
void CMtnetTrader::ShowTroubles(CMtnetPanel &panel)
  {
   int row=-1;
   string why="",cannot=m_ledger.troubles.cannot,missing=m_ledger.troubles.missing;
   int strangers=m_ledger.copies.Strangers();
   while(m_ledger.symbols.NextTrouble(row,why))
      panel.Check("refused "+m_ledger.symbols.Name(row),why!="",
                  m_ledger.symbols.Name(row)+": "+why);
   if(missing=="")
      missing=m_ledger.symbols.Missing();
   panel.Check("trade",m_ledger.rules.trade && cannot!="",cannot);
   panel.Check("unproven",m_ledger.troubles.unproven!="",m_ledger.troubles.unproven);
   panel.Check("lost",m_ledger.troubles.lost!="",m_ledger.troubles.lost);
   panel.Check("symbol",missing!="","there is no symbol "+missing+" at this broker");
   panel.Check("strangers",strangers>0,
               IntegerToString(strangers)+" positions have the magic number of this program "
               "and not its mark: they are left to you");
  }

//--- the symbols that are traded here
void CMtnetTrader::Describe(CMtnetReport &report)
  {
   for(int i=0; i<MTNET_DESCRIBED && m_described<m_ledger.symbols.Total(); i++)
     {
      report.Describe(m_ledger.symbols.Name(m_described));
      m_described++;
     }
  }

//--- what is held, for the chart
string CMtnetTrader::Line(void) const
  {
   int held=0,differ=0;
   m_ledger.copies.Tally(held,differ);
   int released=m_ledger.follows.Released();
   string text="holds "+IntegerToString(held)+" copies";
   if(differ>0)
      text+=", "+IntegerToString(differ)+" not yet as they should be";
   if(released>0)
      text+=", "+IntegerToString(released)+" released";
   return(text);
  }
//+------------------------------------------------------------------+
