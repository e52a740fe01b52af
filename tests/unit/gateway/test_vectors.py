from __future__ import annotations

import json
from typing import Any, Final

import pytest

from shared.gateway import reading
from shared.gateway.adapters import vectors
from shared.gateway.outcome import ErrorClass, Outcome, Produced, Refused
from shared.gateway.request import Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, call, reply

TEXTS: Final = ["one", "two", "three"]

#: By file, the texts that were sent, and their vectors.
EMBEDDED: Final[dict[str, tuple[str | list[str] | None, list[Any]]]] = {
    "5.8-float.json": (None, [[0.0123, -0.0441, 0.0087]]),
    "5.8-base64.json": ("a text", ["8IVJPDSiNL1yig48"]),
    "5.8-several-out-of-order.json": (TEXTS, [[0.1, 1], [0.2, -1], [0.3, 0]]),
}

#: By file, what each document became in `result`: nothing where it was not told.
RANKED: Final = {
    "5.9-documents-are-objects.json": [{"text": "The tide comes in at six."}, {"text": "Boats are made of wood."}],
    "5.9-documents-are-texts.json": [{"text": "The tide comes in at six."}, {"text": "Boats are made of wood."}],
    "5.9-without-documents.json": [None, None],
    "5.9-id-and-meta.json": [None, None],
}

REPLIES: Final = frozenset(
    f"vectors/{name}"
    for name in (
        *EMBEDDED,
        *RANKED,
        *IN_NO_CONTRACT,
        "5.8-no-vectors.json",
        "5.8-500-input-is-empty.json",
        "5.9-no-ranks.json",
        "5.9-500-query-is-empty.json",
    )
)


def embedded(response: Response, texts: str | list[str] | None = None) -> Outcome:
    asked = call("embedding.create", input=texts)
    return reading.outcome_of(response, lambda answer: vectors.read_embed(answer, asked))


def ranked(response: Response) -> Outcome:
    asked = call("rerank", documents=TEXTS)
    return reading.outcome_of(response, lambda answer: vectors.read_rank(answer, asked))


def answer(**body: Any) -> Response:
    return Response(200, {"content-type": "application/json"}, json.dumps(body).encode())


def result_of(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Produced)
    assert outcome.outputs == ()
    return dict(outcome.result)


def is_unreadable(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.error.code == "unreadable_reply"


@pytest.mark.parametrize("name", sorted(EMBEDDED))
def test_vectors_are_read_in_the_order_of_their_texts(name: str) -> None:
    texts, expected = EMBEDDED[name]

    result = result_of(embedded(reply(f"vectors/{name}"), texts))

    assert result["data"] == [{"index": index, "embedding": vector} for index, vector in enumerate(expected)]
    assert result["model"] == "text-embedding-3-small"
    assert result["usage"]["total_tokens"] > 0


def test_without_an_index_the_order_is_the_one_in_which_they_came() -> None:
    items = [{"embedding": [1.0]}, {"embedding": [2.0], "index": None}, {"embedding": [3.0]}]

    result = result_of(embedded(answer(data=items), TEXTS))

    assert result == {"data": [{"index": index, "embedding": [index + 1.0]} for index in range(3)]}


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        "0.1",
        [{"index": 0, "embedding": [0.1]}],
        [{"index": 0, "embedding": [0.1]}] * 3,
        [{"index": index, "embedding": [0.1]} for index in range(4)],
        [{"index": index, "embedding": []} for index in range(3)],
        [{"index": index, "embedding": None} for index in range(3)],
        [{"index": index, "embedding": ["0.1"]} for index in range(3)],
        [{"index": index, "embedding": [True]} for index in range(3)],
        [{"index": index, "embedding": [float("nan")]} for index in range(3)],
        [{"index": index, "embedding": "no base64!"} for index in range(3)],
        [{"index": [0], "embedding": [0.1]}] * 3,
        [{"index": 0, "embedding": [0.1]}, {"index": 1, "embedding": [0.1]}, {"error": {"message": "too long"}}],
    ],
)
def test_anything_but_one_vector_for_each_text_leaves_it_unknown_whether_it_was_paid(data: Any) -> None:
    assert is_unreadable(embedded(answer(data=data), TEXTS))


