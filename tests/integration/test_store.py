"""From a result at the gateway to artifacts in S3: what is whole and of the right kind, once, and then `succeeded`."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

import pytest
from PIL import Image
from sqlalchemy.exc import OperationalError
from sqlmodel import col, func, update

from shared import claims, ids, media, policy, storage
from shared.catalog.operations.table import OPERATIONS
from shared.errors import ObjectMissing, WrongMedia
from shared.figures import Figures
from shared.lifecycle import Cause, State
from shared.settings import Settings
from shared.storage import Store
from shared.tables import Job
from tests import factories, rows
from tests.sandbox import SandboxServer
from workers import poll, store, submit
from workers.gateway.client import Gateway
from workers.ports import Ports
from workers.spool import Spool


def png(color: str = "teal", side: int = 32) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), color).save(file, "PNG")
    return file.getvalue()


class Shelf(ThreadingHTTPServer):
    """Serves what is put on it, and keeps every request line with its headers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Visitor)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.came: list[tuple[str, dict[str, str]]] = []
        self.let_go = threading.Event()
        self.let_go.set()

    def put(self, path: str, body: bytes = b"", status: int = 200, **headers: str) -> str:
        self.answers[path] = (status, headers, body)
        return self.url + path


class Visitor(BaseHTTPRequestHandler):
    server: Shelf

    def do_GET(self) -> None:
        self.server.came.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.server.let_go.wait(30)
        status, headers, body = self.server.answers.get(self.path, (404, {}, b"nothing here"))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    server = Shelf()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.let_go.set()
    server.shutdown()
    server.server_close()


def produced(ports: Ports, *sources: dict[str, str], kind: str = "image", **columns: Any) -> Job:
    """A result that is to be stored, one output with these sources."""
    with ports.transaction() as session:
        operation = "video.create" if kind == "video" else "image.generate"
        values = {"due_at": func.now(), "operation": operation, **columns}
        job = factories.job(session, state=State.STORING, **values)
        factories.result(session, job, outputs=[{"kind": kind, "sources": list(sources)}])
    return job


def store_again(ports: Ports, job: Job) -> Job:
    """Store it now, whenever it is due; the row afterwards."""
    with ports.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(due_at=func.now()))
    store.store([job.id], ports)
    return rows.read(ports, job)


def finished(ports: Ports, *tags: str, operation: str = "video.create") -> Job:
    """A task of the sandbox that is done, and to be stored."""
    job = rows.make(ports, operation=operation, prompt=rows.prompt(*tags))
    submit.submit([job.id], ports)
    with ports.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(due_at=func.now()))
    poll.poll(ports)
    assert rows.read(ports, job).state is State.STORING, rows.read(ports, job).state_reason
    return job


def content_of(ports: Ports, key: str) -> bytes:
    with ports.store.open(key) as opened:
        return b"".join(opened)


# What is stored.


@pytest.mark.parametrize(
    ("operation", "kind", "content_type"),
    [("video.create", "video", "video/mp4"), ("midjourney.imagine", "image", "image/png")],
)
def test_a_result_is_in_s3_measured_and_hashed_before_the_job_has_succeeded(
    ports: Ports, operation: str, kind: str, content_type: str
) -> None:
    job = finished(ports, operation=operation)

    row = store_again(ports, job)

    (artifact,) = rows.artifacts(ports, job)
    content = content_of(ports, artifact.object_key)
    head = ports.store.head(artifact.object_key)
    assert (row.state, row.claimed_by, row.progress) == (State.SUCCEEDED, None, 100)
    assert (artifact.kind, artifact.content_type, head.content_type) == (kind, content_type, content_type)
    assert artifact.size_bytes == head.size_bytes == len(content)
    assert artifact.sha256 == hashlib.sha256(content).hexdigest()
    assert artifact.width
    assert artifact.height
    assert (artifact.duration_seconds is not None) == (kind == "video")
    assert head.metadata == {"job": job.id, "model": job.model, "attempt": "1", "index": "0"}
    assert artifact.object_key == storage.artifact_key(job.project_id, job.id, 1, 0, artifact.object_key[-3:])


@pytest.mark.parametrize("operation", ["video.create", "midjourney.imagine"])
def test_a_result_has_a_small_picture_beside_it(ports: Ports, operation: str) -> None:
    job = finished(ports, operation=operation)

    store_again(ports, job)

    (artifact,) = rows.artifacts(ports, job)
    assert artifact.thumbnail_key is not None
    with Image.open(io.BytesIO(content_of(ports, artifact.thumbnail_key))) as small:
        assert small.format == "JPEG"
        assert max(small.size) <= 512


