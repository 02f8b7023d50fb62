//+------------------------------------------------------------------+
//| Filter.mqh: which positions of the account are published         |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Text.mqh>

class CMtnetFilter
  {
private:
   long              m_from[];      // ranges of magic numbers; none = all
   long              m_to[];
   string            m_comment;
   string            m_symbols[];   // none = all

   bool              ReadRange(const string text);
   bool              ReadMagic(const string text,long &magic) const;
   bool              HasMagic(const long magic) const;
   bool              HasSymbol(const string symbol) const;

public:
                     CMtnetFilter(void);
   bool              Begin(const string magics,const string comment,const string symbols);
   bool              Passes(const string symbol,const long magic,const string comment) const;
  };

CMtnetFilter::CMtnetFilter(void)
  {
   m_comment="";
  }

//--- "100,200-299", a part of the comment, "EURUSD,GBPUSD"; "" = all. False = the magic numbers
//--- cannot be read.
bool CMtnetFilter::Begin(const string magics,const string comment,const string symbols)
  {
   string items[];
   int size=CMtnetText::Items(magics,items);
   ArrayResize(m_from,0);
   ArrayResize(m_to,0);
   m_comment=CMtnetText::Trim(comment);
   CMtnetText::Items(symbols,m_symbols);
   for(int i=0; i<size; i++)
      if(!ReadRange(items[i]))
         return(false);
   return(true);
  }

//--- a number or two, with a hyphen between
bool CMtnetFilter::ReadRange(const string text)
  {
   int hyphen=StringFind(text,"-",1),at=ArraySize(m_from);
   long from=0,to=0;
   bool one=(hyphen<0);
   if(!ReadMagic(one ? text : StringSubstr(text,0,hyphen),from)
      || !ReadMagic(one ? text : StringSubstr(text,hyphen+1),to) || to<from)
      return(false);
   ArrayResize(m_from,at+1,16);
   ArrayResize(m_to,at+1,16);
   m_from[at]=from;
   m_to[at]=to;
   return(true);
  }

bool CMtnetFilter::ReadMagic(const string text,long &magic) const
  {
   string digits=CMtnetText::Trim(text);
   bool minus=(StringSubstr(digits,0,1)=="-");
   if(!CMtnetText::ToNumber(minus ? StringSubstr(digits,1) : digits,magic))
      return(false);
   if(minus)
      magic=-magic;
   return(true);
  }

bool CMtnetFilter::HasMagic(const long magic) const
  {
   for(int i=0; i<ArraySize(m_from); i++)
      if(magic>=m_from[i] && magic<=m_to[i])
         return(true);
   return(ArraySize(m_from)==0);
  }

bool CMtnetFilter::HasSymbol(const string symbol) const
  {
   for(int i=0; i<ArraySize(m_symbols); i++)
      if(m_symbols[i]==symbol)
         return(true);
   return(ArraySize(m_symbols)==0);
  }

//--- `symbol` is the name in the channel
bool CMtnetFilter::Passes(const string symbol,const long magic,const string comment) const
  {
   return(HasMagic(magic) && HasSymbol(symbol)
          && (m_comment=="" || StringFind(comment,m_comment)>=0));
  }
//+------------------------------------------------------------------+
