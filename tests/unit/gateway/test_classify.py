from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest

from shared.gateway import classify
from shared.gateway.outcome import ErrorClass, GatewayError
from shared.gateway.request import Response
from tests.unit.gateway.replies import reply

INVALID: Final = ErrorClass.INVALID_REQUEST
AUTH: Final = ErrorClass.AUTH
QUOTA: Final = ErrorClass.QUOTA_EXHAUSTED
POLICY: Final = ErrorClass.CONTENT_POLICY
LIMITED: Final = ErrorClass.RATE_LIMITED
UNAVAILABLE: Final = ErrorClass.UNAVAILABLE
UNKNOWN: Final = ErrorClass.UNKNOWN_OUTCOME

#: By file; its name holds the HTTP status.
ERRORS: Final[dict[str, tuple[ErrorClass, str]]] = {
    "1.3-A-503-model-not-found.json": (UNAVAILABLE, "model_not_found"),
    "1.3-A-401-code-missing.json": (AUTH, "http_401"),
    "1.3-A-400-code-null.json": (INVALID, "http_400"),
    "1.3-A-429-code-number.json": (LIMITED, "http_429"),
    "1.4-A-503-no-channel-chinese.json": (UNAVAILABLE, "http_503"),
    "1.4-A-503-no-channel-english.json": (UNAVAILABLE, "http_503"),
    "1.4-A-404-invalid-url.json": (INVALID, "http_404"),
    "1.4-A-401-key-exhausted-chinese.json": (QUOTA, "http_401"),
    "1.4-A-401-key-exhausted-english.json": (QUOTA, "http_401"),
    "1.4-A-403-allow-list.json": (AUTH, "http_403"),
    "1.4-A-429-saturated.json": (LIMITED, "http_429"),
    "1.4-A-429-user-limit.json": (LIMITED, "http_429"),
    "1.4-A-429-insufficient-quota.json": (QUOTA, "insufficient_quota"),
    "2.2-403-account-balance.json": (QUOTA, "insufficient_user_quota"),
    "2.2-403-account-balance-no-code.json": (QUOTA, "http_403"),
    "2.3-401-key-of-the-operator.json": (UNAVAILABLE, "invalid_api_key"),
    "2.3-400-moderation.json": (POLICY, "moderation_blocked"),
    "2.3-400-ark-sensitive.json": (POLICY, "inputtextsensitivecontentdetected.policyviolation"),
    "2.3-400-location.json": (UNAVAILABLE, "http_400"),
    "2.3-500-placeholder.json": (UNKNOWN, "bad_response_status_code"),
    "2.3-202-placeholder.json": (UNKNOWN, "bad_response_status_code"),
    "2.3-503-overloaded.json": (UNAVAILABLE, "http_503"),
    "2.3-503-without-a-reason.json": (UNKNOWN, "http_503"),
    "1.3-B-400-task-not-exist.json": (INVALID, "task_not_exist"),
    "6.7-B-400-missing-model.json": (INVALID, "missing_model"),
    "6.7-B-400-no-prompt.json": (INVALID, "invalid_request"),
    "6.7-B-400-seconds-a-number.json": (INVALID, "invalid_multipart_form"),
    "6.7-B-400-invalid-size.json": (INVALID, "invalid_size"),
    "6.7-B-400-channel-disabled.json": (INVALID, "task_channel_disable"),
    "6.7-B-403-insufficient-user-quota.json": (QUOTA, "insufficient_user_quota"),
    "6.7-B-403-pre-consume.json": (QUOTA, "pre_consume_token_quota_failed"),
    "6.7-B-403-quota-not-enough.json": (QUOTA, "quota_not_enough"),
    "6.7-B-500-do-request-failed.json": (UNKNOWN, "do_request_failed"),
    "6.7-B-500-invalid-response.json": (UNKNOWN, "invalid_response"),
    "6.7-B-500-unmarshal.json": (UNKNOWN, "unmarshal_response_body_failed"),
    "6.7-B-500-get-channel-failed.json": (UNAVAILABLE, "get_channel_failed"),
    "6.7-B-500-model-price-error.json": (INVALID, "model_price_error"),
    "6.7-B-501-not-implemented.json": (INVALID, "not_implemented"),
    "6.7-B-400-fail-to-fetch-task.json": (INVALID, "invalid_value"),
    "6.7-B-400-fail-to-fetch-task-policy.json": (POLICY, "fail_to_fetch_task"),
    "6.7-B-400-fail-to-fetch-task-quoted-twice.json": (INVALID, "unknown_parameter"),
    "6.7-B-401-fail-to-fetch-task.json": (UNAVAILABLE, "fail_to_fetch_task"),
    "6.7-B-403-fail-to-fetch-task-quota.json": (QUOTA, "insufficient_user_quota"),
    "6.7-B-500-fail-to-fetch-task.json": (UNKNOWN, "internal"),
    "6.7-B-502-fail-to-fetch-task-page.json": (UNKNOWN, "fail_to_fetch_task"),
    "1.3-C-400-task-no-found.json": (INVALID, "task_no_found"),
    "2.11-C-400-quota-not-enough.json": (QUOTA, "quota_not_enough"),
    "2.11-C-400-prompt-is-required.json": (INVALID, "prompt_is_required"),
    "2.11-C-400-status-not-success.json": (INVALID, "task_status_not_success"),
    "2.11-C-400-channel-disabled.json": (INVALID, "http_400"),
    "2.11-C-400-insert-failed.json": (UNKNOWN, "insert_midjourney_task_failed"),
    "2.3-C-400-code-5.json": (UNKNOWN, "do_request_failed"),
    "2.3-C-400-code-5-request-body.json": (UNKNOWN, "read_request_body_failed"),
    "2.3-C-400-code-5-empty.json": (UNKNOWN, "empty_response_body"),
    "2.3-C-429-code-30.json": (LIMITED, "http_429"),
    "1.3-C-401-aborted-early.json": (AUTH, "http_401"),
    "1.3-G-500-html-from-the-proxy.json": (UNKNOWN, "http_500"),
    "1.3-E-404-string.json": (INVALID, "http_404"),
    "1.3-F-500-panic.json": (UNKNOWN, "new_api_panic"),
    "1.3-G-502-page.html": (UNKNOWN, "http_502"),
    "1.3-G-503-page.html": (UNKNOWN, "http_503"),
    "1.3-G-504-page.html": (UNKNOWN, "http_504"),
    "1.3-G-504-text.txt": (UNKNOWN, "http_504"),
    "1.3-G-520-page.html": (UNKNOWN, "http_520"),
    "1.3-G-522-page.html": (UNAVAILABLE, "http_522"),
    "1.3-G-524-page.html": (UNKNOWN, "http_524"),
    "1.3-G-413-page.html": (INVALID, "http_413"),
    "2.1-E6-403-challenge.html": (UNAVAILABLE, "http_403"),
    "1.3-H-400-success-false.json": (INVALID, "http_400"),
    "1.3-H-401-code-and-msg.json": (AUTH, "http_401"),
    "1.3-H-422-detail-list.json": (INVALID, "http_422"),
    "1.3-H-429-message-and-type.json": (LIMITED, "rate_limit_error"),
    "2.1-E2-529.json": (UNAVAILABLE, "overloaded_error"),
    "2.1-E3-503.json": (UNAVAILABLE, "system_cpu_overloaded"),
    "2.1-E4-401.json": (AUTH, "auth_token_missing"),
    "2.1-E4-200.json": (UNKNOWN, "http_200"),
    "2.1-E5-429-empty.txt": (LIMITED, "http_429"),
    "2.1-E5-500-empty.txt": (UNKNOWN, "http_500"),
    "2.1-E7-400.json": (INVALID, "invalid_argument"),
    "2.1-E7-429.json": (LIMITED, "resource_exhausted"),
    "2.1-E8-200-error.json": (UNKNOWN, "http_200"),
    "2.1-E8-200-policy.json": (POLICY, "content_policy_violation"),
    "2.1-E8-200-rate-limit.json": (UNKNOWN, "rate_limit_exceeded"),
    "2.1-E9-400-as-event-stream.json": (INVALID, "invalid_request"),
    "2.1-E10-200-after-pings.txt": (UNKNOWN, "do_request_failed"),
    "2.1-E11-200-event.txt": (POLICY, "prompt_blocked"),
    "2.1-E12-400.json": (INVALID, "invalid_request"),
    "2.2-400-prompt-blocked.json": (POLICY, "prompt_blocked"),
    "2.2-500-empty-response.json": (ErrorClass.NO_MEDIA, "empty_response"),
    "2.2-403-violation-fee.json": (POLICY, "violation_fee.grok.csam"),
}

