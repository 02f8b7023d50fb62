// What the imitation is to do, by the examples and rules of the MQL5 reference. Prints what is wrong.
#property version "1.00"
#include <Trade\Trade.mqh>

enum Fruit { APPLE=3,PEAR };
struct Pair { string key; int value; double many[3]; };
class Base
  {
protected:
   int               m_count;
public:
                     Base(void) { m_count=1; }
   virtual int       Twice(void) { return(2*this.m_count); }
  };
class Derived : public Base
  {
public:
   int               m_list[];
   virtual int       Twice(void) { ArrayResize(m_list,2); m_list[0]=7; return(m_list[0]+Later(m_count)); }
  };
class Node
  {
private:
   int               m_value;
   Node             *m_next;
public:
   static int        s_alive;
   static string     s_names[];
                     Node(const int value=1) { m_value=value; m_next=NULL; s_alive++; }
                    ~Node(void) { s_alive--; if(CheckPointer(m_next)==POINTER_DYNAMIC) delete m_next; }
   void              Append(Node *next) { m_next=next; }
   Node             *Next(void) const { return(m_next); }
   Node             *Self(void) { return(GetPointer(this)); }
   virtual int       Value(void) const { return(m_value); }
  };
int Node::s_alive=0;
string Node::s_names[]={"one","two"};
class Twice : public Node
  {
public:
                     Twice(const int value) : Node(value) { }
   virtual int       Value(void) const { return(2*Node::Value()); }
  };
template<typename T>
T Larger(const T a,const T b)
  {
   return(a>b ? a : b);
  }
input int InpNumber=5; // a number
input string InpText="default";
int g_bad=0,g_done=0;
double g_table[]={1.5,2.5},g_one=1;
string g_names[2]={"a","b"};

void Is(const bool good,const string what)
  {
   g_done++;
   if(good)
      return;
   g_bad++;
   Print("WRONG: ",what," error ",GetLastError());
  }

