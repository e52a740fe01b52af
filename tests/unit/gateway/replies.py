"""The literal replies of tests/replies/, and the calls that they answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from shared.catalog.operations.table import OPERATIONS
from shared.gateway.call import Call, Media
from shared.gateway.request import Response

ROOT: Final = Path(__file__).parents[2] / "replies"

CONTENT_TYPES: Final = {".json": "application/json", ".html": "text/html", ".txt": "text/plain; charset=utf-8"}

IN_NO_CONTRACT: Final = ("0-page.html", "0-empty.txt", "0-cut-off.txt")
"""What every adapter must survive with status 200."""

PNG: Final = Media("image/png", "frame.png", b"\x89PNG\r\n\x1a\n-frame")
JPEG: Final = Media("image/jpeg", "second.jpg", b"\xff\xd8\xff-second")


def reply(name: str, status: int = 200, **headers: str) -> Response:
    """One file, as the gateway would send it; `name` is its path under tests/replies/."""
    path = ROOT / name
    known = {"content-type": CONTENT_TYPES[path.suffix], "x-oneapi-request-id": "20260304101112Ab"}
    return Response(status, known | {key.replace("_", "-"): value for key, value in headers.items()}, path.read_bytes())


def call(operation: str, *images: Media, mask: Media | None = None, job_id: str = "job_1", **params: Any) -> Call:
    roles = {"images": images, "mask": (mask,)} if mask is not None else {"images": images}
    typed = OPERATIONS[operation].params.model_validate(params)
    return Call(operation, "the-model", "a tin robot", typed, roles, job_id)
