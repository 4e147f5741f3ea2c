"""The envelope that commits push is the one that Celery itself would have written."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from domain.chains import ChainKind
from domain.ids import ChainId
from domain.runtime.settings import load
from tasks.app import create_app
from tasks.names import TASK_NAMES, queue_of
from tasks.publish import Publisher
from tests.support.redis_server import redis_server

# Of each message its own, or of the sender: Celery names the sending host's process and its own reply queue.
OWN = ("headers.id", "headers.root_id", "properties.correlation_id", "properties.delivery_tag", "properties.reply_to")
# Only read by task events and logs of the sender.
REPRESENTATIONS = ("properties.argsrepr", "properties.kwargsrepr")


def flat(doc: dict[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in doc.items():
        found |= flat(value, f"{path}{name}.") if isinstance(value, dict) else {f"{path}{name}": value}
    return found


@pytest.mark.parametrize("countdown_ms", [0, 1_500])
@pytest.mark.parametrize("kind", list(ChainKind))
def test_envelope_equals_apply_async(kind: ChainKind, countdown_ms: int) -> None:
    with redis_server() as url:
        settings = load({}, None, {"redis_url": url})
        app = create_app(settings)
        publisher = Publisher(app, settings.redis_prefix)
        now_ms = 1_795_219_363_986
        ours = publisher.next(kind, ChainId("deposit_1"), 3, 17, countdown_ms=countdown_ms, now_ms=now_ms)
        eta = datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(milliseconds=countdown_ms)
        app.send_task(
            TASK_NAMES[kind],
            args=("deposit_1", 3, 17),
            eta=eta if countdown_ms else None,
            queue=queue_of(kind),
            ignore_result=True,
            argsrepr="",
            kwargsrepr="{}",
        )
        client = redis.Redis.from_url(url)
        theirs = json.loads(client.lindex(ours.queue, 0))
        client.close()
        app.close()
    built = json.loads(ours.message)
    assert json.loads(b64decode(built["body"])) == json.loads(b64decode(theirs["body"]))
    skipped = {*OWN, *REPRESENTATIONS, "body"}
    expected = {name: value for name, value in flat(theirs).items() if name not in skipped}
    assert {name: value for name, value in flat(built).items() if name not in skipped} == expected
    assert all(flat(built)[name] for name in ("headers.id", "properties.delivery_tag"))
    assert built["headers"]["id"] == built["headers"]["root_id"] == built["properties"]["correlation_id"]


def test_no_two_messages_share_their_identity() -> None:
    settings = load({}, None, {})
    publisher = Publisher(create_app(settings), settings.redis_prefix)
    messages = [
        json.loads(publisher.next(ChainKind.SWAP, ChainId("swap_1"), 1, n, countdown_ms=5, now_ms=0).message)
        for n in range(50)
    ]
    assert len({message["properties"]["delivery_tag"] for message in messages}) == 50
    assert len({message["headers"]["id"] for message in messages}) == 50
