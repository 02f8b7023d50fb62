"""mtnet: a server for MetaTrader terminals in one twistd process."""

__version__ = "0.1.0"
