"""Storage: atomic files, SQLite files, and a worker thread for them."""
