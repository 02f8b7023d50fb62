"""mtnet: the network that MetaTrader terminals lack, in one twistd process."""

__version__ = "0.1.0"
