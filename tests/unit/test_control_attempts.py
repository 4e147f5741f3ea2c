"""How often a command's transaction may expire, and that only an expiry counts."""

from __future__ import annotations

import pytest

from domain.errors import CommandCode, CommandError
from tasks.control.commands import MAX_ATTEMPTS, Command, Progress


@pytest.fixture
def command() -> Command:
    """A command between two transactions, without the cycle that would carry it."""
    between = object.__new__(Command)
    between.progress = Progress()
    between.receipt = None
    between.expired = False
    return between


def test_a_transaction_that_never_left_is_no_attempt(command):
    for _ in range(10 * MAX_ATTEMPTS):
        assert command.landed() is None
    assert command.progress.attempts == 0


def test_a_transaction_that_keeps_expiring_ends_the_command(command):
    command.expired = True
    for _ in range(MAX_ATTEMPTS):
        assert command.landed() is None
    with pytest.raises(CommandError, match="expired") as raised:
        command.landed()
    assert raised.value.code is CommandCode.CHAIN_UNREACHABLE
