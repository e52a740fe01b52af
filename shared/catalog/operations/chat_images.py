"""Pictures over two formats of conversation: `/v1/chat/completions`, and Gemini's own.  Pure.

Source: gateway/images-text-audio-system.md 1.4, 4.1, 4.2, 4.5 to 4.9, 4.12, 4.13.  What these formats do not keep,
the gateway drops without a word (1.4), so it is not offered.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from shared.catalog.entry import Operation, Role
from shared.catalog.operations.images import ImageSize
from shared.catalog.params import Params, Ratio, Short

ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})
TURNS_MOST: Final = 200
"""Longest conversation, messages."""

LongSide = Literal["512", "0.5K", "1K", "2K", "4K"]
GeminiRatio = Literal[
    "1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9", "1:4", "4:1", "1:8", "8:1"
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=32_000)]
Flags = Annotated[dict[str, Any], Field(max_length=32)]


def _messages(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for place, message in enumerate(messages):
        if message.get("role") not in ROLES:
            told = {"place": place, "roles": ", ".join(sorted(ROLES))}
            raise PydanticCustomError("message_role", "message {place} must have one of the roles {roles}", told)
        if not isinstance(message.get("content"), str | list | None):
            told = {"place": place}
            raise PydanticCustomError("message_content", "content of message {place} must be a text or a list", told)
    if not any(message["role"] == "user" for message in messages):
        raise PydanticCustomError("messages_user", "there must be a message of the role user")
    return messages


def _contents(contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for place, content in enumerate(contents):
        parts = content.get("parts")
        if content.get("role", "user") not in ("user", "model") or not isinstance(parts, list) or not parts:
            told = {"place": place}
            raise PydanticCustomError("content", "content {place} must have the role user or model, and parts", told)
    return contents


Messages = Annotated[list[dict[str, Any]], Field(min_length=1, max_length=TURNS_MOST), AfterValidator(_messages)]
Contents = Annotated[list[dict[str, Any]], Field(min_length=1, max_length=TURNS_MOST), AfterValidator(_contents)]


class ImageChatParams(Params):
    """`image.chat`: `POST /v1/chat/completions` (4.1, 4.2, 4.8, 4.9, 4.12, 4.13)."""

    messages: Messages | None = None
    """The whole conversation as the API takes it, in place of the prompt; input images go to its last user message."""
    stream: bool | None = None
    """Let the gateway send the answer in pieces; left out, only the models that need it do (4.8)."""
    n: int | None = Field(None, ge=1, le=15)
    """Pictures to make; also said in the prompt, since few models look at the number."""
    aspect_ratio: Ratio | None = None
    """Width to height, as `3:2`; also said in the prompt."""
    image_size: LongSide | None = None
    """Length of the long side; also said in the prompt."""
    size: ImageSize | None = None
    """The same in one field, as `1536x1024`, `16:9` or `2K`, where a model looks at it; also said in the prompt."""
    modalities: Annotated[list[Literal["text", "image"]], Field(min_length=1, max_length=2)] | None = None
    """What to answer with; Gemini models are asked for both."""
    temperature: float | None = Field(None, ge=0, le=2)
    """How freely the model chooses."""
    top_p: float | None = Field(None, gt=0, le=1)
    """How much of what is likely it chooses from; the gateway drops a zero."""
    seed: int | None = Field(None, ge=1, le=2**31 - 1)
    """The same seed and prompt give a like picture, where the model honours it; the gateway drops a zero."""
    max_tokens: int | None = Field(None, ge=1, le=2**30)
    """Longest answer, tokens; a picture takes 1,120 and more."""
    thinking_budget: int | None = Field(None, ge=-1, le=32_768)
    """Tokens that a Gemini model may think for; -1 leaves it to the model."""
    include_thoughts: bool | None = None
    """Whether a Gemini model tells its thoughts."""
    user: Short | None = None
    """Your own user's id, handed on to the provider."""


class ImageConfig(Params):
    """`generation_config.image_config`."""

    aspect_ratio: GeminiRatio | None = None
    """Width to height; 1:4, 4:1, 1:8 and 8:1 with the 3.1 models only."""
    image_size: LongSide | None = None
    """Length of the long side, with the 3 and 3.1 models."""


