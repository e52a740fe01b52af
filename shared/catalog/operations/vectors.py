"""Numbers about texts: embeddings, and how well documents fit a query.  Pure.

Source: gateway/images-text-audio-system.md 5.8, 5.9.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from shared.catalog.entry import Operation
from shared.catalog.params import Params, Short

Words = Annotated[str, StringConstraints(min_length=1)]


class EmbeddingCreateParams(Params):
    """`embedding.create`: `POST /v1/embeddings` (5.8)."""

    input: Words | Annotated[list[Words], Field(min_length=1, max_length=2048)] | None = None
    """The text, or several, in place of the prompt."""
    dimensions: int | None = Field(None, ge=1, le=65_536)
    """How many numbers make a vector, where the model can make them shorter."""
    encoding_format: Literal["float", "base64"] | None = None
    """`base64` are little-endian floats of 32 bits; they are kept as they come."""
    user: Short | None = None
    """Your own user's id, handed on to the provider."""


class RerankParams(Params):
    """`rerank`: `POST /v1/rerank` (5.9)."""

    query: Words | None = None
    """What is looked for, in place of the prompt."""
    documents: Annotated[list[Words | dict[str, Any]], Field(min_length=1, max_length=10_000)]
    """What is ranked: texts, or objects with a `text`."""
    top_n: int | None = Field(None, ge=1)
    """Only the best so many are told."""
    return_documents: bool | None = None
    """Whether each document is told beside its rank."""
    max_chunk_per_doc: int | None = Field(None, ge=1)
    """In how many pieces a long document is looked at, at most."""
    overlap_tokens: int | None = Field(None, ge=1)
    """How far such pieces overlap."""


OPERATIONS: Final = (
    Operation(
        "embedding.create",
        "Vectors of texts",
        EmbeddingCreateParams,
        gives="text",
        prompt_required=False,
        prompt_in="input",
    ),
    Operation(
        "rerank",
        "Documents in the order in which they fit a query",
        RerankParams,
        gives="text",
        prompt_required=False,
        prompt_in="query",
    ),
)
