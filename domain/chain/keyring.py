"""The keys a process may sign with: the core wallet, and thread wallets opened from their sealed form on first use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from solders.keypair import Keypair

from domain.chain.keystore import Sealer
from domain.errors import StressError
from domain.ids import Address

CACHED_KEYS = 20_000


class KeyMissingError(StressError):
    """No key is stored for a wallet that has to sign."""


class Keyring:
    """Address -> keypair. ``sealed_of`` reads the sealed text of a wallet from the store (None: unknown wallet).

    Opened keys stay in this process' memory only; they never reach Redis, a file, a log or a message.
    """

    def __init__(self, core: Keypair, sealer: Sealer, sealed_of: Callable[[Address], str | None]) -> None:
        self.core = core
        self.core_address = Address(str(core.pubkey()))
        self.sealer = sealer
        self._sealed_of = sealed_of
        self._opened: OrderedDict[Address, Keypair] = OrderedDict({self.core_address: core})
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"Keyring({len(self._opened)} keys)"

    def get(self, address: Address) -> Keypair:
        """Raises KeyMissingError for a wallet without a stored key, WrongSealingKey for a foreign one."""
        with self._lock:
            found = self._opened.get(address)
        return found or self.add_sealed(address, self._sealed_of(address))

    def add_sealed(self, address: Address, sealed: str | None) -> Keypair:
        if sealed is None:
            raise KeyMissingError(f"no key is stored for wallet {address}")
        keypair = self.sealer.open(sealed, address)
        with self._lock:
            self._opened[address] = keypair
            if len(self._opened) > CACHED_KEYS:
                self._opened.popitem(last=False)
                self._opened[self.core_address] = self.core
        return keypair

    def create(self) -> tuple[Address, str]:
        """A fresh wallet: its address and its key, sealed."""
        keypair = Keypair()
        address = Address(str(keypair.pubkey()))
        return address, self.sealer.seal(keypair, address)