def test_the_want_of_a_small_picture_is_no_reason_to_lose_what_it_is_of(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> bool:
        raise WrongMedia("it cannot be decoded")

    monkeypatch.setattr(media, "thumbnail", cannot)
    job = finished(ports)

    row = store_again(ports, job)

    assert row.state is State.SUCCEEDED
    assert rows.artifacts(ports, job)[0].thumbnail_key is None


@pytest.mark.parametrize("variant", ["content", "video_url", "late_url", "fail_reason_url", "data_uri", "content_json"])
def test_a_film_is_found_wherever_the_gateway_says_that_it_is(ports: Ports, variant: str) -> None:
    job = finished(ports, f"variant={variant}")

    assert store_again(ports, job).state is State.SUCCEEDED, rows.read(ports, job).state_reason


def test_many_outputs_are_stored_in_their_order(homely: Ports, shelf: Shelf) -> None:
    with homely.transaction() as session:
        job = factories.job(session, state=State.STORING, due_at=func.now())
        outputs = [
            {"kind": "image", "sources": [{"url": shelf.put(f"/{color}", png(color))}]} for color in ("red", "blue")
        ]
        factories.result(session, job, outputs=outputs)

    store_again(homely, job)

    stored = [content_of(homely, artifact.object_key) for artifact in rows.artifacts(homely, job)]
    assert stored == [png("red"), png("blue")]


# What is not.


@pytest.mark.parametrize("content", ["html", "json", "wrong_kind", "corrupt", "empty"])
def test_what_is_not_the_media_that_it_should_be_is_given_up_after_some_tries(ports: Ports, content: str) -> None:
    job = finished(ports, f"content={content}")

    states = [store_again(ports, job).state for _ in range(policy.STORE_TRIES["wrong_media"])]

    assert states == [State.STORING] * (len(states) - 1) + [State.FAILED]
    error = rows.error(ports, job)
    assert (error["class"], error["code"], error["retryable"]) == ("storage", "wrong_media", False)
    assert rows.artifacts(ports, job) == []
    assert rows.causes(ports, job)[-1] == Cause.UNSTORABLE
    assert rows.result(ports, job).outputs


@pytest.mark.parametrize(("content", "tries"), [("truncated", 60), ("403", 10), ("404", 10), ("502", 20)])
def test_what_cannot_be_fetched_whole_is_tried_more_often(ports: Ports, content: str, tries: int) -> None:
    job = finished(ports, f"content={content}", operation="midjourney.imagine")

    first = store_again(ports, job)
    with ports.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(store_tries=tries - 1))
    last = store_again(ports, job)

    assert (first.state, first.store_tries, first.claimed_by) == (State.STORING, 1, None)
    assert last.state is State.FAILED
    assert rows.error(ports, job)["code"] == "fetch_failed"


def test_what_is_cut_once_is_whole_in_the_end(ports: Ports) -> None:
    job = finished(ports, "content=truncated content_times=1")

    row = store_again(ports, job)

    assert row.state is State.SUCCEEDED, row.state_reason


@pytest.mark.parametrize("content", ["html", "404"])
def test_what_is_wrong_for_a_while_is_stored_once_it_is_right(ports: Ports, content: str) -> None:
    job = finished(ports, f"content={content} content_times=2", operation="midjourney.imagine")

    states = [store_again(ports, job).state for _ in range(3)]

    assert states[-1] is State.SUCCEEDED


def test_what_is_too_large_is_given_up_at_once_and_nothing_is_kept(ports: Ports) -> None:
    small = replace(ports, settings=ports.settings.model_copy(update={"result_limit_bytes": 2**20}))
    job = finished(ports, "pad_mb=3")

    row = store_again(small, job)

    assert row.state is State.FAILED
    assert "larger than" in (row.state_reason or "")
    assert rows.error(ports, job)["retryable"] is False


def test_a_slow_source_is_waited_for_and_keeps_no_other_of_its_hint_waiting(homely: Ports, shelf: Shelf) -> None:
    shelf.let_go.clear()
    slow = produced(homely, {"url": shelf.put("/slow", png())})
    with Shelf() as other:
        threading.Thread(target=other.serve_forever, args=(0.05,), daemon=True).start()
        quick = [produced(homely, {"url": other.put("/quick", png())}) for _ in range(3)]

        with ThreadPoolExecutor(1) as thread:
            thread.submit(store.store, [slow.id, *(job.id for job in quick)], homely)
            for job in quick:
                rows.until_state(homely, job, State.SUCCEEDED)
            assert rows.read(homely, slow).state is State.STORING
            shelf.let_go.set()
        other.shutdown()

    assert rows.read(homely, slow).state is State.SUCCEEDED


