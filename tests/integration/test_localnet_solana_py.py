"""The local chain judged by solana-py's own client: fund, transfer, mints, tokens, history, subscriptions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized, Processed
from solana.rpc.core import RPCException
from solana.rpc.models import DataSliceOpts, MemcmpOpts, TokenAccountOpts, TxOpts
from solana.rpc.websocket_api import SolanaWsClient
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.rpc.responses import SendTransactionPreflightFailureMessage
from solders.signature import Signature
from solders.system_program import CreateAccountParams, TransferParams, create_account, transfer
from solders.transaction import VersionedTransaction
from solders.transaction_status import InstructionErrorCustom, TransactionConfirmationStatus
from spl.token.constants import TOKEN_PROGRAM_ID
from spl.token.instructions import (
    create_associated_token_account,
    get_associated_token_address,
    initialize_mint,
    mint_to,
    transfer_checked,
)
from spl.token.models import InitializeMintParams, MintToParams, TransferCheckedParams

from tests.support.localnet import Localnet, running_localnet

SOL = 1_000_000_000
MINT_BYTES = 82


@pytest.fixture(scope="module")
def chain() -> Iterator[Localnet]:
    with running_localnet(slot_ms=25, no_program=True) as running:
        yield running


class Wallets:
    """A client with a funded wallet, sending what a test needs."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.payer = Keypair()

    async def fund(self, lamports: int = 10 * SOL) -> Signature:
        signature = (await self.client.request_airdrop(self.payer.pubkey(), lamports)).value
        await self.client.confirm_transaction(signature, Confirmed, sleep_seconds=0.01)
        return signature

    async def sign(self, instructions: list[Instruction], *signers: Keypair) -> tuple[VersionedTransaction, int]:
        latest = (await self.client.get_latest_blockhash()).value
        message = MessageV0.try_compile(self.payer.pubkey(), instructions, [], latest.blockhash)
        return VersionedTransaction(message, [self.payer, *signers]), latest.last_valid_block_height

    async def send(self, instructions: list[Instruction], *signers: Keypair, preflight: bool = True) -> Signature:
        tx, last_valid = await self.sign(instructions, *signers)
        options = TxOpts(skip_preflight=not preflight, preflight_commitment=Confirmed)
        signature = (await self.client.send_transaction(tx, options)).value
        await self.client.confirm_transaction(signature, Confirmed, 0.01, last_valid)
        return signature

    def pay(self, to: Pubkey, lamports: int) -> Instruction:
        return transfer(TransferParams(from_pubkey=self.payer.pubkey(), to_pubkey=to, lamports=lamports))

    async def create_mint(self, decimals: int) -> Pubkey:
        mint = Keypair()
        rent = (await self.client.get_minimum_balance_for_rent_exemption(MINT_BYTES)).value
        creation = CreateAccountParams(
            from_pubkey=self.payer.pubkey(),
            to_pubkey=mint.pubkey(),
            lamports=rent,
            space=MINT_BYTES,
            owner=TOKEN_PROGRAM_ID,
        )
        start = InitializeMintParams(
            decimals=decimals,
            program_id=TOKEN_PROGRAM_ID,
            mint=mint.pubkey(),
            mint_authority=self.payer.pubkey(),
        )
        await self.send([create_account(creation), initialize_mint(start)], mint)
        return mint.pubkey()

    async def create_tokens(self, owner: Pubkey, mint: Pubkey, amount: int) -> Pubkey:
        address = get_associated_token_address(owner, mint)
        minting = MintToParams(
            program_id=TOKEN_PROGRAM_ID,
            mint=mint,
            dest=address,
            mint_authority=self.payer.pubkey(),
            amount=amount,
        )
        creation = create_associated_token_account(self.payer.pubkey(), owner, mint)
        await self.send([creation, mint_to(minting)])
        return address


def test_a_transfer_moves_lamports_and_tells_its_balances_fee_and_logs(chain: Localnet) -> None:
    async def flow() -> None:
        async with AsyncClient(chain.rpc_url, commitment=Confirmed) as client:
            wallets, friend = Wallets(client), Keypair().pubkey()
            await wallets.fund()
            assert (await client.get_balance(wallets.payer.pubkey())).value == 10 * SOL

            signature = await wallets.send([wallets.pay(friend, 3 * SOL)])

            assert (await client.get_balance(friend)).value == 3 * SOL
            landed = (await client.get_transaction(signature, max_supported_transaction_version=0)).value
            meta = landed.transaction.meta
            keys = landed.transaction.transaction.message.account_keys
            assert keys[:2] == [wallets.payer.pubkey(), friend]
            assert (meta.err, meta.fee) == (None, 5000)
            assert meta.pre_balances[:2] == [10 * SOL, 0]
            assert meta.post_balances[:2] == [7 * SOL - 5000, 3 * SOL]
            assert meta.compute_units_consumed == 150
            assert meta.log_messages == [f"Program {keys[2]} invoke [1]", f"Program {keys[2]} success"]
            assert landed.block_time is not None

    asyncio.run(flow())


