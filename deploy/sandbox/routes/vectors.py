"""`/v1/embeddings` and `/v1/rerank`: vectors that follow from the text, ranks by the words that are shared.

Contract: gateway/images-text-audio-system.md 5.8, 5.9.
"""

from __future__ import annotations

import base64
import math
import random
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response

from deploy.sandbox import bodies, calls, door, models, parts
from deploy.sandbox.calls import Call, Price
from deploy.sandbox.door import Key
from deploy.sandbox.models import Family
from deploy.sandbox.replies import Refused, Reply, openai_error, upstream_error
from deploy.sandbox.routes.image_view import ERROR_200, PAGE_200
from deploy.sandbox.script import drawn

router = APIRouter(dependencies=[Depends(door.counted)])

#: By the start of a model's name: how many numbers its vectors have.
DIMENSIONS: Final = {"text-embedding-3-large": 3072, "text-embedding-3-small": 1536}
OTHER_DIMENSIONS: Final = 1536
TEXTS_MOST: Final = 2048

Body = dict[str, Any]


@router.post("/v1/embeddings", name="embeddings")
async def embed(request: Request, key: Key) -> Response:
    """A unit vector for each text; the same text has the same one in every call."""
    fields = await bodies.json_fields(request)
    model, given = str(fields.get("model", "")), fields.get("input")
    texts = [given] if isinstance(given, str) else given
    prompt = " ".join(map(str, texts)) if isinstance(texts, list) else ""
    call = calls.begin(request, key, family="text", kind="embedding.create", model=model, prompt=prompt)
    family = _family(model, models.EMBEDDING)
    if not given:
        raise Refused(openai_error(500, "invalid_request", "input is empty"))
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise Refused(_wrong("invalid_type", "Invalid type for 'input': expected a string or an array of strings."))
    if len(texts) > TEXTS_MOST:
        raise Refused(_wrong("invalid_value", f"Invalid 'input': array too long, at most {TEXTS_MOST}."))
    size = _size(fields, model)
    is_base64 = fields.get("encoding_format") == "base64"
    data = [_embedding(index, drawn(text), size, is_base64) for index, text in enumerate(texts)]
    tokens = sum(map(_tokens, texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    whole = {"object": "list", "model": model, "data": data, "usage": usage}
    return await _answer(request, call, family, tokens, whole)


@router.post("/v1/rerank", name="rerank")
async def rerank(request: Request, key: Key) -> Response:
    """The documents that share most words with the query first."""
    fields = await bodies.json_fields(request)
    model, query, documents = str(fields.get("model", "")), fields.get("query"), fields.get("documents")
    call = calls.begin(request, key, family="text", kind="rerank", model=model, prompt=str(query or ""))
    family = _family(model, models.RANKING)
    if not isinstance(query, str) or not query:
        raise Refused(openai_error(500, "invalid_request", "query is empty"))
    if not isinstance(documents, list) or not documents:
        raise Refused(openai_error(500, "invalid_request", "documents is empty"))
    texts = [_text(document) for document in documents]
    tokens = sum(map(_tokens, (query, *texts)))
    results = ranked(drawn(query), texts, fields.get("return_documents") is not False)[: fields.get("top_n") or None]
    usage = {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
    return await _answer(request, call, family, tokens, {"results": results, "usage": usage})


async def _answer(request: Request, call: Call, family: Family, tokens: int, whole: Body) -> Response:
    house = parts.of(request)

    async def work(_: int | None) -> Reply:
        await calls.until(house, house.now() + calls.work_seconds(house, call, family.takes_s))
        make = VARIANTS.get(call.behaviour.variant or "")
        return make(whole) if make is not None else Reply(200, whole)

    return await calls.carry(house, call, Price(family.price_usd * tokens), work)


def vector(text: str, size: int) -> list[float]:
    """The direction of a text, of length 1; a shorter one begins as a longer one does."""
    chance = random.Random(text)  # noqa: S311 - a direction, not a secret
    numbers = [chance.gauss(0, 1) for _ in range(size)]
    length = math.sqrt(sum(number * number for number in numbers))
    return [number / length for number in numbers]


def ranked(query: str, texts: Sequence[str], with_documents: bool) -> list[Body]:
    """The share of the query's words that each text has, the largest first."""
    wanted = _words(query)
    shares = [len(wanted & _words(text)) / max(len(wanted), 1) for text in texts]
    order = sorted(range(len(texts)), key=lambda index: -shares[index])
    documents = [{"document": {"text": text}} if with_documents else {} for text in texts]
    return [{"index": index, "relevance_score": round(shares[index], 4), **documents[index]} for index in order]


def _family(model: str, families: tuple[Family, ...]) -> Family:
    family = models.family_of(model, "text", families)
    if family is None:
        raise Refused(models.no_channel(model))
    return family


def _size(fields: Mapping[str, Any], model: str) -> int:
    most = next((most for start, most in DIMENSIONS.items() if model.startswith(start)), OTHER_DIMENSIONS)
    size = fields.get("dimensions") or most
    if not isinstance(size, int) or not 1 <= size <= most:
        raise Refused(_wrong("invalid_value", f"Invalid value for 'dimensions': {size}. At most {most}."))
    return size


def _embedding(index: int, text: str, size: int, is_base64: bool) -> Body:
    numbers = vector(text, size)
    packed = base64.b64encode(struct.pack(f"<{size}f", *numbers)).decode() if is_base64 else None
    return {"object": "embedding", "index": index, "embedding": packed or numbers}


def _tokens(text: str) -> int:
    return max(len(text) // 4, 1)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _text(document: Any) -> str:
    return str(document.get("text", "")) if isinstance(document, dict) else str(document)


def _wrong(code: str, message: str) -> Reply:
    return upstream_error(400, code, message, type_="invalid_request_error")


def _backwards(whole: Body) -> Reply:
    return Reply(200, {name: value[::-1] if name == "data" else value for name, value in whole.items()})


def _fewer(whole: Body) -> Reply:
    return Reply(200, {name: value[:-1] if isinstance(value, list) else value for name, value in whole.items()})


def _texts(whole: Body) -> Reply:
    results = [{**one, "document": one.get("document", {}).get("text", "")} for one in whole.get("results", [])]
    return Reply(200, {**whole, "results": results})


META_VERSION: Final = {"api_version": {"version": "2"}}


def _with_meta(whole: Body) -> Reply:
    return Reply(200, {"id": "rank_1", **whole, "meta": {**META_VERSION, "billed_units": {"search_units": 1}}})


VARIANTS: Final[Mapping[str, Callable[[Body], Reply]]] = {
    "backwards": _backwards,
    "fewer": _fewer,
    "texts": _texts,
    "meta": _with_meta,
    "error200": lambda whole: Reply(200, {"error": ERROR_200}),
    "html200": lambda whole: Reply(200, PAGE_200, "text/html; charset=utf-8"),
}