def test_the_next_source_is_tried_when_the_first_has_nothing(homely: Ports, shelf: Shelf) -> None:
    first, second = shelf.put("/page", b"<html>Link expired</html>"), shelf.put("/picture", png())
    job = produced(homely, {"url": shelf.url + "/gone"}, {"url": first}, {"url": second})

    assert store_again(homely, job).state is State.SUCCEEDED
    assert [path for path, _ in shelf.came] == ["/gone", "/page", "/picture"]


def test_a_json_answer_that_says_where_the_film_is_is_followed_once(homely: Ports, shelf: Shelf) -> None:
    there = shelf.put("/again", b'{"url": "' + shelf.url.encode() + b'/again"}')
    job = produced(homely, {"url": there})

    row = store_again(homely, job)

    assert row.state is State.STORING
    assert [path for path, _ in shelf.came] == ["/again", "/again"]


def test_a_private_address_that_the_gateway_names_is_not_called(ports: Ports, shelf: Shelf) -> None:
    job = produced(ports, {"url": shelf.put("/picture", png())})

    row = store_again(ports, job)

    assert row.state is State.FAILED
    assert rows.error(ports, job)["code"] == "unsafe_address"
    assert shelf.came == []


@pytest.mark.parametrize("outputs", [None, []])
def test_a_job_of_which_nobody_knows_where_its_result_is_never_succeeds(ports: Ports, outputs: Any) -> None:
    with ports.transaction() as session:
        job = factories.job(session, state=State.STORING, due_at=func.now())
        factories.result(session, job, outputs=outputs)

    states = [store_again(ports, job).state for _ in range(3)]

    assert states[-1] is State.FAILED
    assert rows.error(ports, job)["code"] == "result_missing"


def test_the_outputs_of_another_attempt_are_not_this_ones(homely: Ports, shelf: Shelf) -> None:
    job = produced(homely, {"url": shelf.put("/picture", png())})
    with homely.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(attempt=2))

    assert store_again(homely, job).state is State.STORING
    assert rows.artifacts(homely, job) == []


# Addresses, byte for byte, and who may see the key.


SIGNED = "/f%2Fo/%7Efilm.png?X-Amz-Signature=ab%2bcd%2F==&empty=&plus=a+b&tilde=~&q=%e4"


def test_a_signed_address_is_called_byte_for_byte_and_never_with_the_key(homely: Ports, shelf: Shelf) -> None:
    job = produced(homely, {"url": shelf.put(SIGNED, png())})

    assert store_again(homely, job).state is State.SUCCEEDED, rows.read(homely, job).state_reason
    ((path, headers),) = shelf.came
    assert path == SIGNED
    assert "authorization" not in headers
    assert not any("sk-" in value for value in headers.values())


@pytest.fixture
def at_shelf(ports: Ports, shelf: Shelf) -> Iterator[Ports]:
    """A process whose gateway is the shelf."""
    gateway = Gateway(shelf.url, "sk-the-key", Figures())
    yield replace(ports, gateways=factories.gateways(gateway))
    gateway.stop()


@pytest.mark.parametrize("form", ["path", "url"])
def test_the_gateways_own_signed_address_is_called_byte_for_byte_and_with_the_key(
    at_shelf: Ports, shelf: Shelf, form: str
) -> None:
    shelf.put(SIGNED, png())
    job = produced(at_shelf, {form: SIGNED if form == "path" else shelf.url + SIGNED})

    assert store_again(at_shelf, job).state is State.SUCCEEDED, rows.read(at_shelf, job).state_reason
    ((path, headers),) = shelf.came
    assert path == SIGNED
    assert headers["authorization"] == "Bearer sk-the-key"


def test_where_the_gateway_redirects_to_its_storage_the_key_does_not_go(at_shelf: Ports, shelf: Shelf) -> None:
    homely = replace(at_shelf, outbound=replace(at_shelf.outbound, networks=(ip_network("127.0.0.0/8"),)))
    with Shelf() as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, args=(0.05,), daemon=True).start()
        shelf.put("/v1/videos/1/content", status=302, Location=elsewhere.put(SIGNED, png()))
        job = produced(homely, {"path": "/v1/videos/1/content"})

        row = store_again(homely, job)
        elsewhere.shutdown()

    assert row.state is State.SUCCEEDED, row.state_reason
    ((path, headers),) = elsewhere.came
    assert path == SIGNED
    assert "authorization" not in headers


