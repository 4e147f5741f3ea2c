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
    _replace(directory / "report.json", json.dumps(document, indent=1) + "\n")
    _replace(directory / "report.html", render(dict(document)))


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.new")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
