"""Ticks for other programs: text, Arrow, Parquet, and columns of numbers."""
