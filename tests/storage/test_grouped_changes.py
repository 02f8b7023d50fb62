"""Group commit: changes in their order, one transaction at a time."""

import pytest
from fakes.threads import ManualThread

from mtnet.errors import JournalError
from mtnet.storage.group_commit import GroupCommit


class Disk:
    def __init__(self):
        self.groups, self.closed, self.fails = [], False, False

    def write(self, changes):
        if self.fails:
            raise JournalError("The disk is gone.")
        self.groups.append(list(changes))
        return [change * 10 for change in changes]

    def close(self):
        self.closed = True


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def thread():
    return ManualThread()


@pytest.fixture
def commit(disk, thread):
    return GroupCommit(disk.write, disk.close, thread)


def put(commit, *changes):
    found = []
    for change in changes:
        commit.put(change).addBoth(found.append)
    return found


def test_what_comes_while_the_disk_writes_goes_with_the_next_write(commit, disk, thread):
    found = put(commit, 1, 2, 3)
    thread.step()
    assert (disk.groups, found) == ([[1]], [10])
    thread.step()
    assert (disk.groups, found) == ([[1], [2, 3]], [10, 20, 30])
    assert thread.calls == []


def test_a_group_fails_as_a_whole_and_the_next_one_is_tried(commit, disk, thread):
    disk.fails = True
    found = put(commit, 1, 2)
    thread.step()
    disk.fails = False
    assert commit.trouble == "The disk is gone."
    assert found[0].check(JournalError)
    thread.step()
    assert (disk.groups, found[1:], commit.trouble) == ([[2]], [20], None)


def test_it_closes_behind_all_that_waits(commit, disk, thread):
    found, closed = put(commit, 1, 2), []
    commit.close().addCallback(closed.append)
    thread.step()
    assert not disk.closed
    thread.step()
    assert (found, disk.closed) == ([10, 20], False)
    thread.step()
    assert (disk.closed, closed) == (True, [None])


def test_without_changes_it_closes_at_once(commit, disk, thread):
    commit.close()
    thread.step()
    assert disk.closed
