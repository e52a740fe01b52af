"""Downloads from the gateway that are cut: where they go on, and when they are whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import FetchFailed
from tests.integration.test_gateway_client import BODY, Peer, answer, fetch, peer, says
from workers.gateway import client as gateway

ETAG = 'ETag: "one"'


def part(start: int, end: int, *headers: str, total: int | str = len(BODY), length: int | None = None) -> bytes:
    """The bytes of a film from one place to another, of which `length` are announced."""
    content_range = f"Content-Range: bytes {start}-{end - 1}/{total}"
    return answer(206, BODY[start:end], content_range, *headers, length=length)


def chunked(body: bytes, *headers: str) -> bytes:
    """An answer without a length, properly ended."""
    head = "\r\n".join(["HTTP/1.1 200 X", "Transfer-Encoding: chunked", *headers, "", ""]).encode()
    return head + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"


def ranges(there: Peer) -> list[bytes | None]:
    """What each request asked for."""
    lines = [request.split(b"\r\n") for request in there.requests]
    return [next((line[13:] for line in one if line.startswith(b"Range: bytes=")), None) for one in lines]


def test_a_film_that_is_cut_again_and_again_is_whole_in_the_end(tmp_path: Path) -> None:
    size = len(BODY) // 10
    first = answer(200, BODY[:size], length=len(BODY))
    rest = [part(at, at + size, length=len(BODY) - at) for at in range(size, len(BODY), size)]
    with peer(says(first), *(says(one) for one in rest)) as there:
        fetch(there, tmp_path / "film")

    assert (tmp_path / "film").read_bytes() == BODY
    assert ranges(there) == [None, *(f"{at}-".encode() for at in range(size, len(BODY), size))]
    assert len(rest) > gateway.DOWNLOAD_TRIES


def test_a_download_is_given_up_once_it_has_come_no_further_for_some_tries(tmp_path: Path) -> None:
    first, second = answer(200, BODY[:1000], length=len(BODY)), part(1000, 2000, length=len(BODY) - 1000)
    nothing = part(2000, 2000, length=len(BODY) - 2000)
    with peer(says(first), says(second), says(nothing)) as there, pytest.raises(FetchFailed):
        fetch(there, tmp_path / "film")

    assert there.connections == 1 + gateway.DOWNLOAD_TRIES
    assert not (tmp_path / "film").exists()


def test_a_film_without_a_length_is_asked_for_more_until_there_is_none(tmp_path: Path) -> None:
    half = len(BODY) // 2
    with peer(says(chunked(BODY[:half])), says(part(half, len(BODY)))) as there:
        size_bytes = fetch(there, tmp_path / "film")

    assert size_bytes == len(BODY)
    assert (tmp_path / "film").read_bytes() == BODY
    assert ranges(there) == [None, f"{half}-".encode()]


@pytest.mark.parametrize(
    "no_more",
    [
        answer(416, b"", f"Content-Range: bytes */{len(BODY)}"),
        answer(200, BODY),
        answer(404, b"gone"),
        answer(302, b"", "Location: https://elsewhere.example/"),
        part(0, len(BODY)),
    ],
    ids=["416", "200", "404", "302", "another part"],
)
def test_a_film_without_a_length_is_whole_where_the_gateway_has_no_more_of_it(tmp_path: Path, no_more: bytes) -> None:
    with peer(says(chunked(BODY)), says(no_more)) as there:
        assert fetch(there, tmp_path / "film") == len(BODY)

    assert (tmp_path / "film").read_bytes() == BODY
    assert there.connections <= 2


def test_a_film_whose_end_cannot_be_asked_for_is_taken_as_it_came(tmp_path: Path) -> None:
    def hangs_up(connection: object, _request: bytes) -> None:
        connection.close()  # type: ignore[attr-defined]

    with peer(says(chunked(BODY)), hangs_up) as there:
        assert fetch(there, tmp_path / "film") == len(BODY)


def test_nothing_at_all_is_not_asked_for_more_of(tmp_path: Path) -> None:
    with peer(says(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")) as there:
        assert fetch(there, tmp_path / "film") == 0

    assert there.connections == 1


def test_a_rest_of_another_length_makes_it_begin_anew(tmp_path: Path) -> None:
    first = answer(200, BODY[:1000], length=len(BODY))
    with peer(says(first), says(part(1000, 2000, total=2000)), says(answer(200, BODY))) as there:
        fetch(there, tmp_path / "film")

    assert (tmp_path / "film").read_bytes() == BODY
    assert ranges(there) == [None, b"1000-", None]


def test_a_place_that_the_gateway_has_not_makes_it_begin_anew(tmp_path: Path) -> None:
    first = answer(200, BODY[:1000], length=len(BODY))
    with peer(says(first), says(answer(416, b"")), says(answer(200, BODY))) as there:
        fetch(there, tmp_path / "film")

    assert (tmp_path / "film").read_bytes() == BODY
    assert ranges(there) == [None, b"1000-", None]


@pytest.mark.parametrize(("etag", "asks"), [('"one"', True), ('W/"one"', False), (None, False)])
def test_a_rest_is_asked_for_of_the_same_film_alone_where_that_can_be_told(
    tmp_path: Path, etag: str | None, asks: bool
) -> None:
    headers = [f"ETag: {etag}"] if etag else []
    first = answer(200, BODY[:1000], *headers, length=len(BODY))
    with peer(says(first), says(part(1000, len(BODY)))) as there:
        fetch(there, tmp_path / "film")

    assert (tmp_path / "film").read_bytes() == BODY
    assert (b'If-Range: "one"' in there.requests[1]) == asks
