"""Every base unit and every lamport: transaction by transaction, account by account, mint by mint."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from domain.audit_effects import Effects, Flow
from domain.audit_findings import Findings
from domain.audit_records import Books, ChainTx
from domain.facts import Mint, TokenAccount
from domain.ids import Address, Signature


def check_transactions(books: Books, effects: Mapping[Signature, Effects], found: Findings) -> None:
    """The balances of each transaction's meta are what its instructions must have made of them."""
    unreadable = 0
    for tx in books.transactions.values():
        effect = effects[tx.signature]
        if not effect.readable and not books.wallets.intersection(tx.signers):
            unreadable += 1
            continue
        tokens = effect.token_deltas()
        shown = {account: move.delta for account, move in tx.tokens.items()}
        wrong = _differences(tokens, shown)
        found.units += sum(abs(expected - actual) for expected, actual in wrong.values())
        where = {"signature": tx.signature, "slot": tx.slot}
        found.equal("tx-tokens", {}, wrong, "token balances changed otherwise than the instructions say", **where)
        lamports = {address: after - before for address, (before, after) in tx.lamports.items()}
        wrong = _differences(effect.lamport_deltas(tx), lamports)
        found.lamports += sum(abs(expected - actual) for expected, actual in wrong.values())
        found.equal("tx-lamports", {}, wrong, "lamports moved otherwise than the instructions say", **where)
    if unreadable:
        found.note(f"{unreadable} transactions of others use programs that the audit cannot read")


def _differences(expected: Mapping[Address, int], actual: Mapping[Address, int]) -> dict[str, tuple[int, int]]:
    return {
        address: (expected.get(address, 0), actual.get(address, 0))
        for address in dict.fromkeys((*expected, *actual))
        if expected.get(address, 0) != actual.get(address, 0)
    }


def check_tokens(books: Books, effects: Mapping[Signature, Effects], found: Findings) -> None:
    """Supply = minted - burned; every unit lies in an account we know; each account holds what moved."""
    moved: defaultdict[Address, int] = defaultdict(int)
    mint_of: dict[Address, Address] = {}
    minted: defaultdict[Address, int] = defaultdict(int)
    opened: set[Address] = set()
    for tx in books.transactions.values():
        for account, move in tx.tokens.items():
            moved[account] += move.delta
            mint_of[account] = move.mint
        for flow in effects[tx.signature].tokens:
            if flow.mint is not None:
                minted[flow.mint] += flow.amount if flow.source is None else -flow.amount
        if books.private or books.wallets.intersection(tx.signers):
            opened |= {flow.destination for flow in effects[tx.signature].flows if flow.opens}
    holders: defaultdict[Address, list[Address]] = defaultdict(list)
    for account, mint in mint_of.items():
        holders[mint].append(account)
    for mint in sorted({*books.mints, *(mint for mint in holders if mint in opened)}):
        _check_mint(books, mint, holders[mint], minted[mint], moved, mint in opened, found)


def _check_mint(
    books: Books,
    mint: Address,
    holders: Iterable[Address],
    minted: int,
    moved: Mapping[Address, int],
    from_the_start: bool,
    found: Findings,
) -> None:
    account = books.accounts.get(mint)
    supply = account.decoded.supply if account is not None and isinstance(account.decoded, Mint) else None
    if supply is None:
        found.holds("supply", condition=False, message="the mint cannot be read", mint=mint)
        return
    if not from_the_start:
        found.note(f"mint {mint} is older than the journal or made by others: its supply was not added up")
    elif not found.equal("supply", minted, supply, "the supply is not minted - burned", mint=mint):
        found.units += abs(supply - minted)
    held = lost = 0
    for holder in holders:
        amount = _amount(books, holder)
        held += amount
        if from_the_start and not found.equal(
            "token-balance", moved[holder], amount, "a token account holds other than what moved", account=holder
        ):
            found.units += abs(moved[holder] - amount)
        if amount and holder not in books.known_accounts:
            lost += amount
    if books.private or from_the_start:
        if not found.equal("conservation", supply, held, "the accounts do not add up to the supply", mint=mint):
            found.units += abs(supply - held)
        if not found.equal("conservation", 0, lost, "units lie where no book of ours knows", mint=mint):
            found.units += lost


