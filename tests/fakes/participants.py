"""A participant that is its own row."""

import sys


class Participant(dict):
    """A participant by the row that it shows; its judgement is its status."""

    @property
    def name(self):
        return self.get("role"), self.get("channel"), self.get("who")

    @property
    def judgement(self):
        return sys.intern(self.get("status", "ok"))

    @property
    def status(self):
        return self.get("status", "ok")

    def row(self):
        return dict(self)
