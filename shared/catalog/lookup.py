"""Finding, checking and pricing what a job asks for, before anything is spent.  Pure.

`Catalog` is the built-in entries with those of a TOML file laid over them; each process builds one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from shared.catalog import checking
from shared.catalog.checking import escaped, nearest
from shared.catalog.entry import Entry, Frozen, Lane, Operation, Role
from shared.catalog.models.table import ENTRIES, LANES
from shared.catalog.operations.table import OPERATIONS
from shared.catalog.params import Params
from shared.errors import FieldError, InvalidRequest, SettingsError

_F = TypeVar("_F", bound=Frozen)

UNLISTED: Final = Entry(title="", operation="", lane="other", typical_s=60)
"""What is assumed of a model that the catalog does not know."""


class CatalogFile(Frozen):
    """What stands in a `DARKROOM_CATALOG` file.  A known name changes that entry's given fields; a new one adds it."""

    lanes: Mapping[str, Mapping[str, Any]] = {}
    models: Mapping[str, Mapping[str, Any]] = {}


@dataclass(frozen=True)
class Resolved:
    """A request that the gateway can be asked for."""

    operation: Operation
    model: str
    gateway_model: str
    entry: Entry
    family: str
    """Of models, which share a lane with each credential."""
    params: Params
    """With the entry's defaults."""
    estimated_cost_usd: Decimal | None
    """None where the price is unknown, or follows from what is known only afterwards."""


@dataclass(frozen=True)
class Catalog:
    """Every model, lane and operation that this Darkroom knows."""

    models: Mapping[str, Entry]
    lanes: Mapping[str, Lane]
    operations: Mapping[str, Operation]

    @classmethod
    def built_in(cls) -> Self:
        return cls(ENTRIES, LANES, OPERATIONS)

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """The built-in catalog under a TOML file.

        Raises:
            SettingsError: the file cannot be read, or names what does not exist.
        """
        built_in = cls.built_in()
        if path is None:
            return built_in
        try:
            return built_in.overlaid(CatalogFile(**tomllib.loads(path.read_text(encoding="utf-8"))))
        except (OSError, tomllib.TOMLDecodeError, ValidationError, ValueError) as error:
            raise SettingsError(f"DARKROOM_CATALOG ({path.name}): {error}") from None

    def overlaid(self, file: CatalogFile) -> Self:
        lanes = {name: _overlay(Lane, self.lanes.get(name), given) for name, given in file.lanes.items()}
        models = {name: _overlay(Entry, self.models.get(name), given) for name, given in file.models.items()}
        made = type(self)({**self.models, **models}, {**self.lanes, **lanes}, self.operations)
        for name, entry in models.items():
            _check_names(name, entry, made)
        return made

    def entry(self, model: str) -> Entry:
        return self.models.get(model, UNLISTED)

    def resolve(
        self,
        *,
        model: str,
        operation: str | None,
        prompt: str | None,
        params: Mapping[str, Any],
        inputs_by_role: Mapping[str, int],
    ) -> Resolved:
        """Check a request against its operation and its model.

        Args:
            inputs_by_role: how many inputs it has of each role.

        Raises:
            InvalidRequest: with every field that is wrong, by JSON pointer.
        """
        entry = self.entry(model)
        what = self._operation(model, operation, bool(inputs_by_role.get("images")))
        checked, problems = checking.checked(what, entry, model, params)
        problems += _prompt_problems(what, prompt, params)
        problems += _input_problems(what, entry, model, inputs_by_role, params)
        if problems or checked is None:
            raise InvalidRequest(_summary(problems), tuple(problems))
        return Resolved(
            operation=what,
            model=model,
            gateway_model=entry.gateway_model or model,
            entry=entry,
            family=entry.lane,
            params=checked,
            estimated_cost_usd=estimate(entry, what, prompt or "", checked),
        )

    def _operation(self, model: str, operation: str | None, has_images: bool) -> Operation:
        entry = self.models.get(model)
        if operation is None and entry is None:
            hint = nearest(model, self.models)
            raise InvalidRequest(
                f"model {_shown(model)} is not in the catalog{hint}; name an operation to use it all the same",
                (FieldError("/model", f"unknown model{hint}"),),
            )
        if operation is None and entry is not None:
            operation = (entry.operation_with_images if has_images else None) or entry.operation
        what = self.operations.get(operation or "")
        if what is None:
            hint = nearest(operation or "", self.operations)
            raise InvalidRequest(
                f"operation {_shown(operation or '')} does not exist{hint}",
                (FieldError("/operation", f"unknown operation{hint}"),),
            )
        if entry is not None and not self.serves(entry, what):
            served = ", ".join(sorted(name for name, one in self.operations.items() if self.serves(entry, one)))
            told = f"model {model} does not serve {what.name}; it serves {served}"
            raise InvalidRequest(f"/operation: {told}", (FieldError("/operation", told),))
        return what

    def serves(self, entry: Entry, operation: Operation) -> bool:
        own = (entry.operation, entry.operation_with_images)
        families = {self.operations[name].family for name in own if name is not None}
        return operation.family in families or operation.name in (*own, *entry.operations)


