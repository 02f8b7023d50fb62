"""The cold store: closed days of ticks as Parquet files, beside the open ones in SQLite."""
