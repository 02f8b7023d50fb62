//+------------------------------------------------------------------+
//| Mark.mqh: tells copied positions from the account's own          |
//+------------------------------------------------------------------+
#property strict

#include <Mtnet/Common/Text.mqh>

#define MTNET_MARK     "mtnet:"
#define MTNET_COMMENT  31   // characters of a comment that MetaTrader 5 keeps
#define MTNET_CHANNEL  8    // of a channel in it; the others are for what is copied

//+------------------------------------------------------------------+
//| A follower marks what it opens, and a provider of the same       |
//| channel leaves marked positions out: else one account that does  |
//| both would feed itself. The comment may be changed by a broker,  |
//| so the magic number is remembered too, by the terminal.          |
//+------------------------------------------------------------------+
class CMtnetMark
  {
private:
   static string     Name(const string channel,const long login,const long magic);

public:
   static string     Comment(const string channel);
   static bool       IsOfOther(const string mark,const string comment);
   static bool       Register(const string channel,const long login,const long magic);
   static bool       IsCopy(const string channel,const long login,const long magic,
                            const string comment);
  };

//--- of what a follower of `channel` opens; what follows a blank behind it is free
string CMtnetMark::Comment(const string channel)
  {
   return(MTNET_MARK+(StringLen(channel)<=MTNET_CHANNEL ? channel
                    : StringSubstr(CMtnetText::Short(channel),0,MTNET_CHANNEL)));
  }

//--- Whether a comment is that of a copy of another channel: two followers with one magic number
//--- do not touch each other's positions.
bool CMtnetMark::IsOfOther(const string mark,const string comment)
  {
   return(StringSubstr(comment,0,StringLen(MTNET_MARK))==MTNET_MARK
          && StringSubstr(comment+" ",0,StringLen(mark)+1)!=mark+" ");
  }

//--- global variables of the terminal have names of at most 63 characters
string CMtnetMark::Name(const string channel,const long login,const long magic)
  {
   return("mtnet.copies."+CMtnetText::Short(channel+"|"+IntegerToString(login)+"|"
                                            +IntegerToString(magic)));
  }

//--- A follower says at its start which magic number it copies with. The terminal forgets it four
//--- weeks after the last use.
bool CMtnetMark::Register(const string channel,const long login,const long magic)
  {
   return(GlobalVariableSet(Name(channel,login,magic),1)>0);
  }

bool CMtnetMark::IsCopy(const string channel,const long login,const long magic,
                        const string comment)
  {
   string mark=CMtnetMark::Comment(channel);
   if(IsOfOther(mark,comment))
      return(false);
   return(StringSubstr(comment+" ",0,StringLen(mark)+1)==mark+" "
          || (magic!=0 && GlobalVariableCheck(Name(channel,login,magic))));
  }
//+------------------------------------------------------------------+
