"""The Python client: tries that never double, errors that say what the API said, downloads that are whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.client import ApiError, Artifact, BadDownload, Darkroom, Job, Unreachable
from api.client.artifacts import CHUNK_BYTES

JOB: dict[str, Any] = {
    "id": "job_1",
    "state": "queued",
    "model": "nano-banana",
    "operation": "image.generate",
    "prompt": "a boat",
    "progress": 0,
    "artifacts": [],
    "error": None,
    "cost": {"estimated": "0.039", "currency": "USD"},
    "created_at": "2026-11-20T09:14:03.218000Z",
    "finished_at": None,
    "metadata": {},
}
CONTENT = b"\x89PNG" + b"boat" * 100_000
Answer = httpx.Response | Exception


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between tries, in place of sleeping through them."""
    slept: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", slept.append)
    return slept


class Server:
    """Gives the answers that it was handed, one after the other, and keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def client(server: Callable[[httpx.Request], httpx.Response], patience_s: float = 30) -> Darkroom:
    return Darkroom("http://darkroom.test", "dk_key", patience_s=patience_s, transport=httpx.MockTransport(server))


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
        httpx.RemoteProtocolError("cut"),
        httpx.Response(502),
        httpx.Response(503, json={"code": "unavailable"}),
        httpx.Response(429, headers={"Retry-After": "2"}),
        httpx.Response(409, headers={"Retry-After": "1"}, json={"code": "conflict"}),
    ],
    ids=repr,
)
def test_what_passes_is_tried_again_under_the_same_idempotency_key(trouble: Answer) -> None:
    server = Server(trouble, trouble, httpx.Response(201, json=JOB))

    job = client(server).jobs.create(model="nano-banana", prompt="a boat")

    assert job.id == "job_1"
    keys = {request.headers["idempotency-key"] for request in server.requests}
    assert len(server.requests) == 3
    assert len(keys) == 1


def test_two_calls_have_two_idempotency_keys_unless_the_caller_names_one() -> None:
    server = Server(httpx.Response(201, json=JOB))
    darkroom = client(server)

    darkroom.jobs.create(model="nano-banana", prompt="a boat")
    darkroom.jobs.create(model="nano-banana", prompt="a boat")
    darkroom.jobs.create(model="nano-banana", prompt="a boat", idempotency_key="mine")

    first, second, third = (request.headers["idempotency-key"] for request in server.requests)
    assert first != second
    assert third == "mine"


def test_the_pause_is_as_long_as_the_api_asks_for(pauses: list[float]) -> None:
    server = Server(httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(200, json=JOB))

    client(server).jobs.get("job_1")

    assert pauses == [7]


def test_nobody_waits_longer_than_the_client_has_patience(pauses: list[float]) -> None:
    server = Server(httpx.Response(429, headers={"Retry-After": "600"}, json={"code": "rate_limited"}))

    with pytest.raises(ApiError) as caught:
        client(server, patience_s=30).jobs.get("job_1")

    assert caught.value.code == "rate_limited"
    assert caught.value.retry_after_s == 600
    assert pauses == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
def test_an_error_that_stays_is_not_tried_again(status: int) -> None:
    server = Server(httpx.Response(status, json={"code": "some_code", "detail": "so it is"}))

    with pytest.raises(ApiError, match="so it is") as caught:
        client(server).jobs.create(model="nano-banana", prompt="a boat")

    assert caught.value.status == status
    assert len(server.requests) == 1


def test_an_error_carries_the_whole_problem() -> None:
    problem = {
        "type": "urn:darkroom:problem:invalid_request",
        "title": "Invalid request",
        "status": 400,
        "detail": "/params/seconds: seconds must be 4, 8 or 12, not 9 (model sora-2)",
        "code": "invalid_request",
        "errors": [{"pointer": "/params/seconds", "detail": "seconds must be 4, 8 or 12, not 9 (model sora-2)"}],
        "request_id": "abc",
    }
    reply = httpx.Response(400, json=problem, headers={"Content-Type": "application/problem+json"})

    with pytest.raises(ApiError) as caught:
        client(Server(reply)).jobs.create(model="sora-2", prompt="a boat", params={"seconds": 9})

    assert caught.value.problem == problem
    assert caught.value.errors == (("/params/seconds", "seconds must be 4, 8 or 12, not 9 (model sora-2)"),)
    assert caught.value.request_id == "abc"


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[1]", b'{"errors": 3}'])
def test_an_error_in_other_words_is_an_error_all_the_same(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        client(Server(httpx.Response(418, content=body, headers={"X-Request-Id": "r1"}))).jobs.get("job_1")

    assert caught.value.code == "http_418"
    assert caught.value.request_id == "r1"


@pytest.mark.parametrize("body", [b"<html>Welcome to nginx</html>", b"", b"[]"])
def test_a_server_that_is_no_darkroom_is_not_taken_for_one(body: bytes) -> None:
    with pytest.raises(Unreachable, match="not as Darkroom does"):
        client(Server(httpx.Response(200, content=body))).jobs.get("job_1")


def test_an_api_that_is_away_is_unreachable_once_patience_ends() -> None:
    server = Server(httpx.ConnectError("refused"))

    with pytest.raises(Unreachable, match=r"darkroom\.test"):
        client(server, patience_s=0).jobs.get("job_1")

    assert len(server.requests) == 1


def test_waiting_ends_when_a_job_is_held_and_nobody_would_finish_it() -> None:
    server = Server(*(httpx.Response(200, json={**JOB, "state": state}) for state in ("queued", "running", "held")))

    job = client(server).jobs.wait("job_1")

    assert job.state == "held"
    assert [request.url.params.get("wait") for request in server.requests] == [None, "15", "15"]


def test_waiting_gives_up_in_time() -> None:
    with pytest.raises(TimeoutError, match="queued"):
        client(Server(httpx.Response(200, json=JOB))).jobs.wait("job_1", timeout_s=0)


def test_all_pages_of_a_list_are_read() -> None:
    first = {"data": [JOB], "has_more": True, "next_cursor": "next"}
    second = {"data": [{**JOB, "id": "job_2"}], "has_more": False, "next_cursor": None}
    server = Server(httpx.Response(200, json=first), httpx.Response(200, json=second))

    found = [job.id for job in client(server).jobs.each(state=["queued", "running"], metadata={"sku": "A"})]

    assert found == ["job_1", "job_2"]
    assert server.requests[0].url.params.get_list("state") == ["queued", "running"]
    assert server.requests[1].url.params["cursor"] == "next"
    assert server.requests[1].url.params["metadata.sku"] == "A"


def test_events_come_oldest_first() -> None:
    newest_first = [{"id": "event_2", "type": "job.running"}, {"id": "event_1", "type": "job.created"}]
    page = {"data": newest_first, "has_more": False, "next_cursor": None}

    events = client(Server(httpx.Response(200, json=page))).jobs.events("job_1")

    assert [event.type for event in events] == ["job.created", "job.running"]


def test_an_upload_that_is_tried_again_sends_the_whole_file_again(tmp_path: Path) -> None:
    (tmp_path / "boat.png").write_bytes(CONTENT)
    server = Server(httpx.ReadError("cut"), httpx.Response(201, json={"id": "asset_1", "content_type": "image/png"}))

    asset = client(server).assets.upload(tmp_path / "boat.png")

    assert asset.id == "asset_1"
    assert all(CONTENT in request.content for request in server.requests)


def test_an_id_cannot_lead_to_another_route() -> None:
    server = Server(httpx.Response(404, json={"code": "not_found"}))

    with pytest.raises(ApiError):
        client(server).jobs.get("../api-keys?x=")

    assert server.requests[0].url.raw_path == b"/v1/jobs/..%2Fapi-keys%3Fx%3D"


@pytest.mark.parametrize("address", ["darkroom.test", "ftp://darkroom.test", "http://", "http://a:port", ""])
def test_what_cannot_be_an_address_is_said_at_once(address: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        Darkroom(address, "dk_key")


def artifact(**more: Any) -> Artifact:
    whole = {"bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
    return Artifact.read({"id": "artifact_1", "kind": "image", "content_type": "image/png", **whole, **more})


def redirecting(content: bytes) -> Callable[[httpx.Request], httpx.Response]:
    """The API, which names S3, and S3, which must not see the key."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "darkroom.test":
            assert request.headers["authorization"] == "Bearer dk_key"
            return httpx.Response(302, headers={"Location": "http://s3.test/bucket/object?X-Amz-Signature=x"})
        assert "authorization" not in request.headers
        return httpx.Response(200, content=content)

    return answer


