//+------------------------------------------------------------------+
//| Book.mqh: a copy of a channel: what its provider holds           |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Frame.mqh>
#include <Mtnet/Common/Table.mqh>
#include <Mtnet/Common/Text.mqh>

//--- what a message did to the copy
enum ENUM_MTNET_BOOK
  {
   MTNET_BOOK_SAME,              // nothing that the account follows
   MTNET_BOOK_CHANGED,           // one live change
   MTNET_BOOK_SYNCED,            // nothing is missing now
   MTNET_BOOK_HELD,              // another history; a person decides
   MTNET_BOOK_BROKEN             // an entry is missing: connect again
  };

//+------------------------------------------------------------------+
//| The whole channel is followed, whatever symbols are traded: so a |
//| list of symbols has no limit of length, a change of it loses no  |
//| entry, and every number must follow the one before it.           |
//|                                                                  |
//|   empty --SYNCED--> live --connection lost--> stale              |
//|   stale --replay or snapshot, SYNCED--> live                     |
//|   stale --snapshot of another or an older history--> held        |
//|   held  --accepted word, or the known history again--> live      |
//|                                                                  |
//| Held changes nothing: a wrong data folder, or a restored backup  |
//| of the server, must close nobody's positions.                    |
//+------------------------------------------------------------------+
class CMtnetBook
  {
private:
   string            m_epoch;
   string            m_hash;        // of the entry m_seq; "" = not known
   long              m_seq;
   CMtnetTable       m_table;
   MtnetPosition     m_last;        // of the last change
   MtnetPosition     m_snapshot[];
   string            m_snapshot_epoch;
   long              m_snapshot_seq;
   int               m_count;       // positions that the snapshot announced
   bool              m_collecting;
   bool              m_diverged;
   bool              m_live;
   bool              m_held;
   string            m_word;        // accepts the history that waits
   string            m_why;

   bool              ReadEntry(const CMtnetFrame &frame,MtnetPosition &entry) const;
   ENUM_MTNET_BOOK   Break(const string why);
   ENUM_MTNET_BOOK   BeginSnapshot(const CMtnetFrame &frame);
   ENUM_MTNET_BOOK   AddPosition(const CMtnetFrame &frame);
   ENUM_MTNET_BOOK   TakeSignal(const CMtnetFrame &frame);
   ENUM_MTNET_BOOK   TakeSynced(const CMtnetFrame &frame,const bool fresh,const string accepted);
   ENUM_MTNET_BOOK   EndReplay(const string epoch,const long seq);
   ENUM_MTNET_BOOK   EndSnapshot(const bool fresh,const string accepted);
   void              Adopt(void);
   ENUM_MTNET_BOOK   BecomeLive(const string hash);

public:
                     CMtnetBook(void) { Reset(); }
   void              Reset(void);
   string            Claim(void) const;
   void              Asked(void);
   void              Lost(void);
   ENUM_MTNET_BOOK   Take(const CMtnetFrame &frame,const bool fresh,const string accepted);
   int               Size(void) const { return(m_table.Size()); }
   void              Get(const int at,MtnetPosition &entry) const { m_table.Get(at,entry); }
   void              Last(MtnetPosition &entry) const { entry=m_last; }
   bool              IsByTicket(const string symbol) const;
   bool              Live(void) const { return(m_live); }
   bool              Held(void) const { return(m_held); }
   bool              Known(void) const { return(m_epoch!="" && m_seq>0); }
   string            Epoch(void) const { return(m_epoch); }
   long              Seq(void) const { return(m_seq); }
   string            Word(void) const { return(m_word); }
   string            Why(void) const { return(m_why); }
   string            Line(void) const;
   bool              Read(const CMtnetFrame &row);
   void              Restore(const MtnetPosition &entry);
  };

