"""What signals report about themselves, and the status of those who take part in a channel."""
