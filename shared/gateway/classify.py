"""What all replies of the gateway share: is it an error, and which class is it?  Pure.

Money first.  A class that lets a job be sent again is given only where the contract documents that nothing was
charged; whatever is not documented, and any 5xx that is not, is `unknown_outcome`.  What says most is believed
first: words about policy, then the code, other words, Midjourney's number, and at last the HTTP status.

Contract: gateway/midjourney-and-video.md 1.3, 1.4, 2.3, 2.11, 6.7; gateway/images-text-audio-system.md 2.
Literal replies: tests/replies/errors/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Final

from shared.gateway.outcome import ErrorClass, GatewayError, Refused, Unseen
from shared.gateway.request import Response

MESSAGE_MOST: Final = 500
"""Longest message that is handed on, characters."""

ANY: Final = range(100, 1000)
SUCCESS: Final = range(200, 300)
CLIENT_ERROR: Final = range(400, 500)


@dataclass(frozen=True)
class Rule:
    """At these HTTP statuses these words mean this class."""

    error_class: ErrorClass
    words: re.Pattern[str]
    statuses: Container[int] = ANY


def _codes(error_class: ErrorClass, *codes: str, statuses: Container[int] = ANY) -> Rule:
    return Rule(error_class, re.compile(rf"\A(?:{'|'.join(codes)})\Z"), statuses)


def _texts(error_class: ErrorClass, *texts: str, statuses: Container[int] = ANY) -> Rule:
    return Rule(error_class, re.compile("|".join(texts), re.IGNORECASE), statuses)


CODES: Final[tuple[Rule, ...]] = (
    _codes(
        # The provider was, or may have been, at work already (images 2.2; video 2.11, 6.7).
        ErrorClass.UNKNOWN_OUTCOME,
        "do_request_failed",
        "bad_response_body",
        "(?:read|unmarshal|copy)_response_body_failed",
        "empty_response_body",
        "insert_midjourney_task_failed",
        "invalid_response",
        "convert_to_openai_video_failed",
        "new_api_panic",
    ),
    _codes(
        ErrorClass.CONTENT_POLICY,
        "prompt_blocked",
        r"sensitive_words?(?:_detected)?",
        r"(?:content_)?moderation(?:_\w+)?",
        r"content_policy(?:_violation)?",
        r"content_filter(?:ed)?",
        "image_generation_user_error",
        r"violation_fee\..*",
        # Ark writes InputTextSensitiveContentDetected, OutputImageSensitiveContentDetected.PolicyViolation, ….
        r".*sensitivecontentdetected.*",
        r".*riskdetection.*",
    ),
    _codes(ErrorClass.NO_MEDIA, "empty_response"),
    _codes(
        ErrorClass.QUOTA_EXHAUSTED,
        "insufficient_(?:user_)?quota",
        "insufficient_balance",
        "pre_consume_token_quota_failed",
        "quota_not_enough",
        "billing_hard_limit_reached",
    ),
    _codes(
        ErrorClass.RATE_LIMITED,
        "429",
        r"rate_limit_\w+",
        "too_many_requests",
        "resource_exhausted",
        "upscale_busy",
        statuses=CLIENT_ERROR,
    ),
    _codes(ErrorClass.UNAVAILABLE, "model_not_found", statuses=(503,)),
    _codes(
        ErrorClass.UNAVAILABLE,
        "get_channel_failed",
        "channel:.*",
        "query_data_error",
        "update_data_error",
        "gen_relay_info_failed",
        r"system_\w+_overloaded",
        "upscale_worker_offline",
    ),
    _codes(ErrorClass.UNAVAILABLE, "unavailable", "overloaded_error", statuses=(503, 529)),
    _codes(
        ErrorClass.INVALID_REQUEST,
        "invalid_request",
        "convert_request_failed",
        "count_token_failed",
        "model_price_error",
        "model_not_found",
        "missing_model",
        r"invalid_(?:json|multipart_form|size|value|argument|image_file|api_platform)",
        "(?:parse|bind)_request(?:_body)?_failed",
        "unknown_parameter",
        r"invalidparameter.*",
        r"task_(?:origin_)?not_exist",
        r"task_not?_found",
        "task_status_not_success",
        "task_channel_disable",
        "channel_not_found",
        "get_channel_info_failed",
        "(?:api_)?not_implemented",
        r"\w+_is_required",
        r"(?:index|content)_parse_failed",
        "unknown_action:.*",
    ),
    _codes(ErrorClass.AUTH, r"auth_\w+"),
)
"""What the error calls itself: its code, Google's status word or its type, in lower case."""

