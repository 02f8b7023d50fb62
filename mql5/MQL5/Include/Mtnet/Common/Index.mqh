//+------------------------------------------------------------------+
//| Index.mqh: finds the row of a key among thousands                |
//+------------------------------------------------------------------+
#property strict

#define MTNET_SLOT_FREE     -1
#define MTNET_SLOT_REMOVED  -2

//--- a hash table with linear probing; no slot is used twice before it grows
class CMtnetIndex
  {
private:
   string            m_keys[];
   int               m_rows[];
   int               m_used;     // slots that are not free

   int               Home(const string key) const;
   int               Slot(const string key) const;
   void              Grow(void);

public:
                     CMtnetIndex(void);
   void              Clear(void);
   int               Used(void) const;
   int               Find(const string key) const;
   void              Set(const string key,const int row);
   void              Remove(const string key);
  };

CMtnetIndex::CMtnetIndex(void)
  {
   Clear();
  }

void CMtnetIndex::Clear(void)
  {
   ArrayResize(m_keys,64);
   ArrayResize(m_rows,64);
   ArrayInitialize(m_rows,MTNET_SLOT_FREE);
   m_used=0;
  }

//--- keys, and those that were removed since it has grown last
int CMtnetIndex::Used(void) const
  {
   return(m_used);
  }

int CMtnetIndex::Home(const string key) const
  {
   uint hash=2166136261;
   int size=StringLen(key);
   for(int i=0; i<size; i++)
      hash=(hash^(uint)StringGetCharacter(key,i))*16777619;
   return((int)(hash%(uint)ArraySize(m_rows)));
  }

//--- the slot of a key, else the free one where its search ends
int CMtnetIndex::Slot(const string key) const
  {
   int slot=Home(key),size=ArraySize(m_rows);
   while(m_rows[slot]!=MTNET_SLOT_FREE
         && (m_rows[slot]==MTNET_SLOT_REMOVED || m_keys[slot]!=key))
      slot=(slot+1)%size;
   return(slot);
  }

//--- -1 = it is not there
int CMtnetIndex::Find(const string key) const
  {
   return(m_rows[Slot(key)]);
  }

void CMtnetIndex::Set(const string key,const int row)
  {
   if(2*m_used>=ArraySize(m_rows))
      Grow();
   int slot=Slot(key);
   if(m_rows[slot]==MTNET_SLOT_FREE)
      m_used++;
   m_keys[slot]=key;
   m_rows[slot]=row;
  }

void CMtnetIndex::Remove(const string key)
  {
   int slot=Slot(key);
   if(m_rows[slot]>=0)
      m_rows[slot]=MTNET_SLOT_REMOVED;
  }

//--- removed slots are forgotten
void CMtnetIndex::Grow(void)
  {
   string keys[];
   int rows[];
   int size=ArraySize(m_rows);
   ArrayCopy(keys,m_keys);
   ArrayCopy(rows,m_rows);
   ArrayResize(m_keys,4*size);
   ArrayResize(m_rows,4*size);
   ArrayInitialize(m_rows,MTNET_SLOT_FREE);
   m_used=0;
   for(int i=0; i<size; i++)
      if(rows[i]>=0)
         Set(keys[i],rows[i]);
  }
//+------------------------------------------------------------------+
