"""The verbs of ticks in the session dialect: TICKS and BARS."""