REPLIES: Final = frozenset(f"errors/{name}" for name in ERRORS)

#: What the gateway makes itself, and its class (images 2.2).
BORN_IN_THE_GATEWAY: Final = (
    (500, "invalid_request", INVALID),
    (500, "convert_request_failed", INVALID),
    (500, "count_token_failed", INVALID),
    (500, "sensitive_words_detected", POLICY),
    (500, "model_price_error", INVALID),
    (500, "get_channel_failed", UNAVAILABLE),
    (500, "channel:no_available_key", UNAVAILABLE),
    (503, "model_not_found", UNAVAILABLE),
    (404, "model_not_found", INVALID),
    (503, "system_cpu_overloaded", UNAVAILABLE),
    (503, "system_memory_overloaded", UNAVAILABLE),
    (503, "system_disk_overloaded", UNAVAILABLE),
    (500, "do_request_failed", UNKNOWN),
    (500, "bad_response_body", UNKNOWN),
    (500, "read_response_body_failed", UNKNOWN),
    (500, "query_data_error", UNAVAILABLE),
    (500, "update_data_error", UNAVAILABLE),
    (500, "gen_relay_info_failed", UNAVAILABLE),
    (501, "api_not_implemented", INVALID),
    (403, "access_denied", AUTH),
    (413, "read_request_body_failed", INVALID),
    (503, "upscale_worker_offline", UNAVAILABLE),
    (429, "upscale_busy", LIMITED),
    (500, "a_code_nobody_listed", UNKNOWN),
    (500, "rate_limit_exceeded", UNKNOWN),
    (500, "overloaded_error", UNKNOWN),
    (529, "overloaded_error", UNAVAILABLE),
    (503, "a_code_nobody_listed", UNKNOWN),
    (418, "a_code_nobody_listed", UNKNOWN),
)


