"""Disks that fail at a commit, for the tests of what comes of it."""

import sqlite3

from mtnet.errors import JournalError
from mtnet.storage.sqlite import Database


def fail_commits(monkeypatch):
    """
    Return what is told how the next transactions end: "before" their COMMIT did its work, "behind"
    it, which then has landed, or None, as they should.
    """
    really = Database._run
    plan = []

    def within(database, begin, work, end):
        step = plan.pop(0) if plan and begin == "BEGIN IMMEDIATE" else None

        def interrupted(connection):
            result = work(connection)
            if step == "before":
                raise sqlite3.OperationalError("disk I/O error")
            return result

        result = really(database, begin, interrupted, end)
        if step == "behind":
            database._abandon()
            raise JournalError("disk I/O error")
        return result

    monkeypatch.setattr(Database, "_run", within)

    def fail(*steps):
        plan[:] = steps

    return fail
