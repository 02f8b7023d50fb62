"""
The classic dialect as bytes (`docs/protocols.md`, Signals).

Pure: payloads in, values out, and back. `mtnet.session.grammar.FrameDecoder` cuts the frames.
"""

from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from mtnet import values
from mtnet.errors import WireError

_CENTS = Decimal("0.01")


def parse_position(payload: bytes, codepage: str = "cp1252") -> tuple[str, Decimal]:
    """
    Read `SYMBOL|VOLUME`: a symbol and its net position in lots, negative = sold.

    Args:
        codepage: how text is read that is not UTF-8.

    Raises:
        WireError: `field` (not two fields), `symbol` or `volume`.
    """
    # The last bar: a byte of a character may be one in the code pages of East Asia.
    name, bar, lots = payload.rpartition(b"|")
    symbol = _read_symbol(name, codepage)
    if not bar or (symbol is None and "|" in values.read_text(name, codepage)):
        raise WireError("field", "A classic frame has two fields, SYMBOL|VOLUME, not", payload)
    if symbol is None:
        raise WireError("symbol", f"A symbol has {values.SYMBOL}", payload)
    volume = values.read_volume(lots.decode("latin-1"))  # of lots all bytes are ASCII
    if volume is None:
        raise WireError("volume", f"A volume is {values.VOLUME}", payload)
    return symbol, volume


@lru_cache(values.KNOWN)
def _read_symbol(name: bytes, codepage: str) -> str | None:
    return values.read_symbol(values.read_text(name, codepage))


_write_symbol = lru_cache(values.KNOWN)(values.write_text)


@lru_cache(values.KNOWN)
def encode_position(symbol: str, volume: Decimal, codepage: str = "cp1252") -> bytes:
    """
    Return the server's frame: two decimals, half away from zero, never `-0.00`, no NUL.

    Args:
        codepage: in which the symbol is written; one that it lacks is written in UTF-8.
    """
    # Decimal's ROUND_HALF_UP rounds ties away from zero.
    shown = volume.quantize(_CENTS, ROUND_HALF_UP) or Decimal("0.00")
    return b"<<%b|%b>>\r\n" % (_write_symbol(symbol, codepage), str(shown).encode())
