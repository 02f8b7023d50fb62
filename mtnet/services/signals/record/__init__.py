"""Track record: the trades of a channel, and their results."""
