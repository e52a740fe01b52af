"""`/v1/embeddings` and `/v1/rerank`: numbers about texts.  Pure.

Contract: gateway/images-text-audio-system.md 5.8, 5.9.  Literal replies: tests/replies/vectors/.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from shared.catalog.operations.table import OPERATIONS
from shared.gateway import reading
from shared.gateway.adapter import Adapter
from shared.gateway.call import Call
from shared.gateway.outcome import Outcome, Produced
from shared.gateway.request import Request, Response

RANKING_KEPT: Final = ("id", "meta", "usage")
"""What an answer to `rerank` may say besides its results."""


def build_embed(call: Call) -> Request:
    """Ask for the vector of the prompt, or for those of `input` in its place."""
    return _request("/v1/embeddings", {"model": call.model, "input": call.prompt, **call.params.given()}, call)


def read_embed(response: Response, call: Call) -> Outcome:
    """The vectors, as `{"model", "data": [{"index", "embedding"}], "usage"}` in the order of the texts.

    Reply: the list of 5.8.  An `embedding` is a list of numbers, or base64, which is kept as it came.

    Raises:
        UnreadableReply: not one vector for each text.
    """
    body = reading.object_of(response)
    asked = call.params.given().get("input")
    count = len(asked) if isinstance(asked, list) else 1
    items = body["data"] if isinstance(body.get("data"), list) else []
    by_index = {_index(item, place): item["embedding"] for place, item in enumerate(items) if _is_vector(item)}
    if len(items) != count or set(by_index) != set(range(count)):
        raise reading.unreadable(f"{len(by_index)} vectors for {count} texts", body)
    data = [{"index": index, "embedding": by_index[index]} for index in range(count)]
    return Produced((), _said({"model": body.get("model"), "data": data, "usage": body.get("usage")}))


def build_rank(call: Call) -> Request:
    """Ask how well documents fit the prompt, or `query` in its place."""
    return _request("/v1/rerank", {"model": call.model, "query": call.prompt, **call.params.given()}, call)


def read_rank(response: Response, call: Call) -> Outcome:
    """The ranks, as `{"results": [{"index", "relevance_score", "document"?}], "usage", …}`, the best as it came first.

    Reply: the list of 5.9.  A document that came as a text becomes an object with it, as most are.

    Raises:
        UnreadableReply: no ranks, or of documents that were not sent.
    """
    body = reading.object_of(response)
    count = len(call.params.given()["documents"])
    items = body["results"] if isinstance(body.get("results"), list) else []
    if not items or not all(_is_rank(item, count) for item in items):
        raise reading.unreadable(f"no ranks of {count} documents", body)
    more = {name: body.get(name) for name in RANKING_KEPT}
    return Produced((), _said({"results": [_rank(item) for item in items], **more}))


def _request(path: str, body: dict[str, Any], call: Call) -> Request:
    return Request("POST", path, json=body, timeout_s=OPERATIONS[call.operation].timeout_s, name=call.operation)


def _is_vector(item: Any) -> bool:
    embedding = item.get("embedding") if isinstance(item, Mapping) else None
    if isinstance(embedding, list):
        return bool(embedding) and all(map(_is_number, embedding))
    return isinstance(embedding, str) and reading.decoded(embedding) is not None


def _index(item: Mapping[str, Any], place: int) -> Any:
    return place if item.get("index") is None else item["index"]


def _is_rank(item: Any, count: int) -> bool:
    if not isinstance(item, Mapping):
        return False
    index = item.get("index")
    is_known = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < count
    return is_known and _is_number(item.get("relevance_score"))


def _is_number(value: Any) -> bool:
    """JSON has no other numbers, and PostgreSQL keeps no other; Python reads `NaN`, too."""
    return math.isfinite(value) if isinstance(value, float) else type(value) is int


def _rank(item: Mapping[str, Any]) -> dict[str, Any]:
    document = item.get("document")
    told = {"text": document} if isinstance(document, str) else document
    return _said({"index": item["index"], "relevance_score": item["relevance_score"], "document": told})


def _said(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


EMBED: Final = Adapter("embedding.create", build_embed, read_embed, free_at=frozenset({500, 502, 503, 529}))
RANK: Final = Adapter("rerank", build_rank, read_rank)
ADAPTERS: Final = (EMBED, RANK)
