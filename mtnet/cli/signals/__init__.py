"""Commands of signals: channels and their journal, and views."""
