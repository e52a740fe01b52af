"""Models: the catalog, as callers need it to write a job."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fastapi import APIRouter

from api import shapes
from api.deps import Ports, Reader, missing
from api.problems import responses
from shared.catalog.entry import Entry, Operation
from shared.catalog.lookup import CREDENTIAL, Catalog
from shared.errors import NotFound

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("", response_model=shapes.Page[shapes.Model], summary="List models", responses=responses())
def read_all(_: Reader, ports: Ports) -> shapes.Page[shapes.Model]:
    """Every model of the catalog, all on one page.  Other models of the gateway need an `operation` in the job."""
    models = [show(name, ports.catalog) for name in sorted(ports.catalog.models)]
    return shapes.Page[shapes.Model](data=models, has_more=False, next_cursor=None)


@router.get("/{model:path}", response_model=shapes.Model, summary="Show a model", responses=responses(NotFound))
def read(model: str, _: Reader, ports: Ports) -> shapes.Model:
    """What it does, what it takes, and what it costs."""
    if model not in ports.catalog.models:
        raise missing("model", model)
    return show(model, ports.catalog)


def show(name: str, catalog: Catalog) -> shapes.Model:
    entry = catalog.models[name]
    operation = catalog.operations[entry.operation]
    widest = catalog.operations[entry.operation_with_images or entry.operation]
    return shapes.Model(
        id=name,
        title=entry.title or name,
        operation=entry.operation,
        operation_with_images=entry.operation_with_images,
        gives=operation.gives,
        lane=f"{CREDENTIAL}.{entry.lane}",
        prompt="required" if operation.prompt_required else "optional",
        inputs=_inputs(entry, operation, widest),
        params=_narrowed(widest.params.model_json_schema(by_alias=False), entry),
        defaults=dict(entry.defaults),
        price=shapes.Price(per_call=_dollars(entry.price.per_call), per_second=_dollars(entry.price.per_second)),
        typical_seconds=entry.typical_s,
        available=None,
    )


def _dollars(price: Decimal) -> str:
    """At least cents, and no more digits than there are."""
    return f"{price.normalize() + Decimal('0.00'):f}"


def _inputs(entry: Entry, operation: Operation, widest: Operation) -> dict[str, dict[str, int]]:
    found = {}
    for role, allowed in widest.inputs.items():
        narrower = entry.max_images if role == "images" and entry.max_images is not None else allowed.most
        least = operation.inputs[role].least if role in operation.inputs else 0
        found[role] = {"min": least, "max": min(allowed.most, narrower)}
    return found


def _narrowed(schema: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """The operation's schema with the limits of the model in place of its own."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    for name, limit in entry.limits.items():
        if name not in properties:
            continue
        kept = {key: value for key, value in properties[name].items() if key in ("title", "description")}
        options = [option for option in properties[name].get("anyOf", []) if option.get("type") != "null"]
        kind = options[0].get("type") if options else properties[name].get("type")
        bounds = {"minimum": limit.minimum, "maximum": limit.maximum}
        wide = {key: options[0][key] for key in bounds if options and key in options[0]}
        narrow = {key: value for key, value in bounds.items() if value is not None}
        values = {"enum": list(limit.values)} if limit.values is not None else {**wide, **narrow}
        properties[name].clear()
        properties[name].update({**kept, "type": kind, **values})
    return schema
