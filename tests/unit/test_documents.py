"""What documents say exists, does: commands, files, links, metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.chaos import page
from tests.chaos.drills import DRILLS

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS: Final = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"))
)


def own_metrics() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in (ROOT / "api").rglob("*.py"))


def tree() -> Iterator[str]:
    block = README.split("## Where things stand")[1].split("```")[1]
    yield from (line.split()[0] for line in block.strip().splitlines())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_targets_that_the_readme_names_are_in_the_makefile() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = set(re.findall(r"`make ([a-z]+)`", README))
    assert named >= {"install", "demo", "up", "test"}
    assert named <= set(targets)


def test_the_tree_of_the_readme_stands() -> None:
    assert [name for name in tree() if not (ROOT / name).is_dir()] == []


def test_the_commands_that_documents_name_exist() -> None:
    from api.cli.commands import app

    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    commands |= {group.name for group in app.registered_groups}
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS)
    assert set(re.findall(r"`(?:\.venv/bin/)?darkroom ([a-z]+)", text)) <= commands


def test_the_decisions_are_numbered_without_a_gap() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_every_test_that_is_named_in_the_page_on_reliability_exists() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_drill_stands_in_the_page_on_reliability_and_each_drill_that_it_names_exists() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.between("drills", text) == page.drills(), "run python -m tests.chaos.page"
    named = {
        name for run in re.findall(r"drills? ((?:`[a-z0-9-]+`(?:, )?)+)", text) for name in re.findall(r"`(.+?)`", run)
    }
    assert named <= set(DRILLS)
    assert len(named) > 8


def test_the_metrics_of_the_dashboards_exist() -> None:
    text = (ROOT / "deploy" / "dashboards" / "README.md").read_text(encoding="utf-8")
    named = {re.sub(r"_(bucket|total|count|sum)$", "", name) for name in re.findall(r"\bdarkroom_\w+", text)}
    assert len(named) > 8
    assert [name for name in named if f'"{name}"' not in own_metrics()] == []


def test_the_number_of_jobs_in_the_demo_is_the_one_that_the_readme_tells() -> None:
    lines = (ROOT / "examples" / "first-job.jsonl").read_text(encoding="utf-8").strip().splitlines()
    assert len(lines) == 14
    assert README.count("fourteen jobs") == 2
