"""Who is missed when a channel has no publisher: a provider, and no program that publishes once."""

import pytest
from fakes.daemon import basic
from fakes.http import Answer, request
from signals_peers import frame
from status_scene import Scene

from mtnet.errors import WireError
from mtnet.interfaces import IControlCommands
from mtnet.services.signals.ownership.expected import STAYS
from mtnet.services.signals.wire import requests
from mtnet.session import messages

OPEN = ("access.trust_loopback=true", "signals.ports.tcp:1.channel=gold")
MINUTE = STAYS / 1000


@pytest.fixture
def scene(tmp_path, clock):
    """A daemon at which programs of this machine need no login."""
    return Scene(tmp_path / "data", clock, *OPEN)


def again(scene):
    """Return what a daemon knows that is started on the same data folder."""
    scene.component.stop()
    return killed(scene)


def killed(scene):
    return Scene(scene.folder, scene.clock, *OPEN)


def classic(scene, symbol="EURUSD"):
    terminal = scene.dial("signals")
    scene.say(terminal, f"<<{symbol}|1.00>>".encode())
    return terminal


def greeted(scene, name=""):
    """Return a session without a login that has published."""
    terminal = scene.dial("signals")
    scene.say(terminal, messages.hello(name=name))
    scene.publish(terminal)
    return terminal


def post(scene, login="", **more):
    """Publish one signal by HTTP."""
    said = {"Authorization": basic(login).decode()} if login else {}
    scene.ids += 1
    signal = {"id": f"h{scene.ids}", "symbol": "GBPUSD", "volume": "1"}
    body = {"publisher": "drawn", "signals": [signal], **more}
    asked = request("POST", "/v1/channels/gold/signals", body, **said)
    terminal = scene.dial("web")
    terminal.send(asked)
    for _ in range(3):
        scene.clock.advance(0)
    assert Answer(terminal.received()).status == 200


def providers(scene):
    """Return who publishes or is missed, with the codes of its warnings."""
    return scene.codes("provider")


def is_fine(scene):
    """Return whether neither health nor a follower has anything to say."""
    scene.clock.advance(1)
    health = scene.report_all()
    return not health["warnings"] and scene.codes() in ({}, {"bob/desk": []})


# Programs that publish once


def beside(scene):
    terminal = scene.dial("signals")
    scene.say(terminal, messages.hello())
    scene.publish(terminal, take="0")
    scene.say(terminal, messages.bye())


ONCE = {
    "a classic frame": lambda scene: classic(scene).hang_up(),
    "a session that takes nothing": beside,
    "a session without a name": lambda scene: greeted(scene).hang_up(),
    "a session that says BYE": lambda scene: scene.say(greeted(scene), messages.bye()),
    "a POST": post,
    "a POST beside the holder": lambda scene: post(scene, beside=True, login="alice"),
}


@pytest.mark.parametrize("how", ONCE)
def test_a_program_that_publishes_once_is_missed_by_nobody(scene, how):
    follower = scene.follow()
    ONCE[how](scene)
    scene.acknowledge(follower, 1, status="filled")
    scene.rest(40, follower)
    assert providers(scene) == {}
    assert is_fine(scene)
    follower.hang_up()
    scene = again(scene)
    assert providers(scene) == {}
    assert "provider" not in str(scene.codes())


@pytest.mark.parametrize("how", ONCE)
def test_a_program_that_publishes_once_ends_the_commands_as_when_all_is_well(
    scene, command_line, how
):
    ONCE[how](scene)
    scene.rest(40)
    command_line.attach({"status": scene.report_all})
    whole = command_line.on_folder("status")
    people = command_line.on_folder("signals", "status")
    assert (whole.status, people.status) == (0, 0)
    assert "in trouble" not in whole.out
    assert "Nobody follows, and nobody publishes." in people.out


@pytest.mark.parametrize("how", ONCE)
def test_a_program_that_publishes_once_does_not_hide_that_the_provider_is_gone(scene, how):
    provider = scene.provide()
    provider.hang_up()
    scene.clock.advance(660)  # its channel is free again
    ONCE[how](scene)
    scene.rest(40)
    assert providers(scene) == {"alice/desk": ["provider_offline"]}
    assert providers(again(scene)) == {"alice/desk": ["provider_offline"]}


