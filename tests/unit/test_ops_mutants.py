"""Trials of the program's mutants: which are chosen, what a report says was broken, when a mutant counts as caught."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from domain.errors import StressError
from ops.localnet.program.mutants import MUTANTS
from ops.mutants import alarms_table, chosen_mutants, is_alarm, is_caught, meets_bar, mutants_table
from ops.scenario import Scenario, ScenarioError, parse_scenario, read_scenario
from ops.trials import TIMED_OUT, Trial, broken_checks, read_trial, scenario_text, shortened

SCENARIOS = Path(__file__).parents[2] / "scenarios"
DEFAULT, FAULTS = SCENARIOS / "default.toml", SCENARIOS / "faults.toml"
FOUND = Trial(
    name="mutant-01",
    seed=1,
    exit_code=99,
    checks=("SWP-output",),
    faults=1,
    violations=0,
    reasons=("1 faults: SWP-output x1",),
    seconds=20.0,
    directory="/x",
)


def shown(table: object) -> str:
    text = StringIO()
    Console(width=200, file=text).print(table)
    return text.getvalue()


def report(*, listed: list[tuple[str, int]] = (), by_check: dict[str, int] = {}, violations: list[str] = ()) -> dict:  # noqa: B006
    return {
        "faults": {
            "count": len(listed),
            "by_check": by_check,
            "listed": [{"check": check, "slot": slot} for check, slot in listed],
        },
        "audit": {"violations": [{"id": name} for name in violations]},
        "reasons": ["because"],
    }


def test_all_mutants_are_chosen_unless_numbers_are_given():
    assert chosen_mutants(None) == list(MUTANTS)
    assert [mutant.number for mutant in chosen_mutants("3, 1,10-12,1")] == [3, 1, 10, 11, 12]


@pytest.mark.parametrize("text", ["", "x", "0", "1,999", "49-60", "5-3", "-1"])
def test_a_number_that_is_no_mutant_is_refused(text):
    with pytest.raises(StressError):
        chosen_mutants(text)


def test_a_mutant_is_caught_by_a_failed_run_that_names_a_check():
    assert is_caught(FOUND)
    assert not is_caught(replace(FOUND, checks=()))  # a threshold on speed alone proves nothing
    for code in (0, 1, TIMED_OUT):
        assert not is_caught(replace(FOUND, exit_code=code))


def test_every_end_but_a_pass_is_an_alarm():
    assert not is_alarm(replace(FOUND, exit_code=0, checks=()))
    assert all(is_alarm(replace(FOUND, exit_code=code)) for code in (1, 99, TIMED_OUT))


@pytest.mark.parametrize(
    ("caught", "of", "met"),
    [(27, 30, True), (26, 30, False), (45, 50, True), (44, 50, False), (1, 1, True), (0, 0, False)],
)
def test_the_bar_is_nine_of_ten(caught, of, met):
    assert meets_bar(caught, of) is met


def test_broken_checks_stand_in_the_order_in_which_they_broke_and_once():
    document = report(
        listed=[("PROBE-x", 30), ("SWP-output", 10), ("PROBE-x", 31)],
        by_check={"PROBE-x": 200, "I4": 3},
        violations=["AUDIT-I4", "AUDIT-fees", "AUDIT-I4"],
    )
    assert broken_checks(document) == ("SWP-output", "PROBE-x", "I4", "AUDIT-I4", "AUDIT-fees")
    assert broken_checks(report()) == ()


def test_a_trial_is_read_from_the_report_that_the_run_left(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(report(listed=[("I1", 5)], violations=["AUDIT-I1"])))
    trial = read_trial("mutant-02", 7, 99, 12.34, tmp_path)
    assert (trial.name, trial.seed, trial.exit_code, trial.seconds) == ("mutant-02", 7, 99, 12.3)
    assert (trial.checks, trial.faults, trial.violations) == (("I1", "AUDIT-I1"), 1, 1)
    assert trial.reasons == ("because",)


@pytest.mark.parametrize("content", [None, "{ half"])
def test_a_run_without_a_report_has_found_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    trial = read_trial("mutant-02", 7, 99, 1.0, tmp_path)
    assert trial.checks == ()
    assert not is_caught(trial)


def trial_scenario(**options: object) -> Scenario:
    return parse_scenario(tomllib.loads(scenario_text(DEFAULT, **options)), "trial")


def test_the_abort_rule_is_the_only_difference_of_a_mutants_scenario():
    plain = read_scenario(DEFAULT)
    scenario = trial_scenario(abort=True)
    assert [rule.text for rule in scenario.abort_rules()] == ["faults > 0"]
    assert scenario.model_copy(update={"abort": []}) == plain
    assert trial_scenario(abort=False) == plain


def test_a_hostile_trial_switches_on_and_asks_what_the_faults_scenario_does():
    plain, hostile = read_scenario(DEFAULT), read_scenario(FAULTS)
    scenario = trial_scenario(abort=False, hostile=FAULTS)
    (step,) = (step for step in scenario.steps if step.action == "faults")
    (theirs,) = (step for step in hostile.steps if step.action == "faults")
    assert step.set == theirs.set
    assert step.set["lost_reply"] == {"probability": 0.2}
    assert scenario.thresholds == hostile.thresholds
    assert {"violations == 0", "unexplained_units == 0", "unexplained_lamports == 0"} <= set(scenario.thresholds)
    assert scenario.model_copy(update={"steps": plain.steps, "thresholds": plain.thresholds}) == plain


def test_a_scenario_without_faults_or_one_that_is_wrong_is_refused(tmp_path):
    with pytest.raises(StressError, match="no faults"):
        scenario_text(DEFAULT, abort=False, hostile=DEFAULT)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("name = ")
    with pytest.raises(ScenarioError, match=r"wrong\.toml"):
        scenario_text(wrong, abort=True)
    wrong.write_text(DEFAULT.read_text().replace("duration =", "durration ="))
    with pytest.raises(ScenarioError, match="unknown key"):
        scenario_text(wrong, abort=True)


def test_the_table_names_the_bug_the_exit_code_and_the_checks():
    first, second = MUTANTS[0], MUTANTS[1]
    missed = replace(FOUND, name="mutant-02", exit_code=0, checks=(), reasons=())
    text = shown(mutants_table([(first, FOUND), (second, missed)]))
    line, other = [line for line in text.splitlines() if "Swap rounds" in line]
    assert first.description in line
    assert line.split()[0] == "1"
    assert all(word in line for word in ("rounding", "99", "SWP-output", "caught"))
    assert "MISSED" in other
    assert "caught" not in other


def test_the_table_of_alarms_says_why():
    quiet = replace(FOUND, name="clean-1", exit_code=0, checks=(), reasons=())
    lines = shown(alarms_table([quiet, replace(FOUND, name="faults-2")])).splitlines()
    assert "passed" in next(line for line in lines if "clean-1" in line)
    alarm = next(line for line in lines if "faults-2" in line)
    assert "ALARM" in alarm
    assert "1 faults: SWP-output x1" in alarm


def test_many_names_are_shortened():
    assert shortened([], 2) == ""
    assert shortened(["a", "b"], 2) == "a, b"
    assert shortened(["a", "b", "c", "d"], 2) == "a, b +2"