def error(name: str, **headers: str) -> GatewayError:
    found = re.search(r"-(\d{3})(?=[-.])", name)
    assert found is not None
    refused = classify.refusal(reply(f"errors/{name}", int(found[1]), **headers))
    assert refused is not None
    return refused.error


def answer(status: int, body: Any, **headers: str) -> Response:
    return Response(status, {key.replace("_", "-"): value for key, value in headers.items()}, json.dumps(body).encode())


def said(status: int, code: object = "", message: str = "", type: str = "new_api_error") -> GatewayError:
    refused = classify.refusal(answer(status, {"error": {"code": code, "message": message, "type": type}}))
    assert refused is not None
    return refused.error


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_each_envelope_of_the_contract_has_its_class_and_code(name: str) -> None:
    found = error(name)

    assert (found.error_class, found.code) == ERRORS[name]
    assert found.upstream_request_id == "20260304101112Ab"
    assert 0 < len(found.message) <= 500


@pytest.mark.parametrize(("status", "code", "expected"), BORN_IN_THE_GATEWAY)
def test_an_error_of_the_gateway_is_judged_by_its_code(status: int, code: str, expected: ErrorClass) -> None:
    assert said(status, code).error_class is expected


@pytest.mark.parametrize("status", [408, 499, 500, 502, 503, 504, 520, 524, 527, 530, 307, 302, 599])
def test_a_status_that_proves_no_refusal_leaves_the_outcome_unknown(status: int) -> None:
    page = classify.refusal(Response(status, body=b"<html>no available channel, moderation, quota</html>"))

    assert page is not None
    assert page.error.error_class is UNKNOWN
    assert page.error.message == "an HTML page"


