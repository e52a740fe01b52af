"""The gateway's credentials: what each of them opens, and which lanes are its own.  Pure.

A lane is named `<credential>.<family>`, so its name alone tells whose key its calls are made with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

CREDENTIAL: Final = "default"
"""The one credential of `DARKROOM_GATEWAY_API_KEY`."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class Limits(Frozen):
    """What one credential allows a family of models, in place of what the catalog says."""

    limit: int | None = Field(None, ge=0)
    """Jobs in flight at once."""
    rate_per_minute: int | None = Field(None, ge=1)
    """Paid calls begun in a minute."""
    per_day: int | None = Field(None, ge=0)
    """Paid calls begun in a day (UTC)."""


def _address(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
        raise ValueError("must be an address as https://host, without a query or a password")
    return url.rstrip("/")


def _given(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().strip():
        raise ValueError("must not be empty")
    return secret


class Credential(Frozen):
    """A key of a gateway, and what may be asked of it."""

    name: str = Field(pattern=r"^[a-z0-9-]+$", max_length=40)
    """The first part of the names of its lanes."""
    base_url: Annotated[str, AfterValidator(_address)]
    """The gateway, without `/v1`."""
    api_key: Annotated[SecretStr, AfterValidator(_given)]
    models: tuple[str, ...] = ("*",)
    """The models that it serves as users name them; `*` stands for any text, `?` for one character."""
    weight: int = Field(1, ge=0, le=1000)
    """Its share of the new work; 0: only what all others cannot take."""
    limits: Mapping[str, Limits] = Field(default_factory=dict)
    """By family."""
    access_token: Annotated[SecretStr, AfterValidator(_given)] | None = None
    """The access token of the gateway's console, for the user's balance."""
    user_id: int | None = Field(None, ge=1)
    """The number of that user."""

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if (self.access_token is None) is not (self.user_id is None):
            raise ValueError("access_token and user_id go together: the gateway asks for both")
        return self

    def serves(self, model: str) -> bool:
        """Whether a model, as users name it, may be asked of it."""
        return any(_pattern(glob).fullmatch(model) for glob in self.models)

    def lane(self, family: str) -> str:
        return f"{self.name}.{family}"


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(re.escape(glob).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def as_like(glob: str) -> str:
    """What `Credential.serves` means by a pattern, as SQL's LIKE says it."""
    return re.sub(r"[\\%_]", r"\\\g<0>", glob).replace("*", "%").replace("?", "_")


def as_json(credentials: Sequence[Credential]) -> str:
    """As `DARKROOM_GATEWAYS` says them, keys included: for the environment of a process of ours, and nothing else."""
    shown = [one.model_dump(mode="json", exclude_unset=True) for one in credentials]
    for one, plain in zip(credentials, shown, strict=True):
        plain["api_key"] = one.api_key.get_secret_value()
        if one.access_token is not None:
            plain["access_token"] = one.access_token.get_secret_value()
    return json.dumps(shown)


def of_lane(lane: str) -> str:
    """The name of the credential whose lane it is."""
    return lane.partition(".")[0]


def family_of(lane: str) -> str:
    return lane.partition(".")[2]


def serving(credentials: Iterable[Credential], model: str) -> list[Credential]:
    """Those that a job of this model may go to."""
    return [one for one in credentials if one.serves(model)]


def choose(candidates: Collection[Credential], paused: Collection[str], random: float) -> Credential:
    """The one that takes a new job, by weight; one whose lane is paused only if all are.

    Args:
        candidates: at least one.
        paused: names of those whose lane takes nothing just now.
        random: from 0 up to 1.
    """
    able = [one for one in candidates if one.name not in paused] or list(candidates)
    weighty = [one for one in able if one.weight > 0]
    if not weighty:
        return able[int(random * len(able))]
    mark = random * sum(one.weight for one in weighty)
    for one in weighty:
        mark -= one.weight
        if mark < 0:
            return one
    return weighty[-1]
