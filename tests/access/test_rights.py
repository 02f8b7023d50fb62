"""Rights, roles, and the permissions that services bring."""

import pytest
from fakes.rights import PERMISSIONS, rights

from mtnet.access.rights import EVERYTHING, NOTHING, Permissions, Right
from mtnet.errors import ConfigError

NAMED = ["follow:signals", "follow:signals/gold", "send:ticks/EUR*", "send:ticks/EUR/USD",
         "fetch:templates/.x", "admin"]  # fmt: skip


@pytest.mark.parametrize("text", NAMED)
def test_a_right_is_written_as_it_was_read(text):
    assert [str(right) for right in PERMISSIONS.parse_right(text)] == [text]


@pytest.mark.parametrize("text", [*NAMED, "follow", "provider"])
def test_a_role_or_a_right_can_be_granted(text):
    assert PERMISSIONS.check(text) == text


def test_a_verb_alone_stands_for_every_service_that_has_it():
    assert list(rights("publish")) == ["publish:signals", "publish:templates"]
    assert list(rights("follow")) == ["follow:signals"]


def test_a_star_alone_is_everything_of_a_service():
    assert PERMISSIONS.parse_right("send:ticks/*") == [Right("send", "ticks")]
    assert list(rights("send:ticks/*")) == ["send:ticks"]


@pytest.mark.parametrize(
    "text",
    ["", "steal", "follow:", "follow:signals/", "follow signals", "send:ticks/E*R",
     "send:ticks/a b", "send:ticks/é", "FOLLOW", "follow:signals/" + "x" * 65],
)  # fmt: skip
def test_an_invalid_right_is_refused_with_the_verbs_and_an_example(text):
    with pytest.raises(ConfigError) as raised:
        PERMISSIONS.parse_right(text)
    error = str(raised.value)
    assert error.startswith(f"Invalid right {text!r}: expected VERB")
    assert "the verbs are follow, publish, " in error
    assert error.endswith(". Example: follow:signals.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "follow:ticks",
            "follow:signals or follow:indicators or follow:sentiment or follow:topics",
        ),
        ("send:signals", "send:ticks or send:jobs or send:notify"),
        (
            "publish:web",
            "publish:signals or publish:templates or publish:indicators or publish:jobs or "
            "publish:sentiment or "
            "publish:topics",
        ),
        ("admin:signals", "admin"),
    ],
)
def test_a_verb_of_another_service_is_refused_with_the_right_one(text, expected):
    with pytest.raises(ConfigError) as raised:
        PERMISSIONS.parse_right(text)
    assert str(raised.value) == f"Invalid right {text!r}: expected {expected}."


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
    assert rights(held).may(verb, service, name) is allowed


def test_nothing_allows_nothing_and_everything_all():
    for verb, services in PERMISSIONS.verbs.items():
        for service in services:
            assert EVERYTHING.may(verb, service, "x")
            assert EVERYTHING.all(verb, service)
            assert EVERYTHING.any(verb)
            assert not NOTHING.may(verb, service, "x")
            assert not NOTHING.any(verb)
    assert rights("admin") == EVERYTHING
    assert EVERYTHING
    assert not NOTHING


def test_some_of_a_service_is_any_of_it_and_not_all():
    held = rights("send:ticks/EURUSD")
    assert held.any("send", "ticks")
    assert held.any("send")
    assert not held.all("send", "ticks")
    assert not held.any("send", "signals")


def test_rights_are_joined():
    joined = rights("follow:signals/gold") | rights("send:ticks")
    assert list(joined) == ["follow:signals/gold", "send:ticks"]
    assert joined >= rights("send:ticks/EUR*")
    assert not rights("send:ticks/EUR*") >= joined


def test_the_same_rights_joined_again_take_no_more_memory():
    joined = [rights("follower") | rights("send:ticks") for _ in range(2)]
    assert joined[0] is joined[1]


def test_a_verb_is_held_by_whoever_has_it_at_every_service():
    assert rights("publish:signals", "publish:templates") >= rights("publish")
    assert rights("follower") >= rights("follow")
    assert not rights("publish:signals") >= rights("publish")


# For people


def test_the_rights_of_a_service_are_listed_in_the_order_of_its_verbs():
    held = rights("follow:signals/gold", "publish", "send:ticks")
    assert held.matching(("follow", "publish"), "signals") == ["follow:signals/gold", "publish"]
    assert held.matching(("publish", "fetch"), "templates") == ["publish"]


