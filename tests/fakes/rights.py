"""Rights of the installed services, from texts."""

from mtnet.daemon.registry import permissions

PERMISSIONS = permissions()


def rights(*texts):
    return PERMISSIONS.rights(texts)


def rights_of(grants):
    """Return the rights among the grants of an account."""
    return rights(*(each for each in grants if not each.startswith("certificate:")))
