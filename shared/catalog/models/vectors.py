"""Models that embed and that rank: data only.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from shared.catalog.entry import Entry, Limit, Price


def _vectors(title: str, usd_a_million: str, most_dimensions: int) -> Entry:
    return Entry(
        title=title,
        operation="embedding.create",
        lane="embedding",
        typical_s=2,
        first_look_s=1,
        price=Price(per_million_tokens=Decimal(usd_a_million)),
        limits={"dimensions": Limit(maximum=most_dimensions)},
    )


def _ranks(title: str, usd_a_million: str) -> Entry:
    return Entry(
        title=title,
        operation="rerank",
        lane="embedding",
        typical_s=2,
        first_look_s=1,
        price=Price(per_million_tokens=Decimal(usd_a_million)),
    )


ENTRIES: Final[Mapping[str, Entry]] = {
    "text-embedding-3-small": _vectors("Text Embedding 3 Small", "0.02", 1536),
    "text-embedding-3-large": _vectors("Text Embedding 3 Large", "0.13", 3072),
    "jina-reranker-v2-base-multilingual": _ranks("Jina Reranker 2", "0.05"),
    "bge-reranker-v2-m3": _ranks("BGE Reranker 2", "0.01"),
}
