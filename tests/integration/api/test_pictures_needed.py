"""What cannot be made without a picture is refused before there is a job."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.integration.api.said import pointers, problem

FRAME = "https://pictures.example/frame.png"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"model": "veo3-frames"}, "must be 1 to 2, not 0 (model veo3-frames)"),
        ({"model": "veo3.1-components", "operation": "video.chat"}, "must be 1 to 3, not 0 (model veo3.1-components)"),
        ({"model": "midjourney-video"}, "needs either these or task_id"),
        (
            {"model": "midjourney-video", "params": {"task_id": "1"}, "inputs": {"images": [FRAME]}},
            "needs either these or task_id",
        ),
    ],
    ids=["frames", "components", "no first frame", "a first frame and a film"],
)
def test_a_job_without_the_picture_that_it_needs_is_not_made(
    api: httpx.Client, body: dict[str, Any], told: str
) -> None:
    response = api.post("/v1/jobs", json={"prompt": "the boat sets sail", **body})

    problem(response, 400, "invalid_request")
    assert pointers(response) == ["/inputs/images"]
    assert told in response.json()["errors"][0]["detail"]
    assert api.get("/v1/jobs").json()["data"] == []


@pytest.mark.parametrize(("model", "least"), [("veo3-frames", 1), ("veo3.1", 0), ("veo3.1-components-4k", 1)])
def test_a_model_tells_how_many_pictures_it_needs(api: httpx.Client, model: str, least: int) -> None:
    listed = {one["id"]: one for one in api.get("/v1/models").json()["data"]}

    assert listed[model]["inputs"]["images"]["min"] == least