POLICY_TEXTS: Final = _texts(
    ErrorClass.CONTENT_POLICY,
    "content[ _-]?policy",
    "moderation(?! (?:service|api|request))",
    "ai moderator",
    "community (?:standard|guideline)",
    "safety (?:system|filter|polic|guideline)",
    "guardrail",
    "sensitive (?:word|content|information)",
    "banned (?:prompt|word)",
    "third-party content",
    "(?:real|photorealistic) (?:person|people|face)",
    "violat.{0,60}(?:polic|guideline|terms)",
    "敏感",
    "违规",
    "违反.{0,20}(?:政策|规定|准则|规范)",
    "内容政策",
    "内容审核",
    "审核(?:未|不)通过",
)

TEXTS: Final[tuple[Rule, ...]] = (
    _texts(
        ErrorClass.QUOTA_EXHAUSTED,
        "剩余额度",
        "额度.{0,4}(?:不足|失败|用尽|用完)",
        "余额.{0,4}不足",
        "欠费",
        "TokenStatusExhausted",
        "pre-?consume",
        r"insufficient[\w ]{0,20}(?:quota|balance|credit|fund)",
        r"(?:quota|balance|credits?)[\w ]{0,20}(?:insufficient|not enough|used up|exhausted|depleted|too low)",
        "not enough (?:quota|balance|credit)",
        statuses=(400, 401, 402, 403, 429),
    ),
    _texts(ErrorClass.UNAVAILABLE, "无可用渠道", "no available channel"),
    _texts(ErrorClass.UNAVAILABLE, "overload", "负载", statuses=(503, 529)),
    _texts(ErrorClass.UNAVAILABLE, "user location is not supported", statuses=(400,)),
    _texts(
        ErrorClass.INVALID_REQUEST,
        r"\[invalid[ _]parameter",
        r"unrecognized parameter",
        "must match the requested",
        # Code 3 says "no free account" and "the parent is gone" alike; only the first passes by waiting (2.3).
        "关联任务",
        "(?:parent|related) task",
        statuses=CLIENT_ERROR,
    ),
)
"""Where no code told: sentences, in the languages of the deployments."""

MIDJOURNEY: Final[Mapping[int, ErrorClass]] = {
    3: ErrorClass.UNAVAILABLE,  # no free account
    4: ErrorClass.INVALID_REQUEST,
    5: ErrorClass.UNKNOWN_OUTCOME,  # the gateway lost the proxy's answer
    9: ErrorClass.UNAVAILABLE,  # "failure" without more; not billed
    23: ErrorClass.RATE_LIMITED,  # the account's queue is full
    24: ErrorClass.CONTENT_POLICY,
    30: ErrorClass.RATE_LIMITED,
}
"""The numbers of submit results and of the gateway's own Midjourney errors (2.3)."""

BACK_OFF_S: Final[Mapping[int, float]] = {23: 30.0}
"""After these numbers it is pointless to ask again sooner, seconds (2.3)."""

STATUSES: Final[Mapping[int, ErrorClass]] = {
    400: ErrorClass.INVALID_REQUEST,
    401: ErrorClass.AUTH,
    402: ErrorClass.QUOTA_EXHAUSTED,
    403: ErrorClass.AUTH,
    404: ErrorClass.INVALID_REQUEST,
    405: ErrorClass.INVALID_REQUEST,
    409: ErrorClass.UNAVAILABLE,
    413: ErrorClass.INVALID_REQUEST,
    415: ErrorClass.INVALID_REQUEST,
    422: ErrorClass.INVALID_REQUEST,
    425: ErrorClass.UNAVAILABLE,
    429: ErrorClass.RATE_LIMITED,
    451: ErrorClass.CONTENT_POLICY,
    501: ErrorClass.INVALID_REQUEST,
    # The edge could not reach the gateway; 520 and 524 are missing, since there it could.
    521: ErrorClass.UNAVAILABLE,
    522: ErrorClass.UNAVAILABLE,
    523: ErrorClass.UNAVAILABLE,
    525: ErrorClass.UNAVAILABLE,
    526: ErrorClass.UNAVAILABLE,
}
"""What a status alone proves; one that is not here proves nothing."""

