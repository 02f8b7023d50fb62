"""A component that is joined from parts."""

import sqlite3

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from zope.interface.verify import verifyObject

from mtnet.daemon.component import Component, DatabaseBackup, StorageStatus
from mtnet.interfaces import IBackup, IMetrics, IService, IStatus


def test_a_component_offers_its_parts_and_nothing_else():
    status = StorageStatus("It is not stored.", lambda: None, dict)
    component = Component({IStatus: status})
    assert verifyObject(IService, component)
    assert IStatus(component) is status
    assert IMetrics(component, None) is None


def test_a_component_without_parts_is_off():
    component, ended = Component(), []
    component.start()
    component.stop().addCallback(ended.append)
    assert (IStatus(component, None), ended) == (None, [[]])


def test_parts_start_and_stop_in_order_and_the_stop_waits_for_all():
    done, called, slow = [], [], Deferred()
    names = ("first", "second")
    component = Component(
        start=[lambda name=name: called.append(f"start {name}") for name in names],
        stop=[lambda name=name: called.append(f"stop {name}") or slow for name in names],
    )
    component.start()
    component.stop().addCallback(done.append)
    assert called == ["start first", "start second", "stop first", "stop second"]
    assert not done
    slow.callback(None)
    assert done


def test_a_part_that_cannot_stop_keeps_no_other_from_it_and_the_stop_waits_for_all():
    called, done, slow = [], [], Deferred()
    component = Component(stop=[lambda: 1 / 0, lambda: called.append("stop"), lambda: slow])
    with capturedLogs() as logged:
        component.stop().addCallback(done.append)
    assert (called, done) == (["stop"], [])
    assert logged[0]["log_failure"].check(ZeroDivisionError)
    slow.callback(None)
    assert done


def test_strangers_are_told_less_of_a_disk_that_fails_than_the_owner():
    troubles = ["/srv/mtnet is full."]
    status = StorageStatus("It is not stored.", lambda: troubles[-1], lambda: {"rows": 3})
    assert status.health() == {"healthy": False, "trouble": "It is not stored."}
    assert status.status() == {"healthy": False, "trouble": "/srv/mtnet is full.", "rows": 3}
    troubles.append(None)
    assert status.health() == {"healthy": True, "trouble": None}
    assert status.status() == {"healthy": True, "trouble": None, "rows": 3}


def test_a_database_is_copied_if_there_is_one(tmp_path):
    path, folder = tmp_path / "x.sqlite", tmp_path / "backup"
    folder.mkdir()
    backup = DatabaseBackup(path)
    assert verifyObject(IBackup, backup)
    backup.backup(folder)
    assert not list(folder.iterdir())
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE notes (text)")
    database.close()
    backup.backup(folder)
    copy = sqlite3.connect(folder / "x.sqlite")
    assert copy.execute("SELECT name FROM sqlite_master").fetchall() == [("notes",)]
    copy.close()
