"""Alerts: conditions that are watched, and people who are told of them once."""
