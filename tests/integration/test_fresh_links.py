"""Links that have expired: the task is asked where its result is now, before the result is given up."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image
from sqlmodel import col, func, update

from shared.credentials import CREDENTIAL
from shared.gateway.request import Reply, Request, Response
from shared.lifecycle import State
from shared.settings import Settings
from shared.storage import Store
from shared.tables import Job
from tests import factories, rows
from tests.integration.test_store import Shelf, content_of, finished, png, shelf, store_again
from tests.sandbox import SandboxServer
from workers import poll, submit
from workers.gateway.client import Gateway
from workers.ports import Ports

__all__ = ["shelf"]  # a fixture


class Said(Gateway):
    """The sandbox's downloads, and looks that are answered from a list, the last one again and again."""

    def __init__(self, ports: Ports, *replies: Reply) -> None:
        self._real = ports.gateways.of(CREDENTIAL)
        self._replies = list(replies)
        self.asked: list[Request] = []

    def look(self, request: Request) -> Future[Reply]:
        self.asked.append(request)
        reply: Future[Reply] = Future()
        reply.set_result(self._replies[min(len(self.asked), len(self._replies)) - 1])
        return reply

    def is_own(self, url: str) -> bool:
        return self._real.is_own(url)

    def own_path(self, url: str) -> str:
        return self._real.own_path(url)

    def url_of(self, path: str) -> str:
        return self._real.url_of(path)

    def download(self, *given: Any) -> Any:
        return self._real.download(*given)


def answered(http_status: int = 200, **body: Any) -> Response:
    return Response(http_status, {}, json.dumps(body).encode())


MISSING = answered(404, error={"message": "Invalid URL (GET /v1/videos/v)", "type": "invalid_request_error"})


def task(ports: Ports, *urls: str, operation: str = "midjourney.imagine", **columns: Any) -> Job:
    """A finished task whose outputs were at these addresses, one each."""
    with ports.transaction() as session:
        values = {"due_at": func.now(), "operation": operation, "upstream_task_id": "1772612000888063", **columns}
        job = factories.job(session, state=State.STORING, **values)
        kind = "image" if operation.startswith("midjourney") else "video"
        outputs = [{"kind": kind, "sources": [{"url": url}]} for url in urls]
        factories.result(session, job, outputs=outputs, result={"seed": "7"})
    return job


def picture(*urls: str) -> Response:
    """What Midjourney says of a finished task, whose tiles are at these addresses."""
    tiles = {"imageUrls": [{"url": url} for url in urls[1:]]} if len(urls) > 1 else {}
    return answered(id="1772612000888063", status="SUCCESS", progress="100%", imageUrl=urls[0], **tiles)


def sources(ports: Ports, job: Job) -> list[list[dict[str, str]]]:
    """Where the row says that the outputs are."""
    return [output["sources"] for output in rows.result(ports, job).outputs or []]


# At the sandbox.


GONE = "whose content is gone"


@pytest.fixture
def gone(sandbox: SandboxServer) -> Iterator[None]:
    """Films of these tests are nowhere but at their own links."""
    rule = {"match": {"route": "videos.content", "prompt_contains": GONE}, "do": {"fail": "502"}}
    sandbox.script([rule])
    yield
    sandbox.forget()


def film(ports: Ports, tags: str) -> Job:
    """A finished film of the sandbox that is to be stored, looked at as often as that takes."""
    job = rows.make(ports, operation="video.create", prompt=f"{rows.prompt(tags)} {GONE}")
    submit.submit([job.id], ports)
    for _ in range(3):
        with ports.transaction() as session:
            session.execute(update(Job).where(col(Job.id) == job.id).values(due_at=func.now()))
        poll.poll(ports)
        if rows.read(ports, job).state is State.STORING:
            break
    assert rows.read(ports, job).state is State.STORING, rows.read(ports, job).state_reason
    return job


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize("query", ["both", "videos", "generations"])
def test_a_film_whose_link_has_expired_is_stored_from_a_fresh_one(ports: Ports, query: str) -> None:
    variant = "sibling" if query == "generations" else "video_url"
    job = film(ports, f"variant={variant} stale_links=1 query={query}")
    before = sources(ports, job)

    row = store_again(ports, job)

    assert row.state is State.SUCCEEDED, row.state_reason
    assert sources(ports, job) != before
    assert len(rows.artifacts(ports, job)) == 1


@pytest.mark.usefixtures("gone")
def test_a_film_of_which_no_link_works_is_tried_again_later_with_fresh_ones_each_time(ports: Ports) -> None:
    job = film(ports, "variant=video_url stale_links=3")

    tries = [store_again(ports, job) for _ in range(3)]

    assert [row.state for row in tries] == [State.STORING, State.STORING, State.SUCCEEDED]
    assert tries[1].store_tries == 2


