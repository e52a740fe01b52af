"""What a job asks of the gateway, with its inputs in hand: what every adapter builds from.  Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.catalog.entry import Kind
from shared.catalog.params import Params


@dataclass(frozen=True)
class Media:
    """One input, fetched and checked."""

    content_type: str
    """As its bytes say, for example `image/png`."""
    filename: str
    """With the extension of its type: the gateway guesses from it (images 4.4)."""
    content: bytes = field(repr=False)
    kind: Kind = "image"
    width: int | None = None
    """Pixels, of a picture or a film."""
    height: int | None = None
    duration_seconds: float | None = None
    """Of a film or a sound."""
    url: str | None = field(default=None, repr=False)
    """Where the caller said it is, if that is an address that the gateway may fetch by itself."""

    @property
    def base64(self) -> str:
        return base64.b64encode(self.content).decode()

    @property
    def data_url(self) -> str:
        return f"data:{self.content_type};base64,{self.base64}"


@dataclass(frozen=True)
class Call:
    """One paid call, as the job has it.  Prompt and inputs are the common words; each adapter spells its own."""

    operation: str
    model: str
    """The gateway's name of the model."""
    prompt: str
    params: Params
    inputs: Mapping[str, tuple[Media, ...]] = field(default_factory=dict)
    """By role, as the operation names them: `images`, `mask`, `audio` …"""
    job_id: str = ""
    """Sent along where the contract has a field for it, so that a lost answer can be found again."""
    attempt: int = 1
    """The number that this call has among those of its job, from 1."""

    @property
    def mark(self) -> str:
        """What the upstream task is known by in a list of the gateway: never the same for two paid calls."""
        return marked(self.job_id, self.attempt) if self.job_id else ""

    @property
    def images(self) -> tuple[Media, ...]:
        return self.inputs.get("images", ())

    @property
    def mask(self) -> Media | None:
        return self.one("mask")

    def one(self, role: str) -> Media | None:
        """The only input of a role, if there is one."""
        return next(iter(self.inputs.get(role, ())), None)


def marked(job_id: str, attempt: int) -> str:
    """The mark of one attempt of a job."""
    return f"{job_id}.{attempt}"
