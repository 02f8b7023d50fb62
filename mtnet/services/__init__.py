"""The services that the daemon hosts."""
