//+------------------------------------------------------------------+
//| Text.mqh: numbers, lists and marks as the server reads them      |
//+------------------------------------------------------------------+
#property strict

#define MTNET_LOTS_DIGITS  5            // decimals of a volume that the server accepts
#define MTNET_LEAST        0.000001     // volumes that differ by less are equal
#define MTNET_PRICE_LEAST  0.00000000005 // likewise prices, which have at most ten decimals

class CMtnetText
  {
private:
   static bool       IsMark(const ushort letter);
   static bool       IsDecimal(const string text,const int most);

public:
   static string     Trim(const string text);
   static string     Escape(const string value);
   static string     Field(const string key,const string value);
   static string     Lots(const double lots);
   static string     Price(const double price,const int digits);
   static bool       ToNumber(const string text,long &number);
   static bool       ToLots(const string text,double &lots);
   static bool       ToPrice(const string text,double &price);
   static bool       SameLots(const double one,const double other);
   static bool       SamePrice(const double one,const double other);
   static int        Bytes(const string text,uchar &bytes[]);
   static int        Size(const string text);
   static string     Item(const string value);
   static int        Items(const string list,string &items[]);
   static string     Join(const string &items[]);
   static bool       IsListed(const string list,const string name);
   static int        SplitLong(const string list,const int most,string &parts[]);
   static ulong      Hash(const uchar &bytes[],const int size);
   static string     Hex(const ulong number);
   static string     Short(const string text);
   static string     FileName(const string role,const long login,const string server,
                              const string channel,const string suffix);
  };

//--- what a person typed, without the blanks around it; never NULL, which is not equal to ""
string CMtnetText::Trim(const string text)
  {
   string trimmed=text;
   StringTrimLeft(trimmed);
   StringTrimRight(trimmed);
   return(StringLen(trimmed)==0 ? "" : trimmed);
  }

//--- control characters and the marks of a frame become %XX
string CMtnetText::Escape(const string value)
  {
   int size=StringLen(value),plain=0;
   while(plain<size && !IsMark(StringGetCharacter(value,plain)))
      plain++;
   if(plain==size)
      return(value);
   string escaped="";
   for(int i=0; i<size; i++)
     {
      ushort letter=StringGetCharacter(value,i);
      if(IsMark(letter))
         escaped+=StringFormat("%%%02X",(int)letter);
      else
         escaped+=ShortToString(letter);
     }
   return(escaped);
  }

bool CMtnetText::IsMark(const ushort letter)
  {
   return(letter<32 || letter==127 || letter=='%' || letter=='|' || letter=='<' || letter=='>');
  }

string CMtnetText::Field(const string key,const string value)
  {
   return("|"+key+"="+Escape(value));
  }

//--- lots without trailing zeros; the server accepts at most five decimals
string CMtnetText::Lots(const double lots)
  {
   string text=DoubleToString(lots,MTNET_LOTS_DIGITS);
   int size=StringLen(text);
   while(size>1 && StringGetCharacter(text,size-1)=='0')
      size--;
   if(StringGetCharacter(text,size-1)=='.')
      size--;
   text=StringSubstr(text,0,size);
   return(text=="-0" ? "0" : text);
  }

//--- a price keeps the digits of its symbol: 1.09870 is not 1.0987
string CMtnetText::Price(const double price,const int digits)
  {
   return(DoubleToString(price,(int)MathMax(0,MathMin(digits,10))));
  }

//--- StringToInteger returns 0 for invalid text, and 0 has a meaning here
bool CMtnetText::ToNumber(const string text,long &number)
  {
   int size=StringLen(text);
   if(size<1 || size>19)
      return(false);
   for(int i=0; i<size; i++)
      if(StringGetCharacter(text,i)<'0' || StringGetCharacter(text,i)>'9')
         return(false);
   number=StringToInteger(text);
   return(true);
  }

//--- likewise StringToDouble, whose 0 would close a position
bool CMtnetText::ToLots(const string text,double &lots)
  {
   if(!IsDecimal(text,13))
      return(false);
   lots=StringToDouble(text);
   return(true);
  }

//--- a price may have an exponent: 1.5e-7
bool CMtnetText::ToPrice(const string text,double &price)
  {
   string lower=text;
   StringToLower(lower);
   int at=StringFind(lower,"e");
   string mantissa=(at<0 ? lower : StringSubstr(lower,0,at));
   string exponent=(at<0 ? "0" : StringSubstr(lower,at+1));
   if(StringSubstr(exponent,0,1)=="+")
      exponent=StringSubstr(exponent,1);
   if(!IsDecimal(mantissa,22) || !IsDecimal(exponent,3) || StringFind(exponent,".")>=0)
      return(false);
   price=StringToDouble(mantissa)*MathPow(10.0,(double)StringToInteger(exponent));
   return(MathIsValidNumber(price));
  }

