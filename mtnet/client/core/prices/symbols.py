"""
Symbols of ticks, as on the wire.

Pure.
"""

from mtnet.errors import ClientError, WireError
from mtnet.services.ticks.wire import encode_symbol


def wire_symbol(symbol: str) -> bytes:
    """
    Return the wire's name of a symbol.

    Raises:
        ClientError: it is too long, or no text at all.
    """
    try:
        return encode_symbol(symbol)
    except (WireError, UnicodeEncodeError) as error:
        raise ClientError(f"Invalid symbol {symbol!r}: {error}.") from error
