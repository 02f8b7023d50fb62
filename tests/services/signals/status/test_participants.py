"""Real sessions, and what the status says of those who are there, or were."""

import gc
from decimal import Decimal

import pytest
from fakes.daemon import PASSWORD
from fakes.screens import Screen
from msgspec.structs import replace
from signals_peers import frame
from status_scene import Scene

from mtnet.errors import WireError
from mtnet.interfaces import IControlCommands, IParticipants, IStatus
from mtnet.net.output import queue
from mtnet.net.transport import InFlight
from mtnet.services.signals.ownership.pauses import Pauses
from mtnet.services.signals.status.facts import ChannelFacts, ProviderFacts
from mtnet.services.signals.status.judgements import Judged, Participant
from mtnet.services.signals.status.participants import LIFETIME, Participants
from mtnet.services.signals.wire import requests
from mtnet.services.status import sections
from mtnet.session import messages


def test_all_is_well_and_the_row_says_how_far_the_follower_is(scene, pair):
    (row,) = scene.rows()
    assert (row["status"], row["sent"], row["behind"], row["held"]) == ("ok", 2, 0, {"EURUSD": "2"})
    (row,) = scene.rows("provider")
    assert (row["who"], row["status"], row["connected"]) == ("alice/desk", "ok", True)
    shown = scene.report_all()["signals"]["channels"]["gold"]
    assert (shown["publishers"], shown["positions"]) == (["alice/desk"], {"EURUSD": "2"})


def test_a_judgement_is_the_same_object_for_as_long_as_it_says_the_same(scene, pair):
    def judged():
        scene.clock.advance(LIFETIME)
        return {each.name: each for each in IParticipants(scene.component).participants()}

    provider, follower = pair
    name = "follower", "gold", "bob/desk"
    scene.report(follower, trading=False)
    warned = judged()
    scene.publish(provider, "3")
    scene.acknowledge(follower, 3, status="filled", volume="3")
    later = judged()
    assert later[name] is not warned[name]
    assert later[name].judgement is warned[name].judgement
    assert later[name].row()["sent"] == warned[name].row()["sent"] + 1
    scene.report(follower)
    assert judged()[name].judgement is not warned[name].judgement


def test_a_follower_that_is_gone_is_offline_by_name_and_behind(scene, pair):
    provider, follower = pair
    follower.hang_up()
    scene.publish(provider, "3")
    (row,) = scene.rows()
    assert (row["who"], row["status"], row["behind"]) == ("bob/desk", "offline", 1)
    assert scene.codes() == {"bob/desk": ["offline"]}


def test_a_follower_that_says_bye_was_switched_off(scene, pair):
    pair[1].send(messages.bye())
    assert scene.codes() == {"bob/desk": ["switched_off"]}


def test_a_follower_that_unsubscribes_is_forgotten(scene, pair):
    scene.say(pair[1], requests.unsubscribe("gold"))
    assert scene.codes() == {}


def test_an_offline_follower_can_be_forgotten_at_once(scene, pair):
    forget = IControlCommands(scene.component).commands()["signals forget"]
    pair[1].hang_up()
    scene.follow("silver", name="attic").hang_up()
    assert scene.codes() == {"bob/desk": ["offline"]}
    assert forget({"follower": "bob/des"}) == []
    (found,) = forget({"follower": "bob", "channel": "gold"})
    assert (found["who"], found["channel"]) == ("bob/desk", "gold")
    rows = _all(scene)  # within the same second
    assert [row["who"] for row in rows if row["role"] == "follower"] == []
    assert not any(each.saved() for each in [scene.signals.channels.followers])


def test_a_follower_that_is_connected_cannot_be_forgotten(scene, pair):
    forget = IControlCommands(scene.component).commands()["signals forget"]
    with pytest.raises(WireError, match="bob/desk is connected"):
        forget({"follower": "bob/desk"})
    with pytest.raises(WireError, match="Name a follower or a provider, as bob"):
        forget({})
    assert scene.codes() == {"bob/desk": []}


