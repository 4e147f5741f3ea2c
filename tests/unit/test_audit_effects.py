"""What instructions must have done, worked out from their bytes: the odd ones that only strangers send."""

from __future__ import annotations

from domain.audit_effects import SYSTEM, TOKEN, Flow, effects_of
from domain.audit_records import ChainTx, Step, TokenMove
from domain.ids import Address, Signature

PAYER, OTHER, NONCE, FRT = map(Address, ("payer", "other", "nonce", "frt"))
WRAPPED_SOL = Address("So11111111111111111111111111111111111111112")


def carried_out(*steps: Step, mint: str = "mint") -> ChainTx:
    return ChainTx(
        signature=Signature("s"),
        slot=1,
        fee=5_000,
        error=None,
        signers=(PAYER,),
        lamports={PAYER: (100_000, 95_000)},
        tokens={OTHER: TokenMove(mint=Address(mint), owner=PAYER, before=0, after=7)},
        steps=steps,
    )


def test_a_nonce_accounts_withdrawal_moves_lamports():
    data = (5).to_bytes(4, "little") + (77).to_bytes(8, "little")
    step = Step(program=SYSTEM, accounts=(NONCE, OTHER), data=data)
    assert effects_of(carried_out(step), FRT).flows == [
        Flow(source=NONCE, destination=OTHER, lamports=77, top=SYSTEM),
    ]


def test_wrapped_sol_cannot_be_read_from_the_bytes():
    """SyncNative makes tokens of lamports that no instruction names."""
    sync = Step(program=TOKEN, accounts=(OTHER,), data=b"\x11")
    assert not effects_of(carried_out(sync, mint=WRAPPED_SOL), FRT).readable
    assert effects_of(carried_out(sync), FRT).readable
