"""The local chain in this process, two pools, strangers, and the gateway: probes run one per slot, without a server."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from domain import operations as ops
from domain.chain import program
from domain.chain.build import key, token_address
from domain.chain.endpoints import BatchAnswer
from domain.chain.errors import RpcErrorObject
from domain.chain.gateway import SolanaChain, Want
from domain.chain.keyring import Keyring
from domain.chain.keystore import Sealer
from domain.facts import Receipt
from domain.ids import Address, OperationId, PoolId
from domain.operations import Intent, Operation, OperationKind
from domain.policy import Policy, PolicyStep
from domain.pool import Asset, Pool, Side, lp_of, token_of
from domain.probes import Attempt, Judgement, Probe, Scene, Stranger, judge
from domain.probes_real import flow_of, setup, stocked
from ops.localnet.chain import Chain
from ops.localnet.rpc.dispatch import Dispatcher
from ops.localnet.settings import DEFAULT_PROGRAM_ID, LocalnetSettings
from tasks.cycles.probe import compute_units
from tasks.cycles.probe_scene import own_accounts, sandboxes_of, treasury_open

SOL = 10**9
PROGRAM_ID = Pubkey.from_string(DEFAULT_PROGRAM_ID)


class InProcess:
    """Endpoints without a network: the dispatcher of a chain in this process."""

    def __init__(self, chain: Chain) -> None:
        self._dispatcher = Dispatcher(chain)

    def batch(self, calls: list[Any], *, endpoint: str | None = None) -> BatchAnswer:
        document = [
            {"jsonrpc": "2.0", "id": n, "method": call.method, "params": list(call.params)}
            for n, call in enumerate(calls)
        ]
        answers = json.loads(self._dispatcher.answer(document))
        results = [
            RpcErrorObject("in-process", answer["error"]["code"], answer["error"]["message"])
            if "error" in answer
            else answer["result"]
            for answer in answers
        ]
        return BatchAnswer(endpoint="in-process", results=results)


class ProbeWorld:
    """``run(probe)`` sends a probe made for the present state and judges it."""

    def __init__(self, file: Path, decimals: tuple[int, int] = (9, 6)) -> None:
        core = Keypair.from_seed(bytes([7]) * 32)
        settings = LocalnetSettings(program=file, upgrade_authority=str(core.pubkey()), confirmed_lag=0)
        self.local = Chain(settings, lambda: 1_700_000_000)
        self.pools: dict[PoolId, Pool] = {}
        self.keys = {Address(str(k.pubkey())): k for k in (Keypair.from_seed(bytes([n]) * 32) for n in range(8, 13))}
        sealer = Sealer(bytes(32))
        sealed = {address: sealer.seal(pair, address) for address, pair in self.keys.items()}
        keyring = Keyring(core, sealer, sealed.get)
        endpoints: Any = InProcess(self.local)
        self.chain = SolanaChain(endpoints, PROGRAM_ID, keyring, lambda pool_id: self.pools[pool_id], self._tick)
        self.core = keyring.core_address
        self.number = 0
        self.clock_ms = 0
        for wallet in (self.core, *self.keys):
            self.local.airdrop(key(wallet), 10_000 * SOL)
        self.local.advance()
        self.must(ops.InitializeProgram(authority=self.core, admin=self.core))
        mint_pairs = sorted((Keypair.from_seed(bytes([n]) * 32) for n in (21, 22)), key=lambda k: bytes(k.pubkey()))
        self.mints = [Address(str(k.pubkey())) for k in mint_pairs]
        self.decimals = decimals
        for pair, mint, places in zip(mint_pairs, self.mints, decimals, strict=True):
            self.chain.keyring._opened[mint] = pair
            self.must(ops.CreateMint(payer=self.core, mint=mint, decimals=places, authority=self.core), signers=(mint,))

    def _tick(self) -> int:
        self.clock_ms += 3_000  # every read of the clock makes the blockhash old
        return self.clock_ms

    def add_pool(self, ratio_a: int, ratio_b: int, *, exact: bool = False) -> Pool:
        found = program.pool_addresses(PROGRAM_ID, *(key(mint) for mint in self.mints), ratio_a, ratio_b)
        pool = Pool(
            pool_id=PoolId(str(found.pool_state)),
            owner=self.core,
            mint_a=self.mints[0],
            mint_b=self.mints[1],
            vault_a=Address(str(found.vault_a)),
            vault_b=Address(str(found.vault_b)),
            lp_mint_a=Address(str(found.lp_mint_a)),
            lp_mint_b=Address(str(found.lp_mint_b)),
            ratio_a=ratio_a,
            ratio_b=ratio_b,
            decimals_a=self.decimals[0],
            decimals_b=self.decimals[1],
            lp_decimals_a=self.decimals[0],
            lp_decimals_b=self.decimals[1],
            simple_ratio=True,
            exact_exchange=exact,
            bumps=found.bumps,
            created_slot=0,
            created_at_ms=0,
        )
        create = ops.InitializePool(
            payer=self.core,
            mint_a=pool.mint_a,
            mint_b=pool.mint_b,
            ratio_a=ratio_a,
            ratio_b=ratio_b,
            flags=0x40 if exact else 0,
        )
        self.must(create)
        self.pools[pool.pool_id] = pool
        return pool

    def add_strangers(self, pool: Pool, amount: int = 10**12) -> tuple[Stranger, ...]:
        """A deposit, a withdrawal and a swap thread's wallets, each with tokens, and liquidity on both sides."""
        strangers = []
        for wallet, side in zip(self.keys, (Side.A, Side.B, None), strict=False):
            assets = (Asset.TOKEN_A, Asset.TOKEN_B) if side is None else (token_of(side), lp_of(side))
            accounts = {asset: token_address(wallet, pool.mint(asset)) for asset in assets}
            for asset in assets:
                self.must(ops.CreateTokenAccount(payer=self.core, owner=wallet, mint=pool.mint(asset)))
                if asset in (Asset.TOKEN_A, Asset.TOKEN_B):
                    mint = pool.mint(asset)
                    self.must(
                        ops.MintTo(authority=self.core, mint=mint, destination=accounts[asset], amount=2 * amount)
                    )
            if side is not None:
                token, lp = accounts[token_of(side)], accounts[lp_of(side)]
                self.must(
                    ops.Deposit(
                        user=wallet, pool_id=pool.pool_id, side=side, amount=amount, user_token=token, user_lp=lp
                    ),
                    signers=(wallet,),
                )
            strangers.append(Stranger(wallet=wallet, accounts=accounts))
        return tuple(strangers)

    def must(self, *actions: ops.Action, signers: Iterable[Address] = ()) -> Receipt:
        operation = Operation(
            kind=OperationKind.SETUP, actions=actions, payer=self.core, signers=(self.core, *signers), inputs={}
        )
        receipt = self.send(operation)[1]
        assert receipt.error is None, (actions, receipt.error, receipt.logs)
        return receipt

    def send(self, operation: Operation) -> tuple[Intent, Receipt]:
        self.number += 1
        intent = self.chain.prepare(operation, OperationId(f"probe/{self.number}"), self.number, now_ms=0, slot=0)
        self.chain.submit([intent])
        self.local.advance()
        receipt = self.chain.observe(Want(signatures=(intent.signature,))).lookups[intent.signature].receipt
        assert receipt is not None, operation
        return intent, receipt

    def scene(self, pool: Pool, strangers: tuple[Stranger, ...], other: Pool | None) -> Scene:
        own = own_accounts(self.core, pool)
        seen = self.chain.observe(
            Want(
                addresses=(
                    self.core,
                    self.chain.treasury,
                    Address(pool.pool_id),
                    *(pool.mint(a) for a in Asset),
                    *own.values(),
                )
            )
        )
        shown = seen.pool(Address(pool.pool_id))
        assert shown is not None
        return Scene(
            pool=pool,
            core=self.core,
            own=own,
            balances={asset: seen.tokens(address) for asset, address in own.items()},
            supplies={asset: seen.supply(pool.mint(asset)) or 0 for asset in Asset},
            core_lamports=seen.lamports(self.core),
            liquidity_fee=shown.liquidity_fee,
            swap_fee=shown.swap_fee,
            strangers=strangers,
            other_pool=other,
            sandboxes=sandboxes_of(self.chain.builder, self.core, pool),
            system_state=self.chain.system_state,
            treasury=self.chain.treasury,
            program_data=Address(str(program.program_data(PROGRAM_ID))),
            is_admin=True,
            is_minter=True,
            treasury_open=treasury_open(seen.accounts[self.chain.treasury]),
        )

    def prepare_accounts(self, pool: Pool, strangers: tuple[Stranger, ...] = ()) -> None:
        attempt = setup(self.scene(pool, strangers, None), set(Asset))
        assert attempt is not None
        assert self.attempt("setup", attempt, pool).verdict == "ok"
        for side in Side:
            first = stocked(self.scene(pool, strangers, None), side)
            assert first is not None
            assert self.attempt("setup", first, pool).verdict == "ok"

    def run(self, probe: Probe, scene: Scene) -> Judgement | None:
        attempt = probe.make(scene)
        return None if attempt is None else self.attempt(probe.name, attempt, scene.pool, scene)

    def attempt(self, name: str, attempt: Attempt, pool: Pool, scene: Scene | None = None) -> Judgement:
        operation = Operation(
            kind=OperationKind.PROBE,
            actions=attempt.actions,
            payer=self.core,
            signers=tuple(dict.fromkeys((self.core, *attempt.signers))),
            inputs={
                "probe": name,
                "expect": json.loads(json.dumps(attempt.expectation())),
                "flow": flow_of(attempt, scene) if scene else {},
            },
            compute_units=compute_units(attempt),
            pool_id=pool.pool_id,
        )
        intent, receipt = self.send(operation)
        return judge(intent.inputs, receipt, policy(self.core), self.core)


def policy(owner: Address) -> Policy:
    step = PolicyStep(operation_id="", flags=0, liquidity_fee=13_000_000, swap_fee=271_500, owner=owner, slot=0)
    return Policy(steps=(step,))
