"""TLS: certificates, contexts, handshakes, an authority of one's own."""
