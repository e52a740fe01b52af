"""What the parameters of all operations share.  Pure.

Each family of operations has its classes, with units and bounds, in `operations/`.  Names are the gateway's own, in
snake_case; its camelCase spelling is accepted too.  Bounds there are the widest that any model takes; a catalog
entry narrows them for its model (`Entry.limits`).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

Ratio = Annotated[str, StringConstraints(pattern=r"^[1-9]\d?:[1-9]\d?$")]
Short = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Params(BaseModel):
    """What all operations share: frozen, nothing unknown, a field left out is None and is not sent."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )

    def given(self) -> dict[str, Any]:
        """The fields that were asked for, by their snake_case names."""
        return self.model_dump(exclude_none=True)
