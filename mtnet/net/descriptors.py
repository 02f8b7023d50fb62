"""How many connections the system lets this process have."""

try:
    import resource
except ImportError:  # pragma: no cover - Windows counts them otherwise
    resource = None  # type: ignore[assignment]

RESERVE = 200
"""Descriptors for what is no connection: files, listeners, threads that talk to each other."""


def limit() -> str:
    """Return how many files this process may have open, for a sentence."""
    return "?" if resource is None else str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def raise_limit() -> int | None:
    """
    Raise the soft limit of open files to the hard one.

    Returns:
        Connections that there is room for; None = the system does not say.
    """
    if resource is None:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):  # macOS has an unlimited hard one that it does not grant
            pass
    return None if soft == resource.RLIM_INFINITY else max(0, soft - RESERVE)
