"""
Frames and the classic dialect as bytes (`docs/protocols.md`, Signals).

Pure: chunks in, values out; every limit is an argument.
"""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from mtnet import values
from mtnet.errors import QUOTED, FrameError, WireError

MAX_PAYLOAD = 1_024
"""Bytes between `<<` and `>>` that a client may send; the classic ones send under 50."""
MAX_GAP = 4_096
"""Bytes without a whole frame before a connection ends: old buffers of the classic
publisher are shorter than one frame, so this is no publisher of signals."""

SEPARATORS = b"\0\r\n\t "
"""Bytes that say nothing, whoever sends them."""

_OPEN, _CLOSE = b"<<", b">>"
_CENTS = Decimal("0.01")


class FrameDecoder:
    """
    Cuts a stream into the payloads of its frames.

    The first `>>` ends a frame, which begins behind the last `<<` before it. Bytes between
    frames are skipped: terminals send a NUL there, and the tail of an older buffer.

    Attributes:
        skipped: how many bytes stood between the frames so far.
        unframed: what came from a peer that has sent no frame yet, or as much of it as an error
            quotes. `SEPARATORS` before it are none of it.
    """

    __slots__ = (
        "_framed", "_max_gap", "_max_payload", "_rest", "_searched", "skipped", "unframed",
    )  # fmt: skip

    def __init__(self, max_payload: int = MAX_PAYLOAD, max_gap: int = MAX_GAP) -> None:
        self._max_payload, self._max_gap = max_payload, max_gap
        self._rest = b""
        self._searched = 0
        self._framed = False
        self.skipped = 0
        self.unframed = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """
        Yield the payload of each frame that `data` completes; run it to its end.

        Raises:
            FrameError: a payload over `max_payload`, or over `max_gap` bytes without a whole
                frame. What stood before it has been yielded; nothing more can be read.
        """
        buffer, search, start = self._rest + data, self._searched, 0
        self._rest = b""
        while (end := buffer.find(_CLOSE, search)) >= 0 and end + 2 - start <= self._max_gap:
            search = end + 2
            opening = buffer.rfind(_OPEN, start, end)
            if opening >= 0:
                self.skipped += opening - start
                start = search
                self._framed, self.unframed = True, b""
                yield self._payload(buffer[opening + 2 : end])
        self._rest = buffer[start:]
        if not self._framed:
            self.unframed = (self.unframed + data).lstrip(SEPARATORS)[: QUOTED + 1]
        # One byte back: a `>` at the end may be half of the mark.
        self._searched = max(search - start, len(self._rest) - 1, 0)
        if len(self._rest) > self._max_gap:
            rest, self._rest = self._rest, b""
            raise FrameError("frame", f"No whole frame in {self._max_gap} bytes", rest)

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun that has not ended."""
        return _OPEN in self._rest or self._rest.endswith(b"<")

    def _payload(self, payload: bytes) -> bytes:
        if len(payload) > self._max_payload:
            raise FrameError("frame", f"A frame of more than {self._max_payload} bytes", payload)
        return payload


def parse_position(payload: bytes, codepage: str = "cp1252") -> tuple[str, Decimal]:
    """
    Read `SYMBOL|VOLUME`: a symbol and its net position in lots, negative = sold.

    Args:
        codepage: how text is read that is not UTF-8.

    Raises:
        WireError: `field` (not two fields), `symbol` or `volume`.
    """
    # The last bar: a byte of a character may be one in the code pages of East Asia.
    name, bar, volume = payload.rpartition(b"|")
    symbol = values.read_text(name, codepage)
    if not bar or "|" in symbol:
        raise WireError("field", "A classic frame has two fields, SYMBOL|VOLUME, not", payload)
    try:
        return parse_symbol(symbol), parse_volume(values.read_text(volume, codepage))
    except WireError as error:
        raise WireError(error.code, str(error), payload) from error


def parse_symbol(text: str) -> str:
    """
    Return `text` when it can name a symbol.

    Raises:
        WireError: `symbol`.
    """
    if not values.is_symbol(text):
        raise WireError("symbol", f"A symbol has {values.SYMBOL}")
    return text


def parse_volume(text: str) -> Decimal:
    """
    Read a volume in lots, exactly; `-0` is 0.

    Raises:
        WireError: `volume`.
    """
    volume = values.read_volume(text)
    if volume is None:
        raise WireError("volume", f"A volume is {values.VOLUME}")
    return volume


@lru_cache(values.KNOWN)
def encode_position(symbol: str, volume: Decimal, codepage: str = "cp1252") -> bytes:
    """
    Return the server's frame: two decimals, half away from zero, never `-0.00`, no NUL.

    Args:
        codepage: in which the symbol is written; one that it lacks is written in UTF-8.
    """
    # Decimal's ROUND_HALF_UP rounds ties away from zero.
    shown = volume.quantize(_CENTS, ROUND_HALF_UP) or Decimal("0.00")
    return b"<<%b|%b>>\r\n" % (values.write_text(symbol, codepage), str(shown).encode())
