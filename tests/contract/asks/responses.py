"""Words over `/v1/responses`."""

from __future__ import annotations

from typing import Any, Final

from tests.contract.asks.ask import Ask, Family, Way, json_call
from tests.contract.shapes import Loose

PORT: Final = {"type": "object", "properties": {"port": {"type": "string"}}}


def _writes(question: str = "When is high tide?", model: str = "gpt-5-mini", **fields: Any) -> Way:
    return json_call("/v1/responses", model=model, input=f"{question} {{prompt}}", **fields)


WHOLE: Final = _writes()
OLDER: Final = _writes(model="gpt-4.1-mini")
STREAM: Final = _writes(stream=True)
TOOL: Final = _writes("get_tide", tools=[{"type": "function", "name": "get_tide", "parameters": PORT}])

COUNTS: Final = Loose(r"(response\.)?usage\.", "how tokens are counted differs by channel", True)


def _stream(words: str, **more: Any) -> Ask:
    return Ask(STREAM, words, **more)


ASKS: Final = {
    "0-cut-off.txt": Ask(WHOLE, "cut=unnoticed", media_type="application/json"),
    "0-empty.txt": Ask(WHOLE, "fail_after=200_empty"),
    "0-page.html": Ask(WHOLE, "variant=html200"),
    "2.1-E11.txt": _stream("say=error"),
    "2.5-200-error.json": Ask(WHOLE, "fail_after=200_blocked"),
    "3.3-V20.json": Ask(OLDER, "variant=picture say=revised"),
    "5.7-500-not-implemented.json": Ask(WHOLE, "fail=500_not_implemented"),
    "5.7-approval.json": Ask(WHOLE, "say=approval"),
    "5.7-budget-spent.json": Ask(WHOLE, "variant=budget_spent say=no_summary"),
    "5.7-custom-tool.json": Ask(WHOLE, "say=custom_tool"),
    "5.7-empty.json": Ask(WHOLE, "say=nothing"),
    "5.7-failed-image.json": Ask(WHOLE, "say=failed_image"),
    "5.7-failed-policy.json": Ask(WHOLE, "say=failed_policy"),
    "5.7-failed.json": Ask(OLDER, "variant=failed"),
    "5.7-functions.json": Ask(TOOL),
    "5.7-in-progress.json": Ask(WHOLE, "say=in_progress"),
    "5.7-incomplete-filter.json": Ask(OLDER, "say=filtered_midway"),
    "5.7-incomplete-tokens.json": Ask(OLDER, "variant=length"),
    "5.7-of-another-kind.json": Ask(WHOLE, "say=another_kind"),
    "5.7-open-thoughts.json": Ask(WHOLE, "say=open_thoughts"),
    "5.7-refusal.json": Ask(OLDER, "variant=refusal"),
    "5.7-stream-broken.txt": _stream("say=broken"),
    "5.7-stream-done.txt": _stream("say=unnamed"),
    "5.7-stream-error.txt": _stream("say=error_stream"),
    "5.7-stream-failed.txt": _stream("say=failed_stream"),
    "5.7-stream-incomplete.txt": _stream("say=incomplete_stream"),
    "5.7-stream-output-empty.txt": _stream("say=shuffled"),
    "5.7-stream.txt": _stream(""),
    "5.7-thoughts.json": Ask(WHOLE, "variant=thoughts"),
    "5.7-two-parts.json": Ask(OLDER, "say=two_parts"),
    "5.7-web-search.json": Ask(OLDER, "variant=search"),
    "5.7.json": Ask(WHOLE),
}

FAMILY: Final = Family(ASKS, (COUNTS,))
