"""Keys, cursors, file names and links: small things that must hold exactly."""

from __future__ import annotations

import pytest

from api import auth, pages
from api.jobs.inputs import shortened
from api.problems import nearest
from api.routes.assets import safe_name
from shared.errors import InvalidRequest, Unauthorized
from shared.tables import Scope


def test_a_key_holds_256_random_bits_besides_what_it_is_looked_up_by() -> None:
    made = {auth.make_key() for _ in range(100)}

    assert len(made) == 100
    for key in made:
        assert key.startswith("dk_")
        assert 62 ** (len(key) - len(auth.prefix_of(key))) >= 2**256
        assert auth.read_header(f"Bearer {key}") == key
        assert auth.read_header(f"bearer  {key} ") == key


@pytest.mark.parametrize("header", [None, "", "dk_x", "Bearer", "Token dk_" + "x" * 40, "Bearer dk_ü" + "x" * 40])
def test_what_is_no_key_is_not_looked_up(header: str | None) -> None:
    with pytest.raises(Unauthorized):
        auth.read_header(header)


@pytest.mark.parametrize(
    ("scopes", "widest"), [(["read"], "read"), (["write", "read"], "write"), (["admin"], "admin"), ([], "read")]
)
def test_a_key_may_what_its_widest_scope_may(scopes: list[str], widest: str) -> None:
    caller = auth.Caller("project_x", "key_x", auth.widest(scopes))

    assert caller.scope == widest
    assert caller.may(Scope.READ)
    assert caller.may(Scope.ADMIN) is (widest == "admin")


def test_a_cursor_leads_back_to_its_own_list_only() -> None:
    page = pages.page_of("jobs of a", 2, None)
    cursor = page.cursor("job_1")

    assert pages.page_of("jobs of a", 2, cursor).after == "job_1"
    for name, text in (("jobs of b", cursor), ("jobs of a", cursor[:-1]), ("jobs of a", "x"), ("jobs of a", "ü")):
        with pytest.raises(InvalidRequest):
            pages.page_of(name, 2, text)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("boat.png", "boat.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\boats\\boat.png", "boat.png"),
        ("a\r\nSet-Cookie: b", "aSet-Cookie: b"),
        ("\x00\ud800.png", ".png"),
        ("x" * 300, "x" * 255),
        ("", ""),
    ],
)
def test_a_file_name_is_its_last_step_without_what_does_not_print(given: str, shown: str) -> None:
    assert safe_name(given) == shown


def test_a_data_url_is_shown_by_its_type_and_size() -> None:
    kept = {"images": ["data:image/png;base64,AAAAAA==", "https://example.com/a.png", {"job": "job_1", "index": 0}]}

    assert shortened(kept) == {"images": ["data:image/png;base64,… (4 bytes)", *kept["images"][1:]]}


def test_only_what_is_near_is_suggested() -> None:
    assert nearest("promt", ["prompt", "params"]) == "; did you mean prompt?"
    assert nearest("zzz", ["prompt", "params"]) == ""
