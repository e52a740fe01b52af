"""Finding, checking and pricing what a job asks for, before anything is spent.  Pure.

`Catalog` is the built-in entries with those of a TOML file laid over them; each process builds one.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from pydantic import ValidationError

from shared.catalog.entry import Entry, Frozen, Lane, Limit, Operation
from shared.catalog.models.table import ENTRIES, LANES
from shared.catalog.operations.table import OPERATIONS
from shared.catalog.params import Params
from shared.errors import FieldError, InvalidRequest, SettingsError

_F = TypeVar("_F", bound=Frozen)

UNLISTED: Final = Entry(title="", operation="", lane="other", typical_s=60)
"""What is assumed of a model that the catalog does not know."""

CREDENTIAL: Final = "default"
"""The gateway credential of `DARKROOM_GATEWAY_API_KEY`; lanes are named `<credential>.<family>`."""


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
    lane: str
    """`<credential>.<family>`."""
    params: Params
    """With the entry's defaults."""
    estimated_cost_usd: Decimal


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
        # A default of the model may mean nothing to another operation that was named.
        defaults = {name: value for name, value in entry.defaults.items() if name in what.params.model_fields}
        checked, problems = _checked_params(what, {**defaults, **params})
        problems += _prompt_problems(what, prompt)
        problems += _input_problems(what, entry, model, inputs_by_role)
        if checked is not None:
            problems += _limit_problems(entry, model, checked)
        if problems or checked is None:
            raise InvalidRequest(_summary(problems), tuple(problems))
        return Resolved(
            operation=what,
            model=model,
            gateway_model=entry.gateway_model or model,
            entry=entry,
            lane=f"{CREDENTIAL}.{entry.lane}",
            params=checked,
            estimated_cost_usd=estimate(entry, checked),
        )

    def _operation(self, model: str, operation: str | None, has_images: bool) -> Operation:
        entry = self.models.get(model)
        if operation is None and entry is None:
            hint = _nearest(model, self.models)
            raise InvalidRequest(
                f"model {_shown(model)} is not in the catalog{hint}; name an operation to use it all the same",
                (FieldError("/model", f"unknown model{hint}"),),
            )
        if operation is None and entry is not None:
            operation = (entry.operation_with_images if has_images else None) or entry.operation
        what = self.operations.get(operation or "")
        if what is None:
            hint = _nearest(operation or "", self.operations)
            raise InvalidRequest(
                f"operation {_shown(operation or '')} does not exist{hint}",
                (FieldError("/operation", f"unknown operation{hint}"),),
            )
        if entry is not None and not self._serves(entry, what):
            served = ", ".join(sorted(name for name, one in self.operations.items() if self._serves(entry, one)))
            told = f"model {model} does not serve {what.name}; it serves {served}"
            raise InvalidRequest(f"/operation: {told}", (FieldError("/operation", told),))
        return what

    def _serves(self, entry: Entry, operation: Operation) -> bool:
        own = (entry.operation, entry.operation_with_images)
        families = {self.operations[name].family for name in own if name is not None}
        return operation.family in families or operation.name in (*own, *entry.operations)


def estimate(entry: Entry, params: Params) -> Decimal:
    """What the call costs by the list, in USD."""
    asked = params.given()
    seconds = Decimal(asked.get("seconds") or _default_seconds(entry))
    cost = entry.price.per_call * Decimal(asked.get("n") or 1) + entry.price.per_second * seconds
    return cost.quantize(Decimal("0.0001")).normalize() + Decimal("0.00")


def _default_seconds(entry: Entry) -> int:
    limit = entry.limits.get("seconds")
    return int(limit.values[0]) if limit is not None and limit.values else 0


def _overlay(kind: type[_F], known: _F | None, given: Mapping[str, Any]) -> _F:
    return kind(**{**(known.model_dump() if known is not None else {}), **given})


def _check_names(name: str, entry: Entry, catalog: Catalog) -> None:
    for operation in filter(None, (entry.operation, entry.operation_with_images, *entry.operations)):
        if operation not in catalog.operations:
            raise ValueError(
                f"models.{name}: operation {operation} does not exist{_nearest(operation, catalog.operations)}"
            )
    if entry.lane not in catalog.lanes:
        raise ValueError(f"models.{name}: lane {entry.lane} does not exist{_nearest(entry.lane, catalog.lanes)}")


def _checked_params(operation: Operation, given: Mapping[str, Any]) -> tuple[Params | None, list[FieldError]]:
    try:
        return operation.params.model_validate(dict(given)), []
    except ValidationError as error:
        return None, [
            _param_problem(operation, problem["loc"], problem["type"], problem["msg"])
            for problem in error.errors(include_input=False, include_url=False)
        ]


def _param_problem(operation: Operation, loc: tuple[int | str, ...], kind: str, message: str) -> FieldError:
    names = operation.params.model_fields
    aliases = {field.alias: name for name, field in names.items() if field.alias}
    first = str(loc[0]) if loc else ""
    pointer = "/params/" + "/".join(_escaped(part) for part in (aliases.get(first, first), *loc[1:]))
    if kind == "extra_forbidden":
        return FieldError(pointer, f"{operation.name} has no such parameter{_nearest(first, names)}")
    return FieldError(pointer, message)


def _prompt_problems(operation: Operation, prompt: str | None) -> list[FieldError]:
    if operation.prompt_required and not (prompt or "").strip():
        return [FieldError("/prompt", f"{operation.name} needs a prompt")]
    if len(prompt or "") > operation.prompt_most:
        return [FieldError("/prompt", f"must have at most {operation.prompt_most} characters")]
    return []


def _input_problems(operation: Operation, entry: Entry, model: str, counts: Mapping[str, int]) -> list[FieldError]:
    problems = [
        FieldError(
            f"/inputs/{_escaped(role)}", f"{operation.name} takes no such input{_nearest(role, operation.inputs)}"
        )
        for role in counts
        if role not in operation.inputs
    ]
    for role, allowed in operation.inputs.items():
        most = allowed.most if role != "images" or entry.max_images is None else min(allowed.most, entry.max_images)
        count = counts.get(role, 0)
        if not allowed.least <= count <= most:
            wanted = f"{allowed.least} to {most}" if most != allowed.least else str(most)
            problems.append(FieldError(f"/inputs/{role}", f"must be {wanted}, not {count} (model {model})"))
    return problems


def _limit_problems(entry: Entry, model: str, params: Params) -> list[FieldError]:
    asked = params.given()
    told = ((name, _limit_told(name, asked[name], limit)) for name, limit in entry.limits.items() if name in asked)
    return [FieldError(f"/params/{name}", f"{detail} (model {model})") for name, detail in told if detail]


def _limit_told(name: str, value: Any, limit: Limit) -> str | None:
    """What is wrong with a value, or None."""
    if limit.values is not None and value not in limit.values:
        *most, last = [str(item) for item in limit.values]
        wanted = f"{', '.join(most)} or {last}" if most else last
        return f"{name} must be {wanted}, not {value}"
    if limit.maximum is not None and value > limit.maximum:
        return f"{name} must be at most {limit.maximum}, not {value}"
    if limit.minimum is not None and value < limit.minimum:
        return f"{name} must be at least {limit.minimum}, not {value}"
    return None


def _summary(problems: Iterable[FieldError]) -> str:
    told = [f"{problem.pointer}: {problem.detail}" for problem in problems]
    return told[0] if len(told) == 1 else f"{len(told)} fields are wrong: {'; '.join(told)}"


def _nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


def _shown(name: str) -> str:
    return repr(name[:80])


def _escaped(part: int | str) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
