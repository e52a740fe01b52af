"""A conversation in Google's format: `/v1beta/models/{model}:generateContent`.  Pure.

Source: gateway/images-text-audio-system.md 1.4, 4.5, 4.7, 5.13.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from shared.catalog.entry import Operation
from shared.catalog.operations import text
from shared.catalog.operations.chat_images import SafetySetting, ThinkingConfig
from shared.catalog.operations.text import (
    HEARD,
    PROMPT_MOST,
    SEEN,
    TIMEOUT_S,
    TOKENS_MOST,
    TURNS_MOST,
    Free,
    Stops,
    Words,
)
from shared.catalog.params import Params, Short


def _is_content(item: Mapping[str, Any]) -> bool:
    parts = item.get("parts")
    is_known = item.get("role", "user") in ("user", "model", "function")
    return is_known and isinstance(parts, list) and bool(parts) and all(isinstance(part, Mapping) for part in parts)


Contents = Annotated[
    list[Free],
    Field(min_length=1, max_length=TURNS_MOST),
    text.each("contents of the role user or model, with parts", _is_content),
]


class GenerationConfig(Params):
    """`generation_config` (4.5, 5.13)."""

    temperature: float | None = Field(None, ge=0, le=2)
    """How freely the model chooses."""
    top_p: float | None = Field(None, gt=0, le=1)
    """How much of what is likely it chooses from."""
    top_k: int | None = Field(None, ge=1)
    """From how many it chooses."""
    seed: int | None = Field(None, ge=1, le=2**31 - 1)
    """The same seed gives a like answer, where the model honours it; the gateway drops a zero."""
    max_output_tokens: int | None = Field(None, ge=1, le=TOKENS_MOST)
    """Longest answer, tokens, thoughts included."""
    stop_sequences: Stops | None = None
    """Texts at which the answer ends."""
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    """How much the model is kept from what it spoke of already."""
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    """How much it is kept from repeating words."""
    response_mime_type: Literal["text/plain", "application/json", "text/x.enum"] | None = None
    """What the answer must look like; JSON with a schema, or without one."""
    response_schema: Free | None = None
    """The schema of the answer in Google's dialect."""
    response_json_schema: Free | None = None
    """The same as JSON Schema."""
    response_logprobs: bool | None = None
    """Whether each token is told with its likelihood."""
    logprobs: int | None = Field(None, ge=1, le=20)
    """How many likely tokens are told beside each."""
    media_resolution: Literal["MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH"] | None = None
    """How closely inputs are looked at."""
    thinking_config: ThinkingConfig | None = None
    """How much to think, and whether to tell it."""


class GeminiGenerateParams(Params):
    """`gemini.generate`: `POST /v1beta/models/{model}:generateContent` and its streamed form (5.13)."""

    contents: Contents | None = None
    """The whole conversation as the API takes it, in place of the prompt; inputs go to its last user turn."""
    stream: bool | None = None
    """Let the gateway send the answer in pieces, so that an edge in front of it does not give up; they are joined."""
    system_instruction: Words | Free | None = None
    """What the model is told before all else: a text, or a content with parts."""
    generation_config: GenerationConfig | None = None
    """How to answer."""
    tools: Annotated[list[Free], Field(min_length=1, max_length=128)] | None = None
    """`[{"functionDeclarations": [{"name", "description", "parameters"}]}]`, `[{"googleSearch": {}}]` …"""
    tool_config: Free | None = None
    """`{"functionCallingConfig": {"mode", "allowedFunctionNames"}}`."""
    safety_settings: Annotated[list[SafetySetting], Field(min_length=1, max_length=16)] | None = None
    """What the provider blocks, by category."""
    cached_content: Short | None = None
    """Name of what the provider has cached."""


OPERATIONS: Final = (
    Operation(
        "gemini.generate",
        "An answer of a Gemini model in its own format, which may be about pictures, PDFs, sounds and films",
        GeminiGenerateParams,
        gives="text",
        prompt_required=False,
        prompt_in="contents",
        prompt_most=PROMPT_MOST,
        inputs={**SEEN, **HEARD},
        timeout_s=TIMEOUT_S,
    ),
)
