"""GET /docs: the methods to look through and to call, one self-contained page over rpc.discover."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from flask import Blueprint, Flask, Response

PAGE: Final = Path(__file__).with_name("docs.html")
PATH: Final = "/docs"


def install(app: Flask) -> None:
    """Put the page into the application."""
    docs = Blueprint("docs", __name__)
    docs.add_url_rule(PATH, view_func=_page)
    app.register_blueprint(docs)


def _page() -> Response:
    text, policy = page()
    response = Response(text, mimetype="text/html")
    response.headers["Content-Security-Policy"] = policy
    return response


@cache
def page() -> tuple[str, str]:
    """The page and the policy that lets its own script and style run, by their digests, and nothing else."""
    text = PAGE.read_text("utf-8")
    script, style = (_digest(text, tag) for tag in ("script", "style"))
    policy = (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text, policy


def _digest(text: str, tag: str) -> str:
    (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return f"'sha256-{b64encode(sha256(inside.encode()).digest()).decode()}'"
