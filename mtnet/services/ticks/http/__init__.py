"""Ticks by HTTP."""