def test_tokens_are_minted_moved_and_counted(chain: Localnet) -> None:
    async def flow() -> None:
        async with AsyncClient(chain.rpc_url, commitment=Confirmed) as client:
            wallets, friend = Wallets(client), Keypair().pubkey()
            await wallets.fund()
            mint = await wallets.create_mint(6)
            own = await wallets.create_tokens(wallets.payer.pubkey(), mint, 5_000_001)
            theirs = await wallets.create_tokens(friend, mint, 0)
            move = TransferCheckedParams(
                program_id=TOKEN_PROGRAM_ID,
                source=own,
                mint=mint,
                dest=theirs,
                owner=wallets.payer.pubkey(),
                amount=1_250_000,
                decimals=6,
            )
            signature = await wallets.send([transfer_checked(move)])

            assert (await client.get_token_account_balance(own)).value.amount == "3750001"
            balance = (await client.get_token_account_balance(theirs)).value
            assert (balance.amount, balance.decimals, balance.ui_amount_string) == ("1250000", 6, "1.25")
            supply = (await client.get_token_supply(mint)).value
            assert (supply.amount, supply.ui_amount_string) == ("5000001", "5.000001")

            landed = (await client.get_transaction(signature, max_supported_transaction_version=0)).value.transaction
            keys = landed.transaction.message.account_keys

            def amounts(balances: list) -> dict:
                assert all(entry.mint == mint and entry.program_id == TOKEN_PROGRAM_ID for entry in balances)
                return {(keys[entry.account_index], entry.owner): entry.ui_token_amount.amount for entry in balances}

            payer = wallets.payer.pubkey()
            assert amounts(landed.meta.pre_token_balances) == {(own, payer): "5000001", (theirs, friend): "0"}
            assert amounts(landed.meta.post_token_balances) == {(own, payer): "3750001", (theirs, friend): "1250000"}

            by_owner = await client.get_token_accounts_by_owner(friend, TokenAccountOpts(mint=mint))
            assert [entry.pubkey for entry in by_owner.value] == [theirs]
            parsed = await client.get_account_info_json_parsed(theirs)
            assert parsed.value.data.parsed["info"]["tokenAmount"]["amount"] == "1250000"
            parsed_mint = await client.get_account_info_json_parsed(mint)
            assert parsed_mint.value.data.parsed["info"]["supply"] == "5000001"

    asyncio.run(flow())


def test_a_created_token_account_appears_only_in_the_balances_after(chain: Localnet) -> None:
    async def flow() -> None:
        async with AsyncClient(chain.rpc_url, commitment=Confirmed) as client:
            wallets = Wallets(client)
            await wallets.fund()
            mint = await wallets.create_mint(0)
            address = await wallets.create_tokens(wallets.payer.pubkey(), mint, 7)
            signature = (await client.get_signatures_for_address(address)).value[0].signature
            meta = (await client.get_transaction(signature, max_supported_transaction_version=0)).value.transaction.meta
            assert meta.pre_token_balances == []
            assert [entry.ui_token_amount.amount for entry in meta.post_token_balances] == ["7"]
            # The associated token account program works through inner instructions.
            assert [inner.index for inner in meta.inner_instructions] == [0]
            assert len(meta.inner_instructions[0].instructions) >= 2

    asyncio.run(flow())


def test_preflight_refuses_with_logs_and_without_it_the_failure_lands_and_pays(chain: Localnet) -> None:
    async def flow() -> None:
        async with AsyncClient(chain.rpc_url, commitment=Confirmed) as client:
            wallets, friend = Wallets(client), Keypair().pubkey()
            await wallets.fund(SOL)
            with pytest.raises(RPCException) as refused:
                await wallets.send([wallets.pay(friend, 50 * SOL)])
            failure = refused.value.args[0]
            assert isinstance(failure, SendTransactionPreflightFailureMessage)
            assert failure.data.err.err == InstructionErrorCustom(1)
            assert any("insufficient lamports" in line for line in failure.data.logs)
            assert (await client.get_balance(wallets.payer.pubkey())).value == SOL

            signature = await wallets.send([wallets.pay(friend, 50 * SOL)], preflight=False)
            landed = (await client.get_transaction(signature, max_supported_transaction_version=0)).value
            assert landed.transaction.meta.err.err == InstructionErrorCustom(1)
            assert landed.transaction.meta.post_balances[0] == SOL - 5000
            assert (await client.get_balance(wallets.payer.pubkey())).value == SOL - 5000

    asyncio.run(flow())


