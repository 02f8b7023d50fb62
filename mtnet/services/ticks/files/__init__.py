"""Import and export of ticks in MetaTrader 5's file format."""
