"""The control socket: commands of the owner to the running daemon."""
