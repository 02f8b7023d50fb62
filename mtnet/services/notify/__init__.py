"""Messages to people: a durable queue, and the receivers that take it."""
