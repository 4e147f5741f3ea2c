"""Turns the rules' actions into instructions of the chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from domain import operations as ops
from domain.chain import instructions_admin as admin
from domain.chain import instructions_trading as trading
from domain.chain import instructions_treasury as treasury
from domain.chain import program, spl
from domain.chain.program import PoolAddresses
from domain.ids import Address, PoolId
from domain.operations import Action, Operation, PlainAction, Tampered
from domain.pool import Pool, token_of

PoolOf = Callable[[PoolId], Pool]


@lru_cache(maxsize=65_536)
def key(address: Address | str) -> Pubkey:
    """Base58 to a public key, remembered: every address comes back in every cycle."""
    return Pubkey.from_string(address)


@lru_cache(maxsize=16_384)
def token_address(owner: Address, mint: Address) -> Address:
    """The associated token account of a wallet."""
    return Address(str(program.associated_token_address(key(owner), key(mint))))


@lru_cache(maxsize=4096)
def _addresses(pool: Pool, program_id: Pubkey) -> PoolAddresses:
    return PoolAddresses(
        program_id=program_id,
        mint_a=key(pool.mint_a),
        mint_b=key(pool.mint_b),
        ratio_a=pool.ratio_a,
        ratio_b=pool.ratio_b,
        pool_state=key(pool.pool_id),
        vault_a=key(pool.vault_a),
        vault_b=key(pool.vault_b),
        lp_mint_a=key(pool.lp_mint_a),
        lp_mint_b=key(pool.lp_mint_b),
        bumps=pool.bumps,
    )


class Builder:
    """Builds instructions for one program id; pools come from the registry by id."""

    def __init__(
        self, program_id: Pubkey, pool_of: PoolOf, rent_lamports: Callable[[int], int] = program.rent_minimum_lamports
    ) -> None:
        self.program_id = program_id
        self._pool_of = pool_of
        self._passing: dict[PoolId, Pool] = {}
        self._rent = rent_lamports

    def instructions(self, operation: Operation) -> list[Instruction]:
        return [instruction for action in operation.actions for instruction in self.build(action)]

    def build(self, action: Action) -> list[Instruction]:
        """One action, usually one instruction (a fresh mint takes two). Raises TypeError for an unknown action."""
        if isinstance(action, Tampered):
            *before, last = self.build(action.action)
            return [*before, tampered(last, action)]
        built = self._trade(action) or self._token(action) or self._administer(action)
        if built is None:
            raise TypeError(f"no instruction for {type(action).__name__}")
        return built

    def passing_pool(self, like: Pool, ratio_a: int, ratio_b: int) -> Pool:
        """A pool of the same mints at another ratio, known to this builder only: it lives inside one transaction."""
        found = program.pool_addresses(self.program_id, key(like.mint_a), key(like.mint_b), ratio_a, ratio_b)
        pool = replace(
            like,
            pool_id=PoolId(str(found.pool_state)),
            vault_a=Address(str(found.vault_a)),
            vault_b=Address(str(found.vault_b)),
            lp_mint_a=Address(str(found.lp_mint_a)),
            lp_mint_b=Address(str(found.lp_mint_b)),
            ratio_a=ratio_a,
            ratio_b=ratio_b,
            bumps=found.bumps,
            exact_exchange=False,
        )
        return self._passing.setdefault(pool.pool_id, pool)

    def _pool(self, pool_id: PoolId) -> tuple[Pool, PoolAddresses]:
        pool = self._passing.get(pool_id) or self._pool_of(pool_id)
        return pool, _addresses(pool, self.program_id)

    def _trade(self, action: PlainAction) -> list[Instruction] | None:
        match action:
            case ops.Deposit():
                pool, addresses = self._pool(action.pool_id)
                deposit = trading.Deposit.of(
                    addresses,
                    user=key(action.user),
                    mint=key(pool.mint(token_of(action.side))),
                    amount=action.amount,
                    user_token_account=key(action.user_token),
                    user_lp_account=key(action.user_lp),
                )
                return [trading.encode_deposit(deposit, self.program_id)]
            case ops.Withdraw():
                pool, addresses = self._pool(action.pool_id)
                withdraw = trading.Withdraw.of(
                    addresses,
                    user=key(action.user),
                    mint=key(pool.mint(token_of(action.side))),
                    lp_amount=action.amount,
                    user_lp_account=key(action.user_lp),
                    user_token_account=key(action.user_token),
                )
                return [trading.encode_withdraw(withdraw, self.program_id)]
            case ops.Swap():
                pool, addresses = self._pool(action.pool_id)
                swap = trading.Swap.of(
                    addresses,
                    user=key(action.user),
                    input_mint=key(pool.mint(token_of(action.side_in))),
                    amount_in=action.amount_in,
                    expected_amount_out=action.expected_out,
                    user_input_account=key(action.user_in),
                    user_output_account=key(action.user_out),
                )
                return [trading.encode_swap(swap, self.program_id)]
            case ops.InitializePool():
                addresses = program.pool_addresses(
                    self.program_id, key(action.mint_a), key(action.mint_b), action.ratio_a, action.ratio_b
                )
                record = trading.InitializePool.of(addresses, user=key(action.payer), flags=action.flags)
                return [trading.encode_initialize_pool(record, self.program_id)]
            case _:
                return None

    def _token(self, action: PlainAction) -> list[Instruction] | None:
        match action:
            case ops.Transfer():
                return [
                    spl.transfer_tokens(
                        source=key(action.source),
                        destination=key(action.destination),
                        owner=key(action.owner),
                        amount=action.amount,
                    )
                ]
            case ops.MintTo():
                return [
                    spl.mint_tokens(
                        mint=key(action.mint),
                        destination=key(action.destination),
                        authority=key(action.authority),
                        amount=action.amount,
                    )
                ]
            case ops.Burn():
                return [
                    spl.burn_tokens(
                        account=key(action.account),
                        mint=key(action.mint),
                        owner=key(action.owner),
                        amount=action.amount,
                    )
                ]
            case ops.Approve():
                return [
                    spl.approve_delegate(
                        account=key(action.account),
                        delegate=key(action.delegate),
                        owner=key(action.owner),
                        amount=action.amount,
                    )
                ]
            case _:
                return self._accounts(action)

    def _accounts(self, action: PlainAction) -> list[Instruction] | None:
        match action:
            case ops.SolTransfer():
                return [
                    spl.transfer_lamports(
                        source=key(action.source), destination=key(action.destination), lamports=action.lamports
                    )
                ]
            case ops.CreateTokenAccount():
                return [
                    spl.create_associated_account(
                        payer=key(action.payer), owner=key(action.owner), mint=key(action.mint)
                    )
                ]
            case ops.CloseTokenAccount():
                return [
                    spl.close_token_account(
                        account=key(action.account), destination=key(action.destination), owner=key(action.owner)
                    )
                ]
            case ops.CreateMint():
                return spl.create_mint(
                    payer=key(action.payer),
                    mint=key(action.mint),
                    decimals=action.decimals,
                    authority=key(action.authority),
                    rent_lamports=self._rent(program.MINT_BYTES),
                )
            case _:
                return None

    def _administer(self, action: PlainAction) -> list[Instruction] | None:
        program_id = self.program_id
        match action:
            case ops.InitializeProgram():
                record = admin.InitializeProgram.of(program_id, payer=key(action.authority), admin=key(action.admin))
                return [admin.encode_initialize_program(record, program_id)]
            case ops.PausePool():
                pause = admin.PausePool.of(
                    program_id, key(action.pool_id), admin=key(action.admin), pause_flags=action.flags
                )
                return [admin.encode_pause_pool(pause, program_id)]
            case ops.UnpausePool():
                unpause = admin.UnpausePool.of(
                    program_id, key(action.pool_id), admin=key(action.admin), unpause_flags=action.flags
                )
                return [admin.encode_unpause_pool(unpause, program_id)]
            case ops.SetSwapOwnerOnly():
                owner_only = admin.SetSwapOwnerOnly.of(
                    program_id,
                    key(action.pool_id),
                    admin=key(action.admin),
                    enable=action.enable,
                    designated_owner=key(action.owner),
                )
                return [admin.encode_set_swap_owner_only(owner_only, program_id)]
            case ops.UpdatePoolFees():
                fees = admin.UpdatePoolFees.of(
                    program_id,
                    key(action.pool_id),
                    admin=key(action.admin),
                    update_flags=action.update_flags,
                    liquidity_fee_lamports=action.liquidity_fee,
                    swap_fee_lamports=action.swap_fee,
                )
                return [admin.encode_update_pool_fees(fees, program_id)]
            case _:
                return self._administer_system(action)

    def _administer_system(self, action: PlainAction) -> list[Instruction] | None:
        program_id = self.program_id
        match action:
            case ops.ConsolidatePoolFees():
                consolidate = treasury.ConsolidatePoolFees.of(
                    program_id, admin=key(action.admin), pools=[key(pool_id) for pool_id in action.pool_ids]
                )
                return [treasury.encode_consolidate_pool_fees(consolidate, program_id)]
            case ops.PauseSystem():
                pause = admin.PauseSystem.of(program_id, admin=key(action.admin), reason_code=action.reason_code)
                return [admin.encode_pause_system(pause, program_id)]
            case ops.UnpauseSystem():
                unpause = admin.UnpauseSystem.of(program_id, admin=key(action.admin))
                return [admin.encode_unpause_system(unpause, program_id)]
            case ops.DonateSol():
                donation = treasury.DonateSol.of(
                    program_id, donor=key(action.donor), amount_lamports=action.lamports, message=action.message
                )
                return [treasury.encode_donate_sol(donation, program_id)]
            case ops.WithdrawTreasuryFees():
                withdrawal = treasury.WithdrawTreasuryFees.of(
                    program_id,
                    admin=key(action.admin),
                    destination=key(action.destination),
                    amount_lamports=action.lamports,
                )
                return [treasury.encode_withdraw_treasury_fees(withdrawal, program_id)]
            case ops.ProcessAdminChange():
                change = admin.ProcessAdminChange.of(
                    program_id, admin=key(action.admin), new_admin=key(action.new_admin)
                )
                return [admin.encode_process_admin_change(change, program_id)]
            case _:
                return None


def tampered(instruction: Instruction, change: Tampered) -> Instruction:
    """The instruction with a probe's changes applied."""
    metas = list(instruction.accounts)
    for index, meta in enumerate(metas):
        metas[index] = AccountMeta(
            key(change.accounts[index]) if index in change.accounts else meta.pubkey,
            change.signer.get(index, meta.is_signer),
            change.writable.get(index, meta.is_writable),
        )
    if change.drop:
        metas = metas[: -change.drop]
    metas += [AccountMeta(key(address), is_signer=False, is_writable=False) for address in change.extra]
    data = bytearray(instruction.data if change.data is None else change.data)
    for offset, content in change.data_at.items():
        written = content if isinstance(content, bytes) else bytes(key(content))
        data[offset : offset + len(written)] = written
    if change.data_cut:
        del data[-change.data_cut :]
    data += change.data_end
    return Instruction(instruction.program_id, bytes(data), metas)
