"""Who may import whom, how files are called, and what no file may say."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = ("shared", "api", "workers", "deploy")
MADE_HERE: Final = {"out", "build", "dist", "node_modules", "__pycache__"}
"""Folders that git does not see, besides those that begin with a dot."""
OF_A_KIND: Final = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "service", "misc"}
"""A file is named for its noun or its act, never for its kind."""
REGISTRY: Final = re.compile(
    r"p[y]thon[h]osted|\b[p]y[p]i\.|(?<![\w-])--(?:extra-)?index[-]url"  # spelled so that it does not find itself
    r"|https?[:]//\S+/s[i]mple\b"
)
OUR_MACHINE: Final = re.compile(r"(?<![\w.-])/(?:work|workspace|root|home|Users)/\w")


def files() -> Iterator[Path]:
    """What a clone has, or will have."""
    for folder, names, found in os.walk(ROOT):
        names[:] = [name for name in names if name not in MADE_HERE and (not name.startswith(".") or name == ".ci")]
        yield from (Path(folder) / name for name in found)


def modules() -> list[Path]:
    return [path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in PACKAGES]


def texts() -> Iterator[tuple[str, str]]:
    """Files of text by their place, this one excepted."""
    for path in files():
        if path.name == ".env" or path == Path(__file__):
            continue
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_the_import_contracts_are_kept() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_is_named_for_its_kind() -> None:
    words_by_path = {path.relative_to(ROOT): set(re.split(r"[._-]", path.name.lower())) for path in files()}
    assert [str(path) for path, words in words_by_path.items() if words & OF_A_KIND] == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in modules()
        if (code := path.read_text(encoding="utf-8")).strip() and not ast.get_docstring(ast.parse(code))
    ]
    assert silent == []


@pytest.mark.parametrize("never", [REGISTRY, OUR_MACHINE], ids=["registry", "machine"])
def test_no_file_names_a_registry_or_a_place_on_somebodys_machine(never: re.Pattern[str]) -> None:
    found = {place: hit.group() for place, text in texts() if (hit := never.search(text))}
    assert found == {}


def test_no_file_names_the_registry_of_this_machine() -> None:
    names = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX")
    hosts = {host for name in names for host in re.findall(r"://(?:[^/@\s]*@)?([^/\s]+)", os.environ.get(name, ""))}
    assert [place for place, text in texts() if any(host in text for host in hosts)] == []


def test_nothing_reads_the_environment_while_it_is_imported() -> None:
    """Only entry points build settings, and only the worker's app does so when Celery loads it."""
    builders = [
        str(path.relative_to(ROOT))
        for path in modules()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr) and "Settings.load()" in ast.unparse(node)
    ]
    assert builders == ["workers/app.py"]