def test_a_download_follows_to_s3_and_keeps_the_key_to_itself(tmp_path: Path) -> None:
    saved = client(redirecting(CONTENT)).artifacts.download(artifact(), tmp_path / "boat.png")

    assert saved.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [saved]


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:-1] + b"x", b""])
def test_a_download_that_is_not_the_artifact_leaves_nothing_behind(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadDownload):
        client(redirecting(content), patience_s=0).artifacts.download(artifact(), tmp_path / "boat.png")

    assert list(tmp_path.iterdir()) == []


def test_a_download_that_breaks_off_is_begun_again(tmp_path: Path) -> None:
    server = Server(httpx.ReadError("cut"), httpx.Response(200, content=CONTENT))

    saved = client(server).artifacts.download(artifact(), tmp_path / "boat.png")

    assert saved.read_bytes() == CONTENT


def breaking_off(content: bytes, status: int = 200) -> httpx.Response:
    def some() -> Iterator[bytes]:
        yield content
        raise httpx.ReadError("cut")

    return httpx.Response(status, content=some())


def ranges(server: Server) -> list[str | None]:
    return [request.headers.get("range") for request in server.requests]


def test_a_download_goes_on_where_it_broke_off_for_as_long_as_that_brings_bytes(tmp_path: Path) -> None:
    film = bytes(range(256)) * 4096
    whole = artifact(bytes=len(film), sha256=hashlib.sha256(film).hexdigest())
    first, second = CHUNK_BYTES, 3 * CHUNK_BYTES
    server = Server(
        breaking_off(film[:first]),
        breaking_off(film[first:second], 206),
        httpx.Response(206, content=film[second:]),
    )

    saved = client(server, patience_s=0).artifacts.download(whole, tmp_path / "film.mp4")

    assert saved.read_bytes() == film
    assert ranges(server) == [None, f"bytes={first}-", f"bytes={second}-"]
    assert list(tmp_path.iterdir()) == [saved]