void CMtnetBook::Reset(void)
  {
   m_epoch="";
   m_hash="";
   m_seq=0;
   m_snapshot_epoch="";
   m_snapshot_seq=0;
   m_count=0;
   m_collecting=false;
   m_diverged=false;
   m_live=false;
   m_held=false;
   m_word="";
   m_why="";
   ArrayResize(m_snapshot,0);
   CMtnetTable::Reset(m_last);
   m_table.Clear();
  }

//--- the fields of SUBSCRIBE that name this copy
string CMtnetBook::Claim(void) const
  {
   if(m_epoch=="")
      return("");
   string claim=CMtnetText::Field("epoch",m_epoch)
                +CMtnetText::Field("after",IntegerToString(m_seq));
   return(m_hash=="" ? claim : claim+CMtnetText::Field("h",m_hash));
  }

//--- A new request was sent: what was half collected belongs to an older one.
void CMtnetBook::Asked(void)
  {
   m_collecting=false;
   m_live=false;
  }

void CMtnetBook::Lost(void)
  {
   Asked();
  }

ENUM_MTNET_BOOK CMtnetBook::Break(const string why)
  {
   m_why=why;
   m_live=false;
   m_collecting=false;
   return(MTNET_BOOK_BROKEN);
  }

//--- One message of the followed channel. fresh = this account has no copy of any channel, so that
//--- a first history needs no person; accepted = the word that a person has set.
ENUM_MTNET_BOOK CMtnetBook::Take(const CMtnetFrame &frame,const bool fresh,const string accepted)
  {
   string verb=frame.Verb();
   if(verb=="SIGNAL")
      return(TakeSignal(frame));
   if(verb=="SNAPSHOT")
      return(BeginSnapshot(frame));
   if(verb=="POSITION")
      return(AddPosition(frame));
   if(verb=="SYNCED")
      return(TakeSynced(frame,fresh,accepted));
   return(MTNET_BOOK_SAME);
  }

ENUM_MTNET_BOOK CMtnetBook::BeginSnapshot(const CMtnetFrame &frame)
  {
   long count=0;
   ArrayResize(m_snapshot,0);
   if(!frame.Number("count",count) || !frame.Number("seq",m_snapshot_seq))
      return(Break("a snapshot without its count"));
   m_count=(int)count;
   m_snapshot_epoch=frame.Text("epoch");
   m_diverged=(frame.Text("diverged")=="1");
   m_collecting=true;
   return(MTNET_BOOK_SAME);
  }

ENUM_MTNET_BOOK CMtnetBook::AddPosition(const CMtnetFrame &frame)
  {
   MtnetPosition entry;
   if(!m_collecting || !ReadEntry(frame,entry))
      return(Break("a position that cannot be read"));
   int size=ArraySize(m_snapshot);
   ArrayResize(m_snapshot,size+1,256);
   m_snapshot[size]=entry;
   return(MTNET_BOOK_SAME);
  }

//--- In order, each once: an entry that is known already is a repetition, one that is missing
//--- means that the connection must ask again.
ENUM_MTNET_BOOK CMtnetBook::TakeSignal(const CMtnetFrame &frame)
  {
   if(m_held)
      return(MTNET_BOOK_SAME);
   MtnetPosition entry;
   if(m_collecting || m_epoch=="" || !ReadEntry(frame,entry))
      return(Break("a signal that cannot be read"));
   if(entry.seq<=m_seq)
      return(MTNET_BOOK_SAME);
   if(entry.seq!=m_seq+1)
      return(Break("signal "+IntegerToString(entry.seq)+" came behind "+IntegerToString(m_seq)));
   m_seq=entry.seq;
   m_hash=frame.Text("h");
   m_table.Apply(entry);
   m_last=entry;
   // Of a replay only the end is traded.
   return(m_live ? MTNET_BOOK_CHANGED : MTNET_BOOK_SAME);
  }

