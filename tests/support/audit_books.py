"""Small books for the closing audit, made by hand: a ledger that plays chain and journal at once, by CONTRACT.md.

Every operation goes into the chain's transactions and into our documents; tests then falsify one of the two.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from domain.audit_effects import COMPUTE_BUDGET, SYSTEM, TOKEN
from domain.audit_findings import AuditResult
from domain.audit_journal import read_journal
from domain.audit_records import Books, ChainTx, PaymentBook, PoolBook, Step, ThreadBook, TokenMove
from domain.facts import Account, Mint, PoolState, SystemState, TokenAccount, Treasury
from domain.ids import Address, ChainId, PoolId, Signature, ThreadId
from domain.pool import Asset, Pool, Side, lp_of, token_of
from domain.state import ThreadState, Totals
from domain.thread import ThreadConfig, ThreadKind

CORE, FRT, TREASURY, SYSTEM_STATE, FAUCET = map(Address, ("core", "frt", "treasury", "system_state", "faucet"))
POOL_ID = PoolId("pool")
NETWORK_FEE = 5_000
LIQUIDITY_FEE, SWAP_FEE = 13_000_000, 271_500
TOKEN_RENT, MINT_RENT, POOL_RENT, TREASURY_RENT = 2_039_280, 1_461_600, 3_939_360, 1_837_440
REGISTRATION = 1_150_000_000
RATIOS = {Side.A: 1_000_000_000, Side.B: 160_000_007}


def ids(result: AuditResult) -> set[str]:
    """The checks that found something."""
    return {violation["id"].removeprefix("AUDIT-") for violation in result.violations}


def make_pool(flags: int = 1) -> Pool:
    return Pool(
        pool_id=POOL_ID,
        owner=CORE,
        mint_a=Address("mint_a"),
        mint_b=Address("mint_b"),
        vault_a=Address("vault_a"),
        vault_b=Address("vault_b"),
        lp_mint_a=Address("lp_mint_a"),
        lp_mint_b=Address("lp_mint_b"),
        ratio_a=RATIOS[Side.A],
        ratio_b=RATIOS[Side.B],
        decimals_a=9,
        decimals_b=6,
        lp_decimals_a=9,
        lp_decimals_b=6,
        simple_ratio=True,
        exact_exchange=bool(flags & 0x40),
        bumps=(255, 254, 253, 252, 251),
        created_slot=1,
        created_at_ms=0,
    )


def thread(kind: ThreadKind, side: Side, number: int = 1) -> ThreadConfig:
    assets = [token_of(side), token_of(side.other)] if kind is ThreadKind.SWAP else [token_of(side), lp_of(side)]
    name = f"{kind.value}_{number}"
    return ThreadConfig(
        thread_id=ThreadId(name),
        kind=kind,
        pool_id=POOL_ID,
        side=side,
        initial_amount=0,
        auto_refill=False,
        share=True,
        wallet=Address(f"wallet_{name}"),
        accounts={asset: Address(f"{name}_{asset.value}") for asset in assets},
        index=number,
        created_at_ms=0,
    )


def u64(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(8, "little") for number in numbers)


@dataclass
class Ledger:
    """Balances, transactions, journal lines and documents of one run."""

    pool: Pool = field(default_factory=make_pool)
    lamports: dict[str, int] = field(default_factory=lambda: {FAUCET: 10**18})
    held: dict[str, tuple[str, str, int]] = field(default_factory=dict)  # account -> mint, owner, amount
    supply: dict[str, int] = field(default_factory=dict)
    threads: dict[str, ThreadConfig] = field(default_factory=dict)
    totals: dict[str, Totals] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    payments: dict[str, dict[str, int]] = field(default_factory=dict)
    volume: dict[str, int] = field(default_factory=dict)
    ledger: dict[str, Any] = field(default_factory=dict)
    outbox: dict[str, dict[str, str]] = field(default_factory=dict)
    liquidity: dict[Side, int] = field(default_factory=lambda: {Side.A: 0, Side.B: 0})
    fees: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("CL", "CS", "CT", "CC", "n"), 0))
    treasury: dict[str, int] = field(default_factory=dict)
    flags: int = 1
    transactions: list[ChainTx] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    # -- the chain --

    def execute(
        self,
        payer: str,
        steps: list[tuple[str, list[str], bytes, str | None]],
        moves: dict[str, int] | None = None,
        tokens: dict[str, int] | None = None,
        *,
        error: str | None = None,
        signers: tuple[str, ...] = (),
    ) -> ChainTx:
        """One transaction: ``moves`` of lamports and ``tokens`` of base units by account, beside the network fee."""
        number = len(self.transactions) + 1
        moved = dict(moves or {}) if error is None else {}
        fee = NETWORK_FEE * (1 + len(signers))
        moved[payer] = moved.get(payer, 0) - fee
        lamports = {}
        for address, delta in moved.items():
            before = self.lamports.get(address, 0)
            self.lamports[address] = before + delta
            lamports[Address(address)] = (before, before + delta)
        changes = {}
        for account, delta in (tokens or {}).items() if error is None else ():
            mint, owner, before = self.held[account]
            self.held[account] = (mint, owner, before + delta)
            changes[Address(account)] = TokenMove(
                mint=Address(mint), owner=Address(owner), before=before, after=before + delta
            )
        tx = ChainTx(
            signature=Signature(f"sig{number}"),
            slot=10 + number,
            fee=fee,
            error=error,
            signers=(Address(payer), *map(Address, signers)),
            lamports=lamports,
            tokens=changes,
            steps=tuple(
                Step(
                    program=Address(program),
                    accounts=tuple(map(Address, accounts)),
                    data=data,
                    within=None if within is None else Address(within),
                )
                for program, accounts, data, within in [(COMPUTE_BUDGET, [], b"", None), *steps]
            )
            if error is None
            else (),
            compute_units=1_000,
        )
        self.transactions.append(tx)
        return tx

    def book(
        self, chain: str, kind: str, tx: ChainTx | None, inputs: dict[str, Any], **amounts: int | str | None
    ) -> str:
        """The two journal lines of an operation; without ``tx`` it expired."""
        number = self.numbers[chain] = self.numbers.get(chain, 0) + 1
        name = f"{chain}/{number}"
        signature = tx.signature if tx else f"never-{name}"
        head = {"event": "submitted", "op": name, "at_ms": 0, "sig": signature, "n": number, "kind": kind}
        self.lines.append(json.dumps({**head, "pool": POOL_ID, "height": 1, "inputs": inputs}))
        tail: dict[str, Any] = {"event": "settled", "op": name, "at_ms": 0, "outcome": "expired"}
        if tx is not None:
            outcome = "confirmed" if tx.error is None else "failed_expected"
            tail |= {"slot": tx.slot, "outcome": outcome, "error": tx.error or "", "fee": str(tx.fee), "cu": 1_000}
        tail |= {key: str(value) if isinstance(value, int) else value for key, value in amounts.items()}
        self.lines.append(json.dumps(tail))
        return name

    # -- what a run does --

    def airdrop(self, lamports: int = 10**15) -> None:
        data = b"\x02\0\0\0" + u64(lamports)
        self.execute(FAUCET, [(SYSTEM, [FAUCET, CORE], data, None)], {FAUCET: -lamports, CORE: lamports})

    def initialise(self) -> None:
        """A command like any other."""
        steps: list[tuple[str, list[str], bytes, str | None]] = [(FRT, [CORE, SYSTEM], b"\x00" + bytes(32), None)]
        paid = {SYSTEM_STATE: 1_468_560, TREASURY: TREASURY_RENT}
        steps += [(SYSTEM, [CORE, name], b"\0\0\0\0" + u64(rent) + bytes(40), FRT) for name, rent in paid.items()]
        tx = self.execute(CORE, steps, {CORE: -sum(paid.values()), **paid})
        self.book("command:initialize", "setup", tx, {"method": "initialize_program", "deltas": {}})

    def create_pool(self) -> None:
        pool = self.pool
        rents = {"mint_a": MINT_RENT, "mint_b": MINT_RENT}
        inner = {POOL_ID: POOL_RENT, "vault_a": TOKEN_RENT, "vault_b": TOKEN_RENT}
        inner |= {"lp_mint_a": MINT_RENT, "lp_mint_b": MINT_RENT}
        steps: list[tuple[str, list[str], bytes, str | None]] = [
            (SYSTEM, [CORE, mint], b"\0\0\0\0" + u64(rent) + bytes(40), None) for mint, rent in rents.items()
        ]
        flags = 0x40 if pool.exact_exchange else 0
        accounts = [CORE, SYSTEM, SYSTEM_STATE, POOL_ID, TOKEN, TREASURY]
        steps.append((FRT, accounts, b"\x01" + u64(pool.ratio_a, pool.ratio_b) + bytes([flags]), None))
        steps.append((SYSTEM, [CORE, TREASURY], b"\x02\0\0\0" + u64(REGISTRATION), FRT))
        steps += [(SYSTEM, [CORE, opened], b"\0\0\0\0" + u64(rent) + bytes(40), FRT) for opened, rent in inner.items()]
        paid = {**rents, **inner, TREASURY: REGISTRATION}
        self.held |= {"vault_a": ("mint_a", POOL_ID, 0), "vault_b": ("mint_b", POOL_ID, 0)}
        self.supply |= dict.fromkeys(("mint_a", "mint_b", "lp_mint_a", "lp_mint_b"), 0)
        self.flags |= flags
        tx = self.execute(CORE, steps, {CORE: -sum(paid.values()), **paid})
        self.treasury |= {"pool_creation_count": 1, "total_pool_creation_fees": REGISTRATION}
        self.treasury["total_balance"] = self.lamports[TREASURY]
        self.book("command:pool", "setup", tx, {"mints": ["mint_a", "mint_b"], "deltas": {}})

    def create_thread(self, config: ThreadConfig, tokens: int, lamports: int = 10**10) -> None:
        """Wallet, accounts and the initial amount in one transaction, as the command does."""
        steps: list[tuple[str, list[str], bytes, str | None]] = [
            (SYSTEM, [CORE, config.wallet], b"\x02\0\0\0" + u64(lamports), None)
        ]
        moves = {CORE: -lamports, config.wallet: lamports}
        for asset, account in config.accounts.items():
            self.held[account] = (self.pool.mint(asset), config.wallet, 0)
            steps.append((SYSTEM, [CORE, account], b"\0\0\0\0" + u64(TOKEN_RENT) + bytes(40), None))
            moves |= {CORE: moves[CORE] - TOKEN_RENT, account: TOKEN_RENT}
        account, mint = config.accounts[config.spends], self.pool.mint(config.spends)
        changes = dict.fromkeys(config.accounts.values(), 0)
        if tokens:
            steps.append((TOKEN, [mint, account, CORE], b"\x07" + u64(tokens), None))
            self.supply[mint] += tokens
            changes[account] = tokens
        tx = self.execute(CORE, steps, moves, changes)
        deltas = {account: str(tokens)} if tokens else {}
        inputs = {"deltas": deltas, "lamports": {config.wallet: str(lamports)}, "wallets": [config.wallet]}
        self.book(f"command:{config.thread_id}", "setup", tx, inputs)
        self.threads[config.thread_id] = config
        self.totals[config.thread_id] = Totals()

    def operate(self, thread_id: str, amount: int, *, error: str | None = None, expired: bool = False) -> None:
        """The thread's own operation."""
        config = self.threads[thread_id]
        side, wallet = config.side, config.wallet
        spends, receives = config.accounts[config.spends], config.accounts[config.receives]
        vault, lp_mint = self.pool.vault(side), self.pool.mint(lp_of(side))
        inputs: dict[str, Any] = {"amount": str(amount), "slot": 1}
        accounts = [wallet, SYSTEM, SYSTEM_STATE, POOL_ID, TOKEN, "vault_a", "vault_b", spends, receives]
        fee, output = LIQUIDITY_FEE, amount
        match config.kind:
            case ThreadKind.DEPOSIT:
                data = b"\x02" + bytes(32) + u64(amount) + bytes(32)
                inner = [([spends, vault], b"\x03"), ([lp_mint, receives], b"\x07")]
                tokens, kinds = {spends: -amount, vault: amount, receives: amount}, "CL"
            case ThreadKind.WITHDRAWAL:
                data = b"\x03" + bytes(32) + u64(amount) + bytes(32)
                inner = [([spends, lp_mint], b"\x08"), ([vault, receives], b"\x03")]
                tokens, kinds = {spends: -amount, vault: -amount, receives: amount}, "CL"
            case ThreadKind.SWAP:
                output = amount * self.pool.ratio(side.other) // self.pool.ratio(side)
                data = b"\x04" + bytes(32) + u64(amount, output) + bytes(32)
                other = self.pool.vault(side.other)
                inner = [([spends, vault], b"\x03"), ([other, receives], b"\x03")]
                tokens, kinds = {spends: -amount, vault: amount, other: -output, receives: output}, "CS"
                fee = SWAP_FEE
        if expired:
            self.book(thread_id, config.kind.value, None, inputs)
            self._count(thread_id, submitted=1, expired=1)
            return
        amounts = [amount, output]
        steps: list[tuple[str, list[str], bytes, str | None]] = [(FRT, accounts, data, None)]
        steps.append((SYSTEM, [wallet, POOL_ID], b"\x02\0\0\0" + u64(fee), FRT))
        steps += [(TOKEN, names, tag + u64(n), FRT) for (names, tag), n in zip(inner, amounts, strict=True)]
        tx = self.execute(wallet, steps, {wallet: -fee, POOL_ID: fee}, tokens, error=error)
        if error is not None:
            self.book(thread_id, config.kind.value, tx, inputs, spent=0, received=0, pool_fee=0)
            self._count(thread_id, submitted=1, failed_expected=1, network_fees=tx.fee)
            return
        for name in (kinds, "CT"):
            self.fees[name] += fee
        if config.kind is ThreadKind.SWAP:
            self.liquidity[side] += amount
            self.liquidity[side.other] -= output
        else:
            signed = amount if config.kind is ThreadKind.DEPOSIT else -amount
            self.liquidity[side] += signed
            self.supply[lp_mint] += signed
        name = self.book(thread_id, config.kind.value, tx, inputs, spent=amount, received=output, pool_fee=fee)
        self.outbox[name] = {"owner": thread_id, "asset": config.receives.value, "amount": str(output)}
        self._count(
            thread_id,
            submitted=1,
            confirmed=1,
            spent=amount,
            received=output,
            network_fees=tx.fee,
            pool_fees=fee,
            owed=output,
        )
        self._size(config, amount, output)

    def _size(self, config: ThreadConfig, amount: int, output: int) -> None:
        totals = self.totals[config.thread_id]
        if config.kind is ThreadKind.SWAP:
            ratio_in, ratio_out = self.pool.ratio(config.side), self.pool.ratio(config.side.other)
            totals = totals.plus(rounding_loss_nano=(amount * ratio_out - output * ratio_in) * 10**9 // ratio_in)
        smallest = min(totals.smallest or amount, amount)
        self.totals[config.thread_id] = replace(totals, smallest=smallest, largest=max(totals.largest, amount))

    def _count(self, thread_id: str, **amounts: int) -> None:
        self.totals[thread_id] = self.totals[thread_id].plus(**amounts)

    def share(self, entry_id: str, taker_id: str, amount: int) -> None:
        """Pay a part of an outbox entry; the rest stays owed."""
        entry = self.outbox[entry_id]
        owner, taker = self.threads[entry["owner"]], self.threads[taker_id]
        asset = Asset(entry["asset"])
        source, destination = owner.accounts[asset], taker.accounts[asset]
        tx = self.execute(
            owner.wallet,
            [(TOKEN, [source, destination, owner.wallet], b"\x03" + u64(amount), None)],
            tokens={source: -amount, destination: amount},
        )
        paid = {"owner": owner.thread_id, "taker": taker_id, "asset": asset.value, "amount": str(amount)}
        deltas = {source: str(-amount), destination: str(amount)}
        self.book(f"share:{POOL_ID}", "share", tx, {"entries": [paid], "deltas": deltas})
        count = self.payments.setdefault(f"share:{POOL_ID}", {"submitted": 0, "confirmed": 0})
        count |= {name: times + 1 for name, times in count.items()}
        entry["amount"] = str(int(entry["amount"]) - amount)
        self.volume[asset.value] = self.volume.get(asset.value, 0) + amount
        empty: dict[str, Any] = {"paid": {}, "paid_to": {}, "received": {}, "retained": {}}
        for name, part, key in ((owner.thread_id, "paid", asset.value), (owner.thread_id, "paid_to", taker_id)):
            record = self.ledger.setdefault(f"share:{name}", json.loads(json.dumps(empty)))
            record[part][key] = str(int(record[part].get(key, "0")) + amount)
        record = self.ledger.setdefault(f"share:{taker_id}", json.loads(json.dumps(empty)))
        record["received"][owner.thread_id] = str(int(record["received"].get(owner.thread_id, "0")) + amount)

    def burn(self, thread_id: str, asset: Asset, amount: int) -> None:
        """What an order to empty does with what is left, and its bookkeeping."""
        config = self.threads[thread_id]
        account, mint = config.accounts[asset], self.pool.mint(asset)
        step = (TOKEN, [account, mint, config.wallet], b"\x08" + u64(amount), None)
        tx = self.execute(CORE, [step], tokens={account: -amount}, signers=(config.wallet,))
        self.supply[mint] -= amount
        inputs = {"deltas": {account: str(-amount)}, "burned": {asset.value: str(amount)}}
        self.book(thread_id, "burn", tx, inputs, spent=0, received=0, pool_fee=0)
        self._count(thread_id, empties=1, **{f"burned_{asset.value}": amount})
        for name in [name for name, entry in self.outbox.items() if entry["owner"] == thread_id]:
            del self.outbox[name]

    def consolidate(self, pause: bytes = b"\x13\x03" + bytes(32), resume: bytes = b"\x14\x03" + bytes(32)) -> None:
        """Pause both, move all but the protected rent, unpause; or pause by another instruction, or by none."""
        paused = [CORE, SYSTEM_STATE, POOL_ID, "program_data"]
        if pause:
            self._administer("pause", [(FRT, paused, pause, None)])
        amount = min(self.fees["CT"] - self.fees["CC"], self.lamports[POOL_ID] - 3_953_280)
        both = self.fees["CL"] + self.fees["CS"]
        liquidity, rest_l = divmod(amount * self.fees["CL"], both)
        swap, rest_s = divmod(amount * self.fees["CS"], both)
        if rest_l >= rest_s:
            liquidity = amount - swap
        else:
            swap = amount - liquidity
        step = (FRT, [CORE, SYSTEM_STATE, TREASURY, "program_data", POOL_ID], b"\x11\x01", None)
        self._administer("consolidate", [step], {POOL_ID: -amount, TREASURY: amount})
        for name, delta in (("CL", -liquidity), ("CS", -swap), ("CC", amount), ("n", 1)):
            self.fees[name] += delta
        moved = {"total_liquidity_fees": liquidity, "total_regular_swap_fees": swap, "total_swap_contract_fees": swap}
        moved |= {"liquidity_operation_count": liquidity // LIQUIDITY_FEE, "regular_swap_count": swap // SWAP_FEE}
        moved |= {"total_consolidations_performed": 1}
        self.treasury |= {name: self.treasury.get(name, 0) + amount for name, amount in moved.items()}
        self.treasury["total_balance"] = self.lamports[TREASURY]
        if resume:
            self._administer("unpause", [(FRT, paused, resume, None)])

    def _administer(
        self, name: str, steps: list[tuple[str, list[str], bytes, str | None]], moves: dict[str, int] | None = None
    ) -> None:
        self.book(f"command:{name}", "admin", self.execute(CORE, steps, moves), {"deltas": {}})

    # -- the books --

    def books(self) -> Books:
        history: dict[Address, list[Signature]] = {Address(a): [] for a in (CORE, TREASURY, POOL_ID, *self.held)}
        history |= {config.wallet: [] for config in self.threads.values()}
        history |= {Address(mint): [] for mint in self.supply}
        for tx in self.transactions:
            named = {*tx.signers, *tx.lamports, *tx.tokens, *(a for step in tx.steps for a in step.accounts)}
            for address in named & history.keys():
                history[address].append(tx.signature)
        threads = [
            ThreadBook(
                config=config,
                state=ThreadState(lifetime=self.totals[name], operation_number=self.numbers.get(name, 0)),
            )
            for name, config in self.threads.items()
        ]
        return Books(
            journal=read_journal(self.lines),
            transactions={tx.signature: tx for tx in self.transactions},
            history={address: tuple(signatures) for address, signatures in history.items()},
            accounts=self._accounts(),
            pools=(PoolBook(pool=self.pool, ledger=self.ledger, outbox=self.outbox),),
            threads=tuple(threads),
            payments=tuple(
                PaymentBook(
                    chain_id=ChainId(name), totals=totals, volume=self.volume, operation_number=self.numbers[name]
                )
                for name, totals in self.payments.items()
            ),
            core=CORE,
            program=FRT,
            treasury=TREASURY,
            system_state=SYSTEM_STATE,
        )

    def _accounts(self) -> dict[Address, Account | None]:
        decoded: dict[str, Any] = {
            account: TokenAccount(mint=Address(mint), owner=Address(owner), amount=amount, state=1)
            for account, (mint, owner, amount) in self.held.items()
        }
        for mint, supply in self.supply.items():
            own = mint.startswith("lp_")
            decoded[mint] = Mint(
                mint_authority=Address(POOL_ID) if own else CORE,
                supply=supply,
                decimals=9 if mint.endswith("a") else 6,
                initialized=True,
                freeze_authority=None,
            )
        zeros = dict.fromkeys(Treasury.__dataclass_fields__, 0)
        decoded[TREASURY] = Treasury(**zeros | self.treasury)
        decoded[SYSTEM_STATE] = SystemState(
            is_paused=False,
            pause_timestamp=0,
            pause_reason_code=0,
            admin=CORE,
            pending_admin=None,
            admin_change_timestamp=0,
        )
        decoded[POOL_ID] = self._pool_state()
        names = {*self.lamports, *decoded} - {FAUCET}
        return {
            Address(name): Account(
                address=Address(name),
                lamports=self.lamports.get(name, 0),
                owner=FRT,
                raw=b"",
                decoded=decoded.get(name),
            )
            for name in names
        }

    def _pool_state(self) -> PoolState:
        pool = self.pool
        return PoolState(
            owner=CORE,
            mint_a=pool.mint_a,
            mint_b=pool.mint_b,
            vault_a=pool.vault_a,
            vault_b=pool.vault_b,
            lp_mint_a=pool.lp_mint_a,
            lp_mint_b=pool.lp_mint_b,
            ratio_a=pool.ratio_a,
            ratio_b=pool.ratio_b,
            liquidity_a=self.liquidity[Side.A],
            liquidity_b=self.liquidity[Side.B],
            bumps=pool.bumps,
            flags=self.flags,
            liquidity_fee=LIQUIDITY_FEE,
            swap_fee=SWAP_FEE,
            collected_liquidity_fees=self.fees["CL"],
            collected_swap_fees=self.fees["CS"],
            total_fees_collected=self.fees["CT"],
            last_consolidation_at=0,
            consolidations=self.fees["n"],
            total_fees_consolidated=self.fees["CC"],
            zero_token_fees=bytes(32),
            zero_tail=bytes(80),
        )


def played() -> Ledger:
    """A run with every kind of operation and outcome, in which nothing is wrong."""
    ledger = Ledger()
    ledger.airdrop()
    ledger.initialise()
    ledger.create_pool()
    for side, number in ((Side.A, 1), (Side.B, 2)):
        ledger.create_thread(thread(ThreadKind.DEPOSIT, side, number), 10**12)
    ledger.create_thread(thread(ThreadKind.WITHDRAWAL, Side.A), 0)
    ledger.create_thread(thread(ThreadKind.SWAP, Side.A), 10**12)
    ledger.operate("deposit_1", 5_000_000_007)
    ledger.operate("deposit_2", 4_000_000_003)
    ledger.operate("swap_1", 1_000_000_001)
    ledger.share("deposit_1/1", "withdrawal_1", 3_000_000_000)
    ledger.operate("withdrawal_1", 1_000_000_000)
    ledger.operate("withdrawal_1", 9_999_999_999, error="Custom(1)")
    ledger.operate("deposit_1", 77, expired=True)
    ledger.consolidate()
    ledger.operate("swap_1", 12_345)
    ledger.operate("deposit_2", 1)
    ledger.burn("withdrawal_1", Asset.LP_A, 2_000_000_000)
    return ledger
