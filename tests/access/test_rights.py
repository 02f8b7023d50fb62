"""Verbs on things, and roles."""

import pytest

from mtnet.access.rights import EVERYTHING, NOTHING, ROLES, VERBS, Rights, check_grant, parse_right
from mtnet.errors import ConfigError


@pytest.mark.parametrize(
    "text",
    ["follow", "follow:signals", "follow:signals/gold", "send:ticks/EUR*", "send:ticks/EUR/USD",
     "fetch:templates/.x", "admin"],
)  # fmt: skip
def test_a_right_is_written_as_it_was_read(text):
    assert str(parse_right(text)) == text
    assert check_grant(text) == text


def test_a_star_alone_is_everything_of_a_service():
    assert str(parse_right("send:ticks/*")) == "send:ticks"


@pytest.mark.parametrize(
    "text",
    ["", "steal", "follow:ticks", "send:signals", "follow:", "follow:signals/", "follow signals",
     "send:ticks/E*R", "send:ticks/a b", "send:ticks/é", "admin:signals", "FOLLOW",
     "follow:signals/" + "x" * 65],
)  # fmt: skip
def test_what_is_no_right_is_said_with_what_would_be_one(text):
    with pytest.raises(ConfigError, match="one"):
        parse_right(text)


@pytest.mark.parametrize(
    ("held", "verb", "service", "name", "allowed"),
    [
        ("follow", "follow", "signals", "main", True),
        ("follow:signals", "follow", "signals", "main", True),
        ("follow:signals/gold", "follow", "signals", "gold", True),
        ("follow:signals/gold", "follow", "signals", "golden", False),
        ("follow:signals/gold*", "follow", "signals", "golden", True),
        ("follow:signals/gold*", "follow", "signals", "main", False),
        ("publish", "publish", "templates", "EURUSD", True),
        ("publish:signals", "publish", "templates", "EURUSD", False),
        ("follow", "publish", "signals", "main", False),
        ("admin", "publish", "signals", "main", True),
        ("provider", "publish", "signals", "main", True),
        ("follower", "publish", "signals", "main", False),
    ],
)
def test_a_right_allows_what_it_names(held, verb, service, name, allowed):
    assert Rights([held]).may(verb, service, name) is allowed


def test_nothing_allows_nothing_and_everything_all():
    for verb, services in VERBS.items():
        for service in services:
            assert EVERYTHING.may(verb, service, "x")
            assert EVERYTHING.all(verb, service)
            assert not NOTHING.any(verb)


def test_some_of_a_service_is_any_of_it_and_not_all():
    rights = Rights(["send:ticks/EURUSD"])
    assert rights.any("send", "ticks")
    assert rights.any("send")
    assert not rights.all("send", "ticks")
    assert not rights.any("send", "signals")


def test_rights_are_joined():
    joined = Rights(["follow:signals/gold"]) | Rights(["send:ticks"])
    assert list(joined) == ["follow:signals/gold", "send:ticks"]
    assert joined >= Rights(["send:ticks/EUR*"])
    assert not Rights(["send:ticks/EUR*"]) >= joined


def test_the_same_rights_joined_again_take_no_more_memory():
    joined = [Rights(["follower"]) | Rights(["send:ticks"]) for _ in range(2)]
    assert joined[0] is joined[1]


def test_every_role_is_of_rights():
    for role in ROLES:
        assert Rights([role]) >= NOTHING
        assert list(Rights([role]))


def test_those_that_concern_a_service_are_listed_for_people():
    rights = Rights(["follow:signals/gold", "publish", "send:ticks"])
    assert rights.matching(("follow", "publish"), "signals") == ["follow:signals/gold", "publish"]
