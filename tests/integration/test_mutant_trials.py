"""Two mutants built and run as `frt program mutants` does it: whole runs as processes, judged by their reports."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from domain.errors import StressError
from ops.localnet.settings import DEFAULT_PROGRAM
from ops.mutants import chosen_mutants, run_mutants
from ops.reproduce.run import reproduce

SMOKE = Path(__file__).parents[2] / "scenarios" / "smoke.toml"


@pytest.mark.extended
@pytest.mark.timeout(300)
def test_mutants_of_ordinary_operations_are_caught_within_seconds(tmp_path):
    text = io.StringIO()
    code = run_mutants(
        chosen_mutants("5,6"),  # both charge a wrong fee
        directory=tmp_path,
        duration="10s",
        jobs=2,
        scenario=SMOKE,
        console=Console(file=text, width=200),
    )
    document = json.loads((tmp_path / "mutants.json").read_text())
    assert code == 0, text.getvalue()
    assert [entry["number"] for entry in document["mutants"]] == [5, 6]
    checks = [set(entry["checks"]) for entry in document["mutants"]]
    assert "WDR-fee" in checks[0] or any(name.startswith("PROBE-") for name in checks[0])
    assert "SWP-fee" in checks[1] or any(name.startswith("PROBE-") for name in checks[1])
    assert "caught 2 of 2" in text.getvalue()
    for number in (5, 6):  # and each can be shown again, and shown to be mended
        run = tmp_path / f"mutant-{number:02}"
        assert reproduce(run, Console(quiet=True)) == 99
        assert reproduce(run, Console(quiet=True), program=DEFAULT_PROGRAM) == 0


def test_a_duration_that_cannot_be_read_is_refused_before_anything_is_built(tmp_path):
    with pytest.raises(StressError, match="--duration"):
        run_mutants(
            chosen_mutants("1"),
            directory=tmp_path,
            duration="soon",
            jobs=1,
            scenario=SMOKE,
            console=Console(quiet=True),
        )
    assert list(tmp_path.iterdir()) == []