class ThinkingConfig(Params):
    """`generation_config.thinking_config`."""

    include_thoughts: bool | None = None
    """Whether the model tells its thoughts; drafts of pictures among them are no results."""
    thinking_budget: int | None = Field(None, ge=-1, le=32_768)
    """Tokens to think for (2.5 models); -1 leaves it to the model."""
    thinking_level: Literal["minimal", "low", "medium", "high"] | None = None
    """How hard to think (3 models); not together with a budget."""

    @field_validator("thinking_level")
    @classmethod
    def _is_alone(cls, level: str | None, told: ValidationInfo) -> str | None:
        if level is not None and told.data.get("thinking_budget") is not None:
            raise PydanticCustomError("both", "must be left out with thinking_budget")
        return level


class GenerationConfig(Params):
    """`generation_config` (4.5)."""

    response_modalities: Annotated[list[Literal["TEXT", "IMAGE"]], Field(min_length=1, max_length=2)] | None = None
    """What to answer with; both unless told otherwise, since a refusal is a text."""
    image_config: ImageConfig | None = None
    """Shape and size of the picture."""
    temperature: float | None = Field(None, ge=0, le=2)
    """How freely the model chooses."""
    top_p: float | None = Field(None, gt=0, le=1)
    """How much of what is likely it chooses from."""
    top_k: int | None = Field(None, ge=1, le=1000)
    """From how many it chooses."""
    seed: int | None = Field(None, ge=1, le=2**31 - 1)
    """The same seed and prompt give a like picture, where the model honours it; the gateway drops a zero."""
    max_output_tokens: int | None = Field(None, ge=1, le=2**30)
    """Longest answer, tokens."""
    stop_sequences: Annotated[list[Short], Field(min_length=1, max_length=5)] | None = None
    """Texts at which the answer ends."""
    thinking_config: ThinkingConfig | None = None
    """How much to think."""


class SafetySetting(Params):
    """One of `safety_settings`."""

    category: Annotated[str, StringConstraints(pattern=r"^HARM_CATEGORY_[A-Z_]{1,64}$")]
    """What is to be blocked."""
    threshold: Literal["BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE", "OFF"]
    """How likely it must be."""


class ImageGeminiParams(Params):
    """`image.gemini`: `POST /v1beta/models/{model}:generateContent` and its streamed form (4.5 to 4.7)."""

    contents: Contents | None = None
    """The whole conversation as the API takes it, in place of the prompt.  Input images go to its last user turn; where
    the `message` of an earlier result has `artifact_index`, they take its place, in the order of the turns."""
    stream: bool | None = None
    """Let the gateway send the answer in pieces, so that an edge in front of it does not give up (4.7)."""
    aspect_ratio: GeminiRatio | None = None
    """Short for `generation_config.image_config.aspect_ratio`."""
    image_size: LongSide | None = None
    """Short for `generation_config.image_config.image_size`."""
    generation_config: GenerationConfig | None = None
    """Everything else that can be set."""
    safety_settings: Annotated[list[SafetySetting], Field(min_length=1, max_length=16)] | None = None
    """What the provider blocks, by category."""
    system_instruction: Text | Flags | None = None
    """What the model is told before all else: a text, or a content with parts."""
    tools: Annotated[list[Flags], Field(min_length=1, max_length=16)] | None = None
    """`[{"google_search": {}}]`: let a 3 Pro model look things up."""
    tool_config: Flags | None = None
    """How to use the tools, as the API takes it."""
    cached_content: Short | None = None
    """Name of what the provider has cached."""


OPERATIONS: Final = (
    Operation(
        "image.chat",
        "A picture from words and pictures, as an answer in a conversation",
        ImageChatParams,
        gives="image",
        prompt_required=False,
        prompt_in="messages",
        inputs={"images": Role(0, 16)},
        timeout_s=330,
    ),
    Operation(
        "image.gemini",
        "A picture from words and pictures, in Gemini's own format",
        ImageGeminiParams,
        gives="image",
        prompt_required=False,
        prompt_in="contents",
        inputs={"images": Role(0, 14)},
        timeout_s=330,
    ),
)
