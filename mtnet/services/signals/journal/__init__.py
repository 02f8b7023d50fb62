"""The journal of signals: what is stored, and whether it is whole."""
