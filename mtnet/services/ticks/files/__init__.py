"""Files of ticks as MetaTrader 5 writes them."""