def test_content_is_tried_before_the_task_is_asked(ports: Ports, sandbox: SandboxServer) -> None:
    job = finished(ports, "variant=video_url stale_links=1")
    looks = sandbox.requests()["calls"]["videos.fetch"]

    row = store_again(ports, job)

    assert row.state is State.SUCCEEDED
    assert sandbox.requests()["calls"]["videos.fetch"] == looks


# Elsewhere.


def test_a_result_that_is_gone_is_fetched_from_where_its_task_says_now(homely: Ports, shelf: Shelf) -> None:
    job = task(homely, shelf.put("/old", status=403))
    asking = Said(homely, picture(shelf.put("/new?sig=a%2Fb", png())))

    row = store_again(replace(homely, gateways=factories.gateways(asking)), job)

    assert row.state is State.SUCCEEDED, row.state_reason
    assert [path for path, _ in shelf.came] == ["/old", "/new?sig=a%2Fb"]
    assert [request.path for request in asking.asked] == ["/mj/task/1772612000888063/fetch"]
    assert asking.asked[0].timeout_s == homely.settings.poll_timeout_s
    assert sources(homely, job)[0][0] == {"url": f"{shelf.url}/new?sig=a%2Fb"}
    assert rows.result(homely, job).result == {"seed": "7"}


@pytest.mark.parametrize(
    ("status", "body"), [(404, b""), (410, b""), (200, b"<html>Link expired</html>"), (200, b""), (500, b"")]
)
def test_whatever_is_wrong_with_all_places_the_task_is_asked(
    homely: Ports, shelf: Shelf, status: int, body: bytes
) -> None:
    job = task(homely, shelf.put("/old", body, status))

    row = store_again(
        replace(homely, gateways=factories.gateways(Said(homely, picture(shelf.put("/new", png()))))), job
    )

    assert row.state is State.SUCCEEDED, row.state_reason


def test_a_task_is_asked_once_for_all_its_outputs(homely: Ports, shelf: Shelf) -> None:
    job = task(homely, *(shelf.url + f"/gone-{number}" for number in range(4)), operation="midjourney.video")
    fresh = [shelf.put(f"/{number}.mp4", b"not a film") for number in range(4)]
    asking = Said(homely, answered(id="1", status="SUCCESS", videoUrls=[{"url": url} for url in fresh]))

    row = store_again(replace(homely, gateways=factories.gateways(asking)), job)

    assert row.state is State.STORING
    assert len(asking.asked) == 1


def test_outputs_that_are_still_there_stay_where_they_are(homely: Ports, shelf: Shelf) -> None:
    job = task(homely, shelf.put("/0", png("red")), shelf.url + "/gone", shelf.put("/2", png("blue")))
    with homely.transaction() as session:
        kept = session.get_one(type(rows.result(homely, job)), job.id)
        kept.outputs = [*(kept.outputs or []), {"kind": "text", "sources": [{"url": shelf.put("/words", b"{}")}]}]
    asking = Said(homely, picture(shelf.put("/a", png()), shelf.put("/b", png("teal")), shelf.put("/c", png())))

    row = store_again(replace(homely, gateways=factories.gateways(asking)), job)

    assert row.state is State.SUCCEEDED, row.state_reason
    stored = [content_of(homely, artifact.object_key) for artifact in rows.artifacts(homely, job)]
    assert stored == [png("red"), png("teal"), png("blue"), b"{}"]
    assert sources(homely, job)[3] == [{"url": f"{shelf.url}/words"}]


@pytest.mark.parametrize(
    "reply",
    [
        answered(id="1", status="IN_PROGRESS"),
        answered(id="1", status="FAILURE", failReason="expired"),
        answered(429),
        Response(200, {}, b"<html>"),
        MISSING,
    ],
    ids=["running", "failed", "429", "page", "missing"],
)
def test_a_task_that_names_no_place_changes_nothing(homely: Ports, shelf: Shelf, reply: Reply) -> None:
    job = task(homely, shelf.url + "/gone")
    before = sources(homely, job)

    row = store_again(replace(homely, gateways=factories.gateways(Said(homely, reply))), job)

    assert (row.state, row.store_tries) == (State.STORING, 1)
    assert "answered 404" in (row.state_reason or "")
    assert sources(homely, job) == before


@pytest.mark.parametrize(
    ("reply", "error_class", "code"),
    [
        (answered(id="1", status="FAILURE", failReason="expired"), "task_failed", "task_failed"),
        (
            answered(id="1", status="FAILURE", failReason="blocked by the AI moderator"),
            "content_policy",
            "content_policy",
        ),
    ],
)
def test_a_task_that_says_now_that_it_failed_ends_its_job_after_some_minutes_and_is_not_paid_for_again(
    homely: Ports, shelf: Shelf, reply: Reply, error_class: str, code: str
) -> None:
    job = task(homely, shelf.url + "/gone")
    asking = replace(homely, gateways=factories.gateways(Said(homely, reply)))

    first = store_again(asking, job)
    with homely.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(store_tries=9))
    last = store_again(asking, job)

    assert (first.state, first.store_tries) == (State.STORING, 1)
    assert "its task says now that it failed" in (first.state_reason or "")
    assert last.state is State.FAILED
    error = rows.error(homely, job)
    assert (error["class"], error["code"], error["retryable"]) == (error_class, code, False)
    assert "answered 404" in error["message"]


