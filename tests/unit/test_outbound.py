"""Which addresses are called: the table of reliability 4.1, and what a URL is taken apart into."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from shared.errors import UnsafeAddress
from shared.outbound import Address, Lookup, Outbound, is_public, read_literal, read_url, unwrap
from shared.settings import Settings

PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.1.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001::1",
    "2001:2::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "4000::1",
]
PUBLIC = [
    "1.1.1.1",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450:4001::200e",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
    "2002:101:101::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_special_address_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ("::10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("64:ff9b::a00:1", "10.0.0.1"),
        ("2002:a00:1:9:8:7:6:5", "10.0.0.1"),
        ("2606:4700::1111", "2606:4700::1111"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_an_ipv4_address_is_found_inside_an_ipv6_address(outer: str, inner: str) -> None:
    assert unwrap(ip_address(outer)) == ip_address(inner)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("fe80::1%eth0", "fe80::1"),
        ("example.com", None),
        ("0x", None),
        ("256.1.1.1", None),
    ],
)
def test_every_spelling_of_an_address_is_read(host: str, address: str | None) -> None:
    assert read_literal(host) == (ip_address(address) if address else None)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1./",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7F.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127。0。0。1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fd00::1]:8080/",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://db.localhost/",
        "HTTP://10.0.0.1/",
        " http://10.0.0.1/ ",
        "http://10.0.0.1#http://example.com/",
        "http://10.0.0.1?http://example.com/",
    ],
)
def test_a_private_address_is_refused_in_every_spelling(url: str) -> None:
    with pytest.raises(UnsafeAddress, match="private or reserved"):
        outbound().check(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "http:example.com",
        "http:/example.com",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://example.com@127.0.0.1/",
        "http://example.com\\@127.0.0.1/",
        "http://127.0.0.1\\.example.com/",
        "http://exa mple.com/",
        "http://example.com:80:80/",
        "http://example.com:http/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:999999/",
        "http://example.com:-1/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://[v1.a]/",
        "http://[::1]x/",
        "http://%31%32%37.0.0.1/",
        "http://ⓛocalhost/",
        "http://１２７.0.0.1/",
        "http://a..b/",
        "http://xn--a/",
        "http://xn--/",
        f"http://{'a' * 64}.com/",
        f"http://{'a.' * 130}com/",
        "http://example.com/a\r\nHost: evil",
        "http://example.com/a\x00",
        "http://example.com/\ud800",
        "http://exam\tple.com/",
    ],
)
def test_what_is_not_a_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(UnsafeAddress):
        outbound().check(url)


@pytest.mark.parametrize("port", [22, 25, 3306, 5432, 6379, 8333, 9000])
def test_only_web_ports_are_called(port: int) -> None:
    with pytest.raises(UnsafeAddress, match=f"port {port}"):
        outbound().check(f"https://example.com:{port}/")


@pytest.mark.parametrize("port", [80, 443, 8080, 8443])
def test_web_ports_of_a_public_host_are_called(port: int) -> None:
    outbound().check(f"https://example.com:{port}/")


def test_one_private_answer_among_public_ones_is_enough_to_refuse() -> None:
    rebound = outbound("1.1.1.1", "127.0.0.1")

    with pytest.raises(UnsafeAddress):
        rebound.check("https://example.com/")


def test_the_answer_with_a_zone_is_judged_without_it() -> None:
    with pytest.raises(UnsafeAddress):
        outbound("fe80::1%eth0").check("https://example.com/")


@pytest.mark.parametrize("lookup", [lambda host: [], lambda host: refuse_to_answer(host)])
def test_a_name_that_leads_nowhere_is_accepted_before_the_call(lookup: Lookup) -> None:
    Outbound(lookup=lookup).check("https://soon.example.com/")


def test_a_name_that_leads_nowhere_does_not_open_a_port() -> None:
    with pytest.raises(UnsafeAddress, match="port 6379"):
        Outbound(lookup=refuse_to_answer).check("http://redis:6379/")


@pytest.mark.parametrize("url", ["http://10.1.2.3:9000/", "http://167838211/", "http://[::ffff:10.1.2.3]/"])
def test_a_network_that_was_allowed_may_be_called_on_any_port(url: str) -> None:
    Outbound(networks=(ip_network("10.0.0.0/8"),)).check(url)


def test_an_allowed_network_does_not_allow_its_neighbour() -> None:
    with pytest.raises(UnsafeAddress):
        outbound("10.1.2.3", "192.168.1.1", networks="10.0.0.0/8").check("http://files.example.com/")


def test_the_gateway_and_s3_are_allowed_on_exactly_their_own_ports() -> None:
    settings = Settings(
        gateway_base_url="http://127.0.0.1:4010", s3_endpoint_url="http://[::1]:8333", s3_public_endpoint_url=""
    )
    ours = Outbound.from_settings(settings)

    ours.check("http://127.0.0.1:4010/v1/files/a.png")
    ours.check("http://[::1]:8333/darkroom/a.png")
    for url in ("http://127.0.0.1:4011/", "http://[::1]:9333/", "http://localhost:4010/"):
        with pytest.raises(UnsafeAddress):
            ours.check(url)


def test_the_default_port_of_an_allowed_origin_is_its_scheme_s() -> None:
    ours = Outbound.from_settings(Settings(gateway_base_url="https://Gateway.internal."))

    assert ("gateway.internal", 443) in ours.origins


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://h/a?X-Sig=a%2Fb%2fc+d==&e='\"[]|{}", b"/a?X-Sig=a%2Fb%2fc+d==&e='\"[]|{}"),
        ("https://h/a/../b/./%7e//c?", b"/a/../b/./%7e//c?"),
        ("https://h?x=%zz", b"/?x=%zz"),
        ("https://h", b"/"),
        ("https://h/a b#fragment", b"/a%20b"),
        ("https://h/café?q=ü", b"/caf%C3%A9?q=%C3%BC"),
    ],
)
def test_path_and_query_stay_as_they_were_given(url: str, target: bytes) -> None:
    assert read_url(url).target == target


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("/b?sig=%2F==", Address("https", "h.example", 8443, b"/b?sig=%2F==")),
        ("b", Address("https", "h.example", 8443, b"/dir/b")),
        ("?x=1", Address("https", "h.example", 8443, b"/dir/a?x=1")),
        ("//cdn.example/c", Address("https", "cdn.example", 443, b"/c")),
        ("HTTP://cdn.example/../c?x=\"'", Address("http", "cdn.example", 80, b"/../c?x=\"'")),
    ],
)
def test_a_redirect_is_followed_from_where_it_was(location: str, where: Address) -> None:
    assert read_url("https://h.example:8443/dir/a?sig=1").follow(location) == where


@pytest.mark.parametrize("location", ["ftp://h/", "file:///etc/passwd", "javascript:x", "//u:p@h/", "//[", "http://"])
def test_a_redirect_to_no_web_address_is_refused(location: str) -> None:
    with pytest.raises(UnsafeAddress):
        read_url("https://h.example/").follow(location)


def test_an_address_is_shown_without_its_query() -> None:
    address = read_url("https://h.example:8443/a.png?X-Amz-Signature=secret")

    assert str(address) == "https://h.example:8443/a.png"
    assert "secret" not in repr(address)


@pytest.mark.parametrize(
    "url", ["https://u:secret@h/", "https://10.0.0.1/?secret", "https://h:1/?secret", "https://h h/?secret"]
)
def test_a_refusal_does_not_repeat_credentials_or_query(url: str) -> None:
    with pytest.raises(UnsafeAddress) as refusal:
        outbound().check(url)

    assert "secret" not in str(refusal.value)


def outbound(*answers: str, networks: str = "") -> Outbound:
    """One whose name server always gives these answers, by default a public one."""
    return Outbound(
        networks=(ip_network(networks),) if networks else (), lookup=lambda host: answers or ("93.184.216.34",)
    )


def refuse_to_answer(host: str) -> Sequence[str]:
    raise OSError("no such name")
