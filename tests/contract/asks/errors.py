"""Errors: each is a fault of its own, told at the route whose envelope it has."""

from __future__ import annotations

from typing import Final

from tests.contract.asks.ask import Ask, Family, Way, json_call

PICTURE: Final = json_call("/v1/images/generations", model="nano-banana", prompt="{prompt}")
FILM: Final = json_call("/v1/videos", model="sora-2", prompt="{prompt}", seconds="4", size="720x1280")
GRID: Final = json_call("/mj/submit/imagine", prompt="{prompt}")
WORDS: Final = json_call("/v1/chat/completions", model="gpt-4.1", messages=[{"role": "user", "content": "{prompt}"}])


def _row(way: Way, fault: str, media_type: str = "") -> Ask:
    return Ask(way, f"fail={fault}", media_type=media_type)


ASKS: Final = {
    "1.3-A-400-code-null.json": _row(PICTURE, "400_code_null"),
    "1.3-A-401-code-missing.json": _row(PICTURE, "401_no_code"),
    "1.3-A-429-code-number.json": _row(PICTURE, "429_code_number"),
    "1.3-A-503-model-not-found.json": _row(PICTURE, "503"),
    "1.3-B-400-task-not-exist.json": _row(FILM, "404"),
    "1.3-C-400-task-no-found.json": _row(GRID, "404"),
    "1.3-C-401-aborted-early.json": _row(GRID, "401_aborted"),
    "1.3-E-404-string.json": _row(GRID, "404_text"),
    "1.3-F-500-panic.json": _row(GRID, "500_panic"),
    "1.3-G-413-page.html": _row(PICTURE, "413_html"),
    "1.3-G-500-html-from-the-proxy.json": _row(GRID, "500_html_from_proxy"),
    "1.3-G-502-page.html": _row(PICTURE, "502"),
    "1.3-G-503-page.html": _row(PICTURE, "503_page"),
    "1.3-G-504-page.html": _row(PICTURE, "504"),
    "1.3-G-504-text.txt": _row(PICTURE, "504_text"),
    "1.3-G-520-page.html": _row(PICTURE, "520"),
    "1.3-G-522-page.html": _row(PICTURE, "522"),
    "1.3-G-524-page.html": _row(PICTURE, "524"),
    "1.3-H-400-success-false.json": _row(PICTURE, "400_success_false"),
    "1.3-H-401-code-and-msg.json": _row(PICTURE, "401_msg"),
    "1.3-H-422-detail-list.json": _row(PICTURE, "422"),
    "1.3-H-429-message-and-type.json": _row(PICTURE, "429_bare"),
    "1.4-A-401-key-exhausted-chinese.json": _row(PICTURE, "401_exhausted"),
    "1.4-A-401-key-exhausted-english.json": _row(PICTURE, "401_exhausted_english"),
    "1.4-A-403-allow-list.json": _row(PICTURE, "403_allow_list"),
    "1.4-A-404-invalid-url.json": _row(PICTURE, "404"),
    "1.4-A-429-insufficient-quota.json": _row(PICTURE, "429_quota"),
    "1.4-A-429-saturated.json": _row(PICTURE, "429"),
    "1.4-A-429-user-limit.json": _row(PICTURE, "429_user_limit"),
    "1.4-A-503-no-channel-chinese.json": _row(PICTURE, "503_no_channel"),
    "1.4-A-503-no-channel-english.json": _row(PICTURE, "503_no_channel_english"),
    "2.1-E10-200-after-pings.txt": _row(WORDS, "200_after_pings"),
    "2.1-E11-200-event.txt": _row(WORDS, "200_error_event"),
    "2.1-E12-400.json": _row(FILM, "400"),
    "2.1-E2-529.json": _row(PICTURE, "529"),
    "2.1-E3-503.json": _row(PICTURE, "503_overloaded"),
    "2.1-E4-200.json": _row(PICTURE, "200_success_false"),
    "2.1-E4-401.json": _row(PICTURE, "401_coded"),
    "2.1-E5-429-empty.txt": _row(PICTURE, "429_empty"),
    "2.1-E5-500-empty.txt": _row(PICTURE, "500_empty"),
    "2.1-E6-403-challenge.html": _row(PICTURE, "403_challenge"),
    "2.1-E7-400.json": _row(PICTURE, "400_google"),
    "2.1-E7-429.json": _row(PICTURE, "429_google"),
    "2.1-E8-200-error.json": _row(PICTURE, "200_error"),
    "2.1-E8-200-policy.json": _row(PICTURE, "200_policy"),
    "2.1-E8-200-rate-limit.json": _row(PICTURE, "200_rate_limit"),
    "2.1-E9-400-as-event-stream.json": _row(WORDS, "400_event_stream", "text/event-stream"),
    "2.11-C-400-channel-disabled.json": _row(GRID, "mj_channel_disabled"),
    "2.11-C-400-insert-failed.json": _row(GRID, "mj_insert_failed"),
    "2.11-C-400-prompt-is-required.json": _row(GRID, "400"),
    "2.11-C-400-quota-not-enough.json": _row(GRID, "403"),
    "2.11-C-400-status-not-success.json": _row(GRID, "mj_not_success"),
    "2.2-400-prompt-blocked.json": _row(PICTURE, "400_prompt_blocked"),
    "2.2-403-account-balance-no-code.json": _row(PICTURE, "403_balance_no_code"),
    "2.2-403-account-balance.json": _row(PICTURE, "403"),
    "2.2-403-violation-fee.json": _row(PICTURE, "403_violation_fee"),
    "2.2-500-empty-response.json": _row(PICTURE, "500_empty_response"),
    "2.3-202-placeholder.json": _row(PICTURE, "202_placeholder"),
    "2.3-400-ark-sensitive.json": _row(PICTURE, "400_ark"),
    "2.3-400-location.json": _row(PICTURE, "400_location"),
    "2.3-400-moderation.json": _row(PICTURE, "moderation"),
    "2.3-401-key-of-the-operator.json": _row(PICTURE, "401_upstream"),
    "2.3-500-placeholder.json": _row(PICTURE, "500_placeholder"),
    "2.3-503-overloaded.json": _row(PICTURE, "503_code_number"),
    "2.3-503-without-a-reason.json": _row(PICTURE, "503_no_reason"),
    "2.3-C-400-code-5-empty.json": _row(GRID, "mj_empty_body"),
    "2.3-C-400-code-5-request-body.json": _row(GRID, "mj_request_body"),
    "2.3-C-400-code-5.json": _row(GRID, "500_do_request_failed"),
    "2.3-C-429-code-30.json": _row(GRID, "429"),
    "6.7-B-400-channel-disabled.json": _row(FILM, "task_channel_disabled"),
    "6.7-B-400-fail-to-fetch-task-policy.json": _row(FILM, "task_policy"),
    "6.7-B-400-fail-to-fetch-task-quoted-twice.json": _row(FILM, "task_quoted_twice"),
    "6.7-B-400-fail-to-fetch-task.json": _row(FILM, "task_seconds"),
    "6.7-B-400-invalid-size.json": _row(FILM, "task_invalid_size"),
    "6.7-B-400-missing-model.json": _row(FILM, "task_missing_model"),
    "6.7-B-400-no-prompt.json": _row(FILM, "400"),
    "6.7-B-400-seconds-a-number.json": _row(FILM, "task_seconds_number"),
    "6.7-B-401-fail-to-fetch-task.json": _row(FILM, "task_401"),
    "6.7-B-403-fail-to-fetch-task-quota.json": _row(FILM, "task_403_quota"),
    "6.7-B-403-insufficient-user-quota.json": _row(FILM, "403"),
    "6.7-B-403-pre-consume.json": _row(FILM, "task_pre_consume"),
    "6.7-B-403-quota-not-enough.json": _row(FILM, "task_quota"),
    "6.7-B-500-do-request-failed.json": _row(FILM, "500_do_request_failed"),
    "6.7-B-500-fail-to-fetch-task.json": _row(FILM, "task_500"),
    "6.7-B-500-get-channel-failed.json": _row(FILM, "500"),
    "6.7-B-500-invalid-response.json": _row(FILM, "task_invalid_response"),
    "6.7-B-500-model-price-error.json": _row(FILM, "task_price"),
    "6.7-B-500-unmarshal.json": _row(FILM, "task_unmarshal"),
    "6.7-B-501-not-implemented.json": _row(FILM, "task_501"),
    "6.7-B-502-fail-to-fetch-task-page.json": _row(FILM, "task_502_page"),
}

FAMILY: Final = Family(ASKS)
