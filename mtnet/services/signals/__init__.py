"""Signals: positions that publishers set and followers copy."""