def test_where_the_gateway_redirects_to_a_private_address_nobody_goes(at_shelf: Ports, shelf: Shelf) -> None:
    with Shelf() as elsewhere:
        shelf.put("/content", status=302, Location=f"{elsewhere.url}/latest/meta-data")
        job = produced(at_shelf, {"path": "/content"})

        row = store_again(at_shelf, job)

        assert elsewhere.came == []
    assert row.state is State.FAILED
    assert rows.error(at_shelf, job)["code"] == "unsafe_address"


# S3 and the database away.


def test_while_s3_is_away_a_result_waits_and_is_stored_later_without_paying_again(
    ports: Ports, settings: Settings, sandbox: SandboxServer
) -> None:
    gone = Store.from_settings(settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"}))
    away = replace(ports, store=gone)
    prompt = rows.prompt("variant=b64_json")
    job = rows.make(ports, prompt=prompt)

    submit.submit([job.id], away)
    waiting = rows.read(ports, job)
    with ports.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(store_tries=10_000))
    much_later = store_again(away, job)
    gone.close()
    row = store_again(ports, job)

    assert (waiting.state, waiting.store_tries, waiting.claimed_by) == (State.STORING, 0, None)
    assert waiting.waits == 1  # no try of the result was used up
    assert "S3 does not take it" in (waiting.state_reason or "")
    assert much_later.state is State.STORING
    assert (row.state, row.state_reason) == (State.SUCCEEDED, None)
    assert len(sandbox.ledger(prompt=prompt.split(" [[")[0])) == 1


