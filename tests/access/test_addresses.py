"""The one parser of addresses and networks."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.access.addresses import (
    is_loopback,
    network_of,
    parse_address,
    parse_network,
    wide_network_of,
)

NAMES = ["", "localhost", "/run/mtnet/signals", "192.0.2", "192.0.2.256", "1.2.3.4.5", "2001:db8:",
         "192.0.2.1:8081", "[::1]", "0x7f.0.0.1", "127.1", "١٢٧.0.0.1"]  # fmt: skip
v4 = st.ip_addresses(v=4)
v6 = st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", IPv4Address("192.0.2.1")),
        ("2001:db8::1", IPv6Address("2001:db8::1")),
        ("2001:DB8:0::1", IPv6Address("2001:db8::1")),
        ("::ffff:192.0.2.1", IPv4Address("192.0.2.1")),
        ("fe80::1%eth0", IPv6Address("fe80::1")),
    ],
)
def test_an_address_is_read_without_its_zone_and_ipv4_as_such(host, address):
    assert parse_address(host) == address


@pytest.mark.parametrize("host", NAMES)
def test_a_name_or_a_path_has_no_address_and_is_its_own_network(host):
    assert parse_address(host) is None
    assert network_of(host) == host
    assert wide_network_of(host) == ""
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_addresses(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "::", "128.0.0.1", "::2"])
def test_other_addresses_are_not_loopback(host):
    assert not is_loopback(host)


@given(v4)
def test_an_ipv4_address_is_counted_alone_however_it_is_written(address):
    assert network_of(str(address)) == network_of(f"::ffff:{address}") == str(address)
    assert wide_network_of(str(address)) == wide_network_of(f"::ffff:{address}") == ""


@given(v6, st.integers(0, 2**128 - 1))
def test_an_ipv6_address_is_counted_in_its_64_and_its_48(address, other):
    near, wide = network_of(str(address)), wide_network_of(str(address))
    assert ip_network(near) == ip_network((address, 64), strict=False)
    assert ip_network(wide) == ip_network((address, 48), strict=False)
    neighbour = IPv6Address((int(address) >> 64 << 64) | other & (2**64 - 1))
    assert neighbour.ipv4_mapped or network_of(str(neighbour)) == near


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7/24", "192.0.2.0/24"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::7", "2001:db8::7/128"),
        ("2001:db8::7/32", "2001:db8::/32"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
        ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("::ffff:0:0/80", "::/80"),
    ],
)
def test_a_network_is_read_with_host_bits_and_ipv4_as_such(text, network):
    assert str(parse_network(text)) == network


@pytest.mark.parametrize("text", [*NAMES, "192.0.2.0/33", "2001:db8::/129", "192.0.2.0/-1", "a/8"])
def test_a_text_that_is_no_network_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="Example") as raised:
        parse_network(text)
    assert str(raised.value) == (
        f"Invalid address or network {text!r}. Example: 192.0.2.7 or 192.0.2.0/24"
    )


@given(st.one_of(v4, v6))
def test_an_address_lies_in_the_network_that_it_is(address):
    assert parse_address(str(address)) in parse_network(str(address))
