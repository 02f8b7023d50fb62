"""The history of channels: whether followers prove another one, and new epochs."""