WORDS: Final = ("input", "query", "documents")
"""Parameters whose text is paid for by its length, besides the prompt."""
CHARACTERS_A_TOKEN: Final = 4
"""In English text; other languages take up to four times as many tokens."""


def estimate(entry: Entry, operation: Operation, prompt: str, params: Params) -> Decimal | None:
    """What the call costs by the list, in USD; None where nobody can tell beforehand."""
    price, asked = entry.prices.get(operation.name, entry.price), params.given()
    seconds = Decimal(asked.get("seconds") or _default_seconds(entry))
    millions = Decimal(sum(_characters(text) for text in (prompt, *map(asked.get, WORDS)))) / 1_000_000
    cost = (
        price.per_call * Decimal(asked.get("n") or 1)
        + price.per_second * seconds * Decimal(asked.get("n") or 1)
        + (price.per_million_characters + price.per_million_tokens / CHARACTERS_A_TOKEN) * millions
    ) * price.size_factors.get(str(asked.get("size")), Decimal(1))
    if operation.is_free:
        return Decimal("0.00")
    if price.per_minute or not cost:
        return None
    return cost.quantize(Decimal("0.000001"), ROUND_UP).normalize() + Decimal("0.00")


def _characters(text: Any) -> int:
    """Of a text, or of all texts in a list or an object."""
    if isinstance(text, str):
        return len(text)
    if isinstance(text, Mapping):
        text = list(text.values())
    return sum(map(_characters, text)) if isinstance(text, list | tuple) else 0


def _default_seconds(entry: Entry) -> int:
    limit = entry.limits.get("seconds")
    return int(limit.values[0]) if limit is not None and limit.values else 0


def _overlay(kind: type[_F], known: _F | None, given: Mapping[str, Any]) -> _F:
    return kind(**{**(known.model_dump() if known is not None else {}), **given})


def _check_names(name: str, entry: Entry, catalog: Catalog) -> None:
    for operation in filter(None, (entry.operation, entry.operation_with_images, *entry.operations)):
        if operation not in catalog.operations:
            raise ValueError(
                f"models.{name}: operation {operation} does not exist{nearest(operation, catalog.operations)}"
            )
    if entry.lane not in catalog.lanes:
        raise ValueError(f"models.{name}: lane {entry.lane} does not exist{nearest(entry.lane, catalog.lanes)}")


def _prompt_problems(operation: Operation, prompt: str | None, params: Mapping[str, Any]) -> list[FieldError]:
    has_prompt, instead = bool((prompt or "").strip()), operation.prompt_in
    if operation.prompt_required and not has_prompt:
        return [FieldError("/prompt", f"{operation.name} needs a prompt")]
    if instead is not None and not has_prompt and not params.get(instead):
        return [FieldError("/prompt", f"{operation.name} needs a prompt, or {instead} in its parameters")]
    if instead is not None and has_prompt and params.get(instead):
        return [FieldError(f"/params/{instead}", "stands in the prompt's place: one of the two must be left out")]
    if len(prompt or "") > operation.prompt_most:
        return [FieldError("/prompt", f"must have at most {operation.prompt_most} characters")]
    return []


def _input_problems(
    operation: Operation, entry: Entry, model: str, counts: Mapping[str, int], params: Mapping[str, Any]
) -> list[FieldError]:
    problems = [
        FieldError(f"/inputs/{escaped(role)}", f"{operation.name} takes no such input{nearest(role, operation.inputs)}")
        for role in counts
        if role not in operation.inputs
    ]
    for role, allowed in operation.inputs.items():
        least, most = _wanted(role, allowed, entry, is_said=_is_given(operation.prompt_in, params))
        count = counts.get(role, 0)
        if not least <= count <= most:
            wanted = f"{least} to {most}" if most != least else str(most)
            problems.append(FieldError(f"/inputs/{role}", f"must be {wanted}, not {count} (model {model})"))
    instead = operation.images_or
    if instead is not None and bool(counts.get("images")) == _is_given(instead, params):
        told = f"{operation.name} needs either these or {instead} in its parameters"
        problems.append(FieldError("/inputs/images", told))
    return problems


def _wanted(role: str, allowed: Role, entry: Entry, *, is_said: bool) -> tuple[int, int]:
    """Least and most inputs of a role.

    Args:
        is_said: a conversation stands in the prompt's place, which may have pictures in itself.
    """
    if role != "images":
        return allowed.least, allowed.most
    most = allowed.most if entry.max_images is None else min(allowed.most, entry.max_images)
    return allowed.least if is_said else max(allowed.least, entry.min_images), most


def _is_given(name: str | None, params: Mapping[str, Any]) -> bool:
    """Whether a parameter is there, in either spelling."""
    return name is not None and any(params.get(spelled) for spelled in (name, to_camel(name)))


def _summary(problems: Iterable[FieldError]) -> str:
    told = [f"{problem.pointer}: {problem.detail}" for problem in problems]
    return told[0] if len(told) == 1 else f"{len(told)} fields are wrong: {'; '.join(told)}"


def _shown(name: str) -> str:
    return repr(name[:80])