# Providers


def test_a_provider_with_a_name_is_missed_without_a_login(scene):
    greeted(scene, "desk").hang_up()
    assert providers(scene) == {"desk": ["provider_offline"]}


@pytest.mark.parametrize("publish", [classic, greeted])
def test_a_provider_without_a_name_is_missed_once_it_has_stayed(scene, publish):
    terminal = publish(scene)
    scene.rest(MINUTE, terminal)
    terminal.hang_up()
    assert providers(scene) == {"127.9.9.9:50000": ["provider_offline"]}
    assert providers(again(scene)) == {"127.9.9.9:50000": ["provider_offline"]}


def test_a_provider_by_http_is_missed_by_its_login_or_once_it_has_stayed(scene):
    post(scene, login="alice")
    scene.rest(40)
    assert providers(scene) == {"alice/drawn": ["provider_offline"]}


def test_a_provider_by_http_without_a_login_is_missed_once_it_has_stayed(scene):
    post(scene)
    scene.rest(20)
    post(scene)
    scene.rest(20)
    post(scene)
    scene.rest(40)
    assert providers(scene) == {"drawn": ["provider_offline"]}


def test_a_provider_that_was_killed_with_the_daemon_is_missed(scene):
    terminal = classic(scene)
    scene.rest(31, terminal)
    assert providers(killed(scene)) == {"127.9.9.9:50000": ["provider_offline"]}


def test_a_provider_that_said_bye_was_switched_off_over_restarts_until_it_is_forgotten(scene):
    provider = scene.provide()
    scene.say(provider, requests.subscribe("gold") + messages.bye())
    assert providers(scene) == {"alice/desk": ["provider_switched_off"]}
    scene = again(scene)
    (row,) = scene.rows("provider")
    text = row["warnings"][0]["text"]
    assert text.endswith("start it again, or say `mtnet signals forget alice/desk`.")
    forget = IControlCommands(scene.component).commands()["signals forget"]
    assert forget({"follower": "alice/des"}) == []
    assert forget({"follower": "alice", "channel": "silver"}) == []
    (found,) = forget({"follower": "alice"})
    assert (found["channel"], found["who"]) == ("gold", "alice/desk")
    assert providers(scene) == {}
    assert is_fine(scene)
    assert providers(again(scene)) == {}


def test_a_provider_that_publishes_cannot_be_forgotten(scene):
    scene.provide()
    forget = IControlCommands(scene.component).commands()["signals forget"]
    with pytest.raises(WireError, match="alice/desk is connected"):
        forget({"follower": "alice/desk"})
    assert forget({"follower": "alice"}) == []
    assert providers(scene) == {"alice/desk": []}


def test_who_took_a_channel_is_missed_and_not_the_one_from_whom_it_was_taken(scene):
    first, other = scene.provide(), scene.greet("alice", "other")
    scene.publish(other, "3", take=1)
    first.hang_up()
    other.hang_up()
    assert providers(scene) == {"alice/other": ["provider_offline"]}


def test_a_view_does_not_miss_a_source_to_which_was_published_once(scene):
    provider = scene.provide()
    other = scene.dial("signals")
    scene.say(other, messages.hello())
    scene.say(other, frame("PUBLISH", id="x", symbol="EURUSD", volume="1", channel="silver"))
    other.hang_up()
    add = IControlCommands(scene.component).commands()["views add"]
    add({"view": "half", "settings": {"sources": ["gold", "silver"]}})
    scene.clock.advance(0)
    scene.follow("half", name="half")
    assert "some_providers" not in str(scene.report_all()["signals"]["participants"])
    provider.hang_up()
    scene.clock.advance(1)
    assert "alice/desk of half is offline" in str(scene.report_all()["signals"]["participants"])


def test_a_provider_that_comes_back_is_missed_no_more(scene):
    scene.provide().hang_up()
    scene.provide()
    assert providers(scene) == {"alice/desk": []}


def test_a_follower_with_the_name_of_the_provider_takes_nothing_from_it(scene):
    scene.provide().hang_up()
    follower = scene.follow(login="alice")
    scene.provide()
    told = follower.received()
    assert b"publisher=up" in told
    assert b"ERROR" not in told
