"""Rights of connections without an account."""

import pytest
from fakes.rights import PERMISSIONS, rights

from mtnet.access.addresses import is_loopback
from mtnet.access.anonymous import AnonymousAccess
from mtnet.access.rights import EVERYTHING, NOTHING
from mtnet.errors import ConfigError

FAR = "198.51.100.7"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_may_do_everything(host):
    assert is_loopback(host)
    assert AnonymousAccess(PERMISSIONS, None).rights(host, host, proxied=False) == EVERYTHING


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "::", "", "localhost", "/run/socket"])
def test_other_hosts_have_the_anonymous_rights(host):
    assert not is_loopback(host)
    assert AnonymousAccess(PERMISSIONS, None).rights(host, FAR, proxied=False) == NOTHING
    assert AnonymousAccess(PERMISSIONS, ["follow"]).rights(host, FAR, proxied=False) == rights(
        "follow"
    )


def test_loopback_behind_a_proxy_is_not_trusted():
    assert AnonymousAccess(PERMISSIONS, ["fetch"]).rights("127.0.0.1", FAR, proxied=True) == rights(
        "fetch"
    )


def test_loopback_that_is_not_trusted_has_the_anonymous_rights():
    rules = AnonymousAccess(PERMISSIONS, ["fetch"], loopback=False)
    assert rules.rights("127.0.0.1", "127.0.0.1", proxied=False) == rights("fetch")


@pytest.mark.parametrize(
    ("peer", "more"),
    [
        ("192.0.2.7", ["send:ticks"]),
        ("::ffff:192.0.2.7", ["send:ticks"]),
        ("2001:db8::5", ["follow:signals/gold"]),
        ("2001:db8::5%eth0", ["follow:signals/gold"]),
        ("192.0.3.7", []),
        ("", []),
    ],
)
def test_a_network_has_additional_rights(peer, more):
    networks = {"192.0.2.0/24": ["send:ticks"], "2001:db8::/32": ["follow:signals/gold"]}
    rules = AnonymousAccess(PERMISSIONS, ["fetch"], networks)
    assert rules.rights("192.0.2.1", peer, proxied=False) == rights("fetch", *more)


@pytest.mark.parametrize("said", [{"anonymous": []}, {"anonymous": None, "networks": {"::1": []}}])
def test_anonymous_rights_or_networks_configure_anonymous_access(said):
    assert AnonymousAccess(PERMISSIONS, **said).configured


def test_without_them_it_is_not_configured():
    assert not AnonymousAccess(PERMISSIONS, None).configured
    assert not AnonymousAccess(PERMISSIONS, None, {}).configured


@pytest.mark.parametrize(
    "wrong", [{"anonymous": ["steal"]}, {"anonymous": None, "networks": {"home": ["follow"]}}]
)
def test_an_invalid_right_or_network_is_refused_with_an_example(wrong):
    with pytest.raises(ConfigError, match=r"Example|would be one"):
        AnonymousAccess(PERMISSIONS, **wrong)


@pytest.mark.parametrize(
    ("granted", "service", "shown"),
    [
        (["send", "fetch"], "any", ["send", "fetch"]),
        (["publish"], "web", ["publish"]),
        (["publish:signals"], "web", ["publish:signals"]),
        (["publish:signals/gold"], "signals", ["publish:signals/gold"]),
        (["fetch"], "signals", []),
    ],
)
def test_rights_are_shown_by_their_verb_where_it_is_allowed_on_everything(granted, service, shown):
    access = AnonymousAccess(PERMISSIONS, granted)
    assert access.describe(("follow", "publish", "send", "fetch"), service) == shown
