"""Real sessions in rare situations: a replay that stalls, damage, a loss that is too big."""

from journal_damages import shell
from signals_peers import frame
from status_scene import Scene

from mtnet.interfaces import IEvents
from mtnet.services.signals.replay_cache import PAGE
from mtnet.services.signals.wire import requests


def test_a_follower_whose_replay_stalls_is_behind(scene):
    provider, follower = scene.provide(), scene.greet("bob")
    for number in range(PAGE + 100):
        scene.publish(provider, number % 7 + 1, comment="x" * 90)
    follower.transport.stalled = True
    epoch = scene.signals.channels.epoch("gold")
    scene.say(follower, requests.subscribe("gold", epoch=epoch, after=1))
    scene.rest(6, provider, follower)
    assert {"slow", "behind"} <= {*scene.codes()["bob/desk"]}
    (row,) = scene.rows()
    (text,) = [each["text"] for each in row["warnings"] if each["code"] == "behind"]
    assert text.startswith("bob/desk is 100 signals and ")


def test_a_damaged_channel_is_an_error_of_all_who_take_part(scene):
    scene.publish(scene.provide(), "2")
    scene.follow()
    scene.component.stop()
    shell(scene.folder / "signals.sqlite", "DELETE FROM entry WHERE seq = 1")
    scene = Scene(scene.folder, scene.clock)
    follower = scene.greet("bob")
    answer = scene.say(follower, requests.subscribe("gold"))
    assert b"code=server" in answer
    assert scene.codes()["bob/desk"][:2] == ["damaged", "offline"]
    assert scene.codes("provider") == {"alice/desk": ["damaged", "provider_offline"]}


def test_a_limit_of_a_view_is_a_warning_and_an_event(scene):
    for name in ("status", "signals"):
        scene.env.components.services[name].start()
    provider = scene.provide()
    scene.make_view("gold", follower="bob", max_drawdown="10%")
    follower = scene.follow("half")
    for equity in ("1000", "890", "880", "880"):
        scene.rest(10, provider, follower)
        scene.report(follower, balance=equity, equity=equity)
    scene.clock.advance(1)
    (row,) = [each for each in scene.everybody() if each["channel"] == "half"]
    assert "limit_struck" in [each["code"] for each in row["warnings"]]
    scene.say(provider, frame("PUBLISH", id="x", channel="gold", symbol="GBPUSD", volume="1"))
    assert b"symbol=GBPUSD" not in follower.received()
    (event,) = [each for each in scene.env.find(IEvents).newest(50) if each["kind"] == "view_limit"]
    assert (event["channel"], event["level"]) == ("half", "warning")
    assert event["text"].startswith("The view half opens nothing more: `max_drawdown` 10%")
    assert "1000" not in event["public"]
