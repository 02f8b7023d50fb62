"""Bars of every symbol, made of the ticks as they come."""
