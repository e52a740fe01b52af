"""The looks at the gateway's account: one for the fleet, and what was seen stays until something else is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlmodel import select

from shared import ids
from shared.gateway.adapters.account import Seen, Standing, Untold
from shared.tables import GatewayView
from tests.sandbox import SandboxServer
from workers import account
from workers.account import AGAIN_S, MODELS_S, TOKEN_S, USER_S, View
from workers.ports import Ports
from workers.ticks import Ticks

USER: Final = {"gateway_access_token": SecretStr("sandbox-access-token-for-user-1842"), "gateway_user_id": 1842}


@pytest.fixture
def looking(ports: Ports, sandbox: SandboxServer) -> Iterator[Ports]:
    """A process that has seen nothing yet, at a gateway where nobody has asked."""
    with ports.transaction() as session:
        session.execute(text("DELETE FROM gateway_views"))
    sandbox.forget()
    yield ports
    sandbox.forget()
    sandbox.set(balance_usd="1000")


def with_settings(ports: Ports, **changed: Any) -> Ports:
    return replace(ports, settings=ports.settings.model_copy(update=changed))


def look(ports: Ports) -> int:
    """Look at everything that is due; at how many things."""
    looks = 0
    while account.refresh(ports):
        looks += 1
    return looks


def view(ports: Ports, what: str) -> GatewayView:
    """The row as it is now."""
    with ports.transaction() as session:
        return session.exec(select(GatewayView).where(GatewayView.name == f"default.{what}")).one()


def data(ports: Ports, what: str) -> dict[str, Any]:
    found = view(ports, what).data
    assert found is not None
    return found


def age(ports: Ports, what: str, seconds: float) -> None:
    """Let so much time pass since the last look."""
    with ports.transaction() as session:
        session.execute(
            text("UPDATE gateway_views SET tried_at = tried_at - make_interval(secs => :s) WHERE name = :name"),
            {"s": seconds, "name": f"default.{what}"},
        )


def ask_again(ports: Ports, what: str) -> None:
    age(ports, what, MODELS_S + 1)
    assert look(ports) == 1


def calls(sandbox: SandboxServer, route: str) -> int:
    return int(sandbox.requests()["calls"].get(route, 0))


def spoil(sandbox: SandboxServer, route: str, **does: Any) -> None:
    sandbox.script([{"match": {"route": route}, "do": does}])


def key_view(ports: Ports) -> View:
    return next(one for one in account.views(ports.settings) if one.name == "default.token")


def test_the_balance_and_the_models_of_the_key_are_seen(looking: Ports, sandbox: SandboxServer) -> None:
    sandbox.set(balance_usd="12.50")

    assert look(looking) == 2

    seen = view(looking, "token")
    assert (seen.status, seen.error) == ("ok", None)
    assert data(looking, "token")["remaining_usd"] == "12.50"
    assert data(looking, "token")["source"] == "usage"
    assert data(looking, "models")["models"]["sora-2"] == ["openai-video"]
    with looking.transaction() as session:
        names = session.execute(text("SELECT name FROM gateway_views")).scalars().all()
    assert sorted(names) == ["default.models", "default.token"]


def test_the_user_is_seen_with_the_access_token_and_without_the_key(looking: Ports, sandbox: SandboxServer) -> None:
    trusted = with_settings(looking, **USER)

    assert look(trusted) == 3

    assert (view(trusted, "user").status, view(trusted, "user").error) == ("ok", None)
    assert data(trusted, "user")["total_usd"] == "1000.00"


def test_who_has_neither_key_nor_access_token_asks_nothing(looking: Ports, sandbox: SandboxServer) -> None:
    assert look(with_settings(looking, gateway_api_key=None)) == 0
    assert sandbox.requests()["calls"] == {}


def test_many_workers_ask_once(looking: Ports, sandbox: SandboxServer) -> None:
    fleet = [with_settings(replace(looking, process_id=ids.new("process")), **USER) for _ in range(8)]
    barrier = threading.Barrier(len(fleet))

    def go(one: Ports) -> int:
        barrier.wait(10)
        return look(one)

    with ThreadPoolExecutor(len(fleet)) as threads:
        looks = sum(threads.map(go, fleet))

    assert looks == 3
    assert {route: calls(sandbox, route) for route in ("usage", "user", "models")} == dict.fromkeys(
        ("usage", "user", "models"), 1
    )


@pytest.mark.parametrize(("what", "every_s"), [("token", TOKEN_S), ("user", USER_S), ("models", MODELS_S)])
def test_the_next_look_is_due_an_interval_later(looking: Ports, what: str, every_s: float) -> None:
    trusted = with_settings(looking, **USER)
    look(trusted)

    age(trusted, what, every_s - 20)
    early = look(trusted)
    age(trusted, what, 21)
    late = look(trusted)

    assert (early, late) == (0, 1)


def test_all_looks_at_balances_together_keep_to_the_gateways_limit() -> None:
    assert 20 * 60 / TOKEN_S + 20 * 60 / USER_S <= 20 * 3 / 4  # some are left for people


def test_a_look_that_fails_leaves_what_was_seen_and_says_why(looking: Ports, sandbox: SandboxServer) -> None:
    look(looking)
    before = view(looking, "token")
    spoil(sandbox, "usage", fail="429")

    ask_again(looking, "token")

    after = view(looking, "token")
    assert after.error is not None
    assert "429" in after.error
    assert (after.data, after.seen_at, after.status) == (before.data, before.seen_at, "ok")
    assert after.tried_at is not None
    assert before.tried_at is not None
    assert after.tried_at > before.tried_at


def test_a_look_that_goes_well_again_takes_the_error_away(looking: Ports, sandbox: SandboxServer) -> None:
    spoil(sandbox, "usage", fail="502")
    look(looking)
    failed = view(looking, "token")
    sandbox.forget()

    ask_again(looking, "token")

    assert (failed.data, failed.seen_at, failed.error is None) == (None, None, False)
    assert view(looking, "token").error is None
    assert data(looking, "token")["remaining_usd"] == "1000.00"


def test_models_that_were_not_seen_are_looked_for_again_sooner(looking: Ports, sandbox: SandboxServer) -> None:
    spoil(sandbox, "models", fail="502")
    look(looking)

    age(looking, "models", AGAIN_S + 1)

    assert look(looking) == 1


@pytest.mark.parametrize(
    ("does", "status"),
    [
        ({"variant": "exhausted"}, "exhausted"),
        ({"variant": "expired"}, "expired"),
        ({"fail": "401"}, "refused"),
        ({"fail": "403"}, "banned"),
    ],
)
def test_it_is_known_how_it_stands_with_the_key(
    looking: Ports, sandbox: SandboxServer, does: dict[str, Any], status: str
) -> None:
    look(looking)
    spoil(sandbox, "usage", **does)

    ask_again(looking, "token")

    assert view(looking, "token").status == status
    assert data(looking, "token")["total_usd"] == "1000.00"  # also where the last look was refused


def test_a_wrong_access_token_is_told_and_never_looks_like_a_wrong_key(looking: Ports) -> None:
    look(with_settings(looking, **{**USER, "gateway_access_token": SecretStr("another")}))

    assert (view(looking, "user").status, view(looking, "user").data) == ("refused", None)
    assert view(looking, "token").status == "ok"


def test_the_users_balance_may_come_zipped(looking: Ports, sandbox: SandboxServer) -> None:
    spoil(sandbox, "user", variant="gzip")
    trusted = with_settings(looking, **USER)

    look(trusted)

    assert data(trusted, "user")["remaining_usd"] == "1000.00"


@pytest.mark.parametrize("does", [{"fail": "404"}, {"variant": "html200"}])
def test_where_the_balance_has_no_route_the_older_way_is_taken(
    looking: Ports, sandbox: SandboxServer, does: dict[str, Any]
) -> None:
    spoil(sandbox, "usage", **does)

    look(looking)

    found = data(looking, "token")
    assert (found["source"], found["remaining_usd"], found["total_usd"]) == ("billing", "1000.00", "1000.00")


def test_where_the_older_way_is_closed_too_it_is_said(looking: Ports, sandbox: SandboxServer) -> None:
    for route in ("usage", "billing.subscription"):
        spoil(sandbox, route, fail="404")

    look(looking)

    told = view(looking, "token")
    assert (told.data, told.status) == (None, None)
    assert told.error is not None
    assert "404" in told.error


def test_a_refusal_is_final_and_no_other_way_is_tried(looking: Ports, sandbox: SandboxServer) -> None:
    spoil(sandbox, "usage", fail="401")

    look(looking)

    assert (calls(sandbox, "usage"), calls(sandbox, "billing.subscription")) == (1, 0)


@pytest.mark.parametrize("does", [{"fail": "404"}, {"variant": "html200"}, {"variant": "empty"}])
def test_where_models_are_not_listed_geminis_list_is_taken(
    looking: Ports, sandbox: SandboxServer, does: dict[str, Any]
) -> None:
    spoil(sandbox, "models", **does)

    look(looking)

    assert data(looking, "models")["source"] == "gemini"
    assert "sora-2" in data(looking, "models")["models"]


def test_a_look_that_hangs_ends_in_time(looking: Ports, sandbox: SandboxServer) -> None:
    spoil(sandbox, "usage", hang=30)
    impatient = with_settings(looking, poll_timeout_s=0.3)
    began = time.monotonic()

    look(impatient)

    assert time.monotonic() - began < 10
    assert view(impatient, "token").error is not None


def test_a_late_answer_does_not_stand_over_a_later_one(looking: Ports) -> None:
    known = key_view(looking)
    with looking.transaction() as session:
        slow = account.claim(session, known)
    assert slow is not None
    age(looking, "token", TOKEN_S + 1)
    with looking.transaction() as session:
        quick = account.claim(session, known)
    assert quick is not None

    with looking.transaction() as session:
        kept = account.keep(session, known, quick, Seen({"remaining_usd": "1.00"}, Standing.OK))
        late = [
            account.keep(session, known, slow, Seen({"remaining_usd": "2.00"}, Standing.OK)),
            account.keep(session, known, slow, Untold("it broke", Standing.REFUSED)),
        ]

    assert (kept, late) == (True, [False, False])
    assert (data(looking, "token"), view(looking, "token").status) == ({"remaining_usd": "1.00"}, "ok")
    assert view(looking, "token").error is None


def test_who_died_while_looking_is_followed_by_another(looking: Ports) -> None:
    with looking.transaction() as session:
        assert account.claim(session, key_view(looking)) is not None
    look(looking)
    assert view(looking, "token").data is None

    age(looking, "token", TOKEN_S + 1)

    assert look(looking) == 1
    assert data(looking, "token")["remaining_usd"] == "1000.00"


def test_a_process_that_stops_asks_nothing(looking: Ports, sandbox: SandboxServer) -> None:
    stopping = replace(looking, stopping=threading.Event())
    stopping.stopping.set()

    assert look(stopping) == 0
    assert calls(sandbox, "usage") == 0


def test_every_worker_process_looks_by_itself(looking: Ports) -> None:
    [tick] = [tick for tick in Ticks(looking, "a worker")._others if tick.name == "account"]

    while tick.run_once():
        pass

    assert tick.steady_since is not None
    assert view(looking, "models").data is not None
