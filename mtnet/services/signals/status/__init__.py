"""The status of those who take part in a channel: what is wrong with each, and what to do."""
