"""Hints without a broker: how they are cut, coalesced, dropped and kept back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from shared import hints
from shared.hints import Hints, Task, chunk_size

WAIT_S = 10


class Wire:
    """What would go to the broker; it can be slow, or away."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, list[str]]] = []
        self.tries = 0
        self.error: Exception | None = None
        self.is_open = threading.Event()
        self.is_open.set()

    def send_task(self, name: str, args: list[Any]) -> None:
        self.tries += 1
        self.is_open.wait(WAIT_S)
        if self.error is not None:
            raise self.error
        self.sent.append((name, args[0] if args else []))


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def sender(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hints]:
    made = Hints("redis://127.0.0.1:1/0")
    monkeypatch.setattr(made, "_celery", wire)
    made.start()
    yield made
    wire.is_open.set()
    made.stop()


def until(condition: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        threading.Event().wait(0.005)


@pytest.mark.parametrize(
    ("rows", "size"), [(0, 1), (1, 1), (7, 1), (15, 1), (16, 2), (100, 12), (256, 32), (500, 32), (100_000, 32)]
)
def test_few_rows_go_out_one_by_one_and_many_by_the_dozen(rows: int, size: int) -> None:
    assert chunk_size(rows) == size


@pytest.mark.parametrize("rows", [0, 1, 15, 16, 33, 500])
def test_every_row_is_hinted_at_once_and_in_order(sender: Hints, wire: Wire, rows: int) -> None:
    job_ids = [f"job_{number}" for number in range(rows)]

    sender.submit(job_ids)
    sender.stop()

    assert [job_id for _, some in wire.sent for job_id in some] == job_ids
    assert {name for name, _ in wire.sent} <= {"darkroom.submit"}
    assert all(len(some) <= hints.MOST_IN_ONE for _, some in wire.sent)


def test_each_kind_of_hint_names_its_task(sender: Hints, wire: Wire) -> None:
    sender.dispatch()
    sender.submit(["job_1"])
    sender.store(["job_2"])
    sender.stop()

    assert wire.sent == [("darkroom.dispatch", []), ("darkroom.submit", ["job_1"]), ("darkroom.store", ["job_2"])]


def test_a_dispatch_that_waits_already_speaks_for_all(sender: Hints, wire: Wire) -> None:
    wire.is_open.clear()
    sender.submit(["job_1"])
    until(lambda: wire.tries == 1)

    for _ in range(100):
        sender.dispatch()
    wire.is_open.set()
    sender.stop()

    assert [name for name, _ in wire.sent] == ["darkroom.submit", "darkroom.dispatch"]


def test_a_dispatch_after_one_that_was_sent_is_sent_again(sender: Hints, wire: Wire) -> None:
    sender.dispatch()
    until(lambda: len(wire.sent) == 1)

    sender.dispatch()

    until(lambda: len(wire.sent) == 2)


def test_a_dispatch_while_one_is_being_sent_is_not_lost(sender: Hints, wire: Wire) -> None:
    wire.is_open.clear()
    sender.dispatch()
    until(lambda: wire.tries == 1)

    sender.dispatch()  # the first may have been read before our row was there
    wire.is_open.set()

    until(lambda: len(wire.sent) == 2)


def test_to_send_never_waits_and_what_is_too_much_is_dropped(
    sender: Hints, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire.is_open.clear()
    began = time.monotonic()

    for number in range(hints.WAITING_MOST + 500):
        sender.store([f"job_{number}"])

    assert time.monotonic() - began < 5
    wire.is_open.set()
    until(lambda: hints.WAITING_MOST <= len(wire.sent) <= hints.WAITING_MOST + 1)


def test_a_dispatch_that_was_dropped_does_not_silence_the_next(sender: Hints, wire: Wire) -> None:
    wire.is_open.clear()
    for number in range(hints.WAITING_MOST + 2):
        sender.store([f"job_{number}"])
    sender.dispatch()  # no room

    wire.is_open.set()
    until(lambda: len(wire.sent) > hints.WAITING_MOST)
    sender.dispatch()

    until(lambda: wire.sent[-1] == ("darkroom.dispatch", []))


def test_after_a_failure_nothing_is_sent_for_a_while(sender: Hints, wire: Wire) -> None:
    wire.error = ConnectionError("refused")
    sender.submit(["job_1"])
    until(lambda: wire.tries == 1)
    wire.error = None

    sender.submit(["job_2"])
    sender.dispatch()
    sender.stop()

    assert wire.tries == 1
    assert wire.sent == []


def test_after_that_while_hints_are_sent_again(sender: Hints, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "PAUSE_S", 0.0)
    wire.error = ConnectionError("refused")
    sender.dispatch()
    until(lambda: wire.tries == 1)
    wire.error = None

    sender.dispatch()

    until(lambda: wire.sent == [("darkroom.dispatch", [])])


def test_stop_sends_what_waits(sender: Hints, wire: Wire) -> None:
    sender.submit([f"job_{number}" for number in range(10)])

    sender.stop()

    assert len(wire.sent) == 10


def test_what_was_never_started_can_be_stopped() -> None:
    Hints("redis://127.0.0.1:1/0").stop()


def test_a_broker_that_is_not_there_costs_the_sender_nothing() -> None:
    made = Hints("redis://127.0.0.1:1/0")
    made.start()
    began = time.monotonic()

    for _ in range(50):
        made.submit(["job_1"])
    took_s = time.monotonic() - began
    made.stop()

    assert took_s < 0.5


@pytest.mark.parametrize("task", Task)
def test_every_task_has_a_queue_of_its_own_name(task: Task) -> None:
    assert hints.CELERY["task_routes"][f"darkroom.{task}"] == {"queue": task.value}
    assert task.value in [queue.name for queue in hints.CELERY["task_queues"]]


def test_hints_are_json_and_leave_no_result() -> None:
    assert hints.CELERY["accept_content"] == ["json"]
    assert hints.CELERY["task_ignore_result"] is True
    assert hints.CELERY["result_backend"] is None
    assert hints.CELERY["task_acks_late"] is False