ENUM_MTNET_BOOK CMtnetBook::TakeSynced(const CMtnetFrame &frame,const bool fresh,
                                       const string accepted)
  {
   long seq=0;
   if(!frame.Number("seq",seq))
      return(Break("SYNCED without its number"));
   ENUM_MTNET_BOOK result;
   if(m_collecting)
      result=EndSnapshot(fresh,accepted);
   else
      result=EndReplay(frame.Text("epoch"),seq);
   m_collecting=false;
   if(result!=MTNET_BOOK_SYNCED)
      return(result);
   return(BecomeLive(seq==m_seq ? frame.Text("h") : ""));
  }

ENUM_MTNET_BOOK CMtnetBook::EndReplay(const string epoch,const long seq)
  {
   if(epoch!=m_epoch || seq!=m_seq)
      return(Break("entry "+IntegerToString(seq)+" was to be the last that was missed, and "
                   +IntegerToString(m_seq)+" came"));
   return(MTNET_BOOK_SYNCED);
  }

ENUM_MTNET_BOOK CMtnetBook::EndSnapshot(const bool fresh,const string accepted)
  {
   if(ArraySize(m_snapshot)!=m_count)
      return(Break("a snapshot that is not whole"));
   bool same=(m_snapshot_epoch==m_epoch);
   bool back=(same && (m_diverged || m_snapshot_seq<m_seq));
   // Accepting one loss of entries does not accept the next.
   m_word=(back ? m_epoch+"-"+IntegerToString(m_seq) : m_snapshot_epoch);
   if(m_word==accepted || (m_epoch=="" && fresh) || (same && !back))
     {
      Adopt();
      return(MTNET_BOOK_SYNCED);
     }
   m_held=true;
   m_live=false;
   m_why=(back ? "the channel has lost entries that were followed" :
          "the channel has another journal");
   return(MTNET_BOOK_HELD);
  }

//--- A snapshot is the whole truth: a position that it does not name is flat. Number 0 says that
//--- nothing is known, so nothing changes.
void CMtnetBook::Adopt(void)
  {
   m_epoch=m_snapshot_epoch;
   m_seq=m_snapshot_seq;
   m_hash="";
   if(m_seq>0)
     {
      m_table.Clear();
      for(int i=0; i<ArraySize(m_snapshot); i++)
         m_table.Apply(m_snapshot[i]);
     }
   ArrayResize(m_snapshot,0);
  }

ENUM_MTNET_BOOK CMtnetBook::BecomeLive(const string hash)
  {
   m_hash=hash;
   m_held=false;
   m_word="";
   m_live=true;
   return(MTNET_BOOK_SYNCED);
  }

//--- every entry of a channel has its number
bool CMtnetBook::ReadEntry(const CMtnetFrame &frame,MtnetPosition &entry) const
  {
   if(!frame.Has("seq") || !CMtnetTable::Read(frame,entry))
      return(false);
   // The time of an entry is no name of an opening.
   if(!frame.Has("opened"))
      entry.time=0;
   return(true);
  }

//--- A symbol is netted or by ticket, never both.
bool CMtnetBook::IsByTicket(const string symbol) const
  {
   return(m_table.HasOtherForm(symbol,""));
  }

//--- The row of the state file. The entries stand there as follows.
string CMtnetBook::Line(void) const
  {
   return("BOOK"+CMtnetText::Field("epoch",m_epoch)
          +CMtnetText::Field("seq",IntegerToString(m_seq))+CMtnetText::Field("h",m_hash));
  }

//--- false = it is no row of the book
bool CMtnetBook::Read(const CMtnetFrame &row)
  {
   if(row.Verb()!="BOOK" || !row.Number("seq",m_seq))
      return(false);
   m_epoch=row.Text("epoch");
   m_hash=row.Text("h");
   return(true);
  }

//--- an entry of an earlier run
void CMtnetBook::Restore(const MtnetPosition &entry)
  {
   m_table.Set(entry);
  }
//+------------------------------------------------------------------+
