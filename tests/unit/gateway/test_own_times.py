"""What a finished task tells of its own times."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.gateway.adapters import videos
from shared.gateway.adapters.midjourney import looks
from shared.gateway.outcome import Produced
from shared.gateway.request import Response


def film(**fields: Any) -> Produced:
    body = {"id": "v_1", "status": "completed", "video_url": "https://cdn.example/v.mp4", **fields}
    seen = videos.read_look(Response(200, {}, json.dumps(body).encode()))
    assert isinstance(seen, Produced)
    return seen


def picture(**fields: Any) -> Produced:
    body = {"id": "1", "status": "SUCCESS", "imageUrl": "https://cdn.example/a.png", **fields}
    seen = looks.PICTURES.read(Response(200, {}, json.dumps(body).encode()), "1")
    assert isinstance(seen, Produced)
    return seen


@pytest.mark.parametrize(
    "times",
    [
        {"created_at": 1772620000, "completed_at": 1772620155},
        {"created": 1772620000, "completed_at": 1772620155},
        {"created_at": 1772620000, "finished_at": 1772620155},
        {"submit_time": 1772620000, "finish_time": 1772620155},
        {"created_at": 1772620000000, "completed_at": 1772620155000},
    ],
)
def test_a_film_tells_how_long_it_took(times: dict[str, int]) -> None:
    assert film(**times).took_s == 155


@pytest.mark.parametrize("finish", [1772611248731])
def test_a_midjourney_task_tells_it_in_milliseconds(finish: int) -> None:
    assert picture(submitTime=1772611200345, finishTime=finish).took_s == pytest.approx(48.386)


@pytest.mark.parametrize(
    "times",
    [
        {},
        {"created_at": 1772620000},
        {"created_at": 1772620000, "completed_at": None},
        {"created_at": 1772620000, "completed_at": 0},
        {"created_at": 1772620155, "completed_at": 1772620000},
        {"created_at": "yesterday", "completed_at": "today"},
        {"created_at": True, "completed_at": 1772620155},
        {"created_at": float("nan"), "completed_at": 1772620155},
    ],
)
def test_times_that_make_no_sense_are_no_times(times: dict[str, Any]) -> None:
    assert film(**times).took_s is None


def test_two_films_that_are_the_same_are_equal_however_long_they_took() -> None:
    assert film(created_at=1772620000, completed_at=1772620155) == film()
