/* Swap (4): CONTRACT.md 3.6 and the arithmetic of section 6. */
#include "checks.h"

/* floor(amount_in * ratio_out / ratio_in) with the decisions of section 6 in their order. */
NOINLINE u64 compute_output(const Pool *pool, u64 side_in, u64 amount_in, u64 *amount_out) {
    Wide product, quotient;
    u64 remainder, ratio_in = pool->ratio[side_in];
    wide_mul(amount_in, pool->ratio[1 - side_in], &product);
    if (BUG(30)) product.high = 0;
    wide_div(&product, ratio_in, &quotient, &remainder);
    if (!BUG(3)) REQUIRE(!(pool->flags & FLAG_EXACT) || remainder == 0, E_AMOUNT_MISMATCH);
    if (!BUG(31)) REQUIRE(quotient.high == 0, E_SWAP_OVERFLOW);
    if (BUG(1) && remainder != 0) quotient.low++;
    if (BUG(2) && remainder >= ratio_in - remainder) quotient.low++;
    if (!BUG(49)) REQUIRE(quotient.low != 0, INVALID_ARGUMENT);
    *amount_out = quotient.low;
    return OK;
}

/* The caller's expectation is an equality, not a minimum. */
INLINE bool expectation_met(u64 computed, u64 expected) {
    if (BUG(40)) return computed >= expected;
    if (BUG(41)) return true;
    if (BUG(42)) return computed <= expected;
    return computed == expected;
}

/* Direction by account 7's mint; both vaults must be the pool's. */
NOINLINE u64 check_swap_accounts(const Context *c, u64 amount_in, u64 *side_out) {
    Account *user = c->account[0], *source = c->account[7], *target = c->account[8];
    const Pool *pool = pool_of(c->account[3]);
    TRY(check_token(source, &user->key, 0, REJECT_DELEGATE));
    TRY(check_token(target, &user->key, 0, REJECT_DELEGATE));
    const Pubkey *mint_in = &token_of(source)->mint, *mint_out = &token_of(target)->mint;
    bool is_a = key_eq(mint_in, &pool->mint[0]);
    REQUIRE(is_a || key_eq(mint_in, &pool->mint[1]), INVALID_ARGUMENT);
    u64 side = is_a ? 0 : 1;
    for (u64 i = 0; i < 2; i++) {
        if (BUG(33) && i == side) continue;
        REQUIRE(key_eq(&c->account[5 + i]->key, &pool->vault[i]), INVALID_ACCOUNT_DATA);
    }
    for (u64 i = 0; i < 2; i++) {
        u64 checked = i == 0 ? side : 1 - side;
        if (BUG(33) && i == 0) continue;
        TRY(check_token(c->account[5 + checked], &c->account[3]->key, &pool->mint[checked], ALLOW_DELEGATE));
    }
    REQUIRE(token_of(source)->amount >= amount_in, INVALID_ACCOUNT_DATA);
    REQUIRE(key_eq(mint_out, &pool->mint[1 - side]), INVALID_ACCOUNT_DATA);
    REQUIRE(key_eq(&c->account[4]->key, TOKEN_PROGRAM), INCORRECT_PROGRAM_ID);
    if (!BUG(36)) {
        REQUIRE(key_eq(&c->account[9]->key, mint_in), INVALID_ACCOUNT_DATA);
        REQUIRE(key_eq(&c->account[10]->key, mint_out), INVALID_ACCOUNT_DATA);
    }
    *side_out = side;
    return OK;
}

NOINLINE u64 swap(const Context *c) {
    REQUIRE(c->count == 11, INVALID_ACCOUNT_DATA);
    Account *user = c->account[0], *pool_account = c->account[3];
    u64 amount_in = get_u64(c->data + 33), side, amount_out;
    REQUIRE(amount_in != 0, INVALID_ARGUMENT);
    TRY(check_signer(user));
    TRY(check_system(c->account[2], c->program_id));
    TRY(check_pool(pool_account, get_key(c->data + 49), c->program_id));
    Pool *pool = pool_of(pool_account);
    if (!BUG(25)) REQUIRE(!(pool->flags & FLAG_SWAPS_PAUSED), E_POOL_SWAPS_PAUSED);
    if (!BUG(26)) {
        REQUIRE(!(pool->flags & FLAG_OWNER_ONLY) || key_eq(&user->key, &pool->owner), E_SWAP_RESTRICTED);
    }
    TRY(check_swap_accounts(c, amount_in, &side));
    TRY(compute_output(pool, side, amount_in, &amount_out));
    REQUIRE(expectation_met(amount_out, get_u64(c->data + 41)), E_AMOUNT_MISMATCH);
    REQUIRE(pool->liquidity[1 - side] >= amount_out, INSUFFICIENT_FUNDS);
    TRY(take_fee(user, pool_account, BUG(6) ? pool->liquidity_fee : pool->swap_fee, SWAP_FEE));

    TokenMove pay_in = {c->account[7], c->account[5 + side], user, amount_in};
    TRY(token_move(TOKEN_TRANSFER, &pay_in, 0));
    PoolSigner signer;
    pool_signer(&signer, pool);
    TokenMove pay_out = {c->account[6 - side], c->account[8], pool_account, amount_out};
    TRY(token_move(TOKEN_TRANSFER, &pay_out, &signer.list));
    REQUIRE(pool->liquidity[side] + amount_in >= amount_in, ARITHMETIC_OVERFLOW);
    if (!BUG(9)) pool->liquidity[side] += amount_in;
    if (!BUG(10)) pool->liquidity[1 - side] -= amount_out;
    return OK;
}