FINAL: Final = frozenset({ErrorClass.INVALID_REQUEST, ErrorClass.CONTENT_POLICY})
"""Classes after which nothing is sent again."""

BILLED: Final = re.compile(r"(?:prompt_blocked|empty_response|violation_fee\..*)\Z")
"""Codes of errors that cost money all the same (images 2.2)."""

OWN_TYPES: Final = frozenset({"", "new_api_error", "one_api_error"})
"""Types of 401 and 403 that are about our key; with any other it is the operator's upstream key (images 2.3)."""

SECRETS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"data:[\w.+-]+/[\w.+-]+[;,][^\s\"')>]*"), "[data]"),
    (re.compile(r"\bsk-[\w*.-]+"), "sk-…"),
    (re.compile(r"\b(Bearer)\s+[\w*.~+/=-]{8,}", re.IGNORECASE), r"\1 …"),
    (re.compile(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>)]*"), r"\1"),
    (re.compile(r"[A-Za-z0-9+/=_-]{80,}"), "[data]"),
)
"""What must not be in a message, and what stands there instead."""

VAGUE: Final = re.compile(
    r"\d*\Z|(?:error|\w+_api_error|upstream_error|openai_error|server_error|invalid_request_error)\Z"
)
"""Codes and types that say nothing about the cause."""


@dataclass(frozen=True)
class Said:
    """What an error body says, whatever envelope it came in."""

    codes: tuple[str, ...] = ()
    """What the error calls itself, lower case, most telling first."""
    message: str = ""
    type: str = ""
    number: int | None = None
    """Midjourney's code, where the envelope is Midjourney's."""
    is_json: bool = True
    is_relayed: bool = False
    """The gateway put the raw body of its upstream into the message."""


MEANINGS: Final[Mapping[str, str]] = {
    "model_not_found": "the gateway has no channel for this model and key just now",
    "insufficient_user_quota": "the account at the gateway has too little balance for this call",
    "pre_consume_token_quota_failed": "the limit of the gateway's key is too low for this call",
    "access_denied": "the gateway does not take this key from this address",
    "sensitive_words_detected": "the prompt has words that the gateway's operator has blocked",
    "model_price_error": "the gateway's operator has set no price for this model",
    "read_request_body_failed": "the request is larger than the gateway takes",
    "get_channel_failed": "the gateway has no channel left for this model",
}
"""What the gateway's own codes say, for people (images 2.2)."""


def refusal(response: Response, free_at: Container[int] = ()) -> Refused | None:
    """The error in the answer to a paid call, or None if there is none and the adapter is to read on.

    At 2xx an error is a top-level `error` that is not empty, or `success: false`, unless a result stands beside it
    (images 3.3 V5, a video that failed): that is the adapter's to judge.  Everything else but 2xx is refused.
    HTML, null and nothing at all with status 200 are no error here, and no result to any adapter.

    Args:
        free_at: the adapter's.
    """
    if response.status not in SUCCESS:
        return Refused(_error(response, _said_by(response), free_at))
    body = _error_at_success(response.body)
    return None if body is None else Refused(_error(response, said(body)))


NO_SUCH_TASK: Final = frozenset({"task_not_exist", "task_no_found", "task_not_found", "midjourney_task_not_found"})
"""Codes that say that a task is not there (video 1.3 C and E, 6.7)."""


def unseen(response: Response) -> Unseen | None:
    """Why a look at an upstream task told nothing, or None if the adapter is to read on.

    An error about the look itself is never one of the task: an exhausted key answers 401 to looks (video 1.1).
    """
    refused = refusal(response)
    if refused is None:
        return None
    error = refused.error
    is_missing = response.status == 404 or error.code in NO_SUCH_TASK
    return Unseen(f"{error.code}: {error.message}", response.status, error.retry_after_s, is_missing)


def refused(error_class: ErrorClass, code: str, message: str, *, charged: bool = False) -> Refused:
    """A refusal of our own making, its message cleaned."""
    return Refused(GatewayError(error_class, code, clean(message), charged=charged))


