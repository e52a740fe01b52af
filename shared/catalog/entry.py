"""The types of the catalog: operations, lanes and models.  Pure.

`Lane` and `Entry` are what `DARKROOM_CATALOG` adds and overrides, so each field is written as TOML would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.catalog.params import Params

Kind = Literal["image", "video", "audio", "text", "document"]


@dataclass(frozen=True)
class Role:
    """How many inputs of a role an operation takes, and what they must be."""

    least: int
    most: int
    kinds: tuple[Kind, ...] = ("image",)


TEXT: Final = frozenset({"chat", "response", "claude", "gemini"})
APART: Final = frozenset({"audio"})
"""Families in name only: a model that speaks does not listen, so each of their operations is a family of its own."""


@dataclass(frozen=True)
class Operation:
    """A kind of gateway call, with what it must be given and what it gives."""

    name: str
    title: str
    """What it does, for people."""
    params: type[Params]
    gives: Kind
    prompt_required: bool = True
    prompt_in: str | None = None
    """The parameter that may stand in the prompt's place; one of the two is needed, and not both."""
    images_or: str | None = None
    """The parameter that may stand in the place of input images; one of the two is needed, and not both."""
    prompt_most: int = 32_000
    """Longest prompt, characters."""
    inputs: Mapping[str, Role] = field(default_factory=dict)
    """By role.  What is not listed is refused."""
    is_asynchronous: bool = False
    """The call answers with an upstream task that is looked at later."""
    timeout_s: float = 90.0
    """Longest wait for the paid call's answer."""
    is_free: bool = False
    """It asks for what is there already: when nobody knows what came of the call, it may simply be made again."""

    @property
    def family(self) -> str:
        """What a model must be able to do for it: `image`, `video`, `midjourney`, `text`, `audio.speech` …

        A gateway translates between the formats of one family.
        """
        head = self.name.partition(".")[0]
        return "text" if head in TEXT else self.name if head in APART else head


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Limit(Frozen):
    """What one model takes of one parameter, narrower than its operation."""

    minimum: int | None = None
    """The least that it takes."""
    maximum: int | None = None
    """The most that it takes."""
    values: tuple[int | str, ...] | None = None
    """The only ones it takes."""


class Price(Frozen):
    """What a call costs by the list, in USD.  The operator's own prices may differ."""

    per_call: Decimal = Decimal(0)
    """For one call, or for each of `n` pictures."""
    per_second: Decimal = Decimal(0)
    """For each second of film that is asked for."""
    per_minute: Decimal = Decimal(0)
    """For each minute of sound that is listened to; known only afterwards, so such a call has no estimate."""
    per_million_characters: Decimal = Decimal(0)
    """For a million characters of text to be spoken."""
    per_million_tokens: Decimal = Decimal(0)
    """For a million tokens of text that goes in, estimated from its characters."""
    size_factors: Mapping[str, Decimal] = Field(default_factory=dict)
    """By `size`, what all of this is multiplied by for it."""


class Lane(Frozen):
    """The jobs that share one limit; all workers together keep it."""

    limit: int = Field(10, ge=0)
    """Jobs in flight at once; 0 stops the lane."""
    rate_per_minute: int = Field(600, ge=1)
    """Paid calls begun in a minute, at most."""
    per_day: int | None = Field(None, ge=0)
    """Paid calls begun in a day (UTC), at most; null: any number."""


class Entry(Frozen):
    """One model."""

    title: str = ""
    """What people call it."""
    operation: str
    """What a job with this model does unless it says otherwise."""
    operation_with_images: str | None = None
    """The same, when it has input images."""
    operations: tuple[str, ...] = ()
    """Further operations that it serves when they are named, besides those that give the same in another format."""
    lane: str
    """The family of models whose limit it shares."""
    gateway_model: str | None = None
    """The gateway's name of it, where that is not the catalog's."""
    typical_s: float = Field(30, gt=0)
    """How long a job usually takes at the gateway, seconds."""
    first_look_s: float = Field(5, gt=0)
    """When an accepted task is first asked about, seconds after it was accepted, until it is known what they take."""
    look_every_s: float = Field(5, gt=0)
    """Then every so many seconds.  Once it is known what its tasks take: the least time between two looks."""
    stuck_after_s: float = Field(3600, gt=0)
    """An upstream task older than this is taken for stuck, seconds."""
    min_images: int = Field(0, ge=0)
    """Fewest input images, of a model that can do nothing without."""
    max_images: int | None = Field(None, ge=0)
    """Most input images, where the model takes fewer than its operation."""
    limits: Mapping[str, Limit] = Field(default_factory=dict)
    """By parameter."""
    defaults: Mapping[str, int | str | bool] = Field(default_factory=dict)
    """Parameters that are sent when a job does not name them."""
    price: Price = Price()
    prices: Mapping[str, Price] = Field(default_factory=dict)
    """By operation, where one costs otherwise."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_images is not None and self.min_images > self.max_images:
            raise ValueError(f"min_images ({self.min_images}) is more than max_images ({self.max_images})")
        return self
