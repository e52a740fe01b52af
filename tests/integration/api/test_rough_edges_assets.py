"""Assets: what is taken, and how it goes away again."""

from __future__ import annotations

import io
import math
import struct
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from api.ports import AppPorts
from shared.catalog.operations.table import OPERATIONS
from shared.db import Transaction
from shared.errors import ObjectMissing
from shared.tables import Asset, Scope
from tests import factories
from tests.integration.api.conftest import Site, Team, picture
from tests.integration.api.said import PICTURE, make, pointers, problem

PDF = b"%PDF-1.7\n1 0 obj\nendobj\n%%EOF\n"
KEY = {"Idempotency-Key": "asset-113"}


def sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(n / 9))) for n in range(4000)))
    return file.getvalue()


def rows_of(team: Team) -> list[Asset]:
    with team.transaction() as session:
        return list(session.exec(select(Asset).where(col(Asset.project_id) == team.project_id)).all())


def upload(api: httpx.Client, content: bytes | None = None) -> dict[str, Any]:
    response = api.post("/v1/assets", files={"file": ("a.png", content or picture())})
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


# What is taken.


@pytest.mark.parametrize(("content", "kind"), [(picture(), "image"), (sound(), "audio"), (PDF, "document")])
def test_what_an_operation_may_take_is_taken(api: httpx.Client, content: bytes, kind: str) -> None:
    assert upload(api, content)["kind"] == kind


def test_all_that_operations_take_as_inputs_can_be_uploaded() -> None:
    from api.routes.assets import TAKEN

    taken = {kind for operation in OPERATIONS.values() for role in operation.inputs.values() for kind in role.kinds}

    assert taken <= set(TAKEN)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"just some words\n", "is text (text/plain)"),
        (b'{"a": 1}', "is JSON"),
        (b"PK\x03\x04" + bytes(40), "is a ZIP archive"),
        (b"\x00\x01\x02\x03", "is unknown bytes"),
    ],
)
@pytest.mark.parametrize("way", ["file", "url"])
def test_what_no_operation_takes_is_refused_and_what_is_taken_is_told(
    api: httpx.Client, team: Team, site: Site, content: bytes, told: str, way: str
) -> None:
    site.pages["/no-input"] = (200, content)
    request: dict[str, Any] = (
        {"files": {"file": ("a.png", content)}} if way == "file" else {"json": {"url": f"{site.url}/no-input"}}
    )

    response = api.post("/v1/assets", **request)

    detail = problem(response, 400, "invalid_request")["detail"]
    assert told in detail
    assert "taken are whole pictures, films, sounds and PDFs" in detail
    assert pointers(response) == [f"/{way}"]
    assert rows_of(team) == []


def test_a_post_without_a_body_is_told_what_is_needed(api: httpx.Client) -> None:
    response = api.post("/v1/assets")

    detail = problem(response, 400, "invalid_request")["detail"]
    assert "multipart/form-data" in detail
    assert '{"url"' in detail


def test_a_body_of_another_type_is_told_what_is_needed(api: httpx.Client) -> None:
    response = api.post("/v1/assets", content=picture(), headers={"Content-Type": "image/png"})

    detail = problem(response, 400, "invalid_request")["detail"]
    assert "multipart/form-data" in detail
    assert "not image/png" in detail


@pytest.mark.parametrize("chunked", [True, False])
def test_a_file_that_is_too_large_is_told_the_limit_in_numbers(api: httpx.Client, chunked: bool) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + bytes(3 * 2**20)
    headers = {"Content-Type": "multipart/form-data; boundary=x"}

    response = api.post("/v1/assets", content=iter([body]) if chunked else body, headers=headers)

    assert problem(response, 413, "payload_too_large")["detail"] == "a file may have at most 2097152 bytes (2 MiB)"


def test_json_that_is_too_large_is_told_the_limit_in_numbers(api: httpx.Client) -> None:
    response = api.post("/v1/jobs", json={**PICTURE, "prompt": "x" * 2**20})

    assert problem(response, 413, "payload_too_large")["detail"] == "a JSON body may have at most 1048576 bytes (1 MiB)"


# Lists.


