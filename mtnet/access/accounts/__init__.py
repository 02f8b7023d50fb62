"""Accounts: their rights, passwords and tokens, and how they log in."""