@pytest.mark.parametrize("present", [True, False])
def test_a_provider_that_follows_its_own_channel_has_one_row(scene, pair, present):
    provider = pair[0]
    scene.say(provider, requests.subscribe("gold"))
    if not present:
        provider.hang_up()
    assert "alice/desk" not in scene.codes()
    assert [*scene.codes("provider")] == ["alice/desk"]


def test_a_new_filter_keeps_the_follower(scene, pair):
    scene.say(pair[1], requests.subscribe("gold", symbols=frozenset(["EURUSD"])))
    assert scene.codes() == {"bob/desk": []}


def test_a_follower_is_forgotten_after_the_time_that_is_set(tmp_path, clock):
    scene = Scene(tmp_path / "data", clock, "signals.remember_followers=3600")
    scene.provide()
    scene.follow().hang_up()
    clock.advance(3_598)
    assert list(scene.codes()) == ["bob/desk"]
    clock.advance(2)
    assert scene.codes() == {}


def test_a_follower_that_hangs_is_blind(scene, pair):
    scene.rest(12, pair[0])
    assert scene.codes() == {"bob/desk": ["blind"]}


def test_the_kernel_is_asked_why_a_follower_is_silent_and_only_then(scene, pair, monkeypatch):
    asked = []
    monkeypatch.setattr(
        queue, "in_flight", lambda transport: asked.append(transport) or InFlight(0)
    )
    scene.rest(6, pair[0])
    assert (scene.codes(), asked) == ({"bob/desk": []}, [])
    scene.rest(6, pair[0])
    (row,) = scene.rows()
    assert "all that was sent has arrived" in row["warnings"][0]["text"]
    assert asked


def test_a_follower_that_takes_no_byte_is_slow(scene, pair):
    provider, follower = pair
    follower.transport.stalled = True
    scene.publish(provider, "3")
    scene.acknowledge(follower, 3, status="filled", volume="3")
    scene.rest(6, provider, follower)
    assert scene.codes() == {"bob/desk": ["slow"]}


def test_without_an_ack_for_15_seconds_it_says_so(scene, pair):
    provider, follower = pair
    scene.publish(provider, "3")
    scene.rest(15, provider, follower)
    assert scene.codes() == {"bob/desk": ["not_acknowledged"]}
    scene.acknowledge(follower, 3, status="filled", volume="3")
    assert scene.codes() == {"bob/desk": []}


def test_what_a_filter_leaves_out_is_not_waited_for(scene):
    provider = scene.provide()
    follower = scene.follow(asked={"symbols": frozenset(["EURUSD"])})
    scene.publish(provider, "2")
    scene.acknowledge(follower, 2, status="filled", volume="2")
    scene.publish(provider, "1", "GBPUSD")
    scene.rest(20, provider, follower)
    assert scene.codes() == {"bob/desk": []}
    scene.publish(provider, "3")
    scene.rest(15, provider, follower)
    assert scene.codes() == {"bob/desk": ["not_acknowledged"]}


def test_what_was_missed_is_not_late_when_it_comes_back(scene, pair):
    provider, follower = pair
    follower.hang_up()
    scene.publish(provider, "3")
    scene.rest(3_600, provider)
    again = scene.follow(asked={"epoch": scene.signals.channels.epoch("gold"), "after": 2})
    assert scene.codes() == {"bob/desk": []}
    scene.rest(15, provider, again)
    assert scene.codes() == {"bob/desk": ["not_acknowledged"]}


def test_what_it_holds_wrongly_is_known_over_a_restart_of_the_daemon(scene, pair, tmp_path, clock):
    scene.acknowledge(pair[1], 2, status="failed", volume="-1")
    assert scene.codes() == {"bob/desk": ["wrong_volume", "refused"]}
    scene.rest(31, *pair)
    again = Scene(tmp_path / "data", clock)
    again.follow(asked={"epoch": again.signals.channel("gold").epoch, "after": 2})
    assert again.codes()["bob/desk"][:2] == ["wrong_volume", "refused"]


