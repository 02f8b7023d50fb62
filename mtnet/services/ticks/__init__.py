"""Ticks: prices of many terminals, counted, stored, streamed and exported."""