def failure(words: Said, otherwise: ErrorClass = ErrorClass.TASK_FAILED, *, charged: bool = False) -> Refused:
    """Why work that was accepted gave nothing: policy, our parameters, or `otherwise`.

    Codes of other classes ("rate_limit_exceeded") happened to the upstream, not to us, and are `otherwise`.
    """
    found = _by_words(400, words)
    error_class = found if found in FINAL else otherwise
    text = words.message or "the gateway gave no reason"
    return refused(error_class, _code(words) or error_class.value, text, charged=charged)


def submit_refusal(body: Mapping[str, Any], number: int) -> Refused:
    """A Midjourney submit result with one of the `MIDJOURNEY` numbers, which came with status 200 as all do (2.3)."""
    words = replace(said(body), number=number)
    found = refused(class_of(400, words), _code(words) or f"midjourney_{number}", words.message)
    return Refused(replace(found.error, retry_after_s=BACK_OFF_S.get(number)))


def documents(body: bytes) -> list[Any]:
    """The JSON values of a body: one, or one for each event of a stream; none if it is neither.

    Streams have `data:` lines; some errors stand bare after `: PING` comments (images 2.1 E10).
    """
    try:
        return [json.loads(body)]
    except (ValueError, RecursionError):
        return list(_events(body)) if body.lstrip()[:6].startswith((b":", b"data:", b"event:", b"id:")) else []


def said(body: Mapping[str, Any]) -> Said:
    """What an error body says, in any of the envelopes A to H (video 1.3) and E1 to E12 (images 2.1).

    A message that holds JSON is the raw body of the upstream, and says more (video 6.7).
    """
    words = _fields(body)
    deeper = _fields(_object_in(words.message))
    if not deeper.message and not deeper.codes:
        return words
    return replace(
        deeper,
        codes=(*deeper.codes, *words.codes),
        message=deeper.message or words.message,
        number=words.number,
        is_relayed=True,
    )


def class_of(status: int, words: Said, free_at: Container[int] = ()) -> ErrorClass:
    """The class of an error that came with this HTTP status.

    Args:
        free_at: the adapter's.
    """
    found = _by_words(status, words)
    if found is None and status in (400, 429) and words.number is not None:  # with others the handler never ran
        found = MIDJOURNEY.get(words.number)
    if found is None and status in free_at and words.is_json:
        found = ErrorClass.UNAVAILABLE
    if found is None:
        found = _by_status(status, words)
    if status in SUCCESS and found not in FINAL:
        return ErrorClass.UNKNOWN_OUTCOME  # older builds bill what they pass on with status 200 (images 2.5)
    return found


def clean(message: str) -> str:
    """A message for people: no keys, no data, no signed URLs, no pages, at most `MESSAGE_MOST` characters."""
    if re.search(r"<(?:!doctype|html|head|body)\b", message[:2000], re.IGNORECASE):
        return "an HTML page"
    for pattern, instead in SECRETS:
        message = pattern.sub(instead, message)
    message = " ".join(message.split())
    return message if len(message) <= MESSAGE_MOST else message[: MESSAGE_MOST - 1] + "…"


def _in_english(words: Said) -> str:
    """The message; what the gateway says in Chinese alone follows a sentence that tells what its code means."""
    message = clean(words.message)
    told = next((sentence for code, sentence in MEANINGS.items() if code in words.codes), "")
    return f"{told}: {message}" if told and not message.isascii() else message


