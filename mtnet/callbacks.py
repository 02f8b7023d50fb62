"""Default callbacks."""


def noop(*_: object) -> None:
    """Do nothing; takes what it is called with."""
