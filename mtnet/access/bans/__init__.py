"""Bans: penalties for abuse, and networks that are kept out."""
