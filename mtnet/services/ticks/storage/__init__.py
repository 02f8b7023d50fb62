"""Storage of ticks: compressed blocks in SQLite."""
