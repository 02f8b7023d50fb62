"""The verbs of signals in the session dialect, by direction."""
