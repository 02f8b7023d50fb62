"""The reports of signals about themselves, and the status of those who take part in a channel."""
