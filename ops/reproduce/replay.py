"""One recorded transaction in a fresh virtual machine: exactly its accounts, the program, its slot and time."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from solders.account import Account as VmAccount
from solders.pubkey import Pubkey
from solders.signature import Signature as VmSignature
from solders.transaction import VersionedTransaction

from domain.chain import program
from domain.chain.receipts import AccountReader, read_receipt
from domain.errors import StressError
from domain.facts import Account, Receipt
from domain.ids import Address, Signature
from ops.localnet.encode_transaction import encode_transaction
from ops.localnet.machine import Bank, Machine

_AUTHORITY_SET: Final = 12  # in ProgramData's header: slot, then the option tag, then the key
_AUTHORITY: Final = slice(13, 45)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What became of it: the same receipt that a node's answer is read into, and the accounts on both sides."""

    receipt: Receipt
    before: Mapping[Address, Account | None]
    after: Mapping[Address, Account | None]


def replay(execution: Mapping[str, Any], program_id: str, program_file: Path) -> Replay:
    """Carry it out; signatures and blockhash are not looked at. Raises StressError when it cannot even begin."""
    machine, key = Machine(), Pubkey.from_string(program_id)
    try:
        machine.add_program(key, program_file)
    except (OSError, ValueError) as error:
        raise StressError(f"{program_file} is no program that can be loaded: {error}") from None
    time = execution["unix_timestamp"] or 0
    bank = Bank(slot=execution["slot"], unix_timestamp=time, oldest_read_slot=0)
    machine.enter_slot(bank.slot, time, [])
    accounts = {Address(name): entry for name, entry in execution["accounts"].items()}
    for address, entry in accounts.items():
        _load(machine, address, entry, key, bank)
    raw = b64decode(execution["wire"])
    transaction = VersionedTransaction.from_bytes(raw)
    named = dict.fromkeys([*accounts, *map(Address, map(str, transaction.message.account_keys))])
    reader = AccountReader(program_id, str(program.system_state(key)), str(program.main_treasury(key)))
    before = _accounts(machine, reader, named)
    executed = machine.execute(transaction, raw, bank)
    if executed is None:
        raise StressError("the transaction does not land on the recorded accounts: its payer cannot pay the fee")
    signature = Signature(str(VmSignature(raw[1:65])))
    answer = orjson.loads(orjson.dumps(encode_transaction(executed.record, "json", 0)))
    receipt = read_receipt(signature, answer)
    if receipt is None:
        raise StressError("the virtual machine gave no account of the transaction")
    return Replay(receipt=receipt, before=before, after=_accounts(machine, reader, named))


def _load(machine: Machine, address: Address, entry: Mapping[str, Any] | None, program_id: Pubkey, bank: Bank) -> None:
    key = Pubkey.from_string(address)
    if entry is None:
        return
    data = b64decode(entry["data"])
    if key == program.program_data(program_id):
        # The machine has its own: with the program that is tried now, and no authority yet.
        if len(data) >= _AUTHORITY.stop and data[_AUTHORITY_SET]:
            machine.set_upgrade_authority(program_id, Pubkey(data[_AUTHORITY]), bank)
        return
    held = VmAccount(int(entry["lamports"]), data, Pubkey.from_string(entry["owner"]))
    machine.set_account(key, held, bank)


def _accounts(machine: Machine, reader: AccountReader, named: Iterable[Address]) -> dict[Address, Account | None]:
    return {
        address: _account(reader, address, machine.accounts.current(Pubkey.from_string(address)).account)
        for address in named
    }


def _account(reader: AccountReader, address: Address, account: VmAccount | None) -> Account | None:
    if account is None:
        return None
    owner = Address(str(account.owner))
    decoded = reader.decode(address, owner, account.data)
    return Account(address=address, lamports=account.lamports, owner=owner, raw=account.data, decoded=decoded)


def read_account(address: Address, entry: Mapping[str, Any], program_id: str) -> Account:
    """An account as a fault's evidence holds it; of another program than ``program_id`` only tokens are decoded."""
    raw, owner = b64decode(entry["data"]), Address(entry["owner"])
    decoded = AccountReader(program_id, "", "").decode(address, owner, raw)
    return Account(address=address, lamports=int(entry["lamports"]), owner=owner, raw=raw, decoded=decoded)
