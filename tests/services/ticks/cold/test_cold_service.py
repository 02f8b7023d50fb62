"""The cold store in the daemon: in the background, in reports, in backups."""

import pytest
from cold_stores import result

from mtnet.errors import JournalError, WireError
from mtnet.interfaces import IBackup, IControlCommands, IMetrics, IStatus, ITicks
from mtnet.services.ticks.cold import parquet, service
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.testing import EPOCH

pytest.importorskip("duckdb", reason="The cold store needs DuckDB.")
DAY = 86_400_000


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(service, "PAUSE", 0)


def take(env, *ages, symbol=b"EURUSD"):
    """Store a tick of each age, in days."""
    ticks = env.find(ITicks)
    records = [(symbol, b"1.1 - - - %d" % (EPOCH - age * DAY)) for age in ages]
    ticks.take(ticks.source("desk"), records, EPOCH)
    result(wait(ticks.sync()))


async def wait(done):
    return await done


def ask(env, command, **asked):
    done = []
    commands = IControlCommands(env.components.services["ticks"]).commands()
    commands[command](asked).addBoth(done.append)
    if hasattr(done[0], "raiseException"):
        done[0].raiseException()
    return done[0]


def status(env):
    return IStatus(env.components.services["ticks"]).status()["cold"]


def start(env, clock):
    env.components.services["ticks"].start()
    clock.advance(service.FIRST)


def test_closed_days_are_compacted_in_the_background(env_with, clock, tmp_path):
    env = env_with("reserve=0")
    take(env, 9, 5, 0)
    start(env, clock)
    assert status(env)["ticks"] == status(env)["files"] == 2
    assert len(list(TickReader(tmp_path / "data" / "ticks.sqlite").ticks(b"EURUSD"))) == 3
    take(env, 5)
    clock.advance(service.EVERY)
    assert status(env)["files"] == 3


@pytest.mark.parametrize("setting", ["ticks.compact=0", "reserve=99999999999999999"])
def test_nothing_is_compacted_where_it_is_off_or_the_disk_is_full(env_with, clock, setting):
    env = env_with("reserve=0")
    take(env, 9)
    result(wait(env.components.services["ticks"].stop()))
    env = env_with(setting)
    start(env, clock)
    assert status(env)["files"] == 0


def test_days_that_are_not_kept_are_deleted_from_both_stores(env_with, clock):
    env = env_with("reserve=0", "ticks.retain.EURUSD=7", 'ticks.retain."*"=3')
    take(env, 9, 8, 5, 0)
    take(env, 9, 5, 2, symbol=b"GBPUSD")
    assert ask(env, "ticks compact")["ticks"] == 6
    start(env, clock)
    assert status(env) == {
        "files": 2, "ticks": 2, "bytes": status(env)["bytes"], "deleted": 4,
        "trouble": None, "duckdb": True,
    }  # fmt: skip


def test_without_duckdb_nothing_is_tried_and_the_status_says_so(env_with, clock, monkeypatch):
    monkeypatch.setattr(parquet, "available", lambda: False)
    env = env_with("reserve=0")
    take(env, 9)
    start(env, clock)
    assert (status(env)["files"], status(env)["duckdb"]) == (0, False)
    with pytest.raises(JournalError, match="stay in SQLite"):
        ask(env, "ticks compact")


def test_a_day_that_is_not_compacted_is_a_warning_and_tried_again(env_with, clock, monkeypatch):
    env = env_with("reserve=0")
    take(env, 9)

    def refuse(*_):
        raise JournalError("No room.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "write", refuse)
        start(env, clock)
        health = IStatus(env.components.services["ticks"]).health()
        assert health["healthy"]
        assert health["warning"].endswith("of EURUSD: No room.")
    clock.advance(service.EVERY)
    assert "warning" not in IStatus(env.components.services["ticks"]).health()
    assert status(env)["files"] == 1


def test_a_daemon_that_stops_gives_up_the_file_that_it_makes(
    env_with, clock, monkeypatch, tmp_path
):
    really = service.ColdService._pause

    def stop(own):
        own.stop()
        really(own)

    monkeypatch.setattr(service.ColdService, "_pause", stop)
    env = env_with("reserve=0")
    take(env, 9)
    start(env, clock)
    assert status(env)["files"] == 0
    assert list((tmp_path / "data" / "ticks").glob("**/*.parquet")) == []


@pytest.mark.parametrize("day", [5, "2024-02-30", "today"])
def test_a_command_names_days_by_their_dates(env_with, day):
    with pytest.raises(WireError):
        ask(env_with(), "ticks delete", symbol="EURUSD", start=day)


def test_a_backup_has_both_stores(env_with, tmp_path):
    env = env_with("reserve=0")
    take(env, 9, 5, 0)
    ask(env, "ticks compact")
    copy = tmp_path / "copy"
    copy.mkdir()
    IBackup(env.components.services["ticks"]).backup(copy)
    before = list(TickReader(tmp_path / "data" / "ticks.sqlite").ticks(b"EURUSD"))
    assert list(TickReader(copy / "ticks.sqlite").ticks(b"EURUSD")) == before
    assert len(before) == 3
    assert len(list(copy.glob("ticks/**/*.parquet"))) == 2


def test_metrics_count_files_and_deleted_ticks(env_with):
    env = env_with("reserve=0")
    take(env, 9, 5)
    ask(env, "ticks compact")
    ask(env, "ticks delete", symbol="EURUSD", stop="2023-11-08")
    read = {each.name: each.read for each in IMetrics(env.components.services["ticks"]).metrics()}
    assert read["mtnet_ticks_cold_files"]() == read["mtnet_ticks_cold_stored"]() == 1
    assert read["mtnet_ticks_cold_bytes"]() > 0
    assert read["mtnet_ticks_deleted_total"]() == 1
