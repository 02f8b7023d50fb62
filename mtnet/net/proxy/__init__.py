"""The PROXY protocol."""
