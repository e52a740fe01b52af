"""The documented errors by name, for `fail=…`: one row each, with another envelope where a family has its own.  Pure.

Contract: gateway/midjourney-and-video.md 1.3, 1.4, 6.7; gateway/images-text-audio-system.md 2.2, 2.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from deploy.sandbox.replies import (
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
    "503_overloaded": openai_error(503, "system_cpu_overloaded", "system cpu overloaded"),
    "504": page(504, "504 Gateway Time-out"),
    "524": page(524, "allmhub.example | 524: A timeout occurred"),
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
    if not isinstance(reply.body, dict):
        return "HTML" if reply.body else "empty"
    if "error" in reply.body:
        error = reply.body["error"]
        return f"A `{error['type']}` `{error['code']}`"
    if "success" in reply.body:
        return "E4"
    return f"B `{reply.body['code']}`" if "message" in reply.body else f"C `{reply.body['code']}`"