def test_assets_are_listed_newest_first_a_page_at_a_time(api: httpx.Client, strangers: Team) -> None:
    made = [upload(api)["id"] for _ in range(3)]
    upload(strangers.client(Scope.WRITE))

    first = api.get("/v1/assets", params={"limit": 2}).json()
    second = api.get("/v1/assets", params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [item["id"] for item in first["data"]] == made[:0:-1]
    assert first["has_more"] is True
    assert [item["id"] for item in second["data"]] == made[:1]
    assert (second["has_more"], second["next_cursor"]) == (False, None)
    assert first["data"][0] == api.get(f"/v1/assets/{made[2]}").json()


# Deletion.


def test_a_deleted_asset_is_gone_with_its_bytes(api: httpx.Client, team: Team, app_ports: AppPorts) -> None:
    asset = upload(api)
    (row,) = rows_of(team)

    response = api.delete(f"/v1/assets/{asset['id']}")

    assert (response.status_code, response.content) == (204, b"")
    problem(api.get(f"/v1/assets/{asset['id']}"), 404, "not_found")
    problem(api.delete(f"/v1/assets/{asset['id']}"), 404, "not_found")
    with pytest.raises(ObjectMissing):
        app_ports.store.head(row.object_key)
    response = api.post("/v1/jobs", json={**PICTURE, "inputs": {"images": [asset["id"]]}})
    assert "there is no asset_" in problem(response, 400, "invalid_request")["detail"]


def test_the_asset_of_another_project_cannot_be_deleted(team: Team, strangers: Team) -> None:
    asset = upload(strangers.client(Scope.WRITE))

    problem(team.client(Scope.ADMIN).delete(f"/v1/assets/{asset['id']}"), 404, "not_found")

    assert strangers.client(Scope.READ).get(f"/v1/assets/{asset['id']}").status_code == 200


def test_a_key_that_may_only_look_deletes_nothing(team: Team) -> None:
    asset = upload(team.client(Scope.WRITE))

    problem(team.client(Scope.READ).delete(f"/v1/assets/{asset['id']}"), 403, "forbidden")


def test_an_asset_whose_bytes_cannot_be_deleted_is_still_there(
    api: httpx.Client, team: Team, serve: Any, app_ports: AppPorts, rows: Transaction
) -> None:
    from shared.storage import Store

    asset = upload(api)
    broken = Store.from_settings(app_ports.settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:9"}))

    with serve(store=broken) as url:
        response = team.client(Scope.WRITE, url=url).delete(f"/v1/assets/{asset['id']}")

    problem(response, 503, "unavailable")
    assert api.get(f"/v1/assets/{asset['id']}").json() == asset
    assert api.delete(f"/v1/assets/{asset['id']}").status_code == 204
    broken.close()


def test_bytes_that_are_gone_already_do_not_keep_their_row(api: httpx.Client, team: Team, rows: Transaction) -> None:
    with rows() as session:
        asset_id = factories.asset(session, team.project_id).id  # a row without an object

    assert api.delete(f"/v1/assets/{asset_id}").status_code == 204


# The same upload twice.


def test_an_address_is_fetched_once_for_one_key(api: httpx.Client, team: Team, site: Site) -> None:
    site.pages["/once.png"] = (200, picture())
    first = api.post("/v1/assets", json={"url": f"{site.url}/once.png"}, headers=KEY)
    site.pages["/once.png"] = (500, b"")

    second = api.post("/v1/assets", json={"url": f"{site.url}/once.png"}, headers=KEY)

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["location"] == first.headers["location"]
    problem(api.post("/v1/assets", json={"url": f"{site.url}/other.png"}, headers=KEY), 422, "idempotency_key_reused")
    problem(api.post("/v1/assets", files={"file": picture()}, headers=KEY), 422, "idempotency_key_reused")
    assert len(rows_of(team)) == 1


def test_an_upload_may_be_mended_under_the_same_key(api: httpx.Client) -> None:
    problem(api.post("/v1/assets", files={"file": b"words"}, headers=KEY), 400, "invalid_request")

    assert api.post("/v1/assets", files={"file": picture()}, headers=KEY).status_code == 201


def test_uploads_of_one_key_at_once_make_one_asset(api: httpx.Client, team: Team) -> None:
    together = threading.Barrier(8)

    def post(_: int) -> httpx.Response:
        together.wait()
        return api.post("/v1/assets", files={"file": picture()}, headers=KEY)

    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(post, range(8)))

    assert {response.status_code for response in responses} <= {201, 409}
    assert all(response.headers["retry-after"] for response in responses if response.status_code == 409)
    (row,) = rows_of(team)
    assert {response.json()["id"] for response in responses if response.status_code == 201} == {row.id}


@pytest.mark.parametrize("path", ["/v1/assets", "/v1/jobs?dry_run=true"])
def test_a_key_that_is_none_is_refused_where_it_would_not_be_kept_too(api: httpx.Client, path: str) -> None:
    request: dict[str, Any] = {"files": {"file": picture()}} if path == "/v1/assets" else {"json": PICTURE}

    response = api.post(path, headers={"Idempotency-Key": "a b"}, **request)

    problem(response, 400, "invalid_request")
    assert pointers(response) == ["/header/Idempotency-Key"]


def test_a_dry_run_makes_no_answer_to_be_repeated(api: httpx.Client) -> None:
    dry = [api.post("/v1/jobs", params={"dry_run": "true"}, json=PICTURE, headers=KEY) for _ in range(2)]

    real = api.post("/v1/jobs", json=PICTURE, headers=KEY)

    assert [response.status_code for response in dry] == [200, 200]
    assert all("idempotency-replayed" not in response.headers for response in (*dry, real))
    assert real.status_code == 201
    assert make(api)["id"] != real.json()["id"]