def test_what_it_could_not_carry_out_stays_over_its_reconnect(scene, pair):
    provider, follower = pair
    scene.publish(provider, "3")
    scene.acknowledge(follower, 3, status="failed", volume="2", reason="no money")
    assert scene.codes() == {"bob/desk": ["wrong_volume", "refused"]}
    follower.hang_up()
    scene.follow(asked={"epoch": scene.signals.channels.epoch("gold"), "after": 3})
    assert scene.codes() == {"bob/desk": ["wrong_volume", "refused"]}
    (row,) = scene.rows()
    assert row["wrong"] == [
        {"symbol": "EURUSD", "ticket": "", "wanted": "3", "held": "2", "reason": "no money"}
    ]


def test_nobody_knows_whether_a_follower_that_multiplies_is_well(scene, pair):
    scene.publish(pair[0], "3")
    scene.acknowledge(pair[1], 3, status="filled", volume="1.5")
    (row,) = scene.rows()
    assert (row["status"], scene.codes()["bob/desk"]) == ("unknown", ["other_volume"])


def test_a_follower_that_has_not_told_what_it_holds_of_a_symbol_says_so(scene, pair):
    scene.publish(pair[0], "1", symbol="GBPUSD")
    scene.publish(pair[0], "3")
    scene.acknowledge(pair[1], 4, status="filled")
    (row,) = scene.rows()
    assert (row["status"], scene.codes()["bob/desk"]) == ("unknown", ["untold"])
    assert row["warnings"][0]["text"].startswith("bob/desk has not told what it holds of GBPUSD:")
    scene.acknowledge(pair[1], 3, status="filled")
    assert scene.codes() == {"bob/desk": []}
    (row,) = scene.rows()
    assert row["held"] == {"EURUSD": "3", "GBPUSD": "1"}


def test_a_follower_has_to_tell_nothing_of_symbols_that_it_leaves_out(scene):
    provider, follower = scene.provide(), scene.follow(asked={"symbols": frozenset({"EURUSD"})})
    scene.publish(provider, "1", symbol="GBPUSD")
    scene.publish(provider, "2")
    scene.acknowledge(follower, 3, status="filled", volume="2")
    assert scene.codes() == {"bob/desk": []}


def test_a_close_that_was_not_made_is_a_wrong_volume(scene, pair):
    scene.publish(pair[0], "0")
    scene.acknowledge(pair[1], 3, status="filled", volume="2")
    assert scene.codes() == {"bob/desk": ["wrong_volume"]}


def test_algorithmic_trading_that_is_off_is_known_by_the_report(scene, pair):
    scene.report(pair[0], trading=False, account="8")
    scene.report(pair[1], trading=False)
    assert scene.codes() == {"bob/desk": ["trading_off", "provider_trading_off"]}
    assert scene.codes("provider") == {"alice/desk": ["provider_trading_off"]}


def test_a_report_that_is_a_minute_old_says_so(scene, pair):
    scene.report(pair[1])
    scene.rest(60, *pair)
    assert scene.codes() == {"bob/desk": ["report_stale"]}


def test_two_accounts_that_report_as_one_are_seen(scene, pair):
    other = scene.follow()
    scene.report(pair[1], account="1")
    scene.rest(2, *pair, other)
    scene.report(other, account="2")
    assert scene.codes("follower")["bob/desk"] == ["two_accounts"]


def test_an_old_expert_is_named(scene):
    scene.provide(client="MtnetProvider 1.00")
    assert scene.codes("provider") == {"alice/desk": ["old_client"]}


def test_a_provider_that_is_gone_is_told_to_its_followers_and_known_by_name(scene, pair):
    pair[0].hang_up()
    assert scene.codes() == {"bob/desk": ["provider_offline"]}
    (row,) = scene.rows("provider")
    assert (row["who"], row["status"]) == ("alice/desk", "offline")
    assert row["warnings"][0]["text"].startswith("alice/desk of gold is offline for ")


