"""The gateway client against real sockets that misbehave: money hangs on what each failure proves."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.errors import FetchFailed
from shared.figures import Figures
from shared.gateway.request import Ambiguous, NotSent, Part, Reply, Request, Response
from workers.gateway import client as gateway
from workers.gateway.client import Gateway, Moved

KEY = "sk-the-key"
OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'
WAIT_S = 20

Behaviour = Callable[[socket.socket, bytes], None]


class Peer:
    """A server on a socket of its own: reads a request, and then does as it is told."""

    def __init__(self, *behaviours: Behaviour, reads: bool = True) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._behaviours = behaviours
        self._reads = reads
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            number, self.connections = self.connections, self.connections + 1
            behaviour = self._behaviours[min(number, len(self._behaviours) - 1)]
            threading.Thread(target=self._answer, args=(connection, behaviour), daemon=True).start()

    def _answer(self, connection: socket.socket, behaviour: Behaviour) -> None:
        try:
            request = read_request(connection) if self._reads else b""
            self.requests.append(request)
            behaviour(connection, request)
        except OSError:
            pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()
        self._thread.join(5)


def read_request(connection: socket.socket) -> bytes:
    content = b""
    while b"\r\n\r\n" not in content:
        content += connection.recv(65536)
    head, _, body = content.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def says(answer: bytes) -> Behaviour:
    def behave(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)

    return behave


def resets() -> Behaviour:
    def behave(connection: socket.socket, _request: bytes) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    return behave


def resets_after(answer: bytes) -> Behaviour:
    def behave(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(answer)
        threading.Event().wait(0.2)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    return behave


def hangs(connection: socket.socket, _request: bytes) -> None:
    connection.recv(1)  # until the client gives up


def trickles(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(600):
        connection.sendall(b" ")
        threading.Event().wait(0.05)


@contextmanager
def peer(*behaviours: Behaviour, reads: bool = True) -> Iterator[Peer]:
    made = Peer(*behaviours, reads=reads)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def client(base_url: str) -> Iterator[Gateway]:
    made = Gateway(base_url, KEY, Figures())
    try:
        yield made
    finally:
        made.stop()


def pay(base_url: str, **fields: object) -> Reply:
    request = Request("POST", "/v1/pay", **{"json": {"a": 1}, "timeout_s": 1.0, "name": "a.call", **fields})  # type: ignore[arg-type]
    with client(base_url) as made:
        return made.start(request).result(WAIT_S)


# What a failure proves.


def test_a_port_that_nobody_listens_on_was_surely_not_reached() -> None:
    with peer(hangs) as there:
        pass

    assert isinstance(pay(there.url), NotSent)


def test_a_name_that_leads_nowhere_was_surely_not_reached() -> None:
    assert isinstance(pay("http://no-such-host.invalid"), NotSent)


def test_a_host_that_does_not_take_the_connection_was_surely_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "CONNECT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())

        reply = pay(f"http://127.0.0.1:{full.getsockname()[1]}")

        for one in waiting:
            one.close()
    assert isinstance(reply, NotSent), reply


def test_a_peer_that_does_not_speak_tls_was_surely_not_sent_anything() -> None:
    with peer(says(OK), reads=False) as there:
        reply = pay(there.url.replace("http://", "https://"))

    assert isinstance(reply, NotSent), reply


def test_an_address_that_is_none_was_surely_not_reached() -> None:
    assert isinstance(pay("ftp://127.0.0.1"), NotSent)


def test_a_connection_that_is_reset_at_once_is_never_taken_for_an_answer() -> None:
    with peer(resets(), reads=False) as there:
        reply = pay(there.url)

        assert there.connections <= 1
    # The reset may come while the client still connects: then it has sent nothing, and says so.
    assert isinstance(reply, Ambiguous | NotSent), reply


@pytest.mark.parametrize(
    ("behaviour", "reads"),
    [
        (resets(), True),
        (says(b""), True),
        (says(b"HTTP/1.1 200 OK\r\nContent-Le"), True),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"), True),
        (says(OK[:-3]), True),
        (resets_after(OK[:-3]), True),
        (resets_after(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"), True),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}"), True),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"), True),
        (says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"), True),
        (says(b"this is no HTTP at all\r\n\r\n"), True),
        (hangs, True),
        (hangs, False),
        (says(b"HTTP/1.1 100 Continue\r\n\r\n"), True),
    ],
    ids=[
        "reset after it was read",
        "closed without an answer",
        "closed within the headers",
        "closed after the headers",
        "closed within the body",
        "reset within the body",
        "reset after the headers",
        "closed within a chunk",
        "a chunk that is none",
        "an encoding that is none",
        "another protocol",
        "silent after it was read",
        "silent and unread",
        "told to go on and left alone",
    ],
)
def test_whatever_happens_once_there_is_a_connection_leaves_it_open_whether_it_was_paid_for(
    behaviour: Behaviour, reads: bool
) -> None:
    with peer(behaviour, reads=reads) as there:
        reply = pay(there.url)

        assert there.connections == 1, "a call that could be paid for was sent twice"
    assert isinstance(reply, Ambiguous), reply


def test_an_answer_that_trickles_is_cut_off_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "CONNECT_S", 0.2)
    monkeypatch.setattr(gateway, "WRITE_S", 0.2)
    began = time.monotonic()

    with peer(trickles) as there:
        reply = pay(there.url, timeout_s=0.2)

    assert isinstance(reply, Ambiguous)
    assert time.monotonic() - began < 5


def test_an_answer_that_is_too_large_is_not_read_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "REPLY_LIMIT_BYTES", 1000)
    with peer(says(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + bytes(1001))) as there:
        reply = pay(there.url)

    assert isinstance(reply, Ambiguous)
    assert "larger than 1000 bytes" in reply.reason


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed_with_the_key(status: int) -> None:
    with peer(says(OK)) as elsewhere:
        moved = f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere.url}/v1/pay\r\nContent-Length: 0\r\n\r\n".encode()
        with peer(says(moved)) as there:
            reply = pay(there.url)

        assert elsewhere.connections == 0
    assert isinstance(reply, Response)
    assert reply.status == status


@pytest.mark.parametrize("status", [200, 202, 400, 401, 404, 429, 500, 502, 503, 524])
def test_every_status_is_an_answer(status: int) -> None:
    with peer(
        says(f"HTTP/1.1 {status} So\r\nX-Oneapi-Request-Id: abc\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    ) as it:
        reply = pay(it.url)

    assert isinstance(reply, Response)
    assert (reply.status, reply.json(), reply.request_id) == (status, {}, "abc")


def test_a_surprise_is_not_known_to_be_unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def surprise(*_: object) -> Reply:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(Gateway, "_reply", surprise)

    assert pay("http://127.0.0.1:1") == Ambiguous("RuntimeError")


def test_why_it_failed_is_told_without_the_key() -> None:
    with peer(hangs) as there:
        pass

    reply = pay(there.url)

    assert isinstance(reply, NotSent)
    assert KEY not in reply.reason
    assert reply.reason


# What is sent.


def test_a_paid_call_carries_the_key_and_its_body() -> None:
    with peer(says(OK)) as there:
        reply = pay(there.url)

    (request,) = there.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert reply == Response(200, {"content-type": "application/json", "content-length": "11"}, b'{"ok":true}')
    assert head.startswith(b"POST /v1/pay HTTP/1.1\r\n")
    assert f"authorization: bearer {KEY}".encode() in head.lower()
    assert body == b'{"a":1}'


def test_a_call_says_what_its_protocol_wants_and_the_key_besides() -> None:
    with peer(says(OK)) as there:
        pay(there.url, headers={"anthropic-version": "2023-06-01"})

    head = there.requests[0].partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nanthropic-version: 2023-06-01\r\n" in head + b"\r\n"
    assert f"authorization: bearer {KEY}".encode() in head


def test_a_form_without_a_file_is_multipart_too() -> None:
    with peer(says(OK)) as there:
        pay(there.url, json=None, form={"model": "sora-2", "prompt": "ein Boot, größer"})

    head, _, body = there.requests[0].partition(b"\r\n\r\n")
    assert b"multipart/form-data" in head
    assert 'name="prompt"\r\n\r\nein Boot, größer\r\n'.encode() in body
    assert b"filename" not in body


def test_files_go_with_their_names_and_types() -> None:
    picture = Part("image", "images-0.png", "image/png", b"\x89PNG...")
    with peer(says(OK)) as there:
        pay(there.url, json=None, form={"model": "m"}, files=(picture,))

    body = there.requests[0]
    assert b'name="image"; filename="images-0.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG...' in body
    assert b'name="model"' in body


def test_each_paid_call_has_a_fresh_connection_and_looks_share_one() -> None:
    def answers(connection: socket.socket, _request: bytes) -> None:
        while True:
            connection.sendall(OK)
            read_request(connection)

    with peer(answers) as there, client(there.url) as made:
        for _ in range(3):
            made.start(Request("POST", "/v1/pay", json={}, timeout_s=2)).result(WAIT_S)
        paid = there.connections
        for _ in range(3):
            made.look(Request("GET", "/v1/look", timeout_s=2)).result(WAIT_S)

        assert (paid, there.connections - paid) == (3, 1)


def test_a_look_is_over_after_its_time_whatever_comes() -> None:
    began = time.monotonic()

    with peer(trickles) as there, client(there.url) as made:
        reply = made.look(Request("GET", "/v1/look", timeout_s=0.3)).result(WAIT_S)

    assert isinstance(reply, Ambiguous)
    assert time.monotonic() - began < 3


def test_one_call_that_hangs_keeps_no_other_waiting() -> None:
    with peer(hangs, says(OK)) as there, client(there.url) as made:
        hanging = made.start(Request("POST", "/v1/pay", json={}, timeout_s=30))
        while there.connections < 1:
            threading.Event().wait(0.01)

        quick = made.start(Request("POST", "/v1/pay", json={}, timeout_s=30)).result(WAIT_S)

        assert isinstance(quick, Response)
        assert not hanging.done()


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (says(OK), "ok"),
        (says(b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n"), "rate_limited"),
        (says(b""), "unknown_outcome"),
    ],
)
def test_calls_are_counted_by_how_they_ended(behaviour: Behaviour, outcome: str) -> None:
    figures = Figures()
    with peer(behaviour) as there:
        made = Gateway(there.url, KEY, figures)
        made.start(Request("POST", "/v1/pay", json={}, timeout_s=1, name="a.call")).result(WAIT_S)
        made.stop()

    assert list(figures._counts) == [("a.call", outcome)]


# Addresses at the gateway.


@pytest.mark.parametrize(
    ("url", "is_own"),
    [
        ("https://gate.example/v1/videos/1/content", True),
        ("https://gate.example:443/x", True),
        ("https://GATE.example/x", True),
        ("https://gate.example./x", True),
        ("http://gate.example/x", False),
        ("https://gate.example:8443/x", False),
        ("https://gate.example.evil.example/x", False),
        ("https://evil.example/gate.example", False),
        ("https://gate.example@evil.example/x", False),
        ("https://cdn.gate.example/x", False),
    ],
)
def test_only_the_gateways_own_origin_may_see_the_key(url: str, is_own: bool) -> None:
    with client("https://gate.example") as made:
        assert made.is_own(url) == is_own


@pytest.mark.parametrize(
    ("base_url", "url", "path"),
    [
        ("https://gate.example", "https://gate.example/a%2Fb?X-Sig=%7e+%20/&c=d", "/a%2Fb?X-Sig=%7e+%20/&c=d"),
        ("https://gate.example/api", "https://gate.example/api/v1/x?y=1", "/v1/x?y=1"),
        ("https://gate.example", "https://gate.example", "/"),
    ],
)
def test_a_path_at_the_gateway_is_kept_byte_for_byte(base_url: str, url: str, path: str) -> None:
    with client(base_url) as made:
        assert made.own_path(url) == path


# Downloads.

BODY = bytes(range(256)) * 400


def answer(status: int, body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def fetch(there: Peer, to: Path, path: str = "/v1/videos/1/content", limit: int = 10**7, timeout_s: float = 10) -> int:
    with client(there.url) as made:
        return made.download(path, to, limit, timeout_s).size_bytes


def test_a_download_carries_the_key_and_asks_for_the_bytes_as_they_are(tmp_path: Path) -> None:
    with peer(says(answer(200, BODY, "Content-Type: video/mp4"))) as there:
        size_bytes = fetch(there, tmp_path / "film", "/a%2Fb?X-Sig=%7e+%20/")

    head = there.requests[0]
    assert (size_bytes, (tmp_path / "film").read_bytes()) == (len(BODY), BODY)
    assert head.startswith(b"GET /a%2Fb?X-Sig=%7e+%20/ HTTP/1.1\r\n")
    assert f"Bearer {KEY}".encode() in head
    assert b"Accept-Encoding: identity" in head


def test_a_download_that_breaks_goes_on_where_it_broke(tmp_path: Path) -> None:
    half = len(BODY) // 2
    rest = answer(206, BODY[half:], f"Content-Range: bytes {half}-{len(BODY) - 1}/{len(BODY)}")
    with peer(says(answer(200, BODY[:half], length=len(BODY))), says(rest)) as there:
        fetch(there, tmp_path / "film")

    assert (tmp_path / "film").read_bytes() == BODY
    assert f"Range: bytes={half}-".encode() in there.requests[1]


def test_a_download_begins_anew_where_the_gateway_knows_no_ranges(tmp_path: Path) -> None:
    with peer(says(answer(200, BODY[:1000], length=len(BODY))), says(answer(200, BODY))) as there:
        fetch(there, tmp_path / "film")

    assert (tmp_path / "film").read_bytes() == BODY


def test_another_part_than_was_asked_for_is_not_put_behind_what_is_there(tmp_path: Path) -> None:
    wrong = answer(206, BODY, f"Content-Range: bytes 0-{len(BODY) - 1}/{len(BODY)}")
    with peer(says(answer(200, BODY[:1000], length=len(BODY))), says(wrong), says(answer(200, BODY))) as there:
        fetch(there, tmp_path / "film")

    assert (tmp_path / "film").read_bytes() == BODY


def test_a_download_that_keeps_breaking_fails_and_leaves_nothing(tmp_path: Path) -> None:
    with peer(says(answer(200, BODY[:10], length=len(BODY)))) as there, pytest.raises(FetchFailed):
        fetch(there, tmp_path / "film")

    assert there.connections == gateway.DOWNLOAD_TRIES
    assert not (tmp_path / "film").exists()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 503])
def test_another_status_is_told_at_once(tmp_path: Path, status: int) -> None:
    with peer(says(answer(status, b"no"))) as there, pytest.raises(FetchFailed) as caught:
        fetch(there, tmp_path / "film", "/x?sig=secret")

    assert caught.value.status == status
    assert "secret" not in str(caught.value)
    assert there.connections == 1
    assert not (tmp_path / "film").exists()


@pytest.mark.parametrize("chunked", [False, True])
def test_what_is_larger_than_allowed_is_cut_off(tmp_path: Path, chunked: bool) -> None:
    chunk = f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n0\r\n\r\n"
    whole = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk if chunked else answer(200, BODY)
    with peer(says(whole)) as there, pytest.raises(FetchFailed) as caught:
        fetch(there, tmp_path / "film", limit=len(BODY) - 1)

    assert caught.value.too_large
    assert not (tmp_path / "film").exists()


def test_a_download_that_is_elsewhere_is_told_and_the_key_stays_here(tmp_path: Path) -> None:
    with peer(says(answer(200, BODY))) as elsewhere:
        with (
            peer(says(answer(302, b"", f"Location: {elsewhere.url}/film?sig=1"))) as there,
            pytest.raises(Moved) as caught,
        ):
            fetch(there, tmp_path / "film")

        assert elsewhere.connections == 0
    assert caught.value.location == f"{elsewhere.url}/film?sig=1"


def test_a_download_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    began = time.monotonic()

    with peer(trickles) as there, pytest.raises(FetchFailed, match="not whole after"):
        fetch(there, tmp_path / "film", timeout_s=0.3)

    assert time.monotonic() - began < 5
    assert not (tmp_path / "film").exists()


def test_a_disk_that_is_full_is_no_fault_of_the_gateway(tmp_path: Path) -> None:
    full = tmp_path / "film"
    full.symlink_to("/dev/full")  # what is removed afterwards is the link

    with peer(says(answer(200, BODY))) as there, pytest.raises(OSError, match="No space left"):
        fetch(there, full)

    assert not full.is_symlink()
