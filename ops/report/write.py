"""Writes report.json and report.html, complete or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.report.document import check_schema
from ops.report.page import render


def write_report(document: Mapping[str, Any], directory: Path) -> None:
    """Raises ReportError when the document does not fit its schema; nothing is written then."""
    check_schema(document)
    directory.mkdir(parents=True, exist_ok=True)
    replace_file(directory / "report.json", json.dumps(document, indent=1) + "\n")
    replace_file(directory / "report.html", render(dict(document)))


def replace_file(path: Path, text: str) -> None:
    """The file holds all of the text or what it held before."""
    partial = path.with_name(f".{path.name}.new")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