def test_the_rights_of_all_services_are_listed_in_full():
    held = rights("fetch", "publish:signals/x", "send")
    assert held.matching(("publish", "fetch")) == ["publish:signals/x", "fetch:templates"]


def test_an_admin_has_every_verb_that_is_asked_for():
    assert EVERYTHING.matching(("follow", "publish"), "signals") == ["follow", "publish"]
    assert EVERYTHING.matching((), "signals") == []


# What services bring


def test_the_roles_of_services_are_merged():
    assert PERMISSIONS.roles == {
        "provider": ("publish:signals", "follow:signals", "publish:templates", "fetch:templates"),
        "follower": ("follow:signals", "fetch:templates"),
        "terminal": ("fetch:templates", "send:ticks"),
        "reader": ("read:ticks",),
        "analyst": ("follow:indicators", "publish:indicators"),
        "monitor": ("read:metrics",),
        "member": ("follow:topics", "publish:topics"),
        "submitter": ("publish:jobs", "read:jobs"),
        "worker": ("send:jobs",),
        "voter": ("follow:sentiment", "publish:sentiment"),
        "watcher": ("read:status",),
        "admin": ("admin",),
    }
    for role in PERMISSIONS.roles:
        assert list(rights(role))


@pytest.mark.parametrize(
    ("held", "service", "useful"),
    [
        ("follow:signals/gold", "signals", True),
        ("follow:signals/gold", "ticks", False),
        ("publish:templates", "signals", False),
        ("send", "ticks", True),
        ("admin", "ticks", True),
        ("send", "web", True),
        ("send", "echo", True),
    ],
)
def test_rights_concern_their_service_and_the_services_without_verbs(held, service, useful):
    assert PERMISSIONS.concerns(rights(held), service) is useful
    assert not PERMISSIONS.concerns(NOTHING, service)


def test_a_service_of_a_package_outside_has_verbs_and_roles_of_its_own():
    permissions = Permissions(
        {"jobs": ("run", "see"), "alerts": ("see",)},
        {"operator": ("run:jobs", "see"), "watcher": ("see:alerts/a*",)},
    )
    assert permissions.verbs == {"run": ("jobs",), "see": ("jobs", "alerts"), "admin": ()}
    assert list(permissions.rights(["operator"])) == ["run:jobs", "see:alerts", "see:jobs"]
    assert permissions.rights(["watcher"]).may("see", "alerts", "abc")
    assert permissions.rights(["admin"]) == EVERYTHING
    with pytest.raises(ConfigError, match="the verbs are run, see, admin"):
        permissions.check("follow")


def test_a_role_with_an_unknown_right_is_refused():
    with pytest.raises(ConfigError, match="Invalid right 'walk:jobs'"):
        Permissions({"jobs": ("run",)}, {"operator": ("walk:jobs",)})


def test_without_services_there_is_admin():
    permissions = Permissions({}, {})
    assert permissions.rights(["admin"]) == EVERYTHING
    with pytest.raises(ConfigError, match=r"the verbs are admin\. Example: admin"):
        permissions.check("follow")


def test_a_bare_verb_gives_no_right_of_a_service_that_is_always_named():
    services = {"mail": ("send", "open"), "ticks": ("send",)}
    permissions = Permissions(services, {"clerk": ("send:mail",)}, named={"mail"})
    assert list(permissions.rights(["send"])) == ["send:ticks"]
    assert list(permissions.rights(["send:mail/ops"])) == ["send:mail/ops"]
    assert list(permissions.rights(["clerk"])) == ["send:mail"]
    with pytest.raises(ConfigError, match="'open': expected open:mail"):
        permissions.rights(["open"])
    assert permissions.rights(["admin"]).may("open", "mail", "x")


def test_an_answer_that_is_kept_is_that_of_the_same_rights_alone():
    gold, silver = rights("publish:signals/gold"), rights("publish:signals/silver")
    for _ in range(2):
        assert gold.may("publish", "signals", "gold")
        assert not silver.may("publish", "signals", "gold")
        assert (gold | silver).may("publish", "signals", "gold")
        assert not (gold & silver).may("publish", "signals", "gold")
    assert rights("publish:signals/gold") == gold != silver
    assert hash(rights("publish:signals/gold")) == hash(gold)
