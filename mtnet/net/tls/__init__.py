"""TLS: certificates, contexts, handshakes, and an authority for own certificates."""
