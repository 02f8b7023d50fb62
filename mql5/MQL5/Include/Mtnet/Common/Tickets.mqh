//+------------------------------------------------------------------+
//| Tickets.mqh: finds the row of a ticket of the terminal           |
//+------------------------------------------------------------------+
#property strict

//--- sorted numbers, binary search
class CMtnetTickets
  {
private:
   ulong             m_keys[];
   int               m_rows[];

   int               Place(const ulong key) const;

public:
   void              Clear(void);
   int               Find(const ulong key) const;
   void              Set(const ulong key,const int row);
   void              Remove(const ulong key);
   int               Size(void) const { return(ArraySize(m_keys)); }
   ulong             Key(const int at) const { return(m_keys[at]); }
   int               Row(const int at) const { return(m_rows[at]); }
  };

void CMtnetTickets::Clear(void)
  {
   ArrayResize(m_keys,0);
   ArrayResize(m_rows,0);
  }

int CMtnetTickets::Place(const ulong key) const
  {
   int low=0,high=ArraySize(m_keys);
   while(low<high)
     {
      int middle=(low+high)/2;
      if(m_keys[middle]<key)
         low=middle+1;
      else
         high=middle;
     }
   return(low);
  }

//--- -1 = not there
int CMtnetTickets::Find(const ulong key) const
  {
   int at=Place(key);
   return(at<ArraySize(m_keys) && m_keys[at]==key ? m_rows[at] : -1);
  }

void CMtnetTickets::Set(const ulong key,const int row)
  {
   int at=Place(key),size=ArraySize(m_keys);
   if(at<size && m_keys[at]==key)
     {
      m_rows[at]=row;
      return;
     }
   ArrayResize(m_keys,size+1,256);
   ArrayResize(m_rows,size+1,256);
   for(int i=size; i>at; i--)
     {
      m_keys[i]=m_keys[i-1];
      m_rows[i]=m_rows[i-1];
     }
   m_keys[at]=key;
   m_rows[at]=row;
  }

void CMtnetTickets::Remove(const ulong key)
  {
   int at=Place(key);
   if(at>=ArraySize(m_keys) || m_keys[at]!=key)
      return;
   ArrayRemove(m_keys,at,1);
   ArrayRemove(m_rows,at,1);
  }
//+------------------------------------------------------------------+
