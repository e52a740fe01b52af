"""Credentials: what the settings say of them, what each serves, and who takes a new job."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from deploy.local import environment
from shared import credentials
from shared.credentials import Credential
from shared.errors import SettingsError
from shared.outbound import Outbound
from shared.settings import Settings

KEY = "sk-very-secret"


def entry(name: str = "first", **fields: Any) -> dict[str, Any]:
    return {"name": name, "base_url": f"https://{name}.example", "api_key": KEY, **fields}


def credential(name: str = "first", **fields: Any) -> Credential:
    return Credential.model_validate(entry(name, **fields))


def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gateways: Any, **variables: str) -> Settings:
    monkeypatch.chdir(tmp_path)
    listed = gateways if isinstance(gateways, str) else json.dumps(gateways)
    for name, value in {"GATEWAYS": listed, **variables}.items():
        monkeypatch.setenv(f"DARKROOM_{name}", value)
    return Settings.load()


def refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gateways: Any, **variables: str) -> str:
    with pytest.raises(SettingsError) as refused:
        load(monkeypatch, tmp_path, gateways, **variables)
    return str(refused.value)


# What the settings say.


def test_a_list_is_read_with_its_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limits = {"sora": {"limit": 3, "per_day": 50}}

    settings = load(monkeypatch, tmp_path, [entry(base_url="https://one.example/"), entry("second", limits=limits)])

    first, second = settings.credentials
    assert (first.name, first.base_url, first.models, first.weight) == ("first", "https://one.example", ("*",), 1)
    assert first.api_key.get_secret_value() == KEY
    assert (second.limits["sora"].limit, second.limits["sora"].per_day) == (3, 50)
    assert settings.has_key


@pytest.mark.parametrize("listed", ["", " ", "[]"])
def test_without_a_list_there_is_the_one_of_the_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, listed: str
) -> None:
    settings = load(monkeypatch, tmp_path, listed, GATEWAY_API_KEY="sk-1", GATEWAY_BASE_URL="https://gate.example/")

    (only,) = settings.credentials
    assert (only.name, only.base_url, only.api_key.get_secret_value()) == ("default", "https://gate.example", "sk-1")
    assert only.serves("whatever")
    assert (only.models, only.weight, dict(only.limits)) == (("*",), 1, {})


def test_without_any_key_there_is_one_that_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load(monkeypatch, tmp_path, "")

    (only,) = settings.credentials
    assert (only.name, only.api_key.get_secret_value()) == ("default", "")
    assert not settings.has_key


@pytest.mark.parametrize(
    "alone",
    [
        {"GATEWAY_API_KEY": KEY},
        {"GATEWAY_BASE_URL": "https://other.example"},
        {"GATEWAY_ACCESS_TOKEN": KEY, "GATEWAY_USER_ID": "7"},
    ],
)
def test_a_list_and_a_single_one_do_not_go_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, alone: dict[str, str]
) -> None:
    told = refusal(monkeypatch, tmp_path, [entry()], **alone)

    assert "DARKROOM_GATEWAYS" in told
    assert "DARKROOM_GATEWAY_BASE_URL" in told
    assert ";" not in told
    assert KEY not in told


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ("[{", "DARKROOM_GATEWAYS: .*no JSON"),
        ("{}", "DARKROOM_GATEWAYS: .*must be a JSON list"),
        ([entry(), entry()], "DARKROOM_GATEWAYS: .*first stands there again"),
        ([entry("Main key", base_url="https://gate.example")], "DARKROOM_GATEWAYS 0 name: "),
        ([entry("a.b")], "DARKROOM_GATEWAYS 0 name: "),
        ([entry(), entry("second", weight=-1)], "DARKROOM_GATEWAYS 1 weight: .*greater than or equal to 0"),
        ([entry(api_key=" ")], "DARKROOM_GATEWAYS 0 api_key: .*must not be empty"),
        ([entry(kay=KEY)], "DARKROOM_GATEWAYS 0 kay: "),
        ([entry(base_url=f"https://me:{KEY}@gate.example")], "DARKROOM_GATEWAYS 0 base_url: .*must be an address"),
        ([entry(base_url="gate.example")], "DARKROOM_GATEWAYS 0 base_url: .*must be an address"),
        ([entry(limits={"sora": {"per_day": -1}})], "DARKROOM_GATEWAYS 0 limits sora per_day: "),
        ([entry(access_token=KEY)], "DARKROOM_GATEWAYS 0: .*go together"),
        ([{"name": "first", "base_url": "https://gate.example"}], "DARKROOM_GATEWAYS 0 api_key: Field required"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence_that_names_the_place_and_no_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, listed: Any, told: str
) -> None:
    said = refusal(monkeypatch, tmp_path, listed)

    assert re.match(told, said), said
    assert ";" not in said
    assert KEY not in said


def test_no_key_is_shown_by_a_repr_a_dump_or_a_log(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(_env_file=None, gateways=(credential(access_token=KEY, user_id=7),))  # type: ignore[call-arg]

    logging.getLogger("darkroom").warning("%s %r", settings, settings.credentials)

    for shown in (repr(settings), str(settings.credentials), settings.model_dump_json(), caplog.text):
        assert KEY not in shown


def test_a_program_that_we_start_reads_the_same_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = (credential(models=["sora-*"], weight=3, access_token="at", user_id=7), credential("second"))
    settings = Settings(_env_file=None, gateways=given)  # type: ignore[call-arg]

    told = environment.of_program(settings, {"DARKROOM_GATEWAY_BASE_URL": settings.gateway_base_url})

    url = told["DARKROOM_GATEWAY_BASE_URL"]  # `darkroom up` always names it
    assert load(monkeypatch, tmp_path, told["DARKROOM_GATEWAYS"], GATEWAY_BASE_URL=url).gateways == given


def test_every_gateways_own_address_may_be_called() -> None:
    given = (credential(base_url="http://10.0.0.7:9000"), credential("second", base_url="http://10.0.0.8:9001"))

    outbound = Outbound.from_settings(Settings(_env_file=None, gateways=given))  # type: ignore[call-arg]

    assert {("10.0.0.7", 9000), ("10.0.0.8", 9001)} <= set(outbound.origins)


# What each serves.


@pytest.mark.parametrize(
    ("glob", "model", "serves"),
    [
        ("*", "anything/at:all", True),
        ("sora-*", "sora-2-pro", True),
        ("sora-*", "my-sora-2", False),
        ("sora-?", "sora-2", True),
        ("sora-?", "sora-22", False),
        ("veo3.1", "veo3x1", False),
        ("a_b", "axb", False),
        ("50%", "50 or more", False),
        (r"a\*", r"a\b", True),
        ("[ab]", "a", False),
        ("", "", True),
    ],
)
def test_a_pattern_means_the_same_here_and_in_sql(glob: str, model: str, serves: bool) -> None:
    like = credentials.as_like(glob)
    meant = re.sub(r"\\(.)|(%)|(_)|(.)", _as_regex, like, flags=re.DOTALL)

    assert credential(models=[glob]).serves(model) is serves
    assert bool(re.fullmatch(meant, model, re.DOTALL)) is serves


def _as_regex(found: re.Match[str]) -> str:
    """LIKE, as PostgreSQL reads it."""
    escaped, many, one, plain = found.groups()
    return ".*" if many else "." if one else re.escape(escaped or plain)


def test_a_lane_tells_its_credential_and_its_family() -> None:
    lane = credential("main-2").lane("veo.fast")

    assert (credentials.of_lane(lane), credentials.family_of(lane)) == ("main-2", "veo.fast")


# Who takes a new job.


def shares(candidates: list[Credential], *paused: str) -> dict[str, int]:
    """How many of a thousand jobs each takes."""
    return Counter(credentials.choose(candidates, paused, number / 1000).name for number in range(1000))


def test_new_work_is_shared_by_weight() -> None:
    assert shares([credential(weight=1), credential("second", weight=3)]) == {"first": 250, "second": 750}


def test_a_paused_one_takes_nothing_while_another_can() -> None:
    both = [credential(weight=1), credential("second", weight=3)]

    assert shares(both, "second") == {"first": 1000}
    assert shares(both, "first", "second") == {"first": 250, "second": 750}


def test_one_without_a_weight_takes_only_what_nobody_else_can() -> None:
    spare = [credential(), credential("spare", weight=0)]

    assert shares(spare) == {"first": 1000}
    assert shares(spare, "first") == {"spare": 1000}


def test_the_largest_random_number_chooses_somebody() -> None:
    both = [credential(weight=1), credential("second", weight=2)]

    assert credentials.choose(both, (), 1 - 2**-53).name == "second"
    assert credentials.choose([credential(weight=0)], (), 1 - 2**-53).name == "first"


def test_the_settings_say_the_keys_only_where_they_are_handed_on() -> None:
    assert KEY in credentials.as_json([credential()])
    assert isinstance(credential().api_key, SecretStr)


# What the documentation says.


PAGE = (Path(__file__).parents[2] / "docs" / "credentials.md").read_text(encoding="utf-8")


def test_the_example_of_the_page_is_a_list_of_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)

    settings = load(monkeypatch, tmp_path, example)

    assert [one.name for one in settings.credentials] == ["main", "films"]


@pytest.mark.parametrize("field", [*Credential.model_fields, *credentials.Limits.model_fields])
def test_the_page_explains_every_field(field: str) -> None:
    assert f"`{field}`" in PAGE
