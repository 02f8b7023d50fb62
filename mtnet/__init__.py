"""
mtnet: a server for MetaTrader terminals in one twistd process.

`docs/architecture.md` shows where each part lives, `docs/glossary.md` explains the terms.
"""

__version__ = "0.1.0"
