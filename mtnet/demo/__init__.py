"""The demonstration: a real daemon on loopback, and all who talk to it, in one process."""