@pytest.mark.parametrize("status", [521, 522, 523, 525, 526])
def test_what_never_reached_the_gateway_was_not_charged(status: int) -> None:
    refused = classify.refusal(Response(status))

    assert refused is not None
    assert refused.error.error_class is UNAVAILABLE


@pytest.mark.parametrize(
    ("name", "charged"),
    [
        ("2.2-400-prompt-blocked.json", True),
        ("2.2-500-empty-response.json", True),
        ("2.2-403-violation-fee.json", True),
        ("2.1-E8-200-policy.json", True),
        ("2.3-400-moderation.json", False),
        ("1.4-A-429-saturated.json", False),
    ],
)
def test_an_error_that_is_billed_says_so(name: str, charged: bool) -> None:
    assert error(name).charged is charged


def test_the_raw_body_of_the_upstream_is_decoded_once_more() -> None:
    found = error("6.7-B-400-fail-to-fetch-task.json")

    assert found.message == "Invalid value: '9'. Supported values are: '4', '8', and '12'."


def test_an_object_that_is_no_error_leaves_the_message_as_it_is() -> None:
    found = said(401, "", 'no such key {"group": "vip"}')

    assert (found.error_class, found.message) == (AUTH, 'no such key {"group": "vip"}')


def test_a_list_of_details_is_read_for_its_first_sentence() -> None:
    assert error("1.3-H-422-detail-list.json").message == "field required"


@pytest.mark.parametrize(
    "message",
    [
        "This prompt violates our usage policies.",
        "内容审核未通过",
        "prompt 包含敏感词",
        "Similar to third-party content",
        "blocked by moderation",
    ],
)
def test_words_about_policy_end_a_job_whatever_the_code(message: str) -> None:
    assert said(500, "do_request_failed", message).error_class is POLICY


def test_a_broken_moderation_service_is_no_policy() -> None:
    assert said(500, "", "moderation service unavailable").error_class is UNKNOWN


@pytest.mark.parametrize("status", [400, 401, 402, 403, 429])
@pytest.mark.parametrize("message", ["用户额度不足", "余额不足", "insufficient balance", "token quota is not enough"])
def test_no_money_is_no_money_whatever_the_status(status: int, message: str) -> None:
    assert said(status, "", message).error_class is QUOTA


