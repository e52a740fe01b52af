"""Models: the catalog, as callers need it to write a job, and whether the gateway offers them to its key."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter

from api import shapes
from api.deps import Ports, Reader, missing
from api.ports import AppPorts
from api.problems import responses
from api.routes import gateway
from shared.catalog.entry import Entry, Operation, Price
from shared.catalog.lookup import Catalog
from shared.credentials import Credential
from shared.errors import NotFound, Unavailable

router = APIRouter(prefix="/v1/models", tags=["models"])

SPEEDS: Final = ("fast", "relax", "turbo")
"""Of Midjourney (video 2.1)."""


@dataclass(frozen=True)
class Offer:
    """The gateway's models for one credential, as they were last seen."""

    credential: Credential
    names: Collection[str] | None = None
    """None: nobody knows."""
    seen_at: datetime | None = None


@router.get("", response_model=shapes.Page[shapes.Model], summary="List models", responses=responses(Unavailable))
def read_all(_: Reader, ports: Ports) -> shapes.Page[shapes.Model]:
    """Every model of the catalog, all on one page.  Other models of the gateway need an `operation` in the job."""
    offers = _offers(ports)
    models = [show(name, ports.catalog, offers) for name in sorted(ports.catalog.models)]
    return shapes.Page[shapes.Model](data=models, has_more=False, next_cursor=None)


@router.get(
    "/{model:path}", response_model=shapes.Model, summary="Show a model", responses=responses(NotFound, Unavailable)
)
def read(model: str, _: Reader, ports: Ports) -> shapes.Model:
    """What it does, what it takes, what it costs, and whether the gateway offers it to its key."""
    if model not in ports.catalog.models:
        raise missing("model", model)
    return show(model, ports.catalog, _offers(ports))


def _offers(ports: AppPorts) -> list[Offer]:
    """One for each credential."""
    known = ports.settings.credentials
    with ports.transaction() as session:
        rows = gateway.seen(session, known, "models")
    return [_offer(one, rows.get((one.name, "models"))) for one in known]


def _offer(credential: Credential, row: Mapping[str, Any] | None) -> Offer:
    if row is None or row["data"] is None:
        return Offer(credential)
    return Offer(credential, row["data"]["models"], row["seen_at"])


def is_offered(name: str, entry: Entry, names: Collection[str]) -> bool:
    """Whether a model of the catalog is among those that the gateway lists.

    Midjourney's are names of ours.  The gateway has one for each act, and where it knows speeds one for each act at
    each speed: `mj_imagine`, `mj_relax_imagine`, `swap_face_relax` (video 2.1).
    """
    family, _, act = entry.operation.partition(".")
    if family != "midjourney":
        return (entry.gateway_model or name) in names
    is_bare = act == "swap_face"
    at_any_speed = act if is_bare else f"mj_{act}"
    by_speed = {speed: f"{act}_{speed}" if is_bare else f"mj_{speed}_{act}" for speed in SPEEDS}
    speed = entry.defaults.get("mode")
    if speed is not None and not set(by_speed.values()).isdisjoint(names):
        return by_speed[str(speed)] in names
    return not {at_any_speed, *by_speed.values()}.isdisjoint(names)


def is_available(name: str, entry: Entry, offers: Sequence[Offer]) -> bool | None:
    """Whether any of the credentials that serve a model may use it; None: none is known to, and not all are known."""
    told = [None if one.names is None else is_offered(name, entry, one.names) for one in offers]
    return True if True in told else None if None in told else False


def show(name: str, catalog: Catalog, offers: Sequence[Offer]) -> shapes.Model:
    entry = catalog.models[name]
    serving = [one for one in offers if one.credential.serves(name)]
    operation = catalog.operations[entry.operation]
    widest = catalog.operations[entry.operation_with_images or entry.operation]
    return shapes.Model(
        id=name,
        title=entry.title or name,
        operation=entry.operation,
        operation_with_images=entry.operation_with_images,
        gives=operation.gives,
        lane=(serving or offers)[0].credential.lane(entry.lane),
        lanes=[one.credential.lane(entry.lane) for one in serving],
        prompt="required" if operation.prompt_required else "optional",
        inputs=_inputs(entry, operation, widest),
        params=_narrowed(widest.params.model_json_schema(by_alias=False), entry),
        defaults=dict(entry.defaults),
        price=_price(entry.price),
        typical_seconds=entry.typical_s,
        available=is_available(name, entry, serving),
        available_seen_at=max((one.seen_at for one in serving if one.seen_at is not None), default=None),
    )


def dollars(price: Decimal) -> str:
    """At least cents, and no more digits than there are."""
    return f"{price.normalize() + Decimal('0.00'):f}"


def _inputs(entry: Entry, operation: Operation, widest: Operation) -> dict[str, dict[str, int]]:
    found = {}
    for role, allowed in widest.inputs.items():
        narrower = entry.max_images if role == "images" and entry.max_images is not None else allowed.most
        least = operation.inputs[role].least if role in operation.inputs else 0
        least = max(least, entry.min_images) if role == "images" else least
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


def _price(price: Price) -> shapes.Price:
    sums = {name: dollars(getattr(price, name)) for name in Price.model_fields if name != "size_factors"}
    factors = {size: f"{factor:f}" for size, factor in price.size_factors.items()}
    return shapes.Price(**sums, size_factors=factors)
