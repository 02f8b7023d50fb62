"""Errors of mtnet as answers of HTTP, converted in one place."""

from mtnet.errors import HttpError, JournalError, MtnetError

STATUS = {
    "login": 401,
    "denied": 403,
    "channel": 404,
    "missing": 404,
    "fenced": 409,
    "id": 409,
    "size": 413,
    "field": 422,
    "verb": 422,
    "banned": 429,
    "server": 503,
}
"""The status of each code; of every other one 400."""


def http_error(error: BaseException | None) -> HttpError | None:
    """Return an error as an `HttpError`; None = it is none that was raised on purpose."""
    if error is None or isinstance(error, HttpError):
        return error
    if not isinstance(error, MtnetError):
        return None
    code = getattr(error, "code", "server" if isinstance(error, JournalError) else "field")
    return HttpError(STATUS.get(code, 400), code, f"{str(error).removesuffix('.')}.")