int OnInit(void)
  {
   uchar bytes[];
   // docs 0587: the terminating 0 is copied and counted; an array is not shrunk
   Is(StringToCharArray("abc",bytes)==4 && ArraySize(bytes)==4 && bytes[3]==0,"StringToCharArray counts the 0");
   ArrayResize(bytes,10);
   Is(StringToCharArray("x",bytes)==2 && ArraySize(bytes)==10,"StringToCharArray does not shrink");
   Is(StringToCharArray("abcdef",bytes,0,3)==3,"StringToCharArray count");
   ArrayResize(bytes,0);
   Is(StringToCharArray("\x20AC\xE4",bytes,0,WHOLE_ARRAY,CP_UTF8)-1==5 && bytes[0]==0xE2,"UTF-8");
   Is(CharArrayToString(bytes,0,5,CP_UTF8)=="\x20AC\xE4","from UTF-8");
   ArrayResize(bytes,0);
   Is(StringToCharArray("\x20AC",bytes)==2 && bytes[0]==0x80,"CP_ACP is cp1252 here");
   bytes[0]='h'; bytes[1]=0;
   Is(CharArrayToString(bytes)=="h" && StringLen(CharArrayToString(bytes))==1,"CharArrayToString stops at 0");
   string parts[],empty;
   Is(StringSplit("a;;b",';',parts)==3 && parts[1]=="","StringSplit keeps what is empty");
   Is(StringSplit("",';',parts)==0 && StringSplit("abc",';',parts)==1,"StringSplit of nothing");
   Is(empty==NULL && empty!="" && StringLen(empty)==0,"NULL is not an empty string");
   Is(StringSubstr("abcdef",2)=="cdef" && StringSubstr("abc",1,1)=="b" && StringFind("abc","c")==2 && StringFind("abc","x")<0,"Substr, Find");
   string text="  a b ";
   Is(StringTrimLeft(text)==2 && StringTrimRight(text)==1 && text=="a b" && StringReplace(text," ","_")==1 && text=="a_b","Trim, Replace");
   Is(StringFormat("%%%02X %d %s %.2f %5d|%-5s|",(int)'|',-7,"x",1.005,42,"ab")=="%7C -7 x "+DoubleToString(1.005,2)+"    42|ab   |","StringFormat");
   Is(StringFormat("%I64d %u",9000000000000,4294967295)=="9000000000000 4294967295","StringFormat of long");
   Is((string)5+"a"+1.5+true=="5a1.5true","numbers in text");
   Is(StringToInteger("12x")==12 && StringToDouble("1.5e3")==1500 && IntegerToString(7,3,'0')=="007" && DoubleToString(1.0/3,3)=="0.333","numbers");
   Is(TimeToString(D'2020.02.29 12:34:56',TIME_DATE|TIME_SECONDS)=="2020.02.29 12:34:56" && (long)D'1970.01.02'==86400,"dates");
   Is("a" "b"=="ab" && '\n'==10 && StringGetCharacter("\tq",0)==9,"literals");
   // arrays
   int a[],b[]={1,2,3,4,5};
   Is(ArrayCopy(a,b,1,3)==2 && ArraySize(a)==3 && a[2]==5,"ArrayCopy");
   Is(ArrayRemove(b,1,2) && ArraySize(b)==3 && b[1]==4 && !ArrayRemove(b,9,1),"ArrayRemove");
   int fixed[4]={9,8};
   Is(ArrayResize(fixed,9)==-1 && ArraySize(fixed)==4 && fixed[1]==8 && fixed[3]==0,"a fixed array");
   ArrayResize(a,2,100);
   ArrayResize(a,4);
   a[3]=1;
   Is(ArraySize(a)==4 && g_table[1]==2.5 && g_names[1]=="b","globals");
   Pair one,two={"k",3},list[];
   one=two;
   ArrayResize(list,3);
   list[2]=one;
   ArrayResize(list,200);
   Is(list[2].key=="k" && list[2].value==3,"structures");
   ZeroMemory(one);
   Is(one.key==NULL && one.value==0,"ZeroMemory");
   Derived d;
   Is(d.Twice()==108 && EnumToString(ORDER_TYPE_SELL_STOP)=="ORDER_TYPE_SELL_STOP" && PEAR==4,"classes");
   Is(InpNumber==(InpText=="default" ? 5 : 6),"inputs");
   Is(NormalizeDouble(0.1+0.2,8)==0.3 && MathMin(2,3.5)==2 && MathMax(-1,1)==1 && MathRand()<32768,"numbers");
   // pointers to objects
   Node *first=new Node,*second=new Twice(4),*nodes[];
   Node automatic(9);
   first.Append(second);
   Is(first.Next().Value()==8 && first.Value()==1 && automatic.Value()==9,"a dot is for objects and pointers");
   Is(CheckPointer(first)==POINTER_DYNAMIC && CheckPointer(GetPointer(automatic))==POINTER_AUTOMATIC && CheckPointer(second.Next())==POINTER_INVALID,"CheckPointer");
   Is(first.Self()==first && dynamic_cast<Twice *>(second)!=NULL && dynamic_cast<Twice *>(first)==NULL,"GetPointer, dynamic_cast");
   ArrayResize(nodes,2);
   nodes[1]=first;
   Is(nodes[0]==NULL && nodes[1].Next()==second && Node::s_alive==3 && Node::s_names[1]=="two","arrays of pointers, static members");
   delete first;
   Is(CheckPointer(nodes[1])==POINTER_INVALID && CheckPointer(second)==POINTER_INVALID && Node::s_alive==1,"delete, by a destructor too");
   Is(Larger(2,3)==3 && Larger("a","b")=="b","templates");
   // files
   int f=FileOpen("sub.bin",FILE_WRITE|FILE_BIN);
   uchar out[]={1,2,3};
   Is(f!=INVALID_HANDLE && FileWriteArray(f,out,1,2)==2,"write");
   FileClose(f);
   Is(FileIsExist("sub.bin") && !FileMove("none",0,"x",0) && FileMove("sub.bin",0,"other.bin",FILE_REWRITE) && !FileIsExist("sub.bin"),"move");
   f=FileOpen("other.bin",FILE_READ|FILE_BIN);
   ArrayResize(out,0);
   Is(FileReadArray(f,out)==2 && out[1]==3,"read");
   FileClose(f);
   Is(FileOpen("none",FILE_READ|FILE_BIN)==INVALID_HANDLE && GetLastError()==5019,"no such file");
   f=FileOpen("new/folder/one.bin",FILE_WRITE|FILE_BIN);
   Is(f!=INVALID_HANDLE && FileOpen("new/folder/one.bin",FILE_WRITE|FILE_BIN)==INVALID_HANDLE && GetLastError()==5004,"folders are made; a writer is alone");
   FileClose(f);
   f=FileOpen("new/folder/one.bin",FILE_WRITE|FILE_BIN|FILE_SHARE_WRITE);
   int g=FileOpen("new/folder/one.bin",FILE_WRITE|FILE_BIN|FILE_SHARE_WRITE);
   Is(f!=INVALID_HANDLE && g!=INVALID_HANDLE,"shared");
   FileClose(f);
   FileClose(g);
   f=FileOpen("lock",FILE_WRITE|FILE_BIN|FILE_COMMON);
   Is(f!=INVALID_HANDLE && FileOpen("lock",FILE_WRITE|FILE_BIN|FILE_COMMON)==INVALID_HANDLE && GetLastError()==5004,"a file that is not shared");
   FileClose(f);
   f=FileOpen("lock",FILE_WRITE|FILE_BIN|FILE_COMMON);
   Is(f!=INVALID_HANDLE,"is free when it is closed");
   FileClose(f);
   string found;
   long search=FileFindFirst("*.bin",found);
   Is(search!=INVALID_HANDLE && found=="other.bin" && !FileFindNext(search,found),"FileFindFirst");
   FileFindClose(search);
   // sockets without a server
   int s=SocketCreate();
   ResetLastError();
   Is(!SocketConnect(s,"127.0.0.1",1,500) && GetLastError()==5272 && !SocketIsConnected(s),"5272");
   Is(SocketClose(s) && !SocketClose(s) && GetLastError()==5270,"5270");
   // trading
   CTrade trade;
   trade.SetExpertMagicNumber(77);
   bool hedging=(AccountInfoInteger(ACCOUNT_MARGIN_MODE)==ACCOUNT_MARGIN_MODE_RETAIL_HEDGING);
   Is(trade.Buy(0.5,"EURUSD") && trade.ResultRetcode()==TRADE_RETCODE_DONE && trade.Sell(0.2,"EURUSD") && PositionsTotal()==(hedging ? 2 : 1),"deals");
   Is(PositionSelect("EURUSD") && PositionGetInteger(POSITION_MAGIC)==77 && PositionGetDouble(POSITION_VOLUME)==(hedging ? 0.5 : 0.3),"position");
   ulong ticket=PositionGetTicket(0);
   Is(trade.PositionModify(ticket,1.0,1.2) && PositionSelectByTicket(ticket) && PositionGetDouble(POSITION_SL)==1.0 && !trade.PositionModify(ticket,1.15,1.2) && trade.ResultRetcode()==TRADE_RETCODE_INVALID_STOPS,"stops");
   Is(trade.PositionClosePartial(ticket,0.1) && PositionSelectByTicket(ticket) && MathAbs(PositionGetDouble(POSITION_VOLUME)-(hedging ? 0.4 : 0.2))<1e-9,"partial close");
   Is(!trade.Buy(0.005,"EURUSD") && trade.ResultRetcode()==TRADE_RETCODE_INVALID_VOLUME && !trade.Buy(1,"NONE"),"volume");
   Is(trade.BuyLimit(0.1,1.05,"EURUSD") && OrdersTotal()==1 && OrderGetTicket(0)>0 && OrderGetString(ORDER_SYMBOL)=="EURUSD" && trade.OrderDelete(OrderGetTicket(0)) && OrdersTotal()==0,"pending");
   Is(!trade.BuyLimit(0.1,1.5,"EURUSD") && trade.ResultRetcode()==TRADE_RETCODE_INVALID_PRICE,"a wrong price");
   while(PositionsTotal()>0)
      trade.PositionClose(PositionGetTicket(0));
   // history
   Is(HistorySelect(0,TimeCurrent()+60) && HistoryDealsTotal()>3 && HistoryOrdersTotal()>3,"history");
   ulong deal=HistoryDealGetTicket(0),last=HistoryDealGetTicket(HistoryDealsTotal()-1);
   Is(HistoryDealGetInteger(deal,DEAL_ENTRY)==DEAL_ENTRY_IN && HistoryDealGetInteger(deal,DEAL_REASON)==DEAL_REASON_EXPERT && HistoryDealGetString(deal,DEAL_SYMBOL)=="EURUSD" && HistoryDealGetInteger(deal,DEAL_MAGIC)==77 && HistoryDealGetDouble(deal,DEAL_VOLUME)==0.5,"a deal");
   Is(HistoryDealGetInteger(last,DEAL_ENTRY)==DEAL_ENTRY_OUT && HistoryDealGetInteger(last,DEAL_TIME)>=TimeCurrent()-60,"a closing deal");
   ulong order=(ulong)HistoryDealGetInteger(deal,DEAL_ORDER);
   Is(HistoryOrderGetInteger(order,ORDER_STATE)==ORDER_STATE_FILLED && HistoryOrderGetDouble(order,ORDER_VOLUME_INITIAL)==0.5,"a filled order");
   Is(HistorySelectByPosition(HistoryDealGetInteger(deal,DEAL_POSITION_ID)) && HistoryDealGetTicket(0)==deal,"the deals of a position");
   Is(HistoryDealSelect(last) && HistoryDealsTotal()==1 && !HistoryDealSelect(1) && HistoryOrderSelect(order),"one deal, one order");
   // global variables of the terminal
   double value=0;
   Is(GlobalVariableSet("a",1.5)>0 && GlobalVariableGet("a")==1.5 && GlobalVariableGet("a",value) && value==1.5 && GlobalVariableCheck("a"),"global variables");
   Is(GlobalVariableSetOnCondition("a",2,1.5) && !GlobalVariableSetOnCondition("a",3,1.5) && GlobalVariableGet("a")==2,"on condition");
   Is(GlobalVariableTemp("t") && !GlobalVariableTemp("t") && GlobalVariableGet("t")==0 && GlobalVariablesTotal()==2 && GlobalVariableDel("t"),"temporary ones");
   Is(GlobalVariablesDeleteAll("a")==1 && !GlobalVariableCheck("a") && !GlobalVariableGet("a",value) && GetLastError()==4501,"none left");
   // ticks, symbols, chart
   MqlTick ticks[],tick;
   Is(SymbolInfoTick("EURUSD",tick) && tick.ask>tick.bid && CopyTicks("EURUSD",ticks)==0 && CopyTicks("NONE",ticks)<0,"ticks");
   Is(SymbolInfoDouble("EURUSD",SYMBOL_TRADE_TICK_VALUE)==1 && SymbolInfoString("EURUSD",SYMBOL_CURRENCY_BASE)=="EUR" && SymbolInfoInteger("EURUSD",SYMBOL_TRADE_FREEZE_LEVEL)==0,"symbols");
   Is(ObjectCreate(0,"o",OBJ_LABEL,0,0,0) && ObjectSetString(0,"o",OBJPROP_TEXT,"text") && ObjectGetString(0,"o",OBJPROP_TEXT)=="text" && ObjectFind(0,"x")<0 && ObjectDelete(0,"o"),"chart objects");
   Is(EnumToString(APPLE)=="APPLE" && EnumToString(DEAL_ENTRY_INOUT)=="DEAL_ENTRY_INOUT" && EnumToString((Fruit)9)=="Fruit::9","EnumToString");
   Is(trade.Sell(0.3,"GBPUSD") && trade.Buy(1.0,"GBPUSD") && (hedging || (PositionSelect("GBPUSD") && PositionGetInteger(POSITION_TYPE)==POSITION_TYPE_BUY && MathAbs(PositionGetDouble(POSITION_VOLUME)-0.7)<1e-9)),"reversal");
   Print("done ",g_done," wrong ",g_bad);
   return(g_bad==0 ? INIT_SUCCEEDED : INIT_FAILED);
  }

int Later(const int x)
  {
   return(100+x);
  }

void OnTradeTransaction(const MqlTradeTransaction &trans,const MqlTradeRequest &request,const MqlTradeResult &result)
  {
   Print("transaction ",trans.symbol," ",trans.volume);
  }
