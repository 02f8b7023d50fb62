"""Errors of mtnet as answers of HTTP, converted in one place."""

from mtnet.errors import HttpError, JournalError, MissingPackageError, MtnetError

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
UNAVAILABLE = "The server cannot store or read this at present; its log says why"
"""Of a `JournalError`, whose own sentence names files of the server."""


def http_error(error: BaseException | None) -> HttpError | None:
    """Return an error as an `HttpError`; None = it is none that was raised on purpose."""
    if error is None or isinstance(error, HttpError):
        return error
    if not isinstance(error, MtnetError):
        return None
    if isinstance(error, JournalError):
        public = str(error) if isinstance(error, MissingPackageError) else UNAVAILABLE
        return unavailable(error, public)
    code = getattr(error, "code", "field")
    return HttpError(STATUS.get(code, 400), code, _sentence(str(error)))


def unavailable(error: BaseException | None, text: str) -> HttpError:
    """Return a refusal with a sentence for the client; that of the error is for the log."""
    return HttpError(STATUS["server"], "server", _sentence(text), str(error))


def _sentence(text: str) -> str:
    return f"{text.removesuffix('.')}."
