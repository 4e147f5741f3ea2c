"""The layout's own rules: what is pure, how long files and functions may be, nothing machine-bound in the tree."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "tasks", "domain", "ops")
FILE_LINES, TEST_LINES, FUNCTION_LINES = 400, 500, 60


def sources() -> list[Path]:
    return sorted(path for name in (*PACKAGES, "tests") for path in (ROOT / name).rglob("*.py"))


def test_every_flat_module_of_domain_is_held_to_purity() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    listed = next(contract["source_modules"] for contract in contracts if contract["type"] == "forbidden")
    flat = {f"domain.{path.stem}" for path in (ROOT / "domain").glob("*.py")} - {"domain.__init__"}
    assert set(listed) == flat


def test_the_rules_import_without_the_world() -> None:
    foreign = ["redis", "celery", "kombu", "flask", "solders", "solana", "structlog", "pydantic"]
    modules = sorted(path.stem for path in (ROOT / "domain").glob("*.py") if path.stem != "__init__")
    code = "import sys\n" + "\n".join(f"import domain.{name}" for name in modules)
    code += f"\nfound = [name for name in {foreign!r} if name in sys.modules]\nassert not found, found"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_package_folder_has_its_init() -> None:
    folders = {path.parent for path in sources()}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_files_and_functions_stay_short(package: str) -> None:
    limit = TEST_LINES if package == "tests" else FILE_LINES
    long = []
    for path in sources():
        if path.relative_to(ROOT).parts[0] != package:
            continue
        text = path.read_text()
        if text.count("\n") > limit:
            long.append(f"{path.relative_to(ROOT)} has {text.count(chr(10))} lines")
        if package == "tests":
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {lines} lines")
    assert long == []


def test_no_test_sleeps() -> None:
    sleeping = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "sleep"
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "time"
    ]
    assert sleeping == []


def test_import_names_have_one_owner() -> None:
    from importlib.metadata import packages_distributions

    owners = packages_distributions()
    assert {name: owners[name] for name in PACKAGES if len(set(owners.get(name, []))) > 1} == {}
