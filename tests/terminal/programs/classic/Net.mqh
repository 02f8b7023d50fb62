// The net volume of a symbol.
double NetLots(const string symbol)
  {
   double sum=0;
   for(int i=0; i<PositionsTotal(); i++)
     {
      ulong ticket=PositionGetTicket(i);
      if(ticket==0 || PositionGetString(POSITION_SYMBOL)!=symbol)
         continue;
      bool sold=(PositionGetInteger(POSITION_TYPE)==POSITION_TYPE_SELL);
      sum+=(sold ? -1 : 1)*PositionGetDouble(POSITION_VOLUME);
     }
   return(NormalizeDouble(sum,2));
  }
