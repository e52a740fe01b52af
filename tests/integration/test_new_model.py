"""A new model is a few lines of TOML, and no code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from shared.catalog.lookup import Catalog
from shared.lifecycle import State
from tests import rows
from tests.sandbox import SandboxServer
from workers import submit
from workers.ports import Ports

TOML = """
[lanes.flux]
limit = 3

[models.flux]
title = "Flux"
operation = "image.generate"
lane = "flux"
gateway_model = "flux-1-dev"
defaults = { size = "512x512" }
limits.n = { maximum = 1 }
price.per_call = "0.05"
"""


def test_a_model_that_only_a_file_knows_is_checked_priced_sent_and_stored(
    ports: Ports, sandbox: SandboxServer, tmp_path: Path
) -> None:
    (tmp_path / "catalog.toml").write_text(TOML)
    catalog = Catalog.load(tmp_path / "catalog.toml")
    prompt = rows.prompt()
    asked = catalog.resolve(model="flux", operation=None, prompt=prompt, params={}, inputs_by_role={})
    job = rows.make(ports, model="flux", operation=asked.operation.name, prompt=prompt, params=asked.params.given())

    submit.submit([job.id], replace(ports, catalog=catalog))

    (artifact,) = rows.artifacts(ports, job)
    (paid,) = sandbox.ledger(prompt=prompt)
    assert rows.read(ports, job).state is State.SUCCEEDED
    assert (artifact.width, artifact.height) == (512, 512)
    assert (paid["model"], str(asked.estimated_cost_usd), asked.family) == ("flux-1-dev", "0.05", "flux")
