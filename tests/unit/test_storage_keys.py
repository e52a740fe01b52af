"""Object keys, and how objects are handed to a browser."""

from __future__ import annotations

import pytest

from shared.storage import artifact_key, asset_key, delivery_headers, thumbnail_key


def test_the_key_of_an_artifact_is_a_function_of_job_attempt_and_index() -> None:
    key = artifact_key("project_1", "job_2", 3, 0, "mp4")

    assert key == artifact_key("project_1", "job_2", 3, 0, "mp4") == "projects/project_1/jobs/job_2/3-0.mp4"


def test_a_thumbnail_stands_beside_what_it_shows() -> None:
    assert thumbnail_key("projects/p/jobs/j/1-0.png") == "projects/p/jobs/j/1-0.thumb.jpg"


def test_the_key_of_an_asset_names_its_project() -> None:
    assert asset_key("project_1", "asset_2", "png") == "projects/project_1/assets/asset_2.png"


@pytest.mark.parametrize("bad", ["", "..", "a/b", "a b", "ü", "a.b", "a\n"])
def test_nothing_but_an_id_becomes_part_of_a_key(bad: str) -> None:
    with pytest.raises(ValueError, match="object key"):
        artifact_key(bad, "job_1", 1, 0, "png")
    with pytest.raises(ValueError, match="object key"):
        asset_key("project_1", "asset_1", bad)


@pytest.mark.parametrize("content_type", ["image/png", "image/jpeg", "video/mp4", "video/webm", "audio/mpeg"])
def test_media_is_shown_in_place(content_type: str) -> None:
    headers = delivery_headers("a", content_type)

    assert headers["Content-Type"] == content_type
    assert headers["Content-Disposition"].startswith("inline;")


@pytest.mark.parametrize("content_type", ["text/html", "image/svg+xml", "application/xml", "application/pdf", "x"])
def test_what_could_run_in_a_browser_is_saved_and_loses_its_type(content_type: str) -> None:
    headers = delivery_headers("a.html", content_type)

    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == 'attachment; filename="a.html"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]


def test_text_is_saved_with_its_encoding() -> None:
    headers = delivery_headers("a.txt", "text/plain")

    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Content-Disposition"].startswith("attachment;")


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("a b.png", 'inline; filename="a b.png"'),
        ('x"; evil="1.png', "inline; filename=\"x_; evil=_1.png\"; filename*=UTF-8''x%22%3B%20evil%3D%221.png"),
        ("ü.png", "inline; filename=\"_.png\"; filename*=UTF-8''%C3%BC.png"),
        ("100%.png", "inline; filename=\"100_.png\"; filename*=UTF-8''100%25.png"),
        ("../../a.png", 'inline; filename=".._.._a.png"'),
        ("a\r\nX-Evil: 1.png", 'inline; filename="aX-Evil: 1.png"'),
        ("\ud800.png", "inline; filename=\"_.png\"; filename*=UTF-8''%3F.png"),
    ],
)
def test_a_file_name_cannot_leave_its_header(name: str, disposition: str) -> None:
    assert delivery_headers(name, "image/png")["Content-Disposition"] == disposition
