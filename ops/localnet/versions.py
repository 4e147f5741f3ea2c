"""Account states by slot: what a read at a commitment answers from, and who owns what.

Every account that a transaction touched is known here; untouched ones (built-in programs) come from LiteSVM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from ops.localnet.tokens import Mint, TokenAccount, read_mint, read_token_account

SYSTEM_PROGRAM = Pubkey.from_string("11111111111111111111111111111111")
SYSVAR_OWNER = Pubkey.from_string("Sysvar1111111111111111111111111111111111111")
#: The slot of a state that was there before its account was first touched.
BEFORE_ALL_SLOTS = -1


class AccountState:
    """One state of one account, with the encodings made of it so far; `account` None means it does not exist."""

    __slots__ = ("_mint", "account", "encoded", "lamports", "owner", "token")

    def __init__(self, account: Account | None) -> None:
        self.account = account
        self.lamports: int = 0 if account is None else account.lamports
        self.owner: Pubkey | None = None if account is None else account.owner
        #: JSON fragments by encoding (ops.localnet.encode).
        self.encoded: dict[str, Any] = {}
        #: Its token account fields, None when it is none.
        self.token: TokenAccount | None = None if account is None else read_token_account(account)
        self._mint: Mint | bool | None = False

    @property
    def mint(self) -> Mint | None:
        """Its mint fields, None when it is none."""
        if isinstance(self._mint, bool):
            account = self.account
            self._mint = None if account is None else read_mint(account)
        return self._mint


ABSENT = AccountState(None)


class AccountVersions:
    """States of every touched account, newest last, as far back as reads may reach."""

    def __init__(self, load: Callable[[Pubkey], Account | None]) -> None:
        self._load = load
        self._chains: dict[Pubkey, list[tuple[int, AccountState]]] = {}
        # Insertion-ordered sets: an answer lists accounts in the order in which they appeared, on every run.
        self._by_owner: dict[Pubkey, dict[Pubkey, None]] = {}
        self._by_token_owner: dict[Pubkey, dict[Pubkey, None]] = {}
        #: Which accounts each recent slot changed, until ``settle``.
        self._changed: dict[int, dict[Pubkey, None]] = {}

    def _loaded(self, key: Pubkey) -> AccountState:
        account = self._load(key)
        return ABSENT if account is None else AccountState(account)

    def current(self, key: Pubkey) -> AccountState:
        """The newest state, remembered as touched unless it is a sysvar (those change by themselves)."""
        chain = self._chains.get(key)
        if chain is not None:
            return chain[-1][1]
        state = self._loaded(key)
        if state.owner != SYSVAR_OWNER:
            self._chains[key] = [(BEFORE_ALL_SLOTS, state)]
            self._index(key, state)
        return state

    def at(self, key: Pubkey, slot: int) -> AccountState:
        """The state at the end of `slot`."""
        chain = self._chains.get(key)
        if chain is None:
            return self._loaded(key)
        for version_slot, state in reversed(chain):
            if version_slot <= slot:
                return state
        # Older than anything kept: only a lag deeper than the chain's own age asks for this.
        return chain[0][1]

    def put(self, key: Pubkey, slot: int, account: Account | None, oldest_read_slot: int) -> AccountState:
        """Store the state that `slot` gave the account; drop what no read can reach."""
        state = ABSENT if account is None else AccountState(account)
        chain = self._chains.setdefault(key, [])
        self._changed.setdefault(slot, {})[key] = None
        if not chain or chain[-1][1].owner != state.owner or state.token is not None:
            self._index(key, state)
        if chain and chain[-1][0] == slot:
            chain[-1] = (slot, state)
        else:
            chain.append((slot, state))
            stale = 0
            while stale + 1 < len(chain) and chain[stale + 1][0] <= oldest_read_slot:
                stale += 1
            if stale:
                del chain[:stale]
        return state

    def _index(self, key: Pubkey, state: AccountState) -> None:
        owner = state.owner
        if owner is None or owner == SYSTEM_PROGRAM:
            return
        self._by_owner.setdefault(owner, {})[key] = None
        if state.token is not None:
            self._by_token_owner.setdefault(state.token.owner, {})[key] = None

    def changed_until(self, slot: int) -> list[tuple[Pubkey, int, Account | None]]:
        """What the slots up to ``slot`` changed, and forget that they did: they are never dropped."""
        found = []
        for at in sorted(at for at in self._changed if at <= slot):
            found += [(key, at, self.at(key, at).account) for key in self._changed.pop(at)]
        return found

    def drop_after(self, slot: int) -> list[tuple[Pubkey, Account | None]]:
        """Forget every state that a later slot brought; the accounts it had changed, as they are again."""
        undone: dict[Pubkey, None] = {}
        for at in [at for at in self._changed if at > slot]:
            undone |= self._changed.pop(at)
        back = []
        for key in undone:
            chain = self._chains[key]
            while len(chain) > 1 and chain[-1][0] > slot:
                chain.pop()
            back.append((key, chain[-1][1].account))
        return back

    def written(self, slot: int) -> Iterator[tuple[Pubkey, int, Account | None]]:
        """Every account that some slot up to ``slot`` changed, with all its kept states, oldest first."""
        for key, chain in self._chains.items():
            for at, state in chain:
                if BEFORE_ALL_SLOTS < at <= slot:
                    yield key, at, state.account

    def owned_by(self, program: Pubkey, slot: int) -> Iterator[tuple[Pubkey, AccountState]]:
        """Accounts that `program` owned at the end of `slot`; the system program's are not listed."""
        for key in self._by_owner.get(program, ()):
            state = self.at(key, slot)
            if state.owner == program:
                yield key, state

    def token_accounts_of(self, wallet: Pubkey, slot: int) -> Iterator[tuple[Pubkey, AccountState]]:
        """Token accounts that belonged to `wallet` at the end of `slot`."""
        for key in self._by_token_owner.get(wallet, ()):
            state = self.at(key, slot)
            if state.token is not None and state.token.owner == wallet:
                yield key, state

    def touched(self) -> list[Pubkey]:
        """Every account that a transaction or an administrative write has named."""
        return list(self._chains)
