"""The key dictionary and the scripts: every key has a family, every script its header."""

from __future__ import annotations

import inspect
import re
from importlib.resources import files
from pathlib import Path

import pytest

import domain.store
from domain.ids import ChainId, CommandId, PoolId, Signature
from domain.store import scripts
from domain.store.keys import FAMILIES, Keys, Life

KEYS = Keys("p:")
MADE = {
    KEYS.chain(ChainId("deposit_1")): "chain:{}",
    KEYS.chain(ChainId("share:Pool")): "chain:{}",
    KEYS.chain(ChainId("command:cmd-1")): "chain:command:{}",
    KEYS.farewell(ChainId("swap_1")): "farewell:{}",
    KEYS.revival(ChainId("probe:Pool")): "revival:{}",
    KEYS.swap_slot(PoolId("Pool"), "a_to_b"): "swap-slot:{}:{}",
    KEYS.running(PoolId("Pool")): "running:{}",
    KEYS.eligible(PoolId("Pool")): "eligible:{}",
    KEYS.outbox(PoolId("Pool")): "outbox:{}",
    KEYS.ledger(PoolId("Pool")): "ledger:{}",
    KEYS.low(PoolId("Pool")): "low:{}",
    KEYS.marks(PoolId("Pool")): "marks:{}",
    KEYS.signature(Signature("Sig")): "sig:{}",
    KEYS.command(CommandId("cmd-1")): "command:{}",
    KEYS.done(CommandId("cmd-1")): "done:{}",
    KEYS.counters("cycles"): "counters:{}",
    KEYS.lease("supervisor"): "lease:{}",
}
STORE = Path(str(files(domain.store)))
SOURCES = "\n".join(path.read_text() for path in STORE.glob("*.py"))


@pytest.mark.parametrize(("key", "pattern"), MADE.items())
def test_every_key_belongs_to_its_family(key: str, pattern: str) -> None:
    family = KEYS.family(key)
    assert family is not None
    assert family.pattern == pattern


def test_every_method_that_spells_a_key_is_covered() -> None:
    methods = {name for name, _ in inspect.getmembers(Keys, inspect.isfunction) if not name.startswith("_")}
    assert methods - {"named", "family", "queue"} == {
        pattern.split(":")[0].replace("-", "_").replace("sig", "signature") for pattern in MADE.values()
    }


def test_every_name_asked_for_is_in_the_dictionary() -> None:
    asked = set(re.findall(r'named\("([a-z-]+)"\)', SOURCES))
    assert "due" in asked
    assert asked <= {family.pattern for family in FAMILIES}


def test_a_foreign_key_has_no_family() -> None:
    assert KEYS.family("celery") is None
    assert KEYS.family("p:unknown") is None
    assert KEYS.family("other:due") is None


def test_nobody_but_keys_spells_a_key_of_one_id() -> None:
    patterns = [family.pattern.split("{}")[0] for family in FAMILIES if "{}" in family.pattern]
    for path in STORE.glob("*.py"):
        if path.name != "keys.py":
            spelt = [pattern for pattern in patterns if re.search(rf'["\'}}]{re.escape(pattern)}{{', path.read_text())]
            assert spelt == [], path.name


def test_what_may_stay_for_ever_is_a_short_list() -> None:
    lasting = {family.pattern for family in FAMILIES if family.life is Life.PERMANENT}
    assert not lasting & {"sig:{}", "done:{}", "farewell:{}", "lease:{}", "revival:{}", "command:{}"}


@pytest.mark.parametrize("name", scripts.names())
def test_a_script_is_short_used_and_says_what_it_takes_and_answers(name: str) -> None:
    text = scripts.load(name).text
    assert len(text.splitlines()) <= 80
    assert text.startswith(f"-- {name}: ")
    head = "\n".join(line for line in text.splitlines() if line.startswith("--"))
    assert "-- KEYS: 1 " in head or name == "answer_command"
    assert "-- Answer: " in head
    assert ("ARGV[" in text) == ("-- ARGV: " in head)
    assert f'script("{name}"' in re.sub(r"script\(\s+", "script(", SOURCES)


@pytest.mark.parametrize("name", scripts.names())
def test_a_script_names_no_key_itself(name: str) -> None:
    """Every key comes in KEYS or in a prepared write: the prefix and keys.py decide, not the script."""
    calls = re.findall(r'redis\.call\((?:[^()]*and "SADD" or "SREM"|"[A-Z]+"),\s*([^,)]+)', scripts.load(name).text)
    assert all(key.startswith(("KEYS[", "unpack(KEYS")) for key in calls), calls


def test_an_unknown_script_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        scripts.load("no_such_script")