def _error(response: Response, words: Said, free_at: Container[int] = ()) -> GatewayError:
    code = _code(words)
    return GatewayError(
        error_class=class_of(response.status, words, free_at),
        code=code or f"http_{response.status}",
        message=_in_english(words) or f"HTTP {response.status} without a reason",
        upstream_status=response.status,
        upstream_request_id=response.request_id or _request_id_in(words.message),
        retry_after_s=_retry_after_s(response.headers),
        # With status 200 an error is billed by some builds: counted as paid (images 8).
        charged=response.status in SUCCESS or any(BILLED.match(code) for code in words.codes),
    )


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """What `Retry-After` asks for: seconds, or a date, which counts from the answer's own `Date` (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d+)?", value):
        return float(value)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):  # not dates, or one with and one without a zone
        return None
    return max(0.0, wait.total_seconds())


def _said_by(response: Response) -> Said:
    found = next((body for body in documents(response.body) if isinstance(body, Mapping)), None)
    if found is not None:
        return said(found)
    return Said(message=response.body[:20_000].decode(errors="replace"), is_json=False)


def _error_at_success(body: bytes) -> Mapping[str, Any] | None:
    if b'"error"' not in body and b'"success"' not in body:
        return None  # most answers; pictures are megabytes of base64, which need not be parsed twice
    found = documents(body)
    errors = [one for one in found if isinstance(one, Mapping) and _is_error(one)]
    return errors[0] if errors and len(errors) == len(found) else None


def _is_error(body: Mapping[str, Any]) -> bool:
    if body.get("success") is False:
        return True
    return bool(body.get("error") or body.get("type") == "error") and not _has_result(body)


def _has_result(body: Mapping[str, Any]) -> bool:
    is_task = isinstance(body.get("status"), str) and any(
        key in body for key in ("id", "task_id", "object", "progress")
    )
    return is_task or any(body.get(key) for key in ("data", "images", "output", "result"))


def _events(body: bytes) -> Iterator[Any]:
    # Not `splitlines`, which also cuts at U+2028 and U+0085, and these may stand in a text.
    for line in re.split(r"\r\n|\r|\n", body.decode(errors="replace")):
        try:
            yield json.loads(line.removeprefix("data:"))
        except (ValueError, RecursionError):
            continue  # comments, names of events, `[DONE]`


def _fields(body: Mapping[str, Any]) -> Said:
    inner = body.get("error")
    fields = {**body, **inner} if isinstance(inner, Mapping) else body
    message = next(filter(None, (_text(value) for value in _messages(fields, inner))), "")
    kind = _text(fields.get("type"))
    is_midjourney = "description" in fields and isinstance(fields.get("code"), int)
    # In a Midjourney envelope the code is the first word of the sentence, if it is a word of a machine's at all.
    word = message.split(" ")[0] if is_midjourney and re.match(r"[a-z]+_[\w:]*(?:\s|\Z)", message) else ""
    google = inner.get("status") if isinstance(inner, Mapping) else None
    codes = (word, "" if is_midjourney else _text(fields.get("code")), _text(google), kind)
    return Said(
        codes=tuple(code.lower() for code in codes if code),
        message=message,
        type=kind,
        number=fields["code"] if is_midjourney else None,
    )


def _messages(fields: Mapping[str, Any], error: object) -> Iterator[object]:
    yield fields.get("message")
    yield error if isinstance(error, str) else None
    for key in ("description", "msg", "detail", "err", "error_msg", "fail_reason"):
        yield fields.get(key)


def _text(value: object) -> str:
    """A sentence or a code, also from a number, a list of such (`detail`) or an object that holds one."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, str | int):
        return str(value).strip()
    if isinstance(value, list):
        return _text(value[0]) if value else ""
    if isinstance(value, Mapping):
        return _text(value.get("message") or value.get("msg"))
    return ""


def _object_in(message: str) -> Mapping[str, Any]:
    if message.startswith('"'):  # a whole body, quoted once more
        decoded = documents(message.encode())
        message = decoded[0] if decoded and isinstance(decoded[0], str) else message
    start = message.find("{")
    try:
        found, _ = json.JSONDecoder().raw_decode(message, start) if start >= 0 else ({}, 0)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _by_words(status: int, words: Said) -> ErrorClass | None:
    if not words.is_json:
        return None  # a page or a text from a proxy: only its status says something
    if POLICY_TEXTS.words.search(words.message):
        return POLICY_TEXTS.error_class
    found = (_first(CODES, status, code) for code in words.codes)
    return next(filter(None, found), None) or _first(TEXTS, status, words.message)


def _first(rules: tuple[Rule, ...], status: int, text: str) -> ErrorClass | None:
    matching = (rule.error_class for rule in rules if status in rule.statuses and rule.words.search(text))
    return next(matching, None)


def _by_status(status: int, words: Said) -> ErrorClass:
    found = STATUSES.get(status, ErrorClass.UNKNOWN_OUTCOME)
    if found is not ErrorClass.AUTH:
        return found
    is_challenge = status == 403 and not words.is_json
    is_ours = words.type in OWN_TYPES and not words.is_relayed and not is_challenge
    return ErrorClass.AUTH if is_ours else ErrorClass.UNAVAILABLE


def _code(words: Said) -> str:
    return re.sub(r"\s+", "_", next((code for code in words.codes if not VAGUE.match(code)), ""))[:100]


def _request_id_in(message: str) -> str | None:
    found = re.search(r"\(request id: (\w+)\)", message)
    return found[1] if found else None
