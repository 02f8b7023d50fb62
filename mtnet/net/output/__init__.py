"""Output to many connections: buffers, send queues, direct writes, broadcast."""
