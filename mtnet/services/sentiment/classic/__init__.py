"""The port of classic programs: a position in, the net sum out."""