def test_accounts_are_found_by_filters_and_shown_in_part(chain: Localnet) -> None:
    async def flow() -> None:
        async with AsyncClient(chain.rpc_url, commitment=Confirmed) as client:
            wallets = Wallets(client)
            await wallets.fund()
            mint = await wallets.create_mint(2)
            held = {await wallets.create_tokens(Keypair().pubkey(), mint, amount) for amount in (1, 2, 3)}
            filters = [165, MemcmpOpts(offset=0, bytes=str(mint))]
            found = (await client.get_program_accounts(TOKEN_PROGRAM_ID, encoding="base64", filters=filters)).value
            assert {entry.pubkey for entry in found} == held
            assert all(entry.account.owner == TOKEN_PROGRAM_ID and len(entry.account.data) == 165 for entry in found)

            part = DataSliceOpts(offset=64, length=8)
            some = (await client.get_multiple_accounts([*held, Pubkey.new_unique()], data_slice=part)).value
            assert {int.from_bytes(account.data, "little") for account in some[:3]} == {1, 2, 3}
            assert some[3] is None

    asyncio.run(flow())


def test_simulation_reports_and_changes_nothing(chain: Localnet) -> None:
    async def flow() -> None:
        async with AsyncClient(chain.rpc_url, commitment=Confirmed) as client:
            wallets, friend = Wallets(client), Keypair().pubkey()
            await wallets.fund()
            tx, _ = await wallets.sign([wallets.pay(friend, SOL)])
            simulated = (await client.simulate_transaction(tx, sig_verify=True)).value
            assert (simulated.err, simulated.units_consumed) == (None, 150)
            assert (await client.get_balance(friend, Processed)).value == 0
            assert (await client.get_fee_for_message(tx.message)).value == 5000

    asyncio.run(flow())


def test_the_cluster_describes_itself(chain: Localnet) -> None:
    async def flow() -> None:
        async with AsyncClient(chain.rpc_url, commitment=Processed) as client:
            assert await client.is_connected()
            await client.get_version()
            await client.get_genesis_hash()
            assert (await client.get_first_available_block()).value == 0
            epoch = (await client.get_epoch_info()).value
            assert (await client.get_slot()).value >= epoch.absolute_slot
            assert (await client.get_block_height()).value >= epoch.block_height
            fees = (await client.get_recent_prioritization_fees()).value
            assert fees
            assert all(entry.prioritization_fee == 0 for entry in fees)

    asyncio.run(flow())


def test_history_is_newest_first_and_pages(chain: Localnet) -> None:
    async def flow() -> None:
        async with AsyncClient(chain.rpc_url, commitment=Confirmed) as client:
            wallets, friend = Wallets(client), Keypair().pubkey()
            await wallets.fund()
            sent = [await wallets.send([wallets.pay(friend, SOL + number)]) for number in range(4)]
            newest_first = list(reversed(sent))
            listed = (await client.get_signatures_for_address(friend)).value
            assert [entry.signature for entry in listed] == newest_first
            assert all(entry.err is None and entry.block_time is not None for entry in listed)
            page = (await client.get_signatures_for_address(friend, before=newest_first[0], limit=2)).value
            assert [entry.signature for entry in page] == newest_first[1:3]
            rest = (await client.get_signatures_for_address(friend, until=newest_first[2])).value
            assert [entry.signature for entry in rest] == newest_first[:2]

    asyncio.run(flow())


def test_subscriptions_tell_slots_accounts_and_one_signature(chain: Localnet) -> None:
    async def flow() -> None:
        async with AsyncClient(chain.rpc_url, commitment=Confirmed) as client, SolanaWsClient(chain.ws_url) as ws:

            async def told_next() -> object:
                return (await asyncio.wait_for(ws.recv(), 5)).result

            wallets, friend = Wallets(client), Keypair().pubkey()
            await wallets.fund()
            slots = await ws.slot_subscribe()
            first, second = await told_next(), await told_next()
            assert second.slot == first.slot + 1 == second.parent + 1
            await ws.unsubscribe(slots)

            account = await ws.account_subscribe(pubkey=friend, commitment=Confirmed, encoding="base64")
            tx, _ = await wallets.sign([wallets.pay(friend, 2 * SOL)])
            await ws.signature_subscribe(signature=tx.signatures[0], commitment=Finalized)
            await client.send_transaction(tx, TxOpts(preflight_commitment=Confirmed))
            # Slots told before the unsubscription may still be queued.
            change = await told_next()
            while hasattr(change, "slot"):
                change = await told_next()
            assert change.value.lamports == 2 * SOL
            assert (await told_next()).value.err is None
            status = (await client.get_signature_statuses([tx.signatures[0]])).value[0]
            assert status.confirmation_status == TransactionConfirmationStatus.Finalized
            await ws.unsubscribe(account)

    asyncio.run(flow())


def test_a_cut_connection_is_an_error_of_the_client_not_an_answer(chain: Localnet) -> None:
    async def flow() -> None:
        async with AsyncClient(chain.rpc_url, max_transport_retries=0) as client:
            chain.call("frt_setFaults", {"lost_reply": {"probability": 1}})
            with pytest.raises(SolanaRpcException):
                await client.get_slot()
            chain.call("frt_setFaults", {})
            assert (await client.get_slot()).value >= 0

    asyncio.run(flow())