def test_a_provider_that_says_bye_was_switched_off(scene, pair):
    scene.say(pair[0], messages.bye())
    assert scene.codes() == {"bob/desk": ["provider_switched_off"]}


def test_a_provider_that_hangs_is_silent(scene, pair):
    scene.rest(12, pair[1])
    assert scene.codes() == {"bob/desk": ["provider_silent"]}
    assert scene.codes("provider") == {"alice/desk": ["provider_silent"]}


def test_a_provider_from_which_the_channel_was_taken_is_fenced(scene, pair):
    other = scene.greet("alice", "other")
    scene.publish(other, "3", take=1)
    assert scene.codes("provider") == {"alice/other": [], "alice/desk": ["fenced"]}
    pair[0].hang_up()
    assert scene.codes("provider") == {"alice/other": []}


def test_nobody_has_published_in_a_channel_that_is_followed(tmp_path, clock):
    scene = Scene(tmp_path / "data", clock, "signals.channels.gold.max_volume=5")
    scene.follow()
    assert scene.codes() == {"bob/desk": ["no_provider", "unconfirmed"]}
    assert scene.codes("provider") == {"": ["no_provider"]}


def test_a_channel_that_nobody_uses_is_not_shown(scene):
    assert _all(scene) == []


def test_after_a_restart_the_provider_is_known_by_name(tmp_path, clock):
    Scene(tmp_path / "data", clock).provide()
    scene = Scene(tmp_path / "data", clock)
    scene.clock.advance(1)
    assert list(scene.codes("provider")) == ["alice/desk"]


@pytest.mark.parametrize(("mode", "code"), [("close_only", "paused"), ("frozen", "frozen")])
def test_a_channel_that_is_paused_is_named(scene, pair, mode, code):
    Pauses(scene.signals).pause("gold", mode)
    assert scene.codes() == {"bob/desk": [code]}
    assert scene.codes("provider") == {"alice/desk": [code]}


def test_a_history_that_went_back_is_named(scene, pair):
    epoch = scene.signals.channels.epoch("gold")
    scene.follow(name="ahead", asked={"epoch": epoch, "after": 99})
    assert "diverged" in scene.codes()["bob/desk"]


def test_a_classic_follower_is_shown_by_its_address(tmp_path, clock):
    local = Scene(tmp_path / "data", clock, "access.trust_loopback=true")
    connection = local.dial("signals")
    clock.advance(1)
    (row,) = [each for each in _all(local) if each["role"] == "follower"]
    assert (row["who"], row["channel"], row["status"]) == ("127.9.9.9:50000", "main", "warning")
    assert [each["code"] for each in row["warnings"]] == ["no_provider", "unconfirmed"]
    connection.hang_up()
    clock.advance(1)
    assert [each for each in _all(local) if each["role"] == "follower"] == []


def _all(scene):
    return scene.everybody()


def test_a_view_says_what_is_wrong_with_its_sources(scene, pair):
    scene.make_view("gold", "silver")
    scene.follow("half", name="half")
    scene.clock.advance(1)
    (row,) = [each for each in _all(scene) if each["channel"] == "half"]
    assert [each["code"] for each in row["warnings"]] == ["some_providers", "unconfirmed"]


def test_a_view_for_one_waits_for_a_report_and_is_exact(scene, pair):
    scene.make_view("gold", follower="bob", size="equity", provider="alice")
    scene.follow("half", name="half")
    scene.clock.advance(1)
    (row,) = [each for each in _all(scene) if each["channel"] == "half"]
    assert [each["code"] for each in row["warnings"]] == ["waiting_for_report", "unconfirmed"]


def test_strangers_are_told_numbers_and_no_names(scene, pair):
    pair[0].hang_up()
    scene.clock.advance(1)
    health = IStatus(scene.component).health()
    assert health["participants"]["followers"]["warning"] == 1
    assert health["participants"]["providers"]["offline"] == 1
    assert health["in_trouble"] == (
        "1 of 1 provider is in trouble: `mtnet signals status` says who, and what to do"
    )
    assert "alice" not in str(health)
    assert "bob" not in str(health)