def test_what_the_gateway_withholds_is_given_up_within_the_hour(ports: Ports, gone: None) -> None:
    job = film(ports, "variant=content")
    with ports.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(store_tries=18))

    tries = [store_again(ports, job) for _ in range(2)]

    assert [row.state for row in tries] == [State.STORING, State.FAILED]
    error = rows.error(ports, job)
    assert (error["class"], error["code"], error["retryable"]) == ("storage", "fetch_failed", False)
    assert "answered 502" in error["message"]


def test_the_same_place_again_is_not_tried_twice(homely: Ports, shelf: Shelf) -> None:
    job = task(homely, shelf.url + "/gone")

    store_again(replace(homely, gateways=factories.gateways(Said(homely, picture(shelf.url + "/gone")))), job)

    assert [path for path, _ in shelf.came] == ["/gone"]


def test_a_film_is_asked_for_at_its_other_route_where_the_first_does_not_know_it(homely: Ports, shelf: Shelf) -> None:
    job = task(homely, shelf.url + "/gone", operation="video.create")
    asking = Said(homely, MISSING, answered(id="v", status="queued"))

    store_again(replace(homely, gateways=factories.gateways(asking)), job)

    paths = [request.path for request in asking.asked]
    assert paths == ["/v1/videos/1772612000888063", "/v1/video/generations/1772612000888063"]


def test_bytes_that_come_with_the_answer_are_stored_and_leave_nothing_behind(
    homely: Ports, shelf: Shelf, sandbox: SandboxServer
) -> None:
    whole = finished(homely, "variant=data_uri")
    store_again(homely, whole)
    film = content_of(homely, rows.artifacts(homely, whole)[0].object_key)
    job = task(homely, shelf.url + "/gone", operation="video.create")
    data_url = f"data:video/mp4;base64,{base64.b64encode(film).decode()}"
    asking = Said(homely, answered(id="v", status="completed", metadata={"url": data_url}))

    row = store_again(replace(homely, gateways=factories.gateways(asking)), job)

    assert row.state is State.SUCCEEDED, row.state_reason
    assert content_of(homely, rows.artifacts(homely, job)[0].object_key) == film
    assert list(homely.spool._kept.iterdir()) == []


def test_a_place_that_was_named_is_where_the_next_try_begins(
    homely: Ports, shelf: Shelf, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homely.spool, "free_bytes", lambda: 0)  # else the file itself is kept
    away = Store.from_settings(settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"}))
    job = task(homely, shelf.url + "/gone")
    asking = Said(homely, picture(shelf.put("/new", png())))

    waiting = store_again(replace(homely, gateways=factories.gateways(asking), store=away), job)
    away.close()
    row = store_again(replace(homely, gateways=factories.gateways(asking)), job)

    assert (waiting.state, waiting.store_tries) == (State.STORING, 0)
    assert row.state is State.SUCCEEDED
    assert [path for path, _ in shelf.came] == ["/gone", "/new", "/new"]
    assert len(asking.asked) == 1


@pytest.mark.parametrize("columns", [{"upstream_task_id": None}, {"operation": "image.edit"}])
def test_what_no_task_made_is_not_asked_about(homely: Ports, shelf: Shelf, columns: dict[str, Any]) -> None:
    job = task(homely, shelf.url + "/gone", **columns)
    asking = Said(homely, picture(shelf.put("/new", png())))

    row = store_again(replace(homely, gateways=factories.gateways(asking)), job)

    assert row.state is State.STORING
    assert asking.asked == []


def test_what_is_too_large_is_not_asked_about(homely: Ports, shelf: Shelf) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((1200, 1200), 90).save(buffer, "PNG")
    job = task(homely, shelf.put("/large", buffer.getvalue()))
    small = homely.settings.model_copy(update={"result_limit_bytes": 2**20})
    asking = Said(homely, picture(shelf.put("/new", png())))

    row = store_again(replace(homely, gateways=factories.gateways(asking), settings=small), job)

    assert row.state is State.FAILED
    assert asking.asked == []


def test_a_task_does_not_speak_for_another_attempt(homely: Ports, shelf: Shelf) -> None:
    job = task(homely, shelf.url + "/gone")
    asking = Said(homely, picture(shelf.put("/new", png())))

    class Meanwhile(Said):
        def look(self, request: Request) -> Future[Reply]:
            with homely.transaction() as session:
                kept = session.get_one(type(rows.result(homely, job)), job.id)
                kept.attempt = 2
            return asking.look(request)

    store_again(replace(homely, gateways=factories.gateways(Meanwhile(homely))), job)

    assert sources(homely, job) == [[{"url": f"{shelf.url}/gone"}]]
