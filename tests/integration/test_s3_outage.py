"""While S3 is away: results are fetched before their links expire, stay on the disk, and are stored when it is back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.config import Config
from sqlmodel import col, func, update

from shared import claims
from shared.errors import StorageUnavailable
from shared.lifecycle import Cause, State
from shared.settings import Settings
from shared.storage import Store
from shared.tables import Job
from tests import factories, rows
from tests.integration.test_store import Shelf, content_of, kept, png, produced, shelf, store_again
from tests.relay import Relay
from workers import outage as looks
from workers import store as storing
from workers.outage import LEAST_FREE_BYTES, LONG_S, Outage
from workers.ports import Ports

__all__ = ["shelf"]  # a fixture

HASTY = Config(connect_timeout=1, read_timeout=1, retries={"max_attempts": 0})


@pytest.fixture
def nowhere(settings: Settings) -> Iterator[Store]:
    """An S3 that refuses connections."""
    made = Store.from_settings(settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"}), HASTY)
    yield made
    made.close()


@pytest.fixture
def away(homely: Ports, nowhere: Store) -> Ports:
    return replace(homely, store=nowhere)


def sources(ports: Ports, job: Job) -> list[list[dict[str, str]]]:
    return [output["sources"] for output in rows.result(ports, job).outputs or []]


def many(ports: Ports, shelf: Shelf, *colors: str, **columns: Any) -> Job:
    """Several pictures behind links."""
    with ports.transaction() as session:
        job = factories.job(session, state=State.STORING, due_at=func.now(), **columns)
        outputs = [{"kind": "image", "sources": [{"url": shelf.put(f"/{color}", png(color))}]} for color in colors]
        factories.result(session, job, outputs=outputs)
    return job


def known_away(ports: Ports) -> Outage:
    """What a process knows whose looks at S3 have failed for long."""
    times = iter([0.0])
    outage = Outage(lambda: next(times, LONG_S + 1))
    outage.note("connection refused", is_s3=True)
    return outage


class Failing(Store):
    """Takes so many objects, and no more."""

    def __init__(self, real: Store, takes: int) -> None:
        self._real = real
        self.left = takes
        self.tries = 0

    def put_file(self, *given: Any, **named: Any) -> Any:
        self.tries += 1
        self.left -= 1
        if self.left < 0:
            raise StorageUnavailable("S3 broke off")
        return self._real.put_file(*given, **named)

    def download(self, *given: Any) -> Any:
        return self._real.download(*given)

    def delete(self, key: str) -> None:
        self._real.delete(key)


def test_a_result_whose_link_expires_while_s3_is_away_is_stored_after(homely: Ports, away: Ports, shelf: Shelf) -> None:
    link = shelf.put("/picture", png())
    job = produced(homely, {"url": link})

    waiting = store_again(away, job)
    shelf.answers.clear()
    still = store_again(away, job)
    places = sources(homely, job)
    row = store_again(homely, job)

    assert (waiting.state, waiting.spool_host, waiting.store_tries) == (State.STORING, homely.spool.name, 0)
    assert (still.state, still.waits) == (State.STORING, 2)
    assert places == [[{"spool": f"{job.id}-1-0"}, {"url": link}]]
    assert row.state is State.SUCCEEDED, row.state_reason
    assert content_of(homely, rows.artifacts(homely, job)[0].object_key) == png()
    assert [path for path, _ in shelf.came] == ["/picture"]
    assert kept(homely) == []
    assert list(homely.spool._passing.iterdir()) == []


def test_a_result_is_kept_as_well_when_s3_hangs(homely: Ports, settings: Settings, shelf: Shelf) -> None:
    job = produced(homely, {"url": shelf.put("/picture", png())})
    address = urlsplit(settings.s3_endpoint_url)
    with Relay(address.hostname or "", address.port or 80) as relay:
        there = settings.model_copy(update={"s3_endpoint_url": f"http://127.0.0.1:{relay.port}"})
        hanging = Store.from_settings(there, HASTY)
        relay.freeze()
        waiting = store_again(replace(homely, store=hanging), job)
        shelf.answers.clear()
        relay.thaw()
        row = store_again(replace(homely, store=hanging), job)
        hanging.close()

    assert (waiting.state, waiting.spool_host) == (State.STORING, homely.spool.name)
    assert row.state is State.SUCCEEDED, row.state_reason


def test_all_outputs_are_fetched_while_s3_is_away_and_each_once(homely: Ports, away: Ports, shelf: Shelf) -> None:
    colors = ("red", "green", "blue")
    job = many(homely, shelf, *colors)

    store_again(away, job)
    store_again(away, job)
    shelf.answers.clear()
    row = store_again(homely, job)

    assert row.state is State.SUCCEEDED, row.state_reason
    assert [path for path, _ in shelf.came] == ["/red", "/green", "/blue"]
    stored = [content_of(homely, one.object_key) for one in rows.artifacts(homely, job)]
    assert stored == [png(color) for color in colors]


def test_what_s3_took_before_it_failed_needs_no_link_any_more(homely: Ports, store: Store, shelf: Shelf) -> None:
    job = many(homely, shelf, "red", "blue")

    broken = Failing(store, takes=2)  # the first picture and its small one
    store_again(replace(homely, store=broken), job)
    first, second = sources(homely, job)
    shelf.answers.clear()
    row = store_again(homely, job)

    assert set(first[0]) == {"object"}
    assert second[0] == {"spool": f"{job.id}-1-1"}
    assert row.state is State.SUCCEEDED, row.state_reason
    assert [content_of(homely, one.object_key) for one in rows.artifacts(homely, job)] == [png("red"), png("blue")]


def test_what_is_in_s3_needs_no_link_when_another_output_cannot_be_fetched(homely: Ports, shelf: Shelf) -> None:
    job = many(homely, shelf, "red", "blue")
    del shelf.answers["/blue"]

    waiting = store_again(homely, job)
    shelf.answers.clear()
    shelf.put("/blue", png("blue"))
    row = store_again(homely, job)

    assert (waiting.store_tries, waiting.spool_host) == (1, None)
    assert row.state is State.SUCCEEDED, row.state_reason
    assert [content_of(homely, one.object_key) for one in rows.artifacts(homely, job)] == [png("red"), png("blue")]


def test_an_s3_that_is_known_to_be_away_is_not_tried_and_links_are_followed(
    homely: Ports, store: Store, shelf: Shelf
) -> None:
    job = produced(homely, {"url": shelf.put("/picture", png())})
    never = Failing(store, takes=0)

    row = store_again(replace(homely, store=never, outage=known_away(homely)), job)

    assert never.tries == 0
    assert (row.state, row.spool_host) == (State.STORING, homely.spool.name)
    assert row.state_reason == "S3 does not take it: connection refused"


def test_a_full_disk_of_ours_keeps_nobody_from_storing(homely: Ports, shelf: Shelf) -> None:
    job = produced(homely, {"url": shelf.put("/picture", png())})
    outage = Outage(lambda: 0.0)
    outage.note("the disk of the spool has 5 bytes left")

    assert not outage.is_s3_away
    assert store_again(replace(homely, outage=outage), job).state is State.SUCCEEDED


def test_where_the_disk_has_no_room_the_link_alone_is_kept_and_the_row_says_so(
    homely: Ports, away: Ports, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homely.spool, "free_bytes", lambda: LEAST_FREE_BYTES - 1)
    link = shelf.put("/picture", png())
    job = produced(homely, {"url": link})

    row = store_again(away, job)

    assert (row.state, row.spool_host) == (State.STORING, None)
    assert (row.state_reason or "").endswith(
        "of 1 outputs only the links are kept, since the disk of the spool is nearly full"
    )
    assert sources(homely, job) == [[{"url": link}]]
    assert kept(homely) == []
    assert store_again(homely, job).state is State.SUCCEEDED


def test_what_cannot_be_fetched_while_s3_is_away_uses_up_no_try(homely: Ports, away: Ports, shelf: Shelf) -> None:
    job = many(homely, shelf, "red", "blue", store_tries=59)
    del shelf.answers["/blue"]

    row = store_again(away, job)

    assert (row.state, row.store_tries) == (State.STORING, 59)
    assert "of 1 outputs only the links are kept" in (row.state_reason or "")
    assert kept(homely) == [f"{job.id}-1-0"]


def test_what_is_no_picture_is_not_kept_in_its_place(homely: Ports, away: Ports, shelf: Shelf) -> None:
    job = many(homely, shelf, "red", "blue")
    shelf.put("/blue", b"<html>Bad gateway</html>")

    store_again(away, job)

    assert kept(homely) == [f"{job.id}-1-0"]


@pytest.mark.parametrize("cause", [Cause.CANCELED, None], ids=["canceled", "taken by another"])
def test_who_does_not_hold_the_job_any_more_changes_no_place(
    homely: Ports, away: Ports, shelf: Shelf, cause: Cause | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = shelf.put("/picture", png())
    job = produced(homely, {"url": link})
    put: Callable[..., Any] = storing._put

    def meanwhile(claim: claims.Claim, *rest: Any) -> Any:
        with homely.transaction() as session:
            if cause is None:
                session.execute(update(Job).where(col(Job.id) == job.id).values(claimed_by=None))
            else:
                claims.move(session, claim, cause)
        return put(claim, *rest)

    monkeypatch.setattr(storing, "_put", meanwhile)

    store_again(away, job)

    assert sources(homely, job) == [[{"url": link}]]
    assert rows.read(homely, job).spool_host is None


def test_a_fresh_look_finds_s3_away_and_then_back(homely: Ports, away: Ports) -> None:
    times = [0.0]
    at_away = replace(away, outage=Outage(lambda: times[0]), wake_dispatch=lambda: None)

    looks.look(at_away)
    times[0] = LONG_S
    long = at_away.outage.is_s3_away
    looks.look(replace(at_away, store=homely.store))

    assert long
    assert not at_away.outage.is_s3_away
