"""Templates for the tests."""

CHART = """<chart>
id=0
symbol=EURUSD
period_type=1
period_size=1
digits=5
<expert>
name=DataExporter
flags=339
<inputs>
</inputs>
</expert>
<window>
height=117.133747
<indicator>
name=Custom Indicator
<expert>
name=Zigzag
</expert>
</indicator>
</window>
</chart>
"""
BLOCK = """<expert>
name=DataExporter
flags=339
<inputs>
</inputs>
</expert>
"""


def mt5_bytes(text):
    """Write `text` as MetaTrader 5 does."""
    return b"\xff\xfe" + text.replace("\n", "\r\n").encode("utf-16-le")
