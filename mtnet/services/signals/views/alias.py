"""The name `main` for a view, in all that one client is sent."""

from msgspec import Struct

from mtnet.net.output.queue import Encoder

MAIN = "main"
"""The channel that a client follows when it names none."""


class ShownAsMain(Struct, frozen=True):
    """
    Encoder decorator: frames of a view name the channel `main`.

    Attributes:
        view: the name of the view.
        encoder: makes what is sent of the frames; None = they leave as they are.
    """

    view: str
    encoder: Encoder | None

    def __call__(self, frames: bytes) -> bytes:
        """Return frames of the server as they are sent."""
        # No value holds these bytes: a bar within one is escaped.
        for end in (b"|", b">>"):
            own, shown = (b"|channel=%b%b" % (name.encode(), end) for name in (self.view, MAIN))
            frames = frames.replace(own, shown)
        return frames if self.encoder is None else self.encoder(frames)
