"""A conversation in Anthropic's format: `/v1/messages`.  Pure.

Source: gateway/images-text-audio-system.md 5.14.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shared.catalog.entry import Operation
from shared.catalog.operations import text
from shared.catalog.operations.text import PROMPT_MOST, SEEN, TIMEOUT_S, TOKENS_MOST, TURNS_MOST, Free, Stops, Words
from shared.catalog.params import Params

Beta = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]


def _is_message(item: Mapping[str, Any]) -> bool:
    return item.get("role") in ("user", "assistant") and isinstance(item.get("content"), str | list)


Messages = Annotated[
    list[Free],
    Field(min_length=1, max_length=TURNS_MOST),
    text.each("messages of the role user or assistant, with a content that is a text or a list", _is_message),
]
Tools = Annotated[
    list[Free],
    Field(min_length=1, max_length=128),
    text.each("tools with a name or a type", lambda item: text.is_named(item, "name", "type")),
]
Blocks = Annotated[
    list[Free],
    Field(min_length=1, max_length=64),
    text.each("blocks with a type", lambda item: text.is_named(item, "type")),
]


class Thinking(Params):
    """`thinking`."""

    type: Literal["enabled", "disabled", "adaptive"]
    """Whether to think; `adaptive` leaves it to the newest models."""
    budget_tokens: int | None = Field(None, ge=1_024, le=TOKENS_MOST)
    """Tokens to think for, out of `max_tokens`; needed with `enabled`."""
    display: Literal["summarized", "omitted"] | None = None
    """Whether adaptive thoughts are told."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.type == "enabled" and self.budget_tokens is None:
            raise PydanticCustomError("budget", "must have budget_tokens, of 1024 and more")
        return self


class ClaudeMessageParams(Params):
    """`claude.message`: `POST /v1/messages` (5.14)."""

    messages: Messages | None = None
    """The whole conversation as the API takes it, in place of the prompt; inputs go to its last user message."""
    max_tokens: int | None = Field(None, ge=1, le=TOKENS_MOST)
    """Longest answer, tokens, thoughts included; 4,096 unless told otherwise, and what is thought for besides."""
    system: Words | Blocks | None = None
    """What the model is told before all else."""
    stream: bool | None = None
    """Let the gateway send the answer in pieces, so that an edge in front of it does not give up; they are joined."""
    temperature: float | None = Field(None, ge=0, le=1)
    """How freely the model chooses; not together with thinking."""
    top_p: float | None = Field(None, gt=0, le=1)
    """How much of what is likely it chooses from."""
    top_k: int | None = Field(None, ge=1)
    """From how many it chooses."""
    stop_sequences: Stops | None = None
    """Texts at which the answer ends."""
    tools: Tools | None = None
    """`{"name", "description", "input_schema"}`, or `{"type": "web_search_20250305", "name": "web_search"}`, which
    only some channels have."""
    tool_choice: Free | None = None
    """`{"type": "auto" | "any" | "tool" | "none", "name"?}`."""
    thinking: Thinking | None = None
    """Whether and how long to think."""
    metadata: Annotated[Free, Field(max_length=16)] | None = None
    """`{"user_id"}`: your own user's id, handed on to the provider."""
    context_management: Free | None = None
    """What is forgotten of a long conversation."""
    output_config: Free | None = None
    """How hard to work and what the answer must look like."""
    output_format: Free | None = None
    """The schema of the answer: `{"type": "json_schema", "schema"}`."""
    container: str | Free | None = None
    """Where the provider's own tools run."""
    mcp_servers: Annotated[list[Free], Field(min_length=1, max_length=20)] | None = None
    """Servers whose tools the provider calls itself."""
    anthropic_beta: Annotated[list[Beta], Field(min_length=1, max_length=16)] | None = None
    """Names of what the provider tries out, as `context-management-2025-06-27`; sent as a header."""

    @field_validator("thinking")
    @classmethod
    def _fits(cls, thinking: Thinking | None, told: ValidationInfo) -> Thinking | None:
        most = told.data.get("max_tokens")
        if thinking is not None and most is not None and (thinking.budget_tokens or 0) >= most:
            raise PydanticCustomError("budget", "must be less than max_tokens in its budget_tokens")
        return thinking


OPERATIONS: Final = (
    Operation(
        "claude.message",
        "An answer of a Claude model in its own format, which may be about pictures and PDFs",
        ClaudeMessageParams,
        gives="text",
        prompt_required=False,
        prompt_in="messages",
        prompt_most=PROMPT_MOST,
        inputs=SEEN,
        timeout_s=TIMEOUT_S,
    ),
)
