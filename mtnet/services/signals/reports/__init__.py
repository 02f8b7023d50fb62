"""Reports of terminals about themselves: their account, and the symbols of their broker."""
