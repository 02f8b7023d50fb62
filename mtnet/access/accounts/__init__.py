"""Accounts: who they are, their secrets and how they log in."""
