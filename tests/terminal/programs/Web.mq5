// Asks a server: InpUrl, once by GET and once by POST with a body, and prints what it says.
#property strict
input string InpUrl="";
void Ask(const string method,const string body)
  {
   char data[],result[];
   string headers="";
   int size=StringToCharArray(body,data,0,WHOLE_ARRAY,CP_UTF8)-1;
   ArrayResize(data,size);
   ResetLastError();
   int status=WebRequest(method,InpUrl,"X-Test: yes\r\n",5000,data,result,headers);
   Print(method," ",status," ",GetLastError()," ",CharArrayToString(result,0,WHOLE_ARRAY,CP_UTF8));
  }
int OnInit(void)
  {
   Ask("GET","");
   Ask("POST","text");
   return(INIT_SUCCEEDED);
  }
