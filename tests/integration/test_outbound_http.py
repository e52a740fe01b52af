"""Fetching over real sockets, from a server that breaks off, trickles, redirects and lies."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme

from shared import outbound as outbound_module
from shared.errors import FetchFailed, UnsafeAddress
from shared.outbound import Outbound

BODY = bytes(range(256)) * 4096  # 1 MiB
LOOPBACK = (ip_network("127.0.0.0/8"),)


class Visit(BaseHTTPRequestHandler):
    """One request; what the site does with it stands in the test."""

    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        self.close_connection = True
        self.site.visits.append(self)
        self.site.pages[self.path.partition("?")[0]](self)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.head(status, **{"Content_Length": str(len(body)), **headers})
        self.wfile.write(body)

    def head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Site:
    def __init__(self) -> None:
        self.pages: dict[str, Callable[[Visit], None]] = {}
        self.visits: list[Visit] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Visit,), {"site": self}))
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[trustme.LeafCert]:
    """A certificate for files.example, whose maker is trusted while the test runs."""
    maker = trustme.CA()
    path = tmp_path / "maker.pem"
    maker.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    outbound_module.certificates.cache_clear()
    yield maker.issue_cert("files.example")
    outbound_module.certificates.cache_clear()


@pytest.fixture
def outbound() -> Outbound:
    return Outbound(networks=LOOPBACK)


def test_a_body_arrives_whole_with_what_the_server_called_it(site: Site, outbound: Outbound, tmp_path: Path) -> None:
    site.pages["/a.png"] = lambda visit: visit.answer(200, BODY, Content_Type="Image/PNG; charset=x", ETag='"1"')

    fetched = outbound.fetch(f"{site.url}/a.png", tmp_path / "a", limit_bytes=len(BODY), timeout_s=5)

    assert (fetched.size_bytes, fetched.content_type, fetched.etag) == (len(BODY), "image/png", '"1"')
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_signed_query_reaches_the_server_untouched_and_no_secret_goes_along(
    site: Site, outbound: Outbound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password secret\n")
    target = "/a%2fb/../c?X-Sig=a%2Fb%2fc+d==&e='\"[]|{}&f=%zz"
    site.pages["/a%2fb/../c"] = lambda visit: visit.answer(200, b"x")

    with caplog.at_level("INFO"):
        outbound.fetch(site.url + target, tmp_path / "a", limit_bytes=9, timeout_s=5)

    assert site.visits[0].path == target
    assert {"Authorization", "Cookie", "Referer"}.isdisjoint(site.visits[0].headers)
    assert "X-Sig" not in caplog.text


def test_a_query_survives_a_redirect_untouched(site: Site, outbound: Outbound, tmp_path: Path) -> None:
    target = "/b?X-Sig=a%2Fb'\"=="
    site.pages["/a"] = lambda visit: visit.answer(302, Location=site.url + target, Set_Cookie="a=b")
    site.pages["/b"] = lambda visit: visit.answer(200, b"x")

    outbound.fetch(f"{site.url}/a", tmp_path / "a", limit_bytes=9, timeout_s=5)

    assert site.visits[1].path == target


def test_the_connection_goes_to_the_address_that_was_judged(site: Site, tmp_path: Path) -> None:
    asked: list[str] = []

    def rebind(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    site.pages["/a"] = lambda visit: visit.answer(200, b"x")
    Outbound(networks=LOOPBACK, lookup=rebind).fetch(
        f"http://files.example:{site.port}/a", tmp_path / "a", limit_bytes=9, timeout_s=5
    )

    assert asked == ["files.example"]
    assert site.visits[0].headers["Host"] == f"files.example:{site.port}"


def test_a_name_that_turns_private_after_the_check_is_not_called(site: Site, tmp_path: Path) -> None:
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    rebinding = Outbound(lookup=lambda host: next(answers))
    rebinding.check("http://files.example:8080/a")

    with pytest.raises(UnsafeAddress):
        rebinding.fetch(f"http://files.example:{site.port}/a", tmp_path / "a", limit_bytes=9, timeout_s=5)

    assert not site.visits


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]", "0"]
)
def test_loopback_is_not_called_in_any_spelling(site: Site, tmp_path: Path, host: str) -> None:
    with pytest.raises(UnsafeAddress):
        Outbound().fetch(f"http://{host}:{site.port}/a", tmp_path / "a", limit_bytes=9, timeout_s=5)

    assert not site.visits
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest/", "http://[::1]:8080/", "http://localhost/", "file:///etc/passwd"]
)
def test_a_redirect_to_a_private_address_is_refused(site: Site, tmp_path: Path, location: str) -> None:
    site.pages["/a"] = lambda visit: visit.answer(302, Location=location)
    origin_only = Outbound(origins={("127.0.0.1", site.port)})

    with pytest.raises(UnsafeAddress):
        origin_only.fetch(f"{site.url}/a", tmp_path / "a", limit_bytes=9, timeout_s=5)

    assert not (tmp_path / "a").exists()


def test_redirects_are_counted(site: Site, outbound: Outbound, tmp_path: Path) -> None:
    site.pages["/a"] = lambda visit: visit.answer(307, Location="/a?secret")

    with pytest.raises(FetchFailed, match="more than 3 redirects") as failure:
        outbound.fetch(f"{site.url}/a", tmp_path / "a", limit_bytes=9, timeout_s=5, redirects=3)

    assert len(site.visits) == 4
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize("status", [304, 400, 403, 404, 410, 429, 500, 503])
def test_an_answer_without_the_body_is_told_by_its_status(
    site: Site, outbound: Outbound, tmp_path: Path, status: int
) -> None:
    site.pages["/a"] = lambda visit: visit.answer(status)

    with pytest.raises(FetchFailed) as failure:
        outbound.fetch(f"{site.url}/a?secret", tmp_path / "a", limit_bytes=9, timeout_s=5)

    assert failure.value.status == status
    assert "secret" not in str(failure.value)
    assert len(site.visits) == 1
    assert not (tmp_path / "a").exists()


def test_an_announced_length_over_the_cap_is_refused_before_it_is_read(
    site: Site, outbound: Outbound, tmp_path: Path
) -> None:
    site.pages["/a"] = lambda visit: visit.head(200, Content_Length=str(2**40))

    with pytest.raises(FetchFailed) as failure:
        outbound.fetch(f"{site.url}/a", tmp_path / "a", limit_bytes=2**20, timeout_s=5)

    assert failure.value.too_large
    assert not (tmp_path / "a").exists()


def test_a_body_without_a_length_is_cut_off_at_the_cap(site: Site, outbound: Outbound, tmp_path: Path) -> None:
    def endless(visit: Visit) -> None:
        visit.head(200)
        try:
            while True:
                visit.wfile.write(BODY)
        except OSError:
            pass

    site.pages["/a"] = endless

    with pytest.raises(FetchFailed) as failure:
        outbound.fetch(f"{site.url}/a", tmp_path / "a", limit_bytes=3 * 2**20, timeout_s=5)

    assert failure.value.too_large


def test_a_compressed_body_is_capped_by_what_it_unfolds_to(site: Site, outbound: Outbound, tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(64 * 2**20))
    site.pages["/a"] = lambda visit: visit.answer(200, bomb, Content_Encoding="gzip")
    site.pages["/b"] = lambda visit: visit.answer(200, gzip.compress(BODY), Content_Encoding="gzip")

    outbound.fetch(f"{site.url}/b", tmp_path / "b", limit_bytes=2**20, timeout_s=5)
    with pytest.raises(FetchFailed) as failure:
        outbound.fetch(f"{site.url}/a", tmp_path / "a", limit_bytes=2**20, timeout_s=5)

    assert (tmp_path / "b").read_bytes() == BODY
    assert failure.value.too_large


@pytest.mark.parametrize("validator", [{"ETag": '"v1"'}, {}], ids=["etag", "length alone"])
def test_a_body_that_breaks_off_is_continued_from_there(
    site: Site, outbound: Outbound, tmp_path: Path, validator: dict[str, str]
) -> None:
    site.pages["/a"] = broken_off(100_000, **validator)

    outbound.fetch(f"{site.url}/a", tmp_path / "a", limit_bytes=len(BODY), timeout_s=10)

    assert (tmp_path / "a").read_bytes() == BODY
    assert site.visits[0].headers["Range"] is None
    assert site.visits[1].headers["Range"] == "bytes=100000-"
    assert site.visits[1].headers["If-Range"] == validator.get("ETag")


def test_without_resume_a_broken_body_is_fetched_anew(site: Site, outbound: Outbound, tmp_path: Path) -> None:
    def second_time_whole(visit: Visit) -> None:
        visit.head(200, Content_Length=str(len(BODY)))
        visit.wfile.write(BODY if len(site.visits) == 2 else BODY[:1000])

    site.pages["/a"] = second_time_whole

    outbound.fetch(f"{site.url}/a", tmp_path / "a", limit_bytes=len(BODY), timeout_s=10, resume=False)

    assert (tmp_path / "a").read_bytes() == BODY
    assert [visit.headers["Range"] for visit in site.visits] == [None, None]


@pytest.mark.parametrize(
    ("status", "content_range"),
    [(206, "bytes 5-9/10"), (206, f"bytes 1000-1999/{len(BODY) + 1}"), (206, "nonsense"), (416, "bytes */10")],
)
def test_a_rest_that_does_not_fit_makes_it_begin_anew(
    site: Site, outbound: Outbound, tmp_path: Path, status: int, content_range: str
) -> None:
    def another_body(visit: Visit) -> None:
        if "Range" in visit.headers:
            visit.answer(status, b"other", Content_Range=content_range)
        else:
            visit.head(200, Content_Length=str(len(BODY)))
            visit.wfile.write(BODY[:1000] if len(site.visits) == 1 else BODY)

    site.pages["/a"] = another_body

    outbound.fetch(f"{site.url}/a", tmp_path / "a", limit_bytes=len(BODY), timeout_s=10)

    assert (tmp_path / "a").read_bytes() == BODY


def test_a_body_that_changed_meanwhile_begins_anew(site: Site, outbound: Outbound, tmp_path: Path) -> None:
    def changing(visit: Visit) -> None:
        if len(site.visits) == 1:
            visit.head(200, Content_Length=str(len(BODY)), ETag='"old"')
            visit.wfile.write(bytes(5000))
        else:
            visit.answer(200, b"new", ETag='"new"')

    site.pages["/a"] = changing

    fetched = outbound.fetch(f"{site.url}/a", tmp_path / "a", limit_bytes=len(BODY), timeout_s=10)

    assert (tmp_path / "a").read_bytes() == b"new"
    assert fetched.etag == '"new"'


def test_a_body_that_always_breaks_off_fails_after_some_tries(site: Site, outbound: Outbound, tmp_path: Path) -> None:
    def short(visit: Visit) -> None:
        visit.head(200, Content_Length="1000")
        visit.wfile.write(b"x")

    site.pages["/a"] = short

    with pytest.raises(FetchFailed, match="broke after 1 of 1000 bytes") as failure:
        outbound.fetch(f"{site.url}/a?secret", tmp_path / "a", limit_bytes=10_000, timeout_s=30)

    assert len(site.visits) == 5
    assert "secret" not in str(failure.value)
    assert not (tmp_path / "a").exists()


def test_a_cut_chunked_body_is_noticed(site: Site, outbound: Outbound, tmp_path: Path) -> None:
    def cut(visit: Visit) -> None:
        visit.head(200, Transfer_Encoding="chunked")
        visit.wfile.write(b"5\r\nhello\r\n")

    site.pages["/a"] = cut

    with pytest.raises(FetchFailed, match="broke"):
        outbound.fetch(f"{site.url}/a", tmp_path / "a", limit_bytes=10, timeout_s=30)


@pytest.mark.parametrize("in_head", [True, False], ids=["in the head", "in the body"])
def test_a_trickle_ends_at_the_deadline(site: Site, outbound: Outbound, tmp_path: Path, in_head: bool) -> None:
    over = threading.Event()

    def trickle(visit: Visit) -> None:
        if in_head:
            visit.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        else:
            visit.head(200, Content_Length="1000000")
        try:
            while not over.wait(0.02):
                visit.wfile.write(b"x")
                visit.wfile.flush()
        except OSError:
            pass

    site.pages["/a"] = trickle
    started = time.monotonic()

    with pytest.raises(FetchFailed, match="out of time"):
        outbound.fetch(f"{site.url}/a", tmp_path / "a", limit_bytes=10**6, timeout_s=0.5)

    over.set()
    assert time.monotonic() - started < 2


def test_a_silent_name_server_does_not_hold_a_fetch_or_a_check(tmp_path: Path) -> None:
    awake = threading.Event()

    def sleep(host: str) -> list[str]:
        awake.wait(30)
        return []

    silent = Outbound(lookup=sleep)
    started = time.monotonic()

    with pytest.raises(FetchFailed, match="no connection"):
        silent.fetch("http://files.example/", tmp_path / "a", limit_bytes=9, timeout_s=0.5)
    silent.check("http://files.example/")

    awake.set()
    assert time.monotonic() - started < 4


def test_the_next_address_is_tried_when_one_is_dead(site: Site, tmp_path: Path) -> None:
    site.pages["/a"] = lambda visit: visit.answer(200, b"x")
    both = Outbound(networks=LOOPBACK, lookup=lambda host: ["127.0.0.9", "127.0.0.1"])

    fetched = both.fetch(f"http://files.example:{site.port}/a", tmp_path / "a", limit_bytes=9, timeout_s=5)

    assert fetched.size_bytes == 1


def test_over_tls_the_certificate_must_be_of_the_host_that_was_named(
    site: Site, tmp_path: Path, certificate: trustme.LeafCert
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(tls)
    site.server.socket = tls.wrap_socket(site.server.socket, server_side=True)
    site.pages["/a"] = lambda visit: visit.answer(200, BODY)
    pinned = Outbound(networks=LOOPBACK, lookup=lambda host: ["127.0.0.1"])

    fetched = pinned.fetch(f"https://files.example:{site.port}/a", tmp_path / "a", limit_bytes=2**20, timeout_s=5)
    with pytest.raises(FetchFailed, match="no connection"):
        pinned.fetch(f"https://other.example:{site.port}/a", tmp_path / "b", limit_bytes=2**20, timeout_s=1)

    assert fetched.size_bytes == len(BODY)
    assert len(site.visits) == 1


def broken_off(at: int, **headers: str) -> Callable[[Visit], None]:
    """Sends the body up to `at` and drops the connection; serves ranges of the rest."""

    def visit_page(visit: Visit) -> None:
        if "Range" in visit.headers:
            start = int(visit.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            rest = BODY[start:]
            content_range = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
            visit.answer(206, rest, Content_Range=content_range, **headers)
        else:
            visit.head(200, Content_Length=str(len(BODY)), **headers)
            visit.wfile.write(BODY[:at])

    return visit_page
