"""Figures of the gateway's calls, as far as they are counted in the process."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from shared.figures import BUCKETS_S, Figures


class Told:
    """Takes the place of a session: keeps what it is told."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def execute(self, _statement: object, row: dict[str, Any]) -> None:
        self.rows.append(row)


def flushed(figures: Figures) -> list[dict[str, Any]]:
    told = Told()
    figures.flush(told)  # type: ignore[arg-type]
    return told.rows


def test_calls_are_counted_by_name_and_outcome() -> None:
    figures = Figures()
    figures.add("video.create", "ok", 1.0)
    figures.add("video.create", "ok", 3.0)
    figures.add("video.create", "rate_limited", 0.1)

    rows = flushed(figures)

    assert [(row["call"], row["outcome"], row["count"], row["seconds"]) for row in rows] == [
        ("video.create", "ok", 2, 4.0),
        ("video.create", "rate_limited", 1, 0.1),
    ]


@pytest.mark.parametrize(("seconds", "first"), [(0.0, 0), (0.05, 0), (0.06, 1), (300.0, 11), (1000.0, 12)])
def test_a_call_counts_in_its_bucket_and_in_all_wider_ones(seconds: float, first: int) -> None:
    figures = Figures()
    figures.add("a.call", "ok", seconds)

    (row,) = flushed(figures)

    assert row["buckets"] == [0] * first + [1] * (len(BUCKETS_S) + 1 - first)


def test_what_was_flushed_is_not_counted_again() -> None:
    figures = Figures()
    figures.add("a.call", "ok", 1.0)
    flushed(figures)

    assert flushed(figures) == []


def test_rows_are_written_in_one_order_so_that_processes_do_not_lock_each_other_out() -> None:
    figures = Figures()
    for call in ("c", "a", "b"):
        figures.add(call, "ok", 1.0)

    assert [row["call"] for row in flushed(figures)] == ["a", "b", "c"]


def test_no_call_is_lost_when_many_threads_count() -> None:
    figures = Figures()

    def count() -> None:
        for _ in range(500):
            figures.add("a.call", "ok", 0.01)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert flushed(figures)[0]["count"] == 4000
