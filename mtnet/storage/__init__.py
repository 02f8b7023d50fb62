"""What every store has in common: SQLite files and the thread that works on them."""
