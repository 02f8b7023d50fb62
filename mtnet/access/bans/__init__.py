"""Bans: penalties for abuse, and networks that are banned by command."""
