"""What terminals tell about themselves: their account, and the symbols of their broker."""
