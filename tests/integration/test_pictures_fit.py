"""A picture that its endpoint would refuse is made to fit before anything is paid for, and the job's events say so."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image
from sqlmodel import col, select

from shared.lifecycle import Cause, State
from shared.tables import Event
from tests import rows
from workers import submit
from workers.ports import Ports


def data_url(form: str, size: tuple[int, int]) -> str:
    file = io.BytesIO()
    Image.new("RGB", size, "orange").save(file, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


@pytest.mark.parametrize(
    ("operation", "model", "form", "size", "told"),
    [
        ("image.gemini", "nano-banana", "AVIF", (64, 48), "image/png, 64x48"),
        ("image.chat", "nano-banana", "PNG", (5000, 50), "image/png, 4096x41"),
        ("midjourney.imagine", "midjourney", "GIF", (64, 48), "image/png, 64x48"),
        ("video.create", "sora-2", "PNG", (1920, 1080), "image/png, 1280x720"),
    ],
)
def test_a_picture_that_would_be_refused_is_made_to_fit(
    ports: Ports, operation: str, model: str, form: str, size: tuple[int, int], told: str
) -> None:
    job = rows.make(
        ports,
        operation=operation,
        model=model,
        prompt=rows.prompt("render=plain"),
        inputs={"images": [data_url(form, size)]},
    )

    submit.submit([job.id], ports)

    assert rows.read(ports, job).state in (State.RUNNING, State.SUCCEEDED), rows.read(ports, job).state_reason
    with ports.transaction() as session:
        claimed = session.exec(select(Event).where(col(Event.job_id) == job.id, col(Event.cause) == Cause.CLAIMED))
        (change,) = (claimed.one().data or {})["fitted"]
    assert change.startswith(f"images 0: image/{form.lower()}, {size[0]}x{size[1]}, ")
    assert told in change
