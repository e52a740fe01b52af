"""Films over `/v1/chat/completions`."""

from __future__ import annotations

from typing import Final

from tests.contract.asks.ask import Ask, Family, Way, json_call
from tests.contract.shapes import Loose


def _films(model: str = "sora-2", *, stream: bool = False) -> Way:
    told = [{"role": "user", "content": "{prompt}"}]
    return json_call("/v1/chat/completions", model=model, messages=told, stream=stream)


WHOLE: Final = _films()
STREAM: Final = _films(stream=True)
VEO_STREAM: Final = _films("veo3-pro-frames", stream=True)

COUNTS: Final = Loose(r"usage", "how tokens are counted differs by channel, and no client needs it", True)
UNUSED: Final = Loose(
    r"choices\[\d*\]\.message\.(refusal: null|annotations: empty list|audio: null)",
    "some relays send these fields of OpenAI's empty, others leave them out (9.3)",
)
EXCERPT: Final = Loose(r"usage\.", "the file leaves out the usage, which no film needs")


def _stream(words: str, way: Way = STREAM) -> Ask:
    return Ask(way, words)


ASKS: Final = {
    "0-cut-off.txt": _stream("say=cut_in_first"),
    "0-empty.txt": Ask(WHOLE, "fail_after=200_empty"),
    "0-page.html": Ask(WHOLE, "variant=html200"),
    "9.2-stream-bare-url.txt": _stream("variant=bare_url say=no_pings+address_in_words"),
    "9.2-stream-broken-and-done.txt": _stream("variant=no_link say=no_pings+broken_off"),
    "9.2-stream-broken.txt": _stream("variant=no_link say=no_pings+broken_off+no_done"),
    "9.2-stream-cut-in-the-link.txt": _stream("say=no_pings+broken_in_link"),
    "9.2-stream-cut-off.txt": _stream("variant=no_link say=no_pings+broken_off+cut_in_last"),
    "9.2-stream-english.txt": _stream("variant=english say=no_pings"),
    "9.2-stream-link-only.txt": _stream("variant=link say=no_pings"),
    "9.2-stream-sora.txt": _stream(""),
    "9.2-stream-veo.txt": _stream("say=no_pings", VEO_STREAM),
    "9.2-stream-video-tag.txt": _stream("variant=bare_url say=no_pings+tag_alone"),
    "9.2-stream-without-done.txt": _stream("say=no_pings+no_usage+no_done"),
    "9.2-stream-without-end.txt": _stream("variant=unfinished say=no_pings"),
    "9.2-stream-without-film.txt": _stream("variant=no_link say=no_pings"),
    "9.3-content-filter.json": Ask(WHOLE, "variant=content_filter"),
    "9.3-content-null.json": Ask(WHOLE, "variant=empty"),
    "9.3-link-only.json": Ask(WHOLE, "variant=link"),
    "9.3-log.json": Ask(WHOLE),
    "9.3-no-choices.json": Ask(WHOLE, "say=receipt"),
    "9.3-refusal-field.json": Ask(WHOLE, "say=refusal_field"),
    "9.3-refusal.json": Ask(WHOLE, "variant=refusal"),
    "9.4-alone.json": Ask(WHOLE, "variant=bare_url"),
    "9.4-data-url.json": Ask(WHOLE, "variant=data_uri"),
    "9.4-echo-of-the-request.json": Ask(WHOLE, "say=echo"),
    "9.4-empty.txt": _stream("variant=empty say=no_pings+no_usage"),
    "9.4-error-event-beside-a-film.txt": _stream("variant=bare_url say=no_pings+error_beside_film"),
    "9.4-error-event-policy.txt": _stream("say=error_policy"),
    "9.4-error-event.txt": _stream("variant=error_event say=no_pings+error"),
    "9.4-failed-load-chinese.json": Ask(WHOLE, "say=busy"),
    "9.4-failed-load.txt": _stream("variant=bare_url say=no_pings+failed_load"),
    "9.4-failed-once-then-done.json": Ask(WHOLE, "variant=bare_url say=failed_once"),
    "9.4-failed-policy-english.json": Ask(WHOLE, "say=failed_policy"),
    "9.4-failed-policy.txt": _stream("variant=failed_moderation say=no_pings"),
    "9.4-failed-size.json": Ask(WHOLE, "say=failed_size"),
    "9.4-failed-third-party.json": Ask(WHOLE, "say=failed_third_party"),
    "9.4-failed-timeout.json": Ask(WHOLE, "say=failed_timeout"),
    "9.4-film-at-the-host-of-the-preview.json": Ask(WHOLE, "variant=bare_url say=host_of_the_preview"),
    "9.4-html-link.json": Ask(WHOLE, "variant=bare_url say=html_link"),
    "9.4-link-in-thoughts.json": Ask(WHOLE, "variant=bare_url say=link_in_thoughts"),
    "9.4-no-extension.json": Ask(WHOLE, "variant=bare_url say=cover_too"),
    "9.4-parentheses.json": Ask(WHOLE, "variant=bare_url say=parentheses"),
    "9.4-parts.json": Ask(WHOLE, "variant=bare_url say=parts", loose=(EXCERPT,)),
    "9.4-path-in-query.json": Ask(WHOLE, "variant=bare_url say=path_in_query", holds=b"%3A%2F%2F"),
    "9.4-preview-alone.json": Ask(WHOLE, "say=preview_alone"),
    "9.4-several-links.json": Ask(WHOLE, "variant=bare_url say=several_links"),
    "9.4-two-choices.json": Ask(WHOLE, "variant=link say=two_choices"),
    "9.4-two-films-in-one.json": Ask(WHOLE, "variant=bare_url say=two_in_one"),
    "9.4-two-films-to-watch.json": Ask(WHOLE, "variant=bare_url say=two_to_watch"),
}

FAMILY: Final = Family(ASKS, (COUNTS, UNUSED))
