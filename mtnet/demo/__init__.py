"""The demonstration: a daemon and its clients on loopback, in one process."""
