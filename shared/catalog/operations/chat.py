"""A conversation in OpenAI's first format: `/v1/chat/completions`.  Pure.

Source: gateway/images-text-audio-system.md 1.4, 5.1 to 5.6.  What the gateway drops is not offered, and where it drops
a zero none may be asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shared.catalog.entry import Operation
from shared.catalog.operations import text
from shared.catalog.operations.text import HEARD, PROMPT_MOST, SEEN, TIMEOUT_S, TOKENS_MOST, TURNS_MOST, Free, Stops
from shared.catalog.params import Params, Short

ROLES: Final = ("system", "developer", "user", "assistant", "tool")

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
Level = Literal["low", "medium", "high"]
Bias = Annotated[float, Field(ge=-100, le=100)]


def _is_message(item: Mapping[str, Any]) -> bool:
    return item.get("role") in ROLES and isinstance(item.get("content"), str | list | None)


def _is_tool(item: Mapping[str, Any]) -> bool:
    is_function = item.get("type") == "function"
    return text.is_named(item, "type") and (not is_function or text.is_named(item.get("function"), "name"))


Messages = Annotated[
    list[Free],
    Field(min_length=1, max_length=TURNS_MOST),
    text.each(f"messages of the role {', '.join(ROLES)}, with a content that is a text or a list", _is_message),
]
Tools = Annotated[
    list[Free],
    Field(min_length=1, max_length=128),
    text.each("tools with a type, and functions with a name", _is_tool),
]


class ResponseFormat(Params):
    """`response_format` (5.5)."""

    type: Literal["text", "json_object", "json_schema"]
    """Words, some JSON, or JSON of a schema."""
    json_schema: Free | None = None
    """`{"name", "schema", "strict"?}`, for `json_schema`."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.type == "json_schema" and not text.is_named(self.json_schema, "name"):
            raise PydanticCustomError("json_schema", "must have a json_schema with a name and a schema")
        return self


class WebSearchOptions(Params):
    """`web_search_options`."""

    search_context_size: Level | None = None
    """How much of what is found the model reads."""


class StreamOptions(Params):
    """`stream_options`."""

    include_usage: bool | None = None
    """Whether the stream ends with its usage; it does unless told otherwise."""


class ChatCompletionParams(Params):
    """`chat.completion`: `POST /v1/chat/completions` (5.1)."""

    messages: Messages | None = None
    """The whole conversation as the API takes it, in place of the prompt; inputs go to its last user message."""
    stream: bool | None = None
    """Let the gateway send the answer in pieces, so that an edge in front of it does not give up; they are joined."""
    stream_options: StreamOptions | None = None
    """What the stream tells."""
    max_tokens: int | None = Field(None, ge=1, le=TOKENS_MOST)
    """Longest answer, tokens."""
    max_completion_tokens: int | None = Field(None, ge=1, le=TOKENS_MOST)
    """The same for models that think, thoughts included."""
    temperature: float | None = Field(None, ge=0, le=2)
    """How freely the model chooses; o and gpt-5 models are not told."""
    top_p: float | None = Field(None, gt=0, le=1)
    """How much of what is likely it chooses from; gpt-5 models are not told."""
    top_k: int | None = Field(None, ge=1)
    """From how many it chooses, where a vendor knows it."""
    n: int | None = Field(None, ge=1, le=128)
    """Answers to make; each is paid for."""
    stop: Short | Stops | None = None
    """Texts at which the answer ends."""
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    """How much the model is kept from what it spoke of already."""
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    """How much it is kept from repeating words."""
    seed: int | None = Field(None, ge=1, le=2**53)
    """The same seed gives a like answer, where the model honours it."""
    logprobs: bool | None = None
    """Whether each token is told with its likelihood; not by gpt-5 models."""
    top_logprobs: int | None = Field(None, ge=0, le=20)
    """How many likely tokens are told beside each."""
    logit_bias: Annotated[dict[str, Bias], Field(max_length=1_000)] | None = None
    """By token id, how much likelier it becomes."""
    tools: Tools | None = None
    """`[{"type": "function", "function": {"name", "description", "parameters"}}]`; `strict` is dropped, so check
    what a call says."""
    tool_choice: Literal["auto", "none", "required"] | Free | None = None
    """Whether tools may or must be called, or `{"type": "function", "function": {"name"}}`."""
    parallel_tool_calls: bool | None = None
    """Whether several tools may be called at once."""
    functions: Annotated[list[Free], Field(min_length=1, max_length=128)] | None = None
    """Tools in the old spelling."""
    response_format: ResponseFormat | None = None
    """What the answer must look like; a vendor other than OpenAI keeps to a schema loosely."""
    reasoning_effort: Effort | None = None
    """How hard to think."""
    verbosity: Level | None = None
    """How much to say (gpt-5 models)."""
    modalities: Annotated[list[Literal["text", "image", "audio"]], Field(min_length=1, max_length=3)] | None = None
    """What to answer with, where the model can; pictures and sounds become artifacts.  With `stream` OpenAI
    gives sound as `pcm16` alone, which is stored as WAV."""
    audio: Free | None = None
    """`{"voice", "format"}` of an answer that is spoken."""
    prediction: Free | None = None
    """What the answer will mostly say, so that it comes faster."""
    web_search_options: WebSearchOptions | None = None
    """How models that search do so."""
    metadata: Annotated[Free, Field(max_length=16)] | None = None
    """Your own words about the call, handed on to the provider."""
    user: Short | None = None
    """Your own user's id, handed on to the provider."""
    prompt_cache_key: Short | None = None
    """Calls with the same one find each other's cached beginnings."""
    enable_thinking: bool | None = None
    """Whether a Qwen model thinks."""
    thinking: Free | None = None
    """How a Doubao or GLM model thinks, as `{"type": "enabled"}`."""
    reasoning: Free | None = None
    """How models behind OpenRouter think, as `{"effort": "high"}`."""
    think: bool | Level | None = None
    """Whether or how hard models behind Ollama think."""
    enable_search: bool | None = None
    """Whether a Qwen model searches."""
    search_parameters: Free | None = None
    """How a Grok model searches."""
    web_search: Free | None = None
    """How an Ernie model searches."""
    chat_template_kwargs: Free | None = None
    """What the template of an open model is told."""
    extra_body: Free | None = None
    """Fields of a vendor's own, as `{"google": {"thinking_config": …}}`."""


OPERATIONS: Final = (
    Operation(
        "chat.completion",
        "An answer in a conversation, which may be about pictures, PDFs, sounds and films",
        ChatCompletionParams,
        gives="text",
        prompt_required=False,
        prompt_in="messages",
        prompt_most=PROMPT_MOST,
        inputs={**SEEN, **HEARD},
        timeout_s=TIMEOUT_S,
    ),
)
