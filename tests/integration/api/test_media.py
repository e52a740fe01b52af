"""Assets that come in, artifacts that go out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from api.ports import AppPorts
from shared.db import Transaction
from shared.lifecycle import State
from shared.tables import Artifact, Asset, Scope
from tests import factories
from tests.integration.api.conftest import Site, Team, picture
from tests.integration.api.said import make, pointers, problem


def assets_of(team: Team) -> list[Asset]:
    with team.transaction() as session:
        return list(session.exec(select(Asset).where(col(Asset.project_id) == team.project_id)).all())


def test_an_upload_is_what_its_bytes_say_and_is_stored(api: httpx.Client, team: Team, app_ports: AppPorts) -> None:
    content = picture(120, 80, "JPEG")

    response = api.post("/v1/assets", files={"file": ("..\\..\\evil/größe.png", content, "image/png")})

    body = response.json()
    assert response.status_code == 201, body
    assert (body["kind"], body["content_type"], body["width"], body["height"]) == ("image", "image/jpeg", 120, 80)
    assert (body["bytes"], body["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert body["filename"] == "größe.png"
    (row,) = assets_of(team)
    assert app_ports.store.head(row.object_key).size_bytes == len(content)
    assert api.get(f"/v1/assets/{body['id']}").json() == body
    assert make(api, inputs={"images": [body["id"]]})["inputs"] == {"images": [body["id"]]}


def test_an_address_is_fetched_and_stored(api: httpx.Client, site: Site) -> None:
    site.pages["/boat.png"] = (200, picture())

    body = api.post("/v1/assets", json={"url": f"{site.url}/boat.png"}).json()

    assert (body["content_type"], body["filename"]) == ("image/png", "boat.png")


@pytest.mark.parametrize(
    ("page", "status", "code"),
    [
        ((404, b"no"), 400, "invalid_request"),
        ((200, b"<html>no</html>"), 400, "invalid_request"),
        ((200, b"\0" * (2 * 2**20 + 1)), 413, "payload_too_large"),
    ],
)
def test_an_address_that_gives_no_media_makes_nothing(
    api: httpx.Client, team: Team, site: Site, page: tuple[int, bytes], status: int, code: str
) -> None:
    site.pages["/wrong"] = page

    problem(api.post("/v1/assets", json={"url": f"{site.url}/wrong"}), status, code)

    assert assets_of(team) == []


@pytest.mark.parametrize(
    "named",
    ["https://10.0.0.1/a.png", "https://inside.example/a.png", "http://example.com/a.png", "ftp://x/y", "nonsense"],
)
def test_an_address_that_we_do_not_call_is_refused(api: httpx.Client, named: str) -> None:
    response = api.post("/v1/assets", json={"url": named})

    problem(response, 400, "invalid_request")
    assert pointers(response) == ["/url"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"<!doctype html><html></html>", "HTML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (picture()[:-30], ""),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_what_is_no_media_is_refused(api: httpx.Client, team: Team, content: bytes, told: str) -> None:
    response = api.post("/v1/assets", files={"file": ("a.png", content, "image/png")})

    assert told in problem(response, 400, "invalid_request")["detail"]
    assert pointers(response) == ["/file"]
    assert assets_of(team) == []


@pytest.mark.parametrize(
    ("request_of", "pointer"),
    [
        ({"files": {"fil": b"x"}}, "/fil"),
        ({"files": {"file": b"x"}, "data": {"name": "x"}}, "/name"),
        ({"data": {"file": "x"}, "files": {}}, None),
        ({"json": {"link": "https://example.com/"}}, "/link"),
        ({"json": {}}, "/url"),
        ({"content": b"", "headers": {"Content-Type": "application/json"}}, ""),
        ({"content": b"--x\r\nnonsense", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, None),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, None),
    ],
)
def test_an_upload_that_is_none_is_refused(api: httpx.Client, request_of: dict[str, Any], pointer: str | None) -> None:
    response = api.post("/v1/assets", **request_of)

    problem(response, 400, "invalid_request")
    if pointer is not None:
        assert pointer in pointers(response)


def test_when_the_object_store_is_down_an_upload_is_refused_and_a_job_is_not(
    team: Team, serve: Callable[..., AbstractContextManager[str]], app_ports: AppPorts
) -> None:
    from shared.storage import Store

    broken = Store.from_settings(app_ports.settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:9"}))
    with serve(store=broken) as url:
        api = team.client(Scope.WRITE, url=url)
        response = api.post("/v1/assets", files={"file": picture()})
        job = make(api)

    problem(response, 503, "unavailable")
    assert "retry-after" in response.headers
    assert job["state"] == "queued"
    assert assets_of(team) == []
    broken.close()


# Artifacts.


@pytest.fixture
def artifact(team: Team, rows: Transaction, app_ports: AppPorts) -> Artifact:
    """Ten bytes, stored."""
    with rows() as session:
        job = factories.job(session, state=State.SUCCEEDED, project_id=team.project_id)
        row = factories.artifact(session, job, size_bytes=10, sha256="ab" * 32)
    app_ports.store.put_bytes(row.object_key, b"0123456789", "image/png")
    return row


def test_an_artifact_shows_what_is_known_of_it(api: httpx.Client, artifact: Artifact, team: Team) -> None:
    body = api.get(f"/v1/artifacts/{artifact.id}").json()

    assert (body["id"], body["object"], body["job_id"]) == (artifact.id, "artifact", artifact.job_id)
    assert (body["bytes"], body["thumbnail_url"]) == (10, None)
    assert body["url"] == f"{team.url}/v1/artifacts/{artifact.id}/content"


def test_its_bytes_are_at_the_end_of_a_redirect(api: httpx.Client, artifact: Artifact) -> None:
    response = api.get(f"/v1/artifacts/{artifact.id}/content")

    assert response.status_code == 302
    stored = httpx.get(response.headers["location"], trust_env=False)
    assert stored.content == b"0123456789"
    assert stored.headers["content-disposition"].startswith("inline")
    assert f"{artifact.job_id}-0.png" in stored.headers["content-disposition"]


@pytest.fixture
def proxied(team: Team, serve: Callable[..., AbstractContextManager[str]]) -> Iterator[httpx.Client]:
    """An API that hands the bytes through."""
    with serve(artifact_delivery="proxy", public_url="https://darkroom.example") as url:
        yield team.client(Scope.READ, url=url)


@pytest.mark.parametrize(
    ("asked", "status", "content", "content_range"),
    [
        (None, 200, b"0123456789", None),
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("bytes=5-2", 200, b"0123456789", None),
        ("pages=1", 200, b"0123456789", None),
    ],
)
def test_bytes_that_are_handed_through_honour_ranges(
    proxied: httpx.Client,
    artifact: Artifact,
    asked: str | None,
    status: int,
    content: bytes,
    content_range: str | None,
) -> None:
    response = proxied.get(f"/v1/artifacts/{artifact.id}/content", headers={"Range": asked} if asked else {})

    assert (response.status_code, response.content) == (status, content)
    assert response.headers.get("content-range") == content_range
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["content-disposition"].startswith("inline")
    assert response.headers["content-type"] == "image/png"


def test_what_the_caller_has_already_is_not_sent_again(proxied: httpx.Client, artifact: Artifact) -> None:
    address = f"/v1/artifacts/{artifact.id}/content"
    etag = proxied.head(address).headers["etag"]

    assert proxied.get(address, headers={"If-None-Match": etag}).status_code == 304
    assert proxied.get(address, headers={"If-Range": '"another"', "Range": "bytes=0-1"}).status_code == 200
    assert proxied.head(address).headers["content-length"] == "10"


def test_links_name_the_public_address(proxied: httpx.Client, artifact: Artifact) -> None:
    url = proxied.get(f"/v1/artifacts/{artifact.id}").json()["url"]

    assert url == f"https://darkroom.example/v1/artifacts/{artifact.id}/content"


def test_what_cannot_run_in_a_browser_is_all_that_is_shown_there(
    proxied: httpx.Client, team: Team, rows: Transaction, app_ports: AppPorts
) -> None:
    with rows() as session:
        job = factories.job(session, state=State.SUCCEEDED, project_id=team.project_id)
        row = factories.artifact(session, job, kind="text", content_type="text/html", size_bytes=6)
    app_ports.store.put_bytes(row.object_key, b"<html>", "text/html")

    headers = proxied.get(f"/v1/artifacts/{row.id}/content").headers

    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"].startswith("attachment")
    assert "sandbox" in headers["content-security-policy"]


def test_bytes_that_are_gone_are_a_trouble_of_ours(proxied: httpx.Client, team: Team, rows: Transaction) -> None:
    with rows() as session:
        job = factories.job(session, state=State.SUCCEEDED, project_id=team.project_id)
        row = factories.artifact(session, job)

    problem(proxied.get(f"/v1/artifacts/{row.id}/content"), 503, "unavailable")
