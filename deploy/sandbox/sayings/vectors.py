"""Rarer answers about vectors and ranks.  Contract: gateway/images-text-audio-system.md 5.8, 5.9.  Pure."""

from __future__ import annotations

from typing import Final

from deploy.sandbox.sayings.saying import Sayings, body, changed

SAYINGS: Final[Sayings] = {
    "no_vectors": changed(data=[]),
    "no_ranks": changed(results=[]),
    "null_documents": body(
        lambda usual: {**usual.body, "results": [{**one, "document": None} for one in usual.body["results"]]}
    ),
}
