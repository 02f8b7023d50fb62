"""How ticks are stored."""