//--- -?[0-9]+(\.[0-9]*)? with at most so many digits
bool CMtnetText::IsDecimal(const string text,const int most)
  {
   int size=StringLen(text),digits=0,points=0;
   for(int i=0; i<size; i++)
     {
      ushort letter=StringGetCharacter(text,i);
      if(letter>='0' && letter<='9')
         digits++;
      else if(letter=='.' && digits>0)
         points++;
      else if(letter!='-' || i>0)
         return(false);
     }
   return(digits>0 && digits<=most && points<=1);
  }

bool CMtnetText::SameLots(const double one,const double other)
  {
   return(MathAbs(one-other)<MTNET_LEAST);
  }

bool CMtnetText::SamePrice(const double one,const double other)
  {
   return(MathAbs(one-other)<MTNET_PRICE_LEAST);
  }

//--- UTF-8; StringToCharArray counts the NUL that it appends, and a NUL is never sent
int CMtnetText::Bytes(const string text,uchar &bytes[])
  {
   ArrayResize(bytes,0);
   return((int)MathMax(0,StringToCharArray(text,bytes,0,WHOLE_ARRAY,CP_UTF8)-1));
  }

int CMtnetText::Size(const string text)
  {
   uchar bytes[];
   return(Bytes(text,bytes));
  }

//--- an item of a list: its commas must not end it
string CMtnetText::Item(const string value)
  {
   string item=value;
   StringReplace(item,",","%2C");
   return(item);
  }

//--- the items of a list, without the blanks that people write and without empty ones
int CMtnetText::Items(const string list,string &items[])
  {
   string parts[];
   ArrayResize(items,0);
   int size=(StringLen(list)==0 ? 0 : StringSplit(list,',',parts)),count=0;
   for(int i=0; i<size; i++)
     {
      string item=Trim(parts[i]);
      if(item=="")
         continue;
      StringReplace(item,"%2C",",");
      ArrayResize(items,count+1,64);
      items[count]=item;
      count++;
     }
   return(count);
  }

string CMtnetText::Join(const string &items[])
  {
   string list="";
   for(int i=0; i<ArraySize(items); i++)
      list+=(i>0 ? "," : "")+Item(items[i]);
   return(list);
  }

bool CMtnetText::IsListed(const string list,const string name)
  {
   string items[];
   int size=Items(list,items);
   for(int i=0; i<size; i++)
      if(items[i]==name)
         return(true);
   return(false);
  }

//--- a list as several, each of at most so many bytes once it is a field of a frame
int CMtnetText::SplitLong(const string list,const int most,string &parts[])
  {
   string items[],part="";
   int size=Items(list,items),count=0;
   ArrayResize(parts,0);
   for(int i=0; i<size; i++)
     {
      string longer=(part=="" ? "" : part+",")+Item(items[i]);
      if(part!="" && Size(Escape(longer))>most)
        {
         ArrayResize(parts,count+1,8);
         parts[count]=part;
         count++;
         longer=Item(items[i]);
        }
      part=longer;
     }
   if(part=="")
      return(count);
   ArrayResize(parts,count+1,8);
   parts[count]=part;
   return(count+1);
  }

//--- FNV-1a: finds damage, and shortens names; it protects against nobody
ulong CMtnetText::Hash(const uchar &bytes[],const int size)
  {
   ulong hash=0xCBF29CE484222325;
   for(int i=0; i<size; i++)
      hash=(hash^(ulong)bytes[i])*0x100000001B3;
   return(hash);
  }

//--- sixteen hex digits that stand for a text of any length
string CMtnetText::Short(const string text)
  {
   uchar bytes[];
   int size=Bytes(text,bytes);
   return(Hex(Hash(bytes,size)));
  }

//--- of what belongs to one program: two brokers may give the same number
string CMtnetText::FileName(const string role,const long login,const string server,
                            const string channel,const string suffix)
  {
   string name="Mtnet/"+role+"-"+IntegerToString(login)+"-"+Short(server)+"-"+channel;
   return(suffix=="" ? name : name+"-"+suffix);
  }

//--- sixteen digits
string CMtnetText::Hex(const ulong number)
  {
   return(StringFormat("%08x%08x",(uint)(number>>32),(uint)(number&0xFFFFFFFF)));
  }

//+------------------------------------------------------------------+