def test_a_disk_that_is_full_is_waited_for(homely: Ports, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> Any:
        raise OSError(28, "No space left on device")

    job = produced(homely, {"url": shelf.put("/picture", png())}, store_tries=1000)
    with monkeypatch.context() as patched:
        patched.setattr(Spool, "passing", full)
        row = store_again(homely, job)

    assert row.state is State.STORING
    assert "No space left" in (row.state_reason or "")
    assert store_again(homely, job).state is State.SUCCEEDED


class Trouble(Exception):
    """Nobody thought of this."""


def test_a_surprise_is_tried_again_often_but_not_for_ever(
    homely: Ports, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> Any:
        raise Trouble

    monkeypatch.setattr(media, "expect", fails)
    first, last = (produced(homely, {"url": shelf.put("/p", png())}, store_tries=tries) for tries in (0, 19))

    assert store_again(homely, first).state is State.STORING
    assert store_again(homely, last).state is State.FAILED
    assert rows.error(homely, last)["code"] == "store_failed"


def test_one_surprise_of_a_hint_leaves_the_others_alone_and_nothing_claimed(
    homely: Ports, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [produced(homely, {"url": shelf.put("/p", png())}) for _ in range(3)]
    keep_all = store._keep_all

    def sometimes(claim: claims.Claim, row: store.Row, ports: Ports) -> Any:
        if claim.job_id == jobs[0].id:
            raise OperationalError("SELECT", {}, Exception("gone"))
        return keep_all(claim, row, ports)

    monkeypatch.setattr(store, "_keep_all", sometimes)

    store.store([job.id for job in jobs], homely)

    states = [rows.read(homely, job) for job in jobs]
    assert [row.state for row in states] == [State.STORING, State.SUCCEEDED, State.SUCCEEDED]
    assert {row.claimed_by for row in states} == {None}


# Once.


def test_to_store_twice_is_to_store_once(homely: Ports, shelf: Shelf) -> None:
    job = produced(homely, {"url": shelf.put("/picture", png())})
    many = [replace(homely, process_id=ids.new("process")) for _ in range(4)]
    known = [factories.claim(job, by=one.process_id, holder=one.process_id) for one in many]

    with ThreadPoolExecutor(len(many)) as threads:
        list(threads.map(store.store_claimed, known, many))

    (artifact,) = rows.artifacts(homely, job)
    assert rows.read(homely, job).state is State.SUCCEEDED
    assert rows.causes(homely, job) == [Cause.STORED]
    assert content_of(homely, artifact.object_key) == png()


def test_what_was_canceled_while_it_was_stored_stays_so_and_is_kept_as_late(homely: Ports, shelf: Shelf) -> None:
    shelf.let_go.clear()
    job = produced(homely, {"url": shelf.put("/picture", png())})

    with ThreadPoolExecutor(1) as thread:
        storing = thread.submit(store.store, [job.id], homely)
        rows.until(lambda: shelf.came)
        with homely.transaction() as session:
            claim = claims.read(session, job.id)
            assert claim is not None
            claims.move(session, claim, Cause.CANCELED)
        shelf.let_go.set()
        storing.result(30)

    assert rows.read(homely, job).state is State.CANCELED
    assert [artifact.attempt for artifact in rows.artifacts(homely, job)] == [1]


def test_a_hint_at_what_is_not_to_be_stored_does_nothing(ports: Ports) -> None:
    job = rows.make(ports, state=State.RUNNING)

    assert store.store([job.id, ids.new("job")], ports) == 0
    assert rows.read(ports, job).state is State.RUNNING


def test_a_process_that_stops_stores_nothing_more(homely: Ports, shelf: Shelf) -> None:
    job = produced(homely, {"url": shelf.put("/picture", png())})
    stopping = replace(homely, stopping=threading.Event())
    stopping.stopping.set()

    assert store.store([job.id], stopping) == 0
    assert rows.read(homely, job).claimed_by is None


# The spool.


def kept(ports: Ports) -> list[str]:
    return sorted(path.name for path in ports.spool._kept.iterdir())


def in_hand(ports: Ports, content: bytes, **columns: Any) -> Job:
    """A result whose bytes came with the gateway's answer."""
    job = produced(ports, spool_host=ports.spool.name, **columns)
    name = ports.spool.keep(job.id, 1, 0, content)
    with ports.transaction() as session:
        row = session.get_one(type(rows.result(ports, job)), job.id)
        row.outputs = [{"kind": "image", "sources": [{"spool": name}]}]
    return job


def test_a_result_in_hand_is_dropped_from_the_spool_once_it_is_stored(ports: Ports) -> None:
    job = in_hand(ports, png())
    before = kept(ports)

    store_again(ports, job)

    assert before == [f"{job.id}-1-0"]
    assert kept(ports) == []
    assert content_of(ports, rows.artifacts(ports, job)[0].object_key) == png()


def test_a_result_in_hand_that_is_no_picture_is_dropped_once_it_is_given_up(ports: Ports) -> None:
    job = in_hand(ports, b"not a picture")

    states = [(store_again(ports, job).state, kept(ports)) for _ in range(policy.STORE_TRIES["wrong_media"])]

    assert states == [(State.STORING, [f"{job.id}-1-0"])] * (len(states) - 1) + [(State.FAILED, [])]


def test_who_ends_with_one_attempt_does_not_drop_what_is_in_hand_of_the_next(ports: Ports) -> None:
    job = in_hand(ports, png())
    second = ports.spool.keep(job.id, 2, 0, png("red"))

    store_again(ports, job)

    assert kept(ports) == [second]


def test_a_result_in_hand_that_has_gone_is_given_up_in_the_end(ports: Ports) -> None:
    job = in_hand(ports, png())
    ports.spool.drop(job.id, 1)

    states = [store_again(ports, job).state for _ in range(3)]

    assert states[-1] is State.FAILED
    assert rows.error(ports, job)["code"] == "result_missing"


def test_a_result_in_hand_is_left_to_those_who_have_it(ports: Ports, tmp_path: Any) -> None:
    job = in_hand(ports, png())
    elsewhere = replace(ports, spool=Spool(tmp_path / "another"))

    assert store_again(elsewhere, job).state is State.STORING
    assert rows.read(ports, job).store_tries == 0
    assert store_again(ports, job).state is State.SUCCEEDED


def test_a_spool_keeps_its_name_with_its_folder(tmp_path: Any) -> None:
    with ThreadPoolExecutor(8) as threads:
        names = set(threads.map(lambda _: Spool(tmp_path / "one").name, range(8)))

    assert len(names) == 1
    assert Spool(tmp_path / "one").name in names
    assert Spool(tmp_path / "two").name not in names


def test_no_download_is_left_behind(homely: Ports, shelf: Shelf) -> None:
    for body in (png(), b"<html></html>"):
        store_again(homely, produced(homely, {"url": shelf.put("/x", body)}))

    assert list(homely.spool._passing.iterdir()) == []


def test_what_is_not_in_s3_is_told_as_that(ports: Ports) -> None:
    with pytest.raises(ObjectMissing):
        ports.store.head("projects/nobody/x.png")


def test_a_result_in_words_succeeds_without_an_artifact(ports: Ports) -> None:
    words = replace(OPERATIONS["image.generate"], gives="text")
    ports = replace(ports, catalog=replace(ports.catalog, operations={"image.generate": words}))
    with ports.transaction() as session:
        job = factories.job(session, state=State.STORING, due_at=func.now(), operation="image.generate")
        factories.result(session, job, outputs=[], result={"text": "a boat"})

    store.store([job.id], ports)

    assert rows.read(ports, job).state is State.SUCCEEDED
    assert rows.artifacts(ports, job) == []
