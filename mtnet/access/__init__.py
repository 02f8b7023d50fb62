"""Access control: rights, accounts, bans, connection limits and rate limits."""
