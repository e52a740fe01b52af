"""`darkroom doctor`: what is looked at, in which order, for how long, and who is blamed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli import ending
from api.cli.doctor import checks, examining
from api.cli.doctor.examining import Check, Finding, Wrong, examine
from api.cli.doctor.patient import Gateway, Patient, patient
from shared.settings import Settings
from tests.unit.pretend_api import PretendApi, page, run

REAL = "https://gateway.test"


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, gateway_base_url=REAL, **given)


def somebody(**given: Any) -> Patient:
    return Patient(settings(), Gateway(None, None, "the sandbox gateway"), "http://darkroom.test", "dk_key", **given)


WHO = somebody()


def wrong(_: Patient) -> str:
    raise Wrong("is down")


# All checks at once.


@pytest.fixture
def hangs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Patient], str]]:
    """A look that comes back when the test is over."""
    monkeypatch.setattr(examining, "EACH_S", 0.2)
    over = threading.Event()

    def look(_: Patient) -> str:
        over.wait(60)
        return "too late"

    yield look
    over.set()


def test_findings_come_in_the_order_of_the_checks_and_what_has_nothing_to_say_is_left_out() -> None:
    found = examine(WHO, [Check("a", lambda _: "fine"), Check("b", lambda _: None), Check("c", wrong, "mend it")])

    assert found == [Finding("a", "ok", "fine"), Finding("c", "wrong", "is down", "mend it")]


def test_what_a_check_needs_is_not_there_so_it_is_not_made_and_says_why() -> None:
    def never(_: Patient) -> str:
        raise AssertionError("it was looked at")

    _, found = examine(WHO, [Check("database", wrong), Check("schema", never, "migrate", needs="database")])

    assert found == Finding("schema", "not checked", "not checked, because database is not well")


def test_all_parts_are_looked_at_at_once() -> None:
    together = threading.Barrier(5)

    def look(_: Patient) -> str:
        together.wait(30)
        return "fine"

    found = examine(WHO, [Check(part, look) for part in "abcde"])

    assert [finding.detail for finding in found] == ["fine"] * 5


def test_a_part_that_hangs_is_told_and_keeps_nobody(hangs: Callable[[Patient], str]) -> None:
    key = Check("key", lambda _: "opens", needs="a")

    found = examine(WHO, [Check("a", hangs, "start it"), key, Check("z", lambda _: "fine")])

    assert found == [
        Finding("a", "wrong", "does not answer within 0 s", "start it"),
        Finding("key", "not checked", "not checked, because a is not well"),
        Finding("z", "ok", "fine"),
    ]


def test_who_hangs_when_it_is_asked_for_something_else_is_blamed_and_that_is_not(
    hangs: Callable[[Patient], str],
) -> None:
    found = examine(WHO, [Check("api", lambda _: "ready"), Check("key", hangs, "set another key", needs="api")])

    assert found[1] == Finding("key", "wrong", "cannot be checked: api does not answer within 0 s")


def test_all_checks_together_have_a_limit_too(monkeypatch: pytest.MonkeyPatch, hangs: Callable[[Patient], str]) -> None:
    monkeypatch.setattr(examining, "EACH_S", 30.0)
    monkeypatch.setattr(examining, "ALL_S", 0.2)

    found = examine(WHO, [Check("a", lambda _: "fine"), Check("b", hangs, needs="a")])

    assert [finding.state for finding in found] == ["ok", "wrong"]


def test_a_bug_in_a_check_is_not_a_finding() -> None:
    with pytest.raises(ZeroDivisionError):
        examine(WHO, [Check("a", lambda _: str(1 / 0))])


def test_every_check_stands_behind_the_one_that_it_needs() -> None:
    names = [check.part for check in checks.checks_of(WHO)]

    assert all(
        check.needs in names[:place] for place, check in enumerate(checks.checks_of(WHO)) if check.needs is not None
    )


# The key is blamed for nothing that it did not do.


@pytest.mark.parametrize(
    ("status", "told"), [(401, "is refused: so it is"), (503, "cannot be checked: so it is"), (200, "opens the API")]
)
def test_a_key_is_wrong_only_if_the_api_says_so(api: PretendApi, status: int, told: str) -> None:
    api.answers["GET /v1/jobs"] = page() if status == 200 else httpx.Response(status, json={"detail": "so it is"})
    (check,) = (check for check in checks.checks_of(WHO) if check.part == "key")

    (found,) = examine(WHO, [Check("key", check.look, check.mend)])

    assert found.detail == told
    assert ("DARKROOM_API_KEY" in found.mend) == (status == 401)


def test_a_key_is_not_looked_at_while_the_api_is_not_ready(api: PretendApi) -> None:
    parts = [check for check in checks.checks_of(WHO) if check.part in ("api", "key")]

    found = examine(WHO, [Check("api", wrong), parts[1]])

    assert found[1].detail == "not checked, because api is not well"
    assert api.requests == []


# Which gateway it would be.


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def runs(data_dir: Path, *, sandbox: bool) -> None:
    """A `darkroom up` that is ready."""
    data_dir.mkdir()
    gateway_url = "http://127.0.0.1:7" if sandbox else REAL
    told = {"api_url": "http://127.0.0.1:1", "admin_key": "dk_admin", "gateway_url": gateway_url, "sandbox": sandbox}
    (data_dir / "runtime.json").write_text(json.dumps(told))
    (data_dir / "secrets.json").write_text(json.dumps({"sandbox_key": "sandbox-1"}))


def gateway(data_dir: Path, **given: Any) -> Gateway:
    return patient(settings(**given), data_dir, None, None).gateway


def test_without_a_key_it_is_the_sandbox_gateway_and_the_real_one_is_not_asked(data_dir: Path) -> None:
    found = gateway(data_dir)

    assert (found.url, found.key) == (None, None)
    assert "sandbox" in found.told
    assert REAL not in found.told


def test_a_running_sandbox_gateway_is_looked_at_with_its_own_key(data_dir: Path) -> None:
    runs(data_dir, sandbox=True)

    found = gateway(data_dir)

    assert (found.url, found.key) == ("http://127.0.0.1:7", "sandbox-1")
    assert "sandbox" in found.told


def test_with_a_key_it_is_the_real_one(data_dir: Path) -> None:
    assert gateway(data_dir, gateway_api_key="sk-1") == Gateway(REAL, "sk-1", REAL)


def test_a_key_that_was_set_meanwhile_is_looked_at_and_it_is_said_that_it_is_not_used_yet(data_dir: Path) -> None:
    runs(data_dir, sandbox=True)

    found = gateway(data_dir, gateway_api_key="sk-1")

    assert (found.url, found.key) == (REAL, "sk-1")
    assert found.told == f"{REAL} from the next `darkroom up` on (the running one has the sandbox gateway)"


def test_a_running_system_may_have_a_key_that_we_have_not(data_dir: Path) -> None:
    runs(data_dir, sandbox=False)

    found = gateway(data_dir)

    assert (found.url, found.key) == (REAL, None)
    assert "the next one, without DARKROOM_GATEWAY_API_KEY, has the sandbox gateway" in found.told


def test_what_runs_completes_the_settings_and_brings_its_key(data_dir: Path) -> None:
    runs(data_dir, sandbox=True)

    found = patient(settings(database_url="postgresql://mine"), data_dir, None, None)
    elsewhere = patient(settings(), data_dir, "http://elsewhere.test", None)

    assert found.settings.database_url == "postgresql://mine"
    assert (found.api_url, found.api_key) == ("http://127.0.0.1:1", "dk_admin")
    assert (elsewhere.api_url, elsewhere.api_key) == ("http://elsewhere.test", None)


# The command.


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    findings: list[Finding] = []
    monkeypatch.setattr(examining, "examine", lambda *_: findings)
    return findings


def test_what_is_wrong_is_exit_code_1_and_comes_with_what_to_do(api: PretendApi, found: list[Finding]) -> None:
    found += [
        Finding("database", "wrong", "does not answer", "start it"),
        Finding("schema", "not checked", "not checked, because database does not answer", "never shown"),
        Finding("s3", "ok", "answers", "never shown"),
    ]

    code, table, _ = run("doctor")
    _, said, _ = run("doctor", "--json")

    assert code == ending.FAILED
    assert "WRONG" in table
    assert "→ start it" in table
    assert "never shown" not in table
    assert [(one["part"], one["ok"], one["state"]) for one in json.loads(said)["checks"]] == [
        ("database", False, "wrong"),
        ("schema", False, "not checked"),
        ("s3", True, "ok"),
    ]


def test_all_well_is_exit_code_0(api: PretendApi, found: list[Finding]) -> None:
    found += [Finding("s3", "ok", "answers")]

    code, said, _ = run("doctor", "--json")

    assert (code, json.loads(said)["ok"]) == (0, True)
