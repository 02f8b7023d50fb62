"""How errors show what a peer sent."""

import pytest

from mtnet.errors import QUOTED, WireError, quote


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"EURUSD", "'EURUSD'"),
        ("EURUSD.£ Газпром".encode(), "'EURUSD.£ Газпром'"),
        (b"EURUSD\0\r\n", r"'EURUSD\x00\r\n'"),
        (b"\xa3 5", r"'\xa3 5'"),
        (rb"\xa3", r"'\\xa3'"),
        (b"it's \x1b[2J", r"'it's \x1b[2J'"),
        (b"x" * (QUOTED + 1), "'" + "x" * QUOTED + "'…"),
    ],
)
def test_bytes_are_quoted_as_the_text_that_they_are(data, shown):
    assert quote(data) == shown
    assert str(WireError("field", "Not so", data)) == f"Not so: {shown}"


@pytest.mark.parametrize("byte", range(256))
def test_what_is_quoted_can_be_printed_whatever_it_was(byte):
    assert quote(bytes([byte, 65])).isprintable()