def test_a_judgement_holds_for_a_second(scene, pair):
    before = IParticipants(scene.component).judged()
    pair[0].hang_up()
    assert IParticipants(scene.component).judged() is before
    scene.clock.advance(LIFETIME)
    assert IParticipants(scene.component).judged() is not before


def test_a_volume_is_compared_by_value(scene, pair):
    scene.publish(pair[0], "3.00")
    scene.acknowledge(pair[1], 3, status="filled", volume=f"{Decimal(3):f}")
    assert scene.codes() == {"bob/desk": []}


def test_a_follower_that_does_not_come_back_after_a_restart_is_missed(tmp_path, clock):
    scene = Scene(tmp_path / "data", clock)
    scene.provide()
    scene.acknowledge(scene.follow(), 1, status="filled", volume="1")
    clock.advance(30)
    scene = Scene(tmp_path / "data", clock)
    assert "offline" in scene.codes()["bob/desk"]
    (row,) = scene.rows()
    assert (row["sent"], row["behind"]) == (1, 0)
    scene.provide()
    scene.follow(asked={"epoch": scene.signals.channels.epoch("gold"), "after": 1})
    assert "offline" not in scene.codes()["bob/desk"]


def test_a_stop_stores_who_follows(tmp_path, clock):
    scene = Scene(tmp_path / "data", clock)
    scene.provide()
    scene.follow()
    scene.component.stop()
    assert "offline" in Scene(tmp_path / "data", clock).codes()["bob/desk"]


def test_a_file_that_cannot_be_read_is_said_and_begun_anew(tmp_path, clock, warnings):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "signals.followers").write_bytes(b"[{")
    scene = Scene(tmp_path / "data", clock)
    assert scene.codes() == {}
    (warning,) = warnings()
    assert "The list of followers" in str(warning)


@pytest.mark.parametrize(("count", "looks"), [(2, 1), (500, 1), (1_000, 2), (9_000, 5)])
def test_many_are_judged_less_often_and_not_much_less(scene, pair, count, looks):
    """Those who look come once a second, now and then a little late."""

    class Collector:
        judged = 0

        def everybody(self, moment):
            self.judged += 1
            gold = ChannelFacts("gold", 0)
            return (Participant(number, ProviderFacts("", gold)) for number in range(count))

    collector, clock = Collector(), scene.clock
    people = Participants(collector, scene.signals.channels.followers, clock, scene.env.now)
    for late, punctual in [(0.05, 0.95)] * looks:
        people.judged()
        clock.advance(1 + late)
        people.judged()
        clock.advance(punctual)
    assert collector.judged == 2


# Many, of whom those who watch are told in turns


@pytest.fixture
def crowd(scene, monkeypatch):
    """A provider, many followers, and a screen on which one row takes its turn each second."""
    monkeypatch.setattr(sections, "TURN", 1)
    monkeypatch.setattr(sections, "CYCLE", 1_000)
    scene.env.components.services["status"].start()
    provider, names = scene.provide(), [f"desk-{number}" for number in range(9)]
    followers = {name: scene.follow(name=name) for name in names}
    for each in followers.values():
        scene.acknowledge(each, 1, status="filled", volume="1")
    screen = Screen(scene, "root")
    screen.watch("status")

    def row(name, seconds=0):
        for _ in range(seconds):
            scene.rest(1, provider, *followers.values())
            screen.say(messages.ping())
        return screen.parts["status"][f"participant/signals/follower/gold/bob/{name}"]

    return provider, followers, row


