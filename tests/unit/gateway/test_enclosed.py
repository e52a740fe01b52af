from __future__ import annotations

import base64
from typing import Any

import pytest

from shared.gateway import enclosed

PIXELS = b"\x89PNG\r\n\x1a\n" + b"-pixels" * 20
PNG = base64.b64encode(PIXELS).decode()
DATA_URL = f"data:image/png;base64,{PNG}"


def encoded(start: bytes) -> str:
    return base64.b64encode(start + b"-sound" * 20).decode()


@pytest.mark.parametrize("name", ["data", "result", "url", "b64_json", "image_url"])
@pytest.mark.parametrize("text", [PNG, DATA_URL, PNG.rstrip("=").replace("+", "-").replace("/", "_")])
def test_a_picture_is_taken_out_of_where_it_stands(name: str, text: str) -> None:
    said, outputs = enclosed.taken_out({"message": {"parts": [{"type": "it", name: text}]}, "id": "m"})

    assert said == {"message": {"parts": [{"type": "it", "artifact_index": 0}]}, "id": "m"}
    assert [output.kind for output in outputs] == ["image"]
    assert outputs[0].sources[0].content == PIXELS


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\xff\xd8\xff", "image"),
        (b"GIF89a", "image"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image"),
        (b"RIFF\x00\x00\x00\x00WAVE", "audio"),
        (b"ID3", "audio"),
        (b"OggS", "audio"),
        (b"fLaC", "audio"),
        (b"\xff\xfb", "audio"),
    ],
)
def test_its_first_bytes_tell_what_it_is(start: bytes, kind: str) -> None:
    _, outputs = enclosed.taken_out({"audio": {"data": encoded(start)}})

    assert [output.kind for output in outputs] == [kind]


def test_what_stands_in_two_places_is_one_artifact() -> None:
    other = encoded(b"ID3")

    said, outputs = enclosed.taken_out({"message": {"data": PNG}, "choices": [{"data": other}, {"data": PNG}]})

    assert len(outputs) == 2
    assert said == {"message": {"artifact_index": 0}, "choices": [{"artifact_index": 1}, {"artifact_index": 0}]}


@pytest.mark.parametrize(
    "value",
    [
        "https://cdn.example.net/i/" + "a" * 80 + ".png",
        encoded(b"\x00\x01\x02\x03"),  # samples without a header, for example
        PNG[:40],
        PNG[:70] + "!!" + PNG[72:],
        "A plain text that goes on for so long that it might hold something, and holds nothing at all.",
        None,
        7,
    ],
)
def test_everything_else_stays_what_it_is(value: Any) -> None:
    whole = {"message": {"data": value, "type": "it"}}

    assert enclosed.taken_out(whole) == (whole, ())
