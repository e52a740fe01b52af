"""Everything that the sandbox can be told to do otherwise than well.  Pure.

One field is one behaviour: its name is the word in a tag (`[[sandbox latency=3 fail=429]]`) and in a rule's `do`,
its docstring is its line in README.md (a test compares the two).
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from deploy.sandbox.faults import FAULTS
from deploy.sandbox.sayings.table import are_known


def _known_fault(name: str) -> str:
    if name not in FAULTS:
        raise ValueError(f"unknown fault; known are {', '.join(FAULTS)}")
    return name


def _known_saying(name: str) -> str:
    if not are_known(name):
        raise ValueError("unknown saying; README.md lists them")
    return name


Fault = Annotated[str, BeforeValidator(str), AfterValidator(_known_fault)]
Name = Annotated[str, BeforeValidator(str), AfterValidator(_known_saying)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]

ImageVariant = Literal[
    "url",
    "b64_json",
    "both_empty",
    "data_uri",
    "b64_data_uri",
    "partial",
    "fewer",
    "empty",
    "null_data",
    "no_media",
    "refusal",
    "moderation",
    "error200",
    "html200",
    "receipt",
    "single_object",
    "images_key",
    "raw",
    "sse",
]
ChatImageVariant = Literal[
    "url",
    "data_uri",
    "progress",
    "bare_url",
    "link",
    "img_tag",
    "parts",
    "parts_source",
    "message_images",
    "media",
    "images_body",
    "thoughts",
    "drafts",
    "whole_message",
    "raw",
    "no_media",
    "refusal",
    "content_filter",
    "failed",
    "failed_moderation",
    "empty",
    "prompt_blocked",
    "empty_response",
    "receipt",
    "error200",
    "html200",
    "error_event",
    "error_ping",
    "unfinished",
]
GeminiImageVariant = Literal[
    "inline",
    "inline_snake",
    "data_uri",
    "url",
    "bare_url",
    "file",
    "drafts",
    "thoughts",
    "raw",
    "no_media",
    "image_safety",
    "prohibited",
    "no_image",
    "image_other",
    "max_tokens",
    "blocked",
    "empty",
    "receipt",
    "error200",
    "html200",
    "error_event",
    "unfinished",
]
VideoVariant = Literal[
    "content",
    "video_url",
    "late_url",
    "metadata_url",
    "unified",
    "detail",
    "output_list",
    "videos_list",
    "data_wrapper",
    "fail_reason_url",
    "native",
    "data_uri",
    "content_json",
    "live",
    "sibling",
]
ChatFilmVariant = Literal[
    "log",
    "english",
    "link",
    "bare_url",
    "video_tag",
    "html_link",
    "no_extension",
    "data_uri",
    "retried",
    "no_link",
    "failed",
    "failed_moderation",
    "failed_load",
    "refusal",
    "content_filter",
    "empty",
    "no_done",
    "unfinished",
    "broken",
    "broken_done",
    "error_event",
    "error200",
    "html200",
]
SoundVariant = Literal["octet_stream", "sse", "short", "empty", "error200", "html200"]
HeardVariant = Literal["wrapped", "silence", "empty", "error200", "html200"]
VectorVariant = Literal["backwards", "fewer", "texts", "meta", "error200", "html200"]
TextVariant = Literal[
    "long",
    "length",
    "budget_spent",
    "refusal",
    "content_filter",
    "empty",
    "thoughts",
    "think_tag",
    "parts",
    "one_chunk",
    "search",
    "picture",
    "failed",
    "error_event",
    "unfinished",
    "error200",
    "html200",
]
AccountVariant = Literal[
    "unlimited",
    "exhausted",
    "expired",
    "limited",
    "disabled",
    "message_null",
    "gzip",
    "coded",
    "no_types",
    "anthropic",
    "prefixed",
    "empty",
    "failed",
    "error200",
    "html200",
]
ContentFault = Literal[
    "html",
    "json",
    "truncated",
    "wrong_kind",
    "corrupt",
    "too_large",
    "empty",
    "403",
    "404",
    "502",
    "slow",
    "no_length",
    "cut_short",
]


class Behaviour(BaseModel):
    """What one call, task or result does; all at their defaults, it behaves as stock new-api on a good day."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    latency: Seconds | None = None
    """Seconds until a picture is answered, or that a task takes; not scaled by `speed`. With `fail`: before it."""
    submit_latency: Seconds = 0
    """Seconds before the submit of a task is answered."""
    fail: Fault | None = None
    """Answer with this error instead, nothing charged. On a query route (rules only): the query fails."""
    fail_after: Fault | None = None
    """The same errors, but after the charge and after the time that the work takes."""
    retry_after: Count | None = None
    """Seconds, sent as `Retry-After` with a `fail`."""
    cut: Literal["before_charge", "after_charge", "mid_body", "unnoticed"] | None = None
    """Close the connection unanswered, before or after the charge, or amid the answer. `unnoticed`: half, as if all."""
    hang: Seconds = 0
    """Charge, then say nothing for so many seconds, then answer."""
    variant: (
        ImageVariant
        | ChatImageVariant
        | GeminiImageVariant
        | VideoVariant
        | ChatFilmVariant
        | SoundVariant
        | HeardVariant
        | VectorVariant
        | TextVariant
        | AccountVariant
        | None
    ) = None
    """Shape of the answer: of pictures (else by `response_format`), in a chat, in Gemini's format; films, sounds …"""
    say: Name | None = None
    """The answer as a rarer build says it, made of the usual one; several with `+`. A task's queries hear it, too."""
    content: ContentFault | None = None
    """What the result's address serves in place of the result."""
    content_times: Count | None = None
    """Only so many fetches of the result go wrong, then it is served well. Default: all of them."""
    content_s: Seconds = 10
    """Seconds over which `content=slow` spreads its bytes."""
    pad_mb: Count = 0
    """MiB of padding at the result's end; it stays a valid file."""
    render: Literal["full", "plain"] = "full"
    """`plain`: one small ready picture or film for all, so that load tests measure the client and not our drawing."""
    words: Literal["stock", "upper", "lower", "pending", "submitted", "mixed", "unknown", "blank"] = "stock"
    """Vocabulary of a task's status."""
    progress: Literal["stock", "int", "percent", "string", "float", "blank", "text", "none"] = "stock"
    """Form of a task's progress."""
    id_form: Literal["task", "video", "colon", "long", "uuid"] = "task"
    """Form of a film's id."""
    create: Literal["stock", "bare", "task_id", "wrapped", "data_string", "created"] = "stock"
    """Shape of the answer to `POST /v1/videos` and to a remix."""
    query: Literal["both", "videos", "generations"] = "both"
    """Which of the two queries knows a film, `/v1/videos/{id}` or `/v1/video/generations/{id}`; the other is a 404."""
    stale_links: Count = 0
    """So many queries of a finished film are told an address of it that has expired (403)."""
    task: Literal["ok", "fail", "fail_bare", "fail_reason", "moderation", "cancelled"] = "ok"
    """How a task ends; failed with an error object, no reason, `fail_reason` alone, by moderation; canceled."""
    stuck: bool = False
    """The task never ends."""
    lying: bool = False
    """One query past half-time says that the task failed; the next ones know better."""
    poll_fail: Fault | None = None
    """The first `poll_fails` queries of the task answer with this error."""
    poll_fails: Count = 1
    """How many queries `poll_fail` spoils."""
    code: Annotated[
        Literal["1", "3", "4", "5", "9", "21", "22", "23", "24", "30", "empty"] | None, BeforeValidator(str)
    ] = None
    """Midjourney's answer to a submit; 1, 21 and 22 are paid. `empty`: HTTP 200 without a body, paid."""
    result: Literal["string", "number", "null", "blank"] = "string"
    """Form of `result` in Midjourney's answer to a submit."""
    image_urls: Literal["none", "objects", "thumbnails", "strings"] = "none"
    """Whether a Midjourney task lists its four tiles, and how."""
    image_place: Literal["proxy", "hosted", "snake"] = "proxy"
    """Where a Midjourney picture is: `/mj/image/{id}`, a signed address, or that in `image_url`."""
    buttons: Literal["stock", "none", "nulls"] = "stock"
    """A finished Midjourney task's buttons: all, null, or with null in every other field."""
    late_image: Count = 0
    """So many queries see SUCCESS without a picture, a film or a text."""
    films: Literal["objects", "thumbnails", "strings", "text", "snake", "single", "properties", "picture", "proxy"] = (
        "objects"
    )
    """Where a Midjourney task has its films: lists, JSON in a text, one alone, in place of its picture, behind it."""
    text_place: Literal["both", "final_prompt", "prompt", "prompt_en"] = "both"
    """Where Describe and Shorten put their text: `properties.finalPrompt`, `promptEn`, both, or `prompt`."""
    remix: bool = False
    """V, 🔄 and pan ask back, as in Midjourney's remix mode: code 1, paid, and only its description says so."""
    modal_id: Literal["same", "new"] = "same"
    """A window that was filled in goes on as the same task or as a new one."""
    seed: Literal["string", "number", "null", "4", "9"] = "string"
    """What the query for a Midjourney picture's seed answers; a code where it cannot tell."""
    list_form: Literal["bare", "code_result", "data", "list"] = "bare"
    """Wrapper of `list-by-condition`, by the first task in the answer that says so."""
    list_row: Literal["once", "omitted", "omitted_once", "doubled"] = "once"
    """What `list-by-condition` does with this task's row."""

    def said(self) -> dict[str, Any]:
        """What differs from the defaults, for a record."""
        return self.model_dump(exclude_defaults=True)


def table() -> str:
    """All behaviours as one Markdown table: the one in README.md."""
    rows = [
        f"| `{name}` | {_values(field.annotation, field.metadata)} | {_default(field.default)} | {field.description} |"
        for name, field in Behaviour.model_fields.items()
    ]
    return "\n".join(["| behaviour | values | default | meaning |", "|---|---|---|---|", *rows])


def _values(annotation: Any, metadata: list[Any]) -> str:
    """What may stand after the `=`, in words."""
    if any(getattr(mark, "func", None) is _known_fault for mark in metadata):
        return "a fault (below)"
    if any(getattr(mark, "func", None) is _known_saying for mark in metadata):
        return "a saying (below)"
    origin = get_origin(annotation)
    if origin is Annotated:
        return _values(get_args(annotation)[0], list(get_args(annotation)[1:]))
    if origin is Literal:
        return " ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, UnionType):
        return "; ".join(_values(part, []) for part in get_args(annotation) if part is not NoneType)
    return {float: "seconds", int: "a number", bool: "`true` `false`"}[annotation]


def _default(value: Any) -> str:
    return "" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"
