"""What the pages tell people to type exists: commands, options, methods, settings, files."""

from __future__ import annotations

import re

import pytest
import typer

from api.methods.table import METHODS
from domain.runtime.settings import Settings
from ops.cli import app
from ops.commands.calls import parameters
from tests.support.pages import PAGES, ROOT, commands, ours

OF_THE_SCRIPT = {"FRT_VENV", "FRT_PYTHON", "FRT_CONFIG", "FRT_PUBLISH"}
FOR_DEVELOPERS = {"test", "lint", "types"}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_one_of_ours_with_these_options(page):
    command = typer.main.get_command(app)
    for words in commands(page):
        arguments = ours(words)
        if arguments is None:
            continue
        found, left = command, arguments
        while hasattr(found, "commands"):
            assert left[0] in found.commands, words
            found, left = found.commands[left[0]], left[1:]
        found.make_context(arguments[0], list(left))
        if arguments[0] == "call":
            method = next(one for one in METHODS if one.name == arguments[1])
            texts = [text for text in arguments[2:] if "=" in text]
            assert set(parameters(texts)) <= set(method.params.model_fields), words


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_target_and_file_is_there(page):
    text = (ROOT / page).read_text("utf-8")
    known = {f"FRT_{name.upper()}" for name in Settings.model_fields} | OF_THE_SCRIPT
    assert set(re.findall(r"\bFRT_[A-Z_]+[A-Z]\b", text)) <= known
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {words[1] for words in commands(page) if words[0] == "make"} <= targets
    linked = re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", text)
    assert [link for link in linked if not ((ROOT / page).parent / link).exists()] == []
    assert [path for path in re.findall(r"scenarios/\w+\.toml", text) if not (ROOT / path).exists()] == []


def test_the_readme_names_every_command_and_every_scenario():
    text = (ROOT / "README.md").read_text("utf-8")
    named = set(re.findall(r"\bfrt ([a-z][a-z-]+)", text))
    registered = {one.name for one in app.registered_commands} | {one.name for one in app.registered_groups}
    assert registered - FOR_DEVELOPERS <= named
    assert [path.name for path in (ROOT / "scenarios").glob("*.toml") if path.name not in text] == []


def test_every_name_of_the_original_documents_leads_to_a_setting_that_exists():
    text = (ROOT / "ops/deploy/README.md").read_text("utf-8")
    table = text.partition("## Names of the original documents")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", table))
    assert len(named) > 25
    assert named <= set(Settings.model_fields)
