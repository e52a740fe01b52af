"""Pictures over `/v1/images/generations`."""

from __future__ import annotations

from typing import Final

from tests.contract.asks.ask import Ask, Family, json_call
from tests.contract.shapes import Loose

BANANA: Final = json_call("/v1/images/generations", model="nano-banana", prompt="{prompt}")
GPT: Final = json_call("/v1/images/generations", model="gpt-image-1", prompt="{prompt}")
SEEDREAM: Final = json_call("/v1/images/generations", model="doubao-seedream-4-0-250828", prompt="{prompt}", n=2)
ONE_SEEDREAM: Final = json_call("/v1/images/generations", model="doubao-seedream-4-0-250828", prompt="{prompt}")

COUNTS: Final = Loose(r"usage", "how tokens are counted differs by channel, and no client needs it", True)

ASKS: Final = {
    "0-cut-off.txt": Ask(GPT, "cut=unnoticed", media_type="application/json"),
    "0-empty.txt": Ask(BANANA, "fail_after=200_empty"),
    "0-page.html": Ask(BANANA, "fail_after=200_page"),
    "1.3-null.json": Ask(BANANA, "say=null"),
    "1.3-object-of-another-kind.json": Ask(BANANA, "say=another_kind"),
    "2.4-refusal-beside-no-data.json": Ask(BANANA, "say=reason_beside_no_data"),
    "2.4-refusal-in-an-item.json": Ask(BANANA, "say=reason_in_an_item"),
    "2.4-success-beside-no-data.json": Ask(BANANA, "say=success_beside_no_data"),
    "3.3-V1-url-signed.json": Ask(BANANA, "variant=url", holds=rb"\u0026"),
    "3.3-V1-url.json": Ask(BANANA),
    "3.3-V2-b64.json": Ask(GPT),
    "3.3-V3-b64-empty.json": Ask(BANANA, "say=b64_empty"),
    "3.3-V3-url-empty.json": Ask(BANANA, "variant=both_empty"),
    "3.3-V4-data-url-in-b64.json": Ask(BANANA, "variant=b64_data_uri"),
    "3.3-V4-data-url-in-url.json": Ask(BANANA, "variant=data_uri"),
    "3.3-V5-both-keys-empty.json": Ask(BANANA, "variant=no_media"),
    "3.3-V5-empty.json": Ask(BANANA, "variant=empty"),
    "3.3-V5-error-beside-data.json": Ask(BANANA, "say=error_beside_data"),
    "3.3-V5-mixed.json": Ask(SEEDREAM, "variant=partial"),
    "3.3-V5-null.json": Ask(BANANA, "variant=null_data"),
    "3.3-V6-task-in-data.json": Ask(BANANA, "say=task_in_data"),
    "3.3-V6-task.json": Ask(BANANA, "variant=receipt"),
    "3.3-V7-ark-all-failed.txt": Ask(ONE_SEEDREAM, "say=ark_all_failed"),
    "3.3-V7-ark.txt": Ask(ONE_SEEDREAM, "say=ark_stream"),
    "3.3-V7-openai.txt": Ask(GPT, "variant=sse"),
    "3.4-b64-jpeg-begins-with-a-slash.json": Ask(ONE_SEEDREAM, "variant=b64_json say=only_data", holds=b'"/9j/'),
    "3.4-b64-url-safe-in-lines-unpadded.json": Ask(BANANA, "variant=b64_json say=b64_url_safe", holds=rb"\n"),
    "3.4-data-one-object.json": Ask(BANANA, "variant=single_object"),
    "3.4-image-url-text.json": Ask(BANANA, "say=image_url"),
    "3.4-image.json": Ask(BANANA, "say=image"),
    "3.4-images.json": Ask(BANANA, "variant=images_key"),
    "3.4-nested-image-url.json": Ask(BANANA, "say=nested_image_url"),
    "3.4-output-strings.json": Ask(BANANA, "say=output"),
    "3.4-the-same-twice.json": Ask(BANANA, "say=twice"),
    "3.5-relative-url.json": Ask(BANANA, "say=relative"),
    "3.5-url-at-the-gateway.json": Ask(BANANA, "say=only_data"),
    "3.5-url-without-scheme.json": Ask(BANANA, "say=no_scheme"),
    "4.3-500-only-imagen.json": Ask(BANANA, "fail=500_convert"),
    "4.4-500-image-is-required.json": Ask(BANANA, "fail=500_convert"),
    "4.10-reverse-with-usage.json": Ask(BANANA, "say=reverse"),
    "4.10-stream-error-without-a-key.txt": Ask(GPT, "variant=sse say=stream_error_bare"),
    "4.10-stream-error.txt": Ask(GPT, "variant=sse say=stream_error"),
    "4.10-stream-one-of-two-failed.txt": Ask(BANANA, "say=stream_of_edits"),
    "4.14-all-failed-policy.json": Ask(BANANA, "variant=refusal"),
    "4.14-all-failed.json": Ask(BANANA, "say=all_failed"),
    "4.14-error-beside-error-items.json": Ask(BANANA, "say=all_failed_and_error"),
}

FAMILY: Final = Family(ASKS, (COUNTS,))
