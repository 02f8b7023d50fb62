"""The files of the certificates that are served."""

from pathlib import Path

from mtnet.config.schema import Tls

CERTIFICATE, KEY = "certificate.pem", "key.pem"
"""Names of the files in `DATA/tls` that are served when the configuration names none."""


def default_files(settings: Tls, folder: Path) -> tuple[Path, Path]:
    """Return the files of the default certificate and its key."""
    if settings.certificate or settings.key:
        return absolute_path(settings.certificate), absolute_path(settings.key)
    return folder / CERTIFICATE, folder / KEY


def absolute_path(text: str) -> Path:
    """Return the path that a setting names."""
    return Path(text).expanduser().absolute()