@pytest.mark.parametrize("kind", ["upstream_error", "invalid_request_error", "permission_error"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_key_of_the_operator_does_not_pause_our_lane(status: int, kind: str) -> None:
    assert said(status, "", "no", type=kind).error_class is UNAVAILABLE


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry_after": "15"}, 15.0),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "1.5"}, 1.5),
        ({"retry_after": "Sun, 06 Nov 1994 08:50:07 GMT", "date": "Sun, 06 Nov 1994 08:49:37 GMT"}, 30.0),
        ({"retry_after": "Sun, 06 Nov 1994 08:49:07 GMT", "date": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0.0),
        ({"retry_after": "Sun, 06 Nov 1994 08:50:07 GMT"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_against_the_answers_own(
    headers: dict[str, str], expected: float | None
) -> None:
    assert error("1.4-A-429-saturated.json", **headers).retry_after_s == expected


def test_the_request_id_is_taken_from_the_message_where_no_header_has_it() -> None:
    refused = classify.refusal(answer(400, {"error": {"message": "no (request id: 2026Ab)"}}))

    assert refused is not None
    assert refused.error.upstream_request_id == "2026Ab"


@pytest.mark.parametrize(
    "body",
    [
        {"id": "task_1", "status": "queued", "error": None},
        {"id": "task_1", "status": "failed", "error": {"message": "x"}},
        {"created": 1, "data": [{"url": "https://a/b"}], "error": {"message": "one of two failed"}},
        {"code": "success", "message": "", "data": {"error": {"message": "x"}}},
        {"code": 1, "description": "提交成功", "result": "1"},
        {"code": 24, "description": "banned", "result": None},
        {"success": True, "data": []},
        {"error": ""},
        {"data": []},
        None,
        [],
        "error",
    ],
)
def test_a_whole_answer_is_left_to_the_adapter(body: Any) -> None:
    assert classify.refusal(answer(200, body)) is None
    assert classify.unseen(answer(200, body)) is None


@pytest.mark.parametrize(
    "body", [b"", b"<html>error</html>", b'{"error"', b'{"created":1,"data":[{"b64', b"[" * 100_000]
)
def test_what_cannot_be_read_with_status_200_is_left_to_the_adapter(body: bytes) -> None:
    assert classify.refusal(Response(200, body=body)) is None


def test_success_false_is_an_error_whatever_stands_beside_it() -> None:
    refused = classify.refusal(answer(200, {"success": False, "message": "no", "data": "task_1"}))

    assert refused is not None
    assert refused.error.error_class is UNKNOWN


def test_a_deep_body_does_not_break_the_decoder() -> None:
    refused = classify.refusal(Response(500, body=b'{"error":' * 100_000))

    assert refused is not None
    assert refused.error.error_class is UNKNOWN


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("key sk-abc***xyz is used up", "key sk-… is used up"),
        ("Incorrect API key provided: sk-proj-Ab12_x.", "Incorrect API key provided: sk-…"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer …"),
        ("cannot fetch https://a.example/b.png?X-Sig=1&k=2, sorry", "cannot fetch https://a.example/b.png sorry"),
        ("bad image data:image/png;base64,iVBORw0KGgo= here", "bad image [data] here"),
        ("bad image " + "iVBORw0K" * 20, "bad image [data]"),
        ("a task-force and a risk-free desk-top", "a task-force and a risk-free desk-top"),
        ("  two\n lines ", "two lines"),
    ],
)
def test_a_message_holds_no_key_no_data_and_no_signature(message: str, expected: str) -> None:
    assert classify.clean(message) == expected


def test_what_the_gateway_says_in_chinese_is_led_by_what_its_code_means() -> None:
    error = {"message": "分组 default 下模型 no-such 无可用渠道", "type": "new_api_error", "code": "model_not_found"}
    refused = classify.refusal(Response(503, {}, json.dumps({"error": error}).encode()))

    assert refused is not None
    assert refused.error.message == (
        "the gateway has no channel for this model and key just now: 分组 default 下模型 no-such 无可用渠道"
    )


def test_a_line_separator_inside_a_text_does_not_cut_an_event() -> None:
    event = {"error": {"message": "one\u2028two\u0085three"}}
    body = f"data: {json.dumps(event, ensure_ascii=False)}\n\ndata: [DONE]\n".encode()

    assert classify.documents(body) == [event]


def test_a_long_message_is_cut() -> None:
    assert classify.clean("ab " * 400) == ("ab " * 400)[:499] + "…"


def test_a_look_that_was_refused_tells_nothing_about_the_task() -> None:
    unseen = classify.unseen(reply("errors/1.4-A-401-key-exhausted-english.json", 401, retry_after="7"))

    assert unseen is not None
    assert (unseen.upstream_status, unseen.retry_after_s) == (401, 7.0)
    assert unseen.reason.startswith("http_401: This token's quota has been used up")
