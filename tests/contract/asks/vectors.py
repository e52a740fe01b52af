"""Vectors and ranks."""

from __future__ import annotations

from typing import Any, Final

from tests.contract.asks.ask import Ask, Family, Way, json_call
from tests.contract.shapes import Loose

TEXTS: Final = ["Boats are made of wood.", "The tide comes in at six.", "Tides {prompt}"]


def _embeds(given: Any = "{prompt}", **fields: Any) -> Way:
    return json_call("/v1/embeddings", model="text-embedding-3-small", input=given, **fields)


def _ranks(query: str = "{prompt}", **fields: Any) -> Way:
    return json_call("/v1/rerank", model="bge-reranker-v2-m3", query=query, documents=TEXTS[:2], **fields)


ONE: Final = _embeds()
RANKS: Final = _ranks()

COUNTS: Final = Loose(r"usage", "some channels count what they say, too, and say nothing (5.9)", True)

ASKS: Final = {
    "0-cut-off.txt": Ask(ONE, "cut=unnoticed", media_type="application/json"),
    "0-empty.txt": Ask(ONE, "fail_after=200_empty"),
    "0-page.html": Ask(ONE, "variant=html200"),
    "5.8-500-input-is-empty.json": Ask(_embeds("")),
    "5.8-500-upstream.json": Ask(ONE, "fail=500_upstream"),
    "5.8-base64.json": Ask(_embeds(encoding_format="base64")),
    "5.8-float.json": Ask(ONE),
    "5.8-no-vectors.json": Ask(ONE, "say=no_vectors"),
    "5.8-several-out-of-order.json": Ask(_embeds(TEXTS), "variant=backwards"),
    "5.9-500-query-is-empty.json": Ask(_ranks("")),
    "5.9-documents-are-objects.json": Ask(RANKS),
    "5.9-documents-are-texts.json": Ask(RANKS, "variant=texts"),
    "5.9-id-and-meta.json": Ask(RANKS, "variant=meta say=null_documents"),
    "5.9-no-ranks.json": Ask(RANKS, "say=no_ranks"),
    "5.9-without-documents.json": Ask(_ranks(return_documents=False)),
}

FAMILY: Final = Family(ASKS, (COUNTS,))
