"""Sinks: databases that get a copy of each tick."""