def test_a_follower_that_holds_something_wrong_is_told_at_the_next_look(scene, crowd):
    provider, followers, row = crowd
    scene.publish(provider, "2")
    for name, each in followers.items():
        held = "1" if name == "desk-8" else "2"
        scene.acknowledge(each, 2, status="filled", volume=held)
    shown = row("desk-8", seconds=1)
    assert (shown["status"], shown["held"]) == ("unknown", {"EURUSD": "1"})
    assert [(each["wanted"], each["held"]) for each in shown["wrong"]] == [("2", "1")]
    quiet = [name for name in followers if row(name)["sent"] == 1]
    assert len(quiet) > 5  # those who are right wait for their turns
    assert all(row(name)["wrong"] == [] for name in quiet)


def test_a_follower_is_shown_as_behind_no_longer_than_it_is(scene, crowd):
    provider, followers, row = crowd
    scene.publish(provider, "2")
    assert row("desk-8", seconds=1)["behind"] == 0
    assert row("desk-8", seconds=2)["behind"] == 1
    for each in followers.values():
        scene.acknowledge(each, 2, status="filled", volume="2")
    assert row("desk-8", seconds=1)["behind"] == 0
    assert not any(row(name)["behind"] for name in followers)


# Observers


def observe(scene, **asked):
    """Let bob show the channel gold to people."""
    page = scene.greet("bob", name="page")
    return page, scene.say(page, frame("SUBSCRIBE", channel="gold", observe=1, **asked))


def followers(scene):
    return [row["who"] for row in scene.rows()]


def test_an_observer_is_told_all_and_is_no_follower(scene):
    provider = scene.provide()
    page, said = observe(scene)
    assert b"POSITION|channel=gold" in said
    scene.publish(provider, "2")
    assert b"<<SIGNAL|channel=gold|seq=2" in page.received()
    assert followers(scene) == []
    page.hang_up()
    assert followers(scene) == []


def test_who_observed_and_then_follows_is_a_follower_and_back(scene):
    scene.provide()
    page, _ = observe(scene)
    scene.say(page, requests.subscribe("gold"))
    assert followers(scene) == ["bob/page"]
    scene.say(page, frame("SUBSCRIBE", channel="gold", observe=1))
    assert followers(scene) == []


def test_an_observer_that_logs_in_anew_observes(scene):
    scene.provide()
    page, _ = observe(scene)
    scene.say(page, messages.hello(login="alice", password=PASSWORD, name="other"))
    assert followers(scene) == []
    scene.publish(scene.greet("alice"), "3", take="1")
    assert b"<<SIGNAL|channel=gold|seq=2" in page.received()


def test_a_row_says_what_program_it_is_and_since_when_it_is_behind(scene):
    provider = scene.provide(client="MtnetProvider 9.0")
    follower = scene.follow(client="MtnetFollower 9.0")
    scene.publish(provider, "2")
    scene.acknowledge(follower, 2, status="filled", volume="2")
    scene.publish(provider, "3")
    scene.rest(1, provider, follower)
    assert scene.rows()[0]["behind"] == 0  # it is on its way
    scene.rest(1, provider, follower)
    found = {role: scene.rows(role)[0] for role in ("provider", "follower")}
    assert found["provider"]["client"] == "MtnetProvider 9.0"
    assert found["follower"]["client"] == "MtnetFollower 9.0"
    assert found["follower"]["behind"] == 1
    assert found["follower"]["behind_since"] is not None


def test_a_former_judgement_is_dropped_as_the_new_one_is_made(scene, pair, monkeypatch):
    for number in range(20):
        scene.follow(name=f"desk-{number}")
    people = IParticipants(scene.component)
    people.refresh()
    assert len(people.participants()) >= 20
    collect, alive = people._collector.everybody, []

    def everybody(moment):
        for each in collect(moment):
            alive.append(sum(isinstance(found, Judged) for found in gc.get_objects()))
            # All are heard at another time than before, so that each is judged anew.
            yield each._replace(facts=replace(each.facts, since=each.facts.since + 1))

    monkeypatch.setattr(people._collector, "everybody", everybody)
    people.refresh()
    people.participants()
    assert max(alive) - min(alive) <= 1
