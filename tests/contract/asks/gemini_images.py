"""Pictures over Gemini's own format."""

from __future__ import annotations

from typing import Final

from tests.contract.asks.ask import Ask, Family, json_call
from tests.contract.shapes import Loose

PATH: Final = "/v1beta/models/gemini-2.5-flash-image"
TURN: Final = [{"role": "user", "parts": [{"text": "{prompt}"}]}]
WHOLE: Final = json_call(f"{PATH}:generateContent", contents=TURN)
STREAM: Final = json_call(f"{PATH}:streamGenerateContent?alt=sse", contents=TURN)

COUNTS: Final = Loose(r"(\[\d*\]\.)?usageMetadata", "which events count tokens, and how, differs by channel (4.7)")
HEAD: Final = Loose(r"(\[\d*\]\.)?(modelVersion|responseId): ", "channels of another kind tell neither (4.5)")
RATINGS: Final = Loose(
    r"candidates\[\]\.safetyRatings: empty list", "channels of another kind send an empty list (4.5)"
)

ASKS: Final = {
    "0-cut-off.txt": Ask(WHOLE, "cut=unnoticed", media_type="application/json"),
    "0-empty.txt": Ask(WHOLE, "fail_after=200_empty"),
    "0-page.html": Ask(WHOLE, "variant=html200"),
    "2.1-E11-beside-a-picture.txt": Ask(STREAM, "say=error_beside_picture"),
    "2.1-E11.txt": Ask(STREAM, "variant=error_event"),
    "2.1-E7.json": Ask(WHOLE, "fail=429_google", 429),
    "2.4-blocked-null.json": Ask(WHOLE, "say=blocked_null"),
    "2.4-blocked-stream.txt": Ask(STREAM, "variant=blocked say=blocked_image"),
    "2.4-blocked.json": Ask(WHOLE, "variant=blocked"),
    "2.4-draft-then-safety.json": Ask(WHOLE, "say=draft_then_safety"),
    "2.4-image-other.json": Ask(WHOLE, "variant=image_other"),
    "2.4-image-safety-stream.txt": Ask(STREAM, "say=safety_in_the_end"),
    "2.4-image-safety.json": Ask(WHOLE, "variant=image_safety"),
    "2.4-max-tokens.json": Ask(WHOLE, "variant=max_tokens"),
    "2.4-no-candidates.json": Ask(WHOLE, "variant=empty"),
    "2.4-no-image.json": Ask(WHOLE, "variant=no_image"),
    "2.4-null-parts.json": Ask(WHOLE, "say=null_parts"),
    "2.4-prohibited-content.json": Ask(WHOLE, "variant=prohibited say=with_message"),
    "2.4-safety-with-a-text.json": Ask(WHOLE, "say=safety_with_text"),
    "2.4-text-stream.txt": Ask(STREAM, "variant=no_media say=last_text_stops"),
    "2.4-text.json": Ask(WHOLE, "variant=no_media"),
    "3.3-V1-images-body.json": Ask(WHOLE, "variant=bare_url say=images_body"),
    "3.3-V17-inline-snake.json": Ask(WHOLE, "variant=inline_snake"),
    "3.3-V18-markdown-data.json": Ask(WHOLE, "variant=data_uri"),
    "3.3-V18-markdown-url.json": Ask(WHOLE, "variant=url"),
    "3.3-V18-url.json": Ask(WHOLE, "variant=bare_url"),
    "3.3-V19-file-snake.json": Ask(WHOLE, "variant=file say=file_snake"),
    "3.3-V19-file.json": Ask(WHOLE, "variant=file"),
    "3.3-V6-task.json": Ask(WHOLE, "variant=receipt"),
    "3.4-draft-is-a-thought.json": Ask(WHOLE, "say=draft_is_a_thought"),
    "3.4-drafts.json": Ask(WHOLE, "say=signed_draft"),
    "3.4-label-lies.json": Ask(WHOLE, "say=label_lies"),
    "3.4-only-a-thought.json": Ask(WHOLE, "variant=thoughts"),
    "3.4-second-candidate-blocked.json": Ask(WHOLE, "say=second_blocked"),
    "3.4-sound-beside-the-picture.json": Ask(WHOLE, "say=sound_too"),
    "3.4-thought-comes-last.json": Ask(WHOLE, "say=thought_last"),
    "3.4-two-candidates.json": Ask(WHOLE, "say=two_candidates"),
    "4.5-V16-inline.json": Ask(WHOLE, "say=signed"),
    "4.5-of-another-kind.json": Ask(WHOLE, "say=another_kind"),
    "4.6-signed.json": Ask(WHOLE, "say=thoughts_and_signatures"),
    "4.7-array.json": Ask(STREAM, "say=array", media_type="application/json"),
    "4.7-broken-after-a-picture.txt": Ask(STREAM, "variant=unfinished"),
    "4.7-broken-before-the-picture.txt": Ask(STREAM, "say=broken_before"),
    "4.7-cut-in-the-picture.txt": Ask(STREAM, "cut=unnoticed"),
    "4.7-stream-drafts.txt": Ask(STREAM, "say=stream_drafts"),
    "4.7-stream-openai-channel.txt": Ask(STREAM, "variant=url say=stops_twice"),
    "4.7-stream.txt": Ask(STREAM),
}

FAMILY: Final = Family(ASKS, (COUNTS, HEAD, RATINGS))