def _amount(books: Books, account: Address) -> int:
    read = books.accounts.get(account)
    return read.decoded.amount if read is not None and isinstance(read.decoded, TokenAccount) else 0


def check_lamports(books: Books, effects: Mapping[Signature, Effects], found: Findings) -> None:
    """Each account holds its beginning plus what moved, and whatever left a wallet went where we know it."""
    accounts = {address for address in books.history if address in books.accounts}
    moved: defaultdict[Address, int] = defaultdict(int)
    for tx in books.transactions.values():
        for address, (before, after) in tx.lamports.items():
            if address in accounts:
                moved[address] += after - before
    for address in sorted(accounts):
        account = books.accounts[address]
        final = account.lamports if account else 0
        initial = 0 if books.private else _initial(books, address, final)
        if not found.equal(
            "lamport-balance",
            initial + moved[address],
            final,
            "an account holds other than what moved",
            account=address,
        ):
            found.lamports += abs(initial + moved[address] - final)
    _check_ways(books, effects, found)


def _initial(books: Books, address: Address, final: int) -> int:
    """What the account held before the oldest transaction that we know to have changed it."""
    changes = (tx.lamports[address][0] for tx in books.transactions_of(address) if address in tx.lamports)
    return next(changes, final)


def _check_ways(books: Books, effects: Mapping[Signature, Effects], found: Findings) -> None:
    """Where the wallets' lamports went, and where those came from that no wallet of ours sent."""
    spent: Counter[str] = Counter()
    gifts: Counter[Address] = Counter()
    opened = _ours_to_open(books)
    for tx in books.transactions.values():
        if tx.payer in books.wallets:
            spent["network fees"] += tx.fee
        for flow in effects[tx.signature].flows:
            if flow.source in books.wallets:
                way = _way(books, flow, opened)
                spent[way or "unexplained"] += flow.lamports
                if not found.holds(
                    "ways",
                    way is not None,
                    f"{flow.lamports} lamports of {flow.source} went to {flow.destination}, which no book knows",
                    signature=tx.signature,
                    slot=tx.slot,
                ):
                    found.lamports += flow.lamports
            elif flow.destination in books.wallets and _is_gift(books, tx, flow):
                gifts[flow.destination] += flow.lamports
    for wallet, lamports in gifts.items():
        found.note(f"{lamports} lamports came to {wallet} from outside (an airdrop, or somebody else)")
    if spent:
        found.note("lamports of our wallets: " + ", ".join(f"{way} {spent[way]}" for way in sorted(spent)))


def _ours_to_open(books: Books) -> frozenset[Address]:
    """Accounts whose rent our wallets may pay: those of the books, their mints, and what belongs to the program."""
    addresses = set(books.known_accounts) | set(books.mints) | {books.treasury, books.system_state}
    addresses |= {Address(pool) for pool in books.pools_by_id}
    addresses |= {Address(mint) for op in books.journal.operations for mint in op.inputs.get("mints") or ()}
    return frozenset(addresses)


def _way(books: Books, flow: Flow, opened: frozenset[Address]) -> str | None:
    if flow.top == books.program and flow.destination in books.pools_by_id:
        return "rent" if flow.opens else "pool fees"
    if flow.top == books.program and flow.destination == books.treasury:
        return "rent" if flow.opens else "registration fees and donations"
    if flow.opens:
        return "rent" if flow.destination in opened else None
    if flow.destination in books.wallets:
        return "transfers between our wallets"
    if flow.destination in books.named_wallets or flow.destination in books.known_accounts:
        return "transfers that the journal names"
    return None


def _is_gift(books: Books, tx: ChainTx, flow: Flow) -> bool:
    """Neither rent of an account of ours coming back nor anything one of our wallets signed."""
    return flow.source not in books.known_accounts and not books.wallets.intersection(tx.signers)
