"""Pictures over `/v1/chat/completions`."""

from __future__ import annotations

from typing import Final

from tests.contract.asks.ask import Ask, Family, Way, json_call
from tests.contract.shapes import Loose


def _draws(model: str, *, stream: bool = False) -> Way:
    told = [{"role": "user", "content": "{prompt}"}]
    return json_call("/v1/chat/completions", model=model, messages=told, stream=stream)


WHOLE: Final = _draws("gemini-2.5-flash-image")
STREAM: Final = _draws("gemini-2.5-flash-image", stream=True)
GPT: Final = _draws("gpt-4o-image")
GPT_STREAM: Final = _draws("gpt-4o-image", stream=True)
SEEDREAM: Final = _draws("doubao-seedream-4-0-250828")
SEEDREAM_STREAM: Final = _draws("doubao-seedream-4-0-250828", stream=True)

COUNTS: Final = Loose(r"usage", "how tokens are counted differs by channel, and no client needs it", True)

ASKS: Final = {
    "0-cut-off.txt": Ask(WHOLE, "cut=unnoticed", media_type="application/json"),
    "0-empty.txt": Ask(WHOLE, "fail_after=200_empty"),
    "0-page.html": Ask(WHOLE, "variant=html200"),
    "2.1-E10.txt": Ask(STREAM, "fail_after=200_after_pings"),
    "2.1-E11-beside-a-picture.txt": Ask(STREAM, "variant=url say=error_beside_picture"),
    "2.1-E11-empty-response.txt": Ask(STREAM, "variant=url say=error_empty_response"),
    "2.1-E11-policy.txt": Ask(STREAM, "variant=url say=error_policy"),
    "2.1-E11.txt": Ask(STREAM, "variant=url say=error"),
    "2.2-empty-response.json": Ask(WHOLE, "variant=empty_response", 500),
    "2.2-prompt-blocked.json": Ask(WHOLE, "variant=prompt_blocked", 400),
    "2.4-content-filter-null.json": Ask(WHOLE, "variant=content_filter say=content_null"),
    "2.4-content-filter-stream.txt": Ask(STREAM, "variant=content_filter"),
    "2.4-content-filter.json": Ask(WHOLE, "variant=content_filter"),
    "2.4-empty-stream-stopped.txt": Ask(STREAM, "variant=no_media say=nothing"),
    "2.4-empty-stream.txt": Ask(STREAM, "variant=empty"),
    "2.4-empty.json": Ask(WHOLE, "variant=empty"),
    "2.4-failed-policy.json": Ask(GPT, "variant=failed_moderation"),
    "2.4-failed-stream.txt": Ask(GPT_STREAM, "variant=failed_moderation say=short_log+no_usage"),
    "2.4-failed-without-a-reason.json": Ask(GPT, "variant=failed say=failed_in_english"),
    "2.4-failed.json": Ask(GPT, "variant=failed"),
    "2.4-refusal-field.json": Ask(WHOLE, "variant=refusal"),
    "2.4-refusal-in-chinese.json": Ask(GPT, "variant=no_media"),
    "2.4-refusal-stream.txt": Ask(STREAM, "variant=no_media say=no_usage"),
    "2.4-refusal.json": Ask(WHOLE, "variant=no_media"),
    "2.5-error-200.json": Ask(WHOLE, "variant=error200"),
    "3.3-V10-link-alone.json": Ask(GPT, "say=link_and_address"),
    "3.3-V10-progress.json": Ask(GPT),
    "3.3-V10-stream.txt": Ask(GPT_STREAM),
    "3.3-V11-bare-url-in-a-sentence.json": Ask(WHOLE, "variant=url say=in_a_sentence"),
    "3.3-V11-bare-url.json": Ask(WHOLE, "variant=bare_url"),
    "3.3-V11-link.json": Ask(WHOLE, "variant=link"),
    "3.3-V11-stream.txt": Ask(STREAM, "variant=bare_url say=no_first+no_usage"),
    "3.3-V12-image-source.json": Ask(WHOLE, "variant=data_uri say=sources"),
    "3.3-V12-image-url.json": Ask(WHOLE, "variant=parts"),
    "3.3-V12-output-image.json": Ask(WHOLE, "variant=url say=output_image"),
    "3.3-V12-stream.txt": Ask(STREAM, "variant=parts say=no_usage"),
    "3.3-V13-images-and-markdown.json": Ask(WHOLE, "variant=url say=images_too"),
    "3.3-V13-images.json": Ask(WHOLE, "variant=message_images"),
    "3.3-V13-stream.txt": Ask(STREAM, "variant=data_uri say=images_chunk"),
    "3.3-V14-images-body-failed.json": Ask(WHOLE, "variant=images_body say=body_failed"),
    "3.3-V14-images-body-mixed.json": Ask(WHOLE, "variant=images_body say=body_mixed"),
    "3.3-V14-images-body-stream.txt": Ask(STREAM, "variant=images_body"),
    "3.3-V14-images-body.json": Ask(WHOLE, "variant=images_body say=body_with_usage"),
    "3.3-V14-media-stream.txt": Ask(STREAM, "variant=media"),
    "3.3-V14-media-strings.json": Ask(WHOLE, "variant=media say=media_strings"),
    "3.3-V14-media.json": Ask(WHOLE, "variant=media"),
    "3.3-V15-in-thoughts.txt": Ask(STREAM, "variant=thoughts say=no_usage"),
    "3.3-V15-split-data.txt": Ask(STREAM, "variant=data_uri say=in_pieces+no_usage"),
    "3.3-V6-task.json": Ask(WHOLE, "variant=receipt"),
    "3.3-V8-data-in-lines-twice.json": Ask(WHOLE, "variant=data_uri say=in_lines_twice"),
    "3.3-V8-data.json": Ask(WHOLE, "variant=data_uri"),
    "3.3-V8-stream.txt": Ask(STREAM, "variant=data_uri"),
    "3.3-V9-stream.txt": Ask(STREAM, "variant=url say=no_usage"),
    "3.3-V9-url-with-parentheses.json": Ask(WHOLE, "variant=url say=parentheses", holds=rb"(1\\)"),
    "3.3-V9-url-with-title.json": Ask(WHOLE, "variant=url say=titled", holds=b"a kite (red)"),
    "3.3-V9-url.json": Ask(WHOLE, "variant=url"),
    "3.4-bare-data.json": Ask(WHOLE, "variant=data_uri say=bare_data"),
    "3.4-drafts.json": Ask(WHOLE, "variant=drafts"),
    "3.4-html.json": Ask(WHOLE, "variant=url say=html"),
    "3.4-the-same-twice.json": Ask(WHOLE, "variant=url say=twice"),
    "3.5-at-the-gateway.json": Ask(WHOLE, "variant=url say=at_the_gateway"),
    "4.1-length.json": Ask(WHOLE, "variant=empty say=length"),
    "4.12-seedream-stream.txt": Ask(SEEDREAM_STREAM, "variant=url say=seedream_stream"),
    "4.12-seedream.json": Ask(SEEDREAM, "variant=url say=unreasoned"),
    "4.8-only-preview.json": Ask(GPT, "say=only_log"),
    "5.1-no-choices.json": Ask(WHOLE, "say=no_choices"),
    "5.1-of-another-kind.json": Ask(WHOLE, "say=another_kind"),
    "5.2-broken-after-the-picture.txt": Ask(STREAM, "variant=unfinished"),
    "5.2-broken-before-the-picture.txt": Ask(STREAM, "variant=url say=broken_before"),
    "5.2-broken-in-the-url.txt": Ask(STREAM, "variant=url say=broken_in_url"),
    "5.2-cut-in-the-picture.txt": Ask(STREAM, "variant=data_uri cut=unnoticed"),
    "5.2-message-in-a-stream.txt": Ask(STREAM, "variant=whole_message say=message_alone"),
    "5.6-draft-in-thoughts.json": Ask(WHOLE, "variant=data_uri say=draft_in_thoughts"),
}

FAMILY: Final = Family(ASKS, (COUNTS,))
