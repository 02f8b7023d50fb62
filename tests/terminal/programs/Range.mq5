// A wrong index ends the program, and so do a division by zero and an object that is no more.
input int InpWhat=0;
struct Item { string name; int x; };
Item g_items[];
class Object
  {
public:
   int               x;
  };
void Grow(Item &item)
  {
   ArrayResize(g_items,1000);   // the reference that was passed is dead now
   item.x=1;
  }
int OnInit(void)
  {
   int a[];
   double zero=0;
   ArrayResize(a,3);
   if(InpWhat==0)
      a[3]=1;
   if(InpWhat==1)
      Print(1/zero);
   if(InpWhat==2)
     {
      int none=(int)zero;
      Print(5/none);
     }
   Object *object=(InpWhat==3 ? NULL : new Object);
   if(InpWhat==4)
      delete object;
   if(InpWhat==3 || InpWhat==4)
      object.x=1;
   return(INIT_SUCCEEDED);
  }
