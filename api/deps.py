"""Everything that an endpoint may ask for: ports, caller, page, links.

Async, although none waits: FastAPI would run each in a thread of its own, which costs more than all of them do.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Annotated, Final

from fastapi import Depends, Header, Query, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BeforeValidator

from api.auth import Caller
from api.jobs.waiting import Waiting
from api.links import Links
from api.ports import AppPorts
from api.problems import nearest
from shared.errors import FieldError, Forbidden, InvalidRequest, NotFound
from shared.ids import Prefix, is_id
from shared.tables import Scope


async def _ports(request: Request) -> AppPorts:
    ports = request.app.state.ports
    assert isinstance(ports, AppPorts)
    return ports


async def _waiting(request: Request) -> Waiting:
    waiting = request.app.state.waiting
    assert isinstance(waiting, Waiting)
    return waiting


Ports = Annotated[AppPorts, Depends(_ports)]
Waiter = Annotated[Waiting, Depends(_waiting)]

_bearer: Final = HTTPBearer(
    auto_error=False, scheme_name="API key", description="`Authorization: Bearer dk_…`; each key has scopes."
)
"""For the documentation; the key was checked before, by `auth.Authentication`."""


def _with(scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
    async def allowed(request: Request, _: Annotated[object, Security(_bearer)] = None) -> Caller:
        caller = request.state.caller
        assert isinstance(caller, Caller)
        if not caller.may(scope):
            raise Forbidden(f"this needs a key with the scope {scope}")
        return caller

    return allowed


Reader = Annotated[Caller, Depends(_with(Scope.READ))]
Writer = Annotated[Caller, Depends(_with(Scope.WRITE))]
Admin = Annotated[Caller, Depends(_with(Scope.ADMIN))]


async def _links(request: Request, ports: Ports) -> Links:
    return Links.of(request, ports)


ToLinks = Annotated[Links, Depends(_links)]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same key and body again get the first answer again, for 7 days at least.",
    ),
]
Wait = Annotated[
    float, Query(ge=0, le=60, description="Answer when the job is finished, or after so many seconds.", examples=[30])
]
Limit = Annotated[int, Query(ge=1, le=200, description="Items on a page.")]
Cursor = Annotated[str | None, Query(max_length=512, description="`next_cursor` of the page before.")]

RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)


def _read_time(value: object) -> object:
    """A time as RFC 3339 writes it; pydantic would take a number, too."""
    try:
        if isinstance(value, str) and RFC_3339.fullmatch(value):
            return datetime.fromisoformat(value.upper())
    except ValueError:
        pass  # the 30th of February
    raise ValueError("must be a time with its zone as RFC 3339 writes it: 2026-11-20T09:14:03Z")


Time = Annotated[datetime, BeforeValidator(_read_time)]

FREE_QUERY: Final = "metadata."
"""What a query may hold whatever the route declares, where the route reads it."""


async def only_known_query(request: Request) -> None:
    """A filter that is misspelled must not be taken for none."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    known = list(_declared(route.dependant))
    takes_metadata = bool((route.openapi_extra or {}).get("x-takes-metadata"))
    for name in request.query_params:
        if name in known or (takes_metadata and name.startswith(FREE_QUERY)):
            continue
        told = f"there is no such query parameter{nearest(name, known)}"
        raise InvalidRequest(f"{name[:80]}: {told}", (FieldError(f"/query/{name[:80]}", told),))


def _declared(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _declared(inner)


def wanted_id(prefix: Prefix, text: str) -> str:
    """An id in an address.  What cannot be one is not looked up.

    Raises:
        NotFound: it is no such id.
    """
    if not is_id(prefix, text):
        raise missing(prefix, text)
    return text


def missing(what: str, name: str) -> NotFound:
    """The same for what does not exist and for what is another project's."""
    return NotFound(f"there is no {what} {name[:80]}")
