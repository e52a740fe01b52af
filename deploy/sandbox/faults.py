"""The documented errors by name, for `fail=…`: one row each, with another envelope where a family has its own.  Pure.

Contract: gateway/midjourney-and-video.md 1.3, 1.4, 2.11, 6.7; gateway/images-text-audio-system.md 2.1 to 2.5.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from deploy.sandbox.replies import (
    HTML,
    Reply,
    midjourney_error,
    openai_error,
    page,
    system_error,
    task_error,
    upstream_error,
)

Family = Literal["image", "video", "midjourney", "audio", "text", "system"]

NO_QUOTA: Final = "预扣费额度失败, 用户剩余额度: $0.012000, 需要预扣费额度: $0.080000"
SATURATED: Final = "当前分组上游负载已饱和，请稍后再试"
MODERATED: Final = "Your request was rejected by the safety system. safety_violations=[violence]."

NO_CHANNEL: Final = "当前分组 default 下对于模型 sora-2 无可用渠道"
REFUSED_PAGE: Final = "<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"
EVENTS: Final = "text/event-stream"


def _plain(status: int, /, **body: Any) -> Reply:
    """An object that is none of the usual envelopes (H)."""
    return Reply(status, body)


def _error(status: int, /, **error: Any) -> Reply:
    """Envelope A with these fields and no others."""
    return Reply(status, {"error": error})


def _fetch_error(status: int, upstream: str) -> Reply:
    """Envelope B around what an upstream said, as a text (6.7)."""
    return task_error(status, "fail_to_fetch_task", upstream)


def _upstream_text(message: str, type_: str, code: str | None, param: str = "") -> str:
    return json.dumps({"error": {"message": message, "type": type_, "param": param, "code": code}})


#: What all families answer.
FAULTS: Final[Mapping[str, Reply]] = {
    "400": upstream_error(400, "invalid_value", "Invalid value for parameter.", type_="invalid_request_error"),
    "moderation": upstream_error(400, "moderation_blocked", MODERATED, type_="image_generation_user_error"),
    "401": openai_error(401, "", "无效的令牌"),
    "401_exhausted": openai_error(401, "", "该令牌额度已用尽 TokenStatusExhausted[sk-san***box]"),
    "401_upstream": upstream_error(401, "invalid_api_key", "Incorrect API key.", type_="invalid_request_error"),
    "403": openai_error(403, "insufficient_user_quota", NO_QUOTA),
    "403_key": openai_error(403, "pre_consume_token_quota_failed", "令牌额度不足"),
    "403_access": openai_error(403, "access_denied", "您的 IP 不在令牌允许访问的列表中"),
    "404": openai_error(404, "", "Invalid URL (POST /v1)", type_="invalid_request_error"),
    "413": openai_error(413, "read_request_body_failed", "request body too large"),
    "413_html": page(413, "413 Request Entity Too Large"),
    "429": openai_error(429, "", SATURATED),
    "429_empty": Reply(429, "", "text/plain; charset=utf-8"),
    "500": openai_error(500, "invalid_request", "field prompt is required"),
    "500_convert": openai_error(500, "convert_request_failed", "image is required"),
    "500_do_request_failed": openai_error(500, "do_request_failed", "upstream error: do request failed"),
    "500_bad_body": openai_error(500, "bad_response_body", "unexpected end of JSON input", type_="bad_response_body"),
    "500_database": openai_error(500, "query_data_error", "database is locked"),
    "500_panic": openai_error(500, "", "Panic detected, error: runtime error", type_="new_api_panic"),
    "501": openai_error(501, "api_not_implemented", "API not implemented"),
    "502": page(502, "502 Bad Gateway"),
    "503": openai_error(503, "model_not_found", "分组 default 下该模型无可用渠道（distributor）"),
    "503_overloaded": _error(503, type="system_cpu_overloaded", message="system cpu overloaded"),
    "504": page(504, "504 Gateway Time-out"),
    "524": page(524, "allmhub.example | 524: A timeout occurred"),
    # Rarer spellings of the envelopes.
    "200_page": page(200, "Welcome to nginx!"),
    "200_empty": Reply(200, "", "text/plain; charset=utf-8"),
    "200_error": upstream_error(200, "server_error", "The server had an error.", type_="server_error"),
    "200_policy": upstream_error(200, "content_policy_violation", MODERATED, type_="image_generation_user_error"),
    "200_rate_limit": upstream_error(200, "rate_limit_exceeded", "Rate limit reached for images", type_="requests"),
    "200_blocked": upstream_error(200, "content_policy_violation", MODERATED, type_="invalid_request_error"),
    "200_e2": _plain(200, type="error", error={"type": "api_error", "message": "Internal server error"}),
    "200_invalid_value": upstream_error(
        200, "invalid_value", "The voice is not available for this account.", type_="invalid_request_error"
    ),
    "200_not_found": upstream_error(200, "task_not_found", "Task not found", type_="invalid_request_error"),
    "200_coded": _plain(200, code=5001, message="synthesis failed upstream", data=None),
    "200_success_false": system_error(200, "无权进行此操作，未登录且未提供 access token"),
    "200_after_pings": Reply(
        200,
        f": PING\n\n: PING\n\n{_upstream_text('do request failed', 'new_api_error', 'do_request_failed')}\n",
        EVENTS,
    ),
    "200_error_event": Reply(
        200,
        f"event: error\ndata: {_upstream_text('The prompt was blocked.', 'prompt_blocked', 'prompt_blocked')}\n\n"
        "data: [DONE]\n\n",
        EVENTS,
    ),
    "202_placeholder": upstream_error(
        202, "bad_response_status_code", "openai_error", type_="bad_response_status_code"
    ),
    "400_code_null": upstream_error(400, None, "size is not valid", type_="invalid_request_error"),
    "400_success_false": system_error(400, "参数错误"),
    "400_google": _error(
        400,
        code=400,
        message="Invalid value at 'generation_config'",
        status="INVALID_ARGUMENT",
        details=[{"@type": "type.googleapis.com/google.rpc.BadRequest"}],
    ),
    "400_event_stream": Reply(400, openai_error(400, "invalid_request", "size is not supported").body, EVENTS),
    "400_prompt_blocked": openai_error(400, "prompt_blocked", "request blocked by Gemini API", type_="prompt_blocked"),
    "400_ark": upstream_error(
        400,
        "InputTextSensitiveContentDetected.PolicyViolation",
        "The request failed because the input text may contain sensitive information.",
        type_="BadRequest",
    ),
    "400_location": _error(
        400, message="User location is not supported for the API use.", type="upstream_error", param="", code=400
    ),
    "401_no_code": _error(401, message="无效的令牌 (request id: \0)", type="new_api_error"),
    "401_exhausted_english": openai_error(401, "", "This token's quota has been used up"),
    "401_aborted": _plain(401, description="无效的令牌", type="new_api_error", code=4),
    "401_msg": _plain(401, code=401, msg="token is invalid"),
    "401_coded": _plain(401, success=False, message="No token provided", code="AUTH_TOKEN_MISSING"),
    "401_header": system_error(401, "No Authorization header"),
    "401_unauthorized": _plain(401, success=False, message="Unauthorized", code="AUTH_UNAUTHORIZED"),
    "403_allow_list": openai_error(403, "", "该令牌无权访问模型 "),
    "403_balance_no_code": openai_error(403, "", "用户余额不足，请充值"),
    "403_violation_fee": _error(403, message="Content violates usage guidelines", code="violation_fee.grok.csam"),
    "403_challenge": page(403, "Just a moment..."),
    "403_banned": _plain(403, success=False, message="User is banned", code="AUTH_USER_DISABLED"),
    "403_privilege": _plain(403, success=False, message="Insufficient privilege", code="AUTH_INSUFFICIENT_PRIVILEGE"),
    "404_url": openai_error(404, "", "Invalid URL (POST /v1)", type_="invalid_request_error"),
    "404_text": _plain(404, error="midjourney_task_not_found"),
    "404_task": upstream_error(404, "", "Task not found", type_="invalid_request_error"),
    "422": _plain(422, detail=[{"loc": ["body", "prompt"], "msg": "field required", "type": "value_error.missing"}]),
    "429_code_number": _error(
        429, message="You exceeded your current quota.", type="upstream_error", param="", code=429
    ),
    "429_quota": upstream_error(429, "insufficient_quota", "You exceeded your quota.", type_="insufficient_quota"),
    "429_user_limit": openai_error(429, "", "您已达到请求数限制：1分钟内最多请求60次"),
    "429_bare": _plain(429, message="Too many requests", type="rate_limit_error"),
    "429_google": _error(
        429, code=429, message="Resource has been exhausted (e.g. check quota).", status="RESOURCE_EXHAUSTED"
    ),
    "500_empty": Reply(500, "", "text/plain; charset=utf-8"),
    "500_html_from_proxy": _plain(
        500, code=4, description="readObjectStart: expect { or n, but found <", type="upstream_error"
    ),
    "500_empty_response": openai_error(500, "empty_response", "empty response from Gemini API", type_="empty_response"),
    "500_count_token": openai_error(500, "count_token_failed", "failed to get file from https://***.com"),
    "500_not_implemented": openai_error(500, "convert_request_failed", "not implemented"),
    "500_placeholder": upstream_error(
        500, "bad_response_status_code", "openai_error", type_="bad_response_status_code"
    ),
    "500_upstream": _error(
        500, message="The server had an error (request id: \0)", type="server_error", param="", code=None
    ),
    "503_placeholder": upstream_error(
        503, "bad_response_status_code", "openai_error", type_="bad_response_status_code"
    ),
    "503_upstream": upstream_error(503, "", "The engine is currently busy", type_="upstream_error"),
    "503_page": page(503, "503 Service Temporarily Unavailable"),
    "503_no_channel": openai_error(503, "", NO_CHANNEL),
    "503_no_channel_english": openai_error(503, "", "There is no available channel for model sora-2 in group default"),
    "503_code_number": _error(503, message="The model is overloaded.", type="upstream_error", param="", code=503),
    "503_no_reason": upstream_error(503, None, "upstream error", type_="upstream_error"),
    "504_text": Reply(504, "upstream request timeout", "text/plain; charset=utf-8"),
    "520": page(520, "520: Web server is returning an unknown error"),
    "522": page(522, "522: Connection timed out"),
    "529": _plain(529, type="error", error={"type": "overloaded_error", "message": "Overloaded"}),
    # Envelope C.
    "mj_channel_disabled": midjourney_error("该任务所属渠道已被禁用"),
    "mj_insert_failed": midjourney_error("insert_midjourney_task_failed"),
    "mj_not_success": midjourney_error("task_status_not_success"),
    "mj_empty_body": midjourney_error("empty_response_body", code=5),
    "mj_request_body": midjourney_error("read_request_body_failed", code=5),
    # Envelope B.
    "task_channel_disabled": task_error(400, "task_channel_disable", "该任务所属渠道已被禁用"),
    "task_policy": _fetch_error(
        400, _upstream_text("This prompt is similar to third-party content guardrails.", "invalid_request_error", None)
    ),
    "task_quoted_twice": _fetch_error(
        400, json.dumps(_upstream_text("Missing required parameter", "invalid_request_error", "unknown_parameter"))
    ),
    "task_seconds": _fetch_error(
        400, _upstream_text("Invalid value: '9'.", "invalid_request_error", "invalid_value", "seconds")
    ),
    "task_invalid_size": task_error(400, "invalid_size", "sora-2 size is invalid"),
    "task_missing_model": task_error(400, "missing_model", "model is required"),
    "task_seconds_number": task_error(
        400, "invalid_multipart_form", "json: cannot unmarshal number into Go struct field .seconds of type string"
    ),
    "task_401": _fetch_error(401, _upstream_text("无效的令牌", "new_api_error", "")),
    "task_403_quota": _fetch_error(403, _upstream_text("用户额度不足", "new_api_error", "insufficient_user_quota")),
    "task_pre_consume": task_error(403, "pre_consume_token_quota_failed", "token quota is not enough"),
    "task_quota": task_error(403, "quota_not_enough", "quota_not_enough"),
    "task_500": _fetch_error(500, json.dumps({"error": {"message": "internal error", "code": "internal"}})),
    "task_invalid_response": task_error(500, "invalid_response", "task_id is empty"),
    "task_price": task_error(500, "model_price_error", "模型 sora-2 倍率或价格未配置"),
    "task_unmarshal": task_error(500, "unmarshal_response_body_failed", "json: cannot unmarshal string into Go"),
    "task_501": task_error(501, "not_implemented", "not_implemented"),
    "task_502_page": _fetch_error(502, REFUSED_PAGE),
}

#: Where a family says the same thing in its own way.
OWN_FAULTS: Final[Mapping[tuple[str, Family], Reply]] = {
    ("400", "video"): task_error(400, "invalid_request", "field prompt is required"),
    ("403", "video"): task_error(403, "insufficient_user_quota", NO_QUOTA),
    ("404", "video"): task_error(400, "task_not_exist", "task_not_exist"),
    ("429", "video"): task_error(429, "fail_to_fetch_task", SATURATED),
    ("500", "video"): task_error(500, "get_channel_failed", "获取渠道失败"),
    ("500_do_request_failed", "video"): task_error(500, "do_request_failed", "请求上游地址失败"),
    ("moderation", "video"): task_error(
        400,
        "fail_to_fetch_task",
        '{"error":{"message":"Your request was blocked by our moderation system.","type":"invalid_request_error",'
        '"param":null,"code":"moderation_blocked"}}',
    ),
    ("401", "system"): system_error(401, "无效的令牌"),
    ("403", "system"): system_error(403, "用户已被封禁"),
    ("429", "system"): Reply(429, "", "text/plain; charset=utf-8"),
    ("400", "midjourney"): midjourney_error("prompt_is_required"),
    ("403", "midjourney"): midjourney_error("quota_not_enough"),
    ("404", "midjourney"): midjourney_error("task_no_found"),
    ("429", "midjourney"): midjourney_error(SATURATED, code=30, status=429),
    ("500_do_request_failed", "midjourney"): midjourney_error("do_request_failed", code=5),
    ("500_bad_body", "midjourney"): midjourney_error("unmarshal_response_body_failed", code=5),
}


def table() -> str:
    """All faults as one Markdown table: the one in README.md."""
    rows = [f"| `{name}` | {reply.status} | {_shown(reply)} | {_own(name)} |" for name, reply in FAULTS.items()]
    return "\n".join(["| fault | status | envelope | elsewhere |", "|---|---|---|---|", *rows])


def fault(name: str, family: Family, retry_after: int | None = None) -> Reply:
    """The named error as that family sends it."""
    reply = OWN_FAULTS.get((name, family), FAULTS[name])
    if retry_after is None:
        return reply
    return Reply(reply.status, reply.body, reply.media_type, {"Retry-After": str(retry_after)})


def _own(name: str) -> str:
    own = [(family, reply) for (fault_name, family), reply in OWN_FAULTS.items() if fault_name == name]
    return "; ".join(f"{family}: {reply.status} {_shown(reply)}" for family, reply in own)


def _shown(reply: Reply) -> str:
    """Envelope and code, in a few words."""
    if reply.media_type == EVENTS and isinstance(reply.body, str):
        return "stream"
    if not isinstance(reply.body, dict):
        return ("HTML" if reply.media_type == HTML else "text") if reply.body else "empty"
    return _envelope(reply.body)


def _envelope(body: Mapping[str, Any]) -> str:
    error, code = body.get("error"), body.get("code")
    if isinstance(error, dict):
        envelope = "E2" if "type" in body else "A"
        return f"{envelope} `{error.get('type', '')}` `{error.get('code', error.get('status', ''))}`"
    if "success" in body:
        return f"E4 `{code}`" if code else "E4"
    if "data" in body:
        return f"B `{code}`"
    return f"C `{code}`" if "description" in body else f"H `{', '.join(body)}`"