def test_a_download_that_was_given_up_goes_on_when_it_is_asked_for_again(tmp_path: Path) -> None:
    server = Server(breaking_off(CONTENT[:CHUNK_BYTES]), httpx.ReadError("cut"))
    with pytest.raises(Unreachable):
        client(server, patience_s=0).artifacts.download(artifact(), tmp_path / "boat.png")
    left = [path.name for path in tmp_path.iterdir()]

    later = Server(httpx.Response(206, content=CONTENT[CHUNK_BYTES:]))
    saved = client(later).artifacts.download(artifact(), tmp_path / "boat.png")

    assert left == [".boat.png.part"]
    assert saved.read_bytes() == CONTENT
    assert ranges(later) == [f"bytes={CHUNK_BYTES}-"]
    assert list(tmp_path.iterdir()) == [saved]


def test_where_ranges_are_not_known_a_download_begins_anew(tmp_path: Path) -> None:
    (tmp_path / ".boat.png.part").write_bytes(CONTENT[:1000])
    server = Server(httpx.Response(200, content=CONTENT))

    saved = client(server).artifacts.download(artifact(), tmp_path / "boat.png")

    assert saved.read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"of another film", CONTENT, CONTENT + b"more"])
def test_a_part_that_is_of_no_use_is_thrown_away(tmp_path: Path, left: bytes) -> None:
    (tmp_path / ".boat.png.part").write_bytes(left)

    def answer(request: httpx.Request) -> httpx.Response:
        begin = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        return httpx.Response(206 if begin else 200, content=CONTENT[begin:])

    saved = client(answer).artifacts.download(artifact(), tmp_path / "boat.png")

    assert saved.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [saved]


def test_a_download_that_brings_nothing_new_is_given_up(tmp_path: Path) -> None:
    server = Server(httpx.ReadError("cut"))

    with pytest.raises(Unreachable):
        client(server, patience_s=0).artifacts.download(artifact(), tmp_path / "boat.png")

    assert len(server.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_held_job_is_resolved_once(pauses: list[float]) -> None:
    server = Server(httpx.ReadError("cut"), httpx.Response(200, json=JOB))

    client(server).jobs.resolve("job_1", "running", task_id="video_1")

    assert [json.loads(request.content) for request in server.requests] == [{"as": "running", "task_id": "video_1"}] * 2
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1


def test_a_job_is_read_with_units_and_without_surprises() -> None:
    raw = {**JOB, "state": "failed", "finished_at": "2026-11-20T09:14:05.718000Z", "error": {"message": "blocked"}}

    job = Job.read(json.loads(json.dumps({**raw, "field_of_a_later_release": 1})))

    assert job.is_final
    assert job.seconds == 2.5
    assert str(job.cost_usd) == "0.039"
    assert job.why == "blocked"
