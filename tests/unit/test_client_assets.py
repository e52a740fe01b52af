"""The Python client looks after uploaded inputs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from api.client import ApiError
from tests.unit.test_client import Server, client, pauses

assert pauses  # a fixture: nobody sleeps between two tries

ASSET: dict[str, Any] = {
    "id": "asset_1",
    "filename": "boat.png",
    "content_type": "image/png",
    "bytes": 1834,
    "width": 64,
    "height": 48,
    "created_at": "2026-11-20T09:14:03Z",
}


def test_assets_are_listed_in_pages() -> None:
    server = Server(httpx.Response(200, json={"data": [ASSET], "has_more": True, "next_cursor": "next"}))

    page = client(server).assets.list(limit=1, cursor="before")

    (asset,) = page.data
    assert (asset.id, asset.filename, asset.content_type, asset.size_bytes) == (
        "asset_1",
        "boat.png",
        "image/png",
        1834,
    )
    assert (asset.width, asset.height, asset.created_at) == (64, 48, datetime(2026, 11, 20, 9, 14, 3, tzinfo=UTC))
    assert (page.has_more, page.next_cursor) == (True, "next")
    assert dict(server.requests[0].url.params) == {"limit": "1", "cursor": "before"}


def test_an_asset_is_shown() -> None:
    server = Server(httpx.Response(200, json=ASSET))

    assert client(server).assets.get("asset_1").raw == ASSET
    assert server.requests[0].url.path == "/v1/assets/asset_1"


def test_an_asset_is_deleted() -> None:
    server = Server(httpx.Response(204))

    client(server).assets.delete("asset_1")

    assert [(one.method, one.url.path) for one in server.requests] == [("DELETE", "/v1/assets/asset_1")]


def test_an_asset_of_nobody_is_said_to_be_none_and_its_id_leads_nowhere_else() -> None:
    server = Server(httpx.Response(404, json={"code": "not_found"}))

    with pytest.raises(ApiError):
        client(server).assets.delete("../jobs/job_1")

    assert server.requests[0].url.raw_path == b"/v1/assets/..%2Fjobs%2Fjob_1"
