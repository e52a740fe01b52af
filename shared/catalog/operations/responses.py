"""A conversation in OpenAI's second format: `/v1/responses`.  Pure.

Source: gateway/images-text-audio-system.md 1.4, 5.7.  `background`, `conversation`, `service_tier` and
`safety_identifier` are not offered: the gateway drops them, and nothing could be asked about a response later.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from shared.catalog.entry import Operation
from shared.catalog.operations import text
from shared.catalog.operations.chat import Effort
from shared.catalog.operations.text import PROMPT_MOST, SEEN, TIMEOUT_S, TOKENS_MOST, TURNS_MOST, Free, Words
from shared.catalog.params import Params, Short

Items = Annotated[
    list[Free],
    Field(min_length=1, max_length=TURNS_MOST),
    text.each("items with a role or a type", lambda item: text.is_named(item, "role", "type")),
]
Tools = Annotated[
    list[Free],
    Field(min_length=1, max_length=128),
    text.each("tools with a type", lambda item: text.is_named(item, "type")),
]


class Reasoning(Params):
    """`reasoning`; the gateway keeps nothing else of it."""

    effort: Effort | None = None
    """How hard to think."""
    summary: Literal["auto", "concise", "detailed"] | None = None
    """How the thoughts are told."""


class ResponseCreateParams(Params):
    """`response.create`: `POST /v1/responses` (5.7)."""

    input: Words | Items | None = None
    """A text, or the whole conversation as items, in place of the prompt; inputs go to its last user message."""
    instructions: Words | None = None
    """What the model is told before all else."""
    stream: bool | None = None
    """Let the gateway send the answer in pieces, so that an edge in front of it does not give up; they are joined."""
    max_output_tokens: int | None = Field(None, ge=1, le=TOKENS_MOST)
    """Longest answer, tokens, thoughts included."""
    max_tool_calls: int | None = Field(None, ge=1)
    """How often the provider's own tools may be used."""
    reasoning: Reasoning | None = None
    """How hard to think, and whether to tell it."""
    text: Free | None = None
    """`{"format": {"type": "json_schema", "name", "schema", "strict"}, "verbosity": "low"}`."""
    tools: Tools | None = None
    """`{"type": "function", "name", "parameters"}`, or the provider's own as `{"type": "web_search"}`, which costs
    extra for each call."""
    tool_choice: Literal["auto", "none", "required"] | Free | None = None
    """Whether tools may or must be called, or which."""
    parallel_tool_calls: bool | None = None
    """Whether several tools may be called at once."""
    include: Annotated[list[Short], Field(min_length=1, max_length=32)] | None = None
    """What else to tell, as `reasoning.encrypted_content` or `web_search_call.action.sources`."""
    temperature: float | None = Field(None, ge=0, le=2)
    """How freely the model chooses; o and gpt-5 models are not told."""
    top_p: float | None = Field(None, gt=0, le=1)
    """How much of what is likely it chooses from."""
    truncation: Literal["auto", "disabled"] | None = None
    """Whether a conversation that is too long is cut."""
    metadata: Annotated[Free, Field(max_length=16)] | None = None
    """Your own words about the call, handed on to the provider."""
    user: Short | None = None
    """Your own user's id, handed on to the provider."""
    prompt_cache_key: Short | None = None
    """Calls with the same one find each other's cached beginnings."""
    prompt: Free | None = None
    """`{"id", "variables"}` of a template that the provider keeps; not the prompt of the job."""
    previous_response_id: Short | None = None
    """An earlier response to go on from.  The next call may land on another account, which does not know it: the
    whole conversation in `input` is safer."""
    store: bool | None = None
    """Whether the provider keeps the response; most deployments drop this."""


OPERATIONS: Final = (
    Operation(
        "response.create",
        "An answer with the provider's own tools, as a search of the web",
        ResponseCreateParams,
        gives="text",
        prompt_required=False,
        prompt_in="input",
        prompt_most=PROMPT_MOST,
        inputs=SEEN,
        timeout_s=TIMEOUT_S,
    ),
)
