"""The connection pipeline, from accept to the protocol, and what every connection needs."""
