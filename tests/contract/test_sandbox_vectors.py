"""The sandbox gateway embeds and ranks as the contract says, the same way in every call.

Contract: gateway/images-text-audio-system.md 5.8, 5.9.
"""

from __future__ import annotations

import base64
import math
import struct
from decimal import Decimal
from itertools import count
from typing import Any, get_args

import httpx
import pytest

from deploy.sandbox import behaviour
from deploy.sandbox.routes import vectors
from tests.sandbox import SandboxServer

_numbers = count()
DOCUMENTS = ["boats are made of wood", "the tide comes in at six", "when the tide is high the boats are afloat"]


def own(words: str) -> str:
    """A text that no other test uses."""
    return f"{words} {next(_numbers)}"


def embed(client: httpx.Client, texts: Any, **fields: Any) -> httpx.Response:
    return client.post("/v1/embeddings", json={"model": "text-embedding-3-small", "input": texts, **fields})


def rank(client: httpx.Client, query: Any, documents: Any = None, **fields: Any) -> httpx.Response:
    model = "jina-reranker-v2-base-multilingual"
    documents = DOCUMENTS if documents is None else documents
    return client.post("/v1/rerank", json={"model": model, "query": query, "documents": documents, **fields})


def test_a_text_has_a_vector_of_length_one_that_is_always_the_same(client: httpx.Client) -> None:
    first, again, other = (embed(client, text).json()["data"][0]["embedding"] for text in ("tide", "tide", "boat"))

    assert len(first) == 1536
    assert math.hypot(*first) == pytest.approx(1)
    assert first == again
    assert first != other


def test_several_texts_have_their_vectors_in_order(client: httpx.Client) -> None:
    answer = embed(client, ["tide", "boat"], dimensions=8).json()

    assert (answer["object"], answer["model"]) == ("list", "text-embedding-3-small")
    assert [item["index"] for item in answer["data"]] == [0, 1]
    assert [item["embedding"] for item in answer["data"]] == [vectors.vector(text, 8) for text in ("tide", "boat")]
    assert answer["usage"] == {"prompt_tokens": 2, "total_tokens": 2}


def test_a_vector_may_be_shorter_and_larger_models_have_longer_ones(client: httpx.Client) -> None:
    short = embed(client, "tide", dimensions=256).json()["data"][0]["embedding"]
    long = embed(client, "tide", model="text-embedding-3-large").json()["data"][0]["embedding"]

    assert (len(short), len(long)) == (256, 3072)
    assert math.hypot(*short) == pytest.approx(1)


def test_base64_holds_the_same_numbers_as_little_endian_floats(client: httpx.Client) -> None:
    plain = embed(client, "tide", dimensions=8).json()["data"][0]["embedding"]
    packed = embed(client, "tide", dimensions=8, encoding_format="base64").json()["data"][0]["embedding"]

    assert struct.unpack("<8f", base64.b64decode(packed)) == pytest.approx(plain)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "no-such-model"}, 503, "model_not_found"),
        ({"model": "jina-reranker-v2-base-multilingual"}, 503, "model_not_found"),
        ({"input": ""}, 500, "invalid_request"),
        ({"input": []}, 500, "invalid_request"),
        ({"input": None}, 500, "invalid_request"),
        ({"input": [1, 2]}, 400, "invalid_type"),
        ({"input": ["x", ""]}, 400, "invalid_type"),
        ({"input": ["x"] * 2_049}, 400, "invalid_value"),
        ({"dimensions": 4_096}, 400, "invalid_value"),
    ],
)
def test_what_cannot_be_embedded_is_refused_unpaid(
    server: SandboxServer, client: httpx.Client, fields: dict[str, Any], status: int, code: str
) -> None:
    before = len(server.ledger())

    answer = embed(client, "tide", **fields)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert len(server.ledger()) == before


def test_the_document_that_shares_most_words_comes_first(client: httpx.Client) -> None:
    answer = rank(client, "Is the TIDE high?").json()

    assert [item["index"] for item in answer["results"]] == [2, 1, 0]
    assert [item["relevance_score"] for item in answer["results"]] == [1, 0.5, 0]
    assert answer["results"][0]["document"] == {"text": DOCUMENTS[2]}
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] > 20


def test_only_the_best_are_told_and_documents_if_they_are_wanted(client: httpx.Client) -> None:
    answer = rank(client, "high tide", [{"text": text} for text in DOCUMENTS], top_n=2, return_documents=False).json()

    assert [set(item) for item in answer["results"]] == [{"index", "relevance_score"}] * 2


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "no-such-model"}, 503, "model_not_found"),
        ({"model": "text-embedding-3-small"}, 503, "model_not_found"),
        ({"query": ""}, 500, "invalid_request"),
        ({"query": None}, 500, "invalid_request"),
        ({"documents": []}, 500, "invalid_request"),
        ({"documents": "one"}, 500, "invalid_request"),
    ],
)
def test_what_cannot_be_ranked_is_refused_unpaid(
    server: SandboxServer, client: httpx.Client, fields: dict[str, Any], status: int, code: str
) -> None:
    before = len(server.ledger())

    answer = client.post("/v1/rerank", json={"model": "bge-reranker-v2-m3", "query": "x", "documents": ["y"], **fields})

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert len(server.ledger()) == before


def test_both_are_paid_by_the_token(server: SandboxServer, client: httpx.Client) -> None:
    text = own("A text of some forty letters, or about ten")

    embed(client, [text, text])
    rank(client, text, [text])

    vector, ranks = server.ledger(text)
    assert (vector["kind"], Decimal(vector["price_usd"])) == ("embedding.create", Decimal("0.00000002") * 22)
    assert (ranks["kind"], Decimal(ranks["price_usd"])) == ("rerank", Decimal("0.00000005") * 22)


def test_every_shape_is_offered(client: httpx.Client) -> None:
    assert set(vectors.VARIANTS) == set(get_args(behaviour.VectorVariant))

    def embedded(variant: str) -> httpx.Response:
        return embed(client, ["tide", f"boat [[sandbox variant={variant}]]"], dimensions=4)

    def ranks(variant: str) -> dict[str, Any]:
        return dict(rank(client, f"tide [[sandbox variant={variant}]]").json())

    assert [item["index"] for item in embedded("backwards").json()["data"]] == [1, 0]
    assert len(embedded("fewer").json()["data"]) == 1
    assert ranks("texts")["results"][0]["document"] == DOCUMENTS[1]
    assert ranks("meta")["meta"]["billed_units"] == {"search_units": 1}
    assert len(ranks("fewer")["results"]) == 2
    assert embedded("error200").json()["error"]["type"] == "upstream_error"
    assert embedded("html200").text.startswith("<!DOCTYPE html>")


def test_tags_in_a_text_are_no_part_of_it(client: httpx.Client) -> None:
    tagged = embed(client, "tide [[sandbox latency=0]]", dimensions=4).json()["data"][0]["embedding"]

    assert tagged == vectors.vector("tide", 4)


def test_a_fault_is_answered_unpaid_and_a_missing_key_is_401(server: SandboxServer, client: httpx.Client) -> None:
    text = own("[[sandbox fail=429 retry_after=3]] boat")

    answers = [embed(client, text), rank(client, text)]

    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(429, "3")] * 2
    assert server.ledger(text) == []
    assert httpx.post(f"{server.url}/v1/embeddings").status_code == 401
    assert httpx.post(f"{server.url}/v1/rerank").status_code == 401
