"""`frt doctor`, `config`, `test`, `lint`, `types`: tools for the person at the terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from domain.errors import StressError
from ops.commands.options import ConfigOption, settings_maker

ROOT = Path(__file__).resolve().parents[2]


def config(
    config: ConfigOption = None,
    docs: Annotated[bool, typer.Option("--docs", help="All settings as a Markdown table.")] = False,
) -> None:
    """The effective settings, without secrets."""
    if docs:
        from ops.settings_docs import settings_table

        print(settings_table(), end="")
        return
    print(json.dumps(settings_maker(config)({}).safe_dump(), indent=2))


def doctor(config: ConfigOption = None) -> None:
    """Look at everything that a run needs and say what to do; exit code 1 when something is wrong."""
    from ops.doctor import examine

    console = Console()
    findings = examine(settings_maker(config)({}))
    for one in findings:
        mark, style = {True: ("ok     ", "green"), False: ("WRONG  ", "red"), None: ("note   ", "yellow")}[one.ok]
        console.print(Text(f"{mark} {one.what}: {one.detail}", style=style), soft_wrap=True)
        if one.ok is not True and one.advice:
            console.print(Text(f"        {one.advice}"), soft_wrap=True)
    raise typer.Exit(1 if any(one.ok is False for one in findings) else 0)


def test(context: typer.Context) -> None:
    """The test suite; everything after `test` goes to pytest, and without it files run side by side."""
    if context.args:
        raise typer.Exit(_python("pytest", *context.args))
    # One more than cores: the longer tests wait for slots of a chain. A file stays whole: its tests share stacks.
    side_by_side = ["-n", str(len(os.sched_getaffinity(0)) + 1), "--dist", "loadfile", "--no-loadscope-reorder"]
    codes = [_python("pytest", *side_by_side, "-m", "not extended and not browser")]
    codes.append(_python("pytest", "-m", "browser"))  # a browser beside two stacks has no core left to draw with
    raise typer.Exit(max(codes))


def lint(fix: Annotated[bool, typer.Option("--fix", help="Put right what can be.")] = False) -> None:
    """Style, format and import rules."""
    codes = [_python("ruff", "check", *(["--fix"] if fix else []), ".")]
    codes.append(_python("ruff", "format", *([] if fix else ["--check"]), "."))
    codes.append(_tool("lint-imports"))
    raise typer.Exit(max(codes))


def types() -> None:
    """The type checker, strict."""
    raise typer.Exit(_python("mypy"))


def _tool(name: str) -> int:
    """Run a development tool that can only be started by its own command."""
    return _start([str(Path(sys.executable).with_name(name))])


def _python(module: str, *arguments: str) -> int:
    """Run a development tool that is a Python module."""
    return _start([sys.executable, "-P", "-m", module, *arguments])


def _start(command: list[str]) -> int:
    """In the checkout; its exit code. Raises StressError when it is not installed."""
    try:
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    except OSError as error:
        raise StressError(f"{command[0]} cannot be started: {error.strerror}") from None