def test_a_list_of_no_vectors_is_in_no_contract() -> None:
    assert is_unreadable(embedded(reply("vectors/5.8-no-vectors.json")))


@pytest.mark.parametrize("name", sorted(RANKED))
def test_ranks_are_read_with_their_documents_where_those_are_told(name: str) -> None:
    result = result_of(ranked(reply(f"vectors/{name}")))

    assert [item["index"] for item in result["results"]] == [2, 0]
    assert result["results"][0]["relevance_score"] > result["results"][1]["relevance_score"]
    assert [item.get("document") for item in result["results"]] == RANKED[name]
    assert result["usage"]["total_tokens"] == 40


def test_what_the_vendor_says_of_its_bill_is_kept() -> None:
    result = result_of(ranked(reply("vectors/5.9-id-and-meta.json")))

    assert result["id"] == "rank_7Kq2"
    assert result["meta"]["billed_units"] == {"search_units": 1}


@pytest.mark.parametrize(
    "results",
    [
        None,
        {},
        [7],
        [{"index": 3, "relevance_score": 1}],
        [{"index": -1, "relevance_score": 1}],
        [{"index": True, "relevance_score": 1}],
        [{"index": "0", "relevance_score": 1}],
        [{"index": 0, "relevance_score": None}],
        [{"index": 0, "relevance_score": 1}, {"relevance_score": 1}],
    ],
)
def test_ranks_of_what_was_not_sent_leave_it_unknown_whether_it_was_paid(results: Any) -> None:
    assert is_unreadable(ranked(answer(results=results)))


def test_a_list_of_no_ranks_is_in_no_contract() -> None:
    assert is_unreadable(ranked(reply("vectors/5.9-no-ranks.json")))


@pytest.mark.parametrize("read", [embedded, ranked])
@pytest.mark.parametrize("name", IN_NO_CONTRACT)
def test_what_is_in_no_contract_leaves_it_unknown_whether_it_was_paid(read: Any, name: str) -> None:
    assert is_unreadable(read(reply(f"vectors/{name}")))


@pytest.mark.parametrize("name", ["5.8-500-input-is-empty.json", "5.9-500-query-is-empty.json"])
def test_a_mistake_of_ours_is_told_as_one_although_its_status_says_otherwise(name: str) -> None:
    outcome = embedded(reply(f"vectors/{name}", 500))

    assert isinstance(outcome, Refused)
    assert outcome.error.error_class is ErrorClass.INVALID_REQUEST


def test_the_prompt_is_what_is_embedded() -> None:
    request = vectors.EMBED.build(call("embedding.create"))

    assert (request.method, request.path, request.name) == ("POST", "/v1/embeddings", "embedding.create")
    assert request.json == {"model": "the-model", "input": "a tin robot"}


def test_several_texts_are_embedded_at_once_and_all_that_was_asked_for_is_sent() -> None:
    asked = call("embedding.create", input=TEXTS, dimensions=256, encoding_format="base64", user="u-1")

    assert vectors.EMBED.build(asked).json == {
        "model": "the-model",
        "input": TEXTS,
        "dimensions": 256,
        "encoding_format": "base64",
        "user": "u-1",
    }


def test_the_prompt_is_the_query() -> None:
    request = vectors.RANK.build(call("rerank", documents=["one", {"text": "two"}]))

    assert (request.method, request.path, request.name) == ("POST", "/v1/rerank", "rerank")
    assert request.json == {"model": "the-model", "query": "a tin robot", "documents": ["one", {"text": "two"}]}


def test_a_query_among_the_parameters_goes_before_the_prompt_and_all_that_was_asked_for_is_sent() -> None:
    asked = call(
        "rerank",
        query="tides",
        documents=TEXTS,
        top_n=2,
        return_documents=False,
        max_chunk_per_doc=4,
        overlap_tokens=80,
    )

    assert vectors.RANK.build(asked).json == {
        "model": "the-model",
        "query": "tides",
        "documents": TEXTS,
        "top_n": 2,
        "return_documents": False,
        "max_chunk_per_doc": 4,
        "overlap_tokens": 80,
    }
