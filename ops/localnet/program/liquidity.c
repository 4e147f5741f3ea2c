/* Deposit (2) and Withdraw (3): CONTRACT.md 3.4, 3.5. */
#include "checks.h"

/* Side of a mint in the pool: 0, 1, or 2 for neither. */
INLINE u64 side_of(const Pool *pool, const Pubkey *mint) {
    if (key_eq(mint, &pool->mint[0])) return 0;
    return key_eq(mint, &pool->mint[1]) ? 1 : 2;
}

/* The used side's vault: its address, then its content. */
INLINE u64 check_vault(const Context *c, const Pool *pool, u64 side) {
    Account *vault = c->account[5 + side];
    REQUIRE(key_eq(&vault->key, &pool->vault[side]), INVALID_ACCOUNT_DATA);
    return check_token(vault, &c->account[3]->key, &pool->mint[side], ALLOW_DELEGATE);
}

/* Checks of a deposit from the pool pause to the balance; the side in *side_out. */
NOINLINE u64 check_deposit(const Context *c, u64 amount, u64 *side_out) {
    Account *user = c->account[0], *source = c->account[7], *target = c->account[8];
    const Pool *pool = pool_of(c->account[3]);
    const Pubkey *mint = get_key(c->data + 1);
    REQUIRE(!(pool->flags & FLAG_LIQUIDITY_PAUSED), E_POOL_LIQUIDITY_PAUSED);
    u64 side = side_of(pool, mint);
    REQUIRE(side < 2, INVALID_INSTRUCTION_DATA);
    Account *lp_mint = c->account[9 + side];
    REQUIRE(key_eq(&lp_mint->key, &pool->lp_mint[side]), INVALID_ACCOUNT_DATA);
    TRY(check_token(source, &user->key, 0, REJECT_DELEGATE));
    /* A bad LP account is noticed here but reported only after the vault and LP mint checks. */
    u64 target_problem = check_token(target, BUG(35) ? 0 : &user->key, 0, REJECT_DELEGATE);
    REQUIRE(key_eq(&token_of(source)->mint, mint), INVALID_INSTRUCTION_DATA);
    TRY(check_vault(c, pool, side));
    TRY(check_lp_mint(lp_mint, &c->account[3]->key));
    REQUIRE(target_problem == OK, E_LP_ACCOUNT);
    if (!BUG(17)) REQUIRE(key_eq(&token_of(target)->mint, &lp_mint->key), INVALID_ACCOUNT_DATA);
    REQUIRE(token_of(source)->amount >= amount, INSUFFICIENT_FUNDS);
    *side_out = side;
    return OK;
}

NOINLINE u64 deposit(const Context *c) {
    REQUIRE(c->count == 11, INVALID_ACCOUNT_DATA);
    Account *user = c->account[0], *pool_account = c->account[3], *target = c->account[8];
    u64 amount = get_u64(c->data + 33), side;
    if (!BUG(18)) TRY(check_signer(user));
    u64 system_code = check_system(c->account[2], c->program_id);
    if (BUG(28) && system_code == E_SYSTEM_PAUSED) system_code = OK;
    TRY(system_code);
    REQUIRE(amount != 0, INVALID_ARGUMENT);
    TRY(check_pool(pool_account, get_key(c->data + 41), c->program_id));
    TRY(check_deposit(c, amount, &side));
    Pool *pool = pool_of(pool_account);
    TRY(take_fee(user, pool_account, BUG(4) ? DEFAULT_LIQUIDITY_FEE : pool->liquidity_fee, LIQUIDITY_FEE));
    REQUIRE(key_eq(&c->account[4]->key, TOKEN_PROGRAM), INCORRECT_PROGRAM_ID);

    TokenMove pay_in = {c->account[7], c->account[5 + side], user, amount};
    TRY(token_move(TOKEN_TRANSFER, &pay_in, 0));
    u64 counted = BUG(32) ? (u32)amount : amount;
    REQUIRE(pool->liquidity[side] + counted >= counted, ARITHMETIC_OVERFLOW);
    pool->liquidity[side] += counted;

    u64 minted = BUG(14) && amount > 1 ? amount - 1 : amount;
    u64 before = token_of(target)->amount;
    PoolSigner signer;
    pool_signer(&signer, pool);
    TokenMove mint_lp = {c->account[9 + side], target, pool_account, minted};
    TRY(token_move(TOKEN_MINT_TO, &mint_lp, &signer.list));
    REQUIRE(token_of(target)->amount - before == minted, E_LP_DELTA);
    return OK;
}

/* Checks of a withdrawal from the pool pause to the LP mint; the side in *side_out. */
NOINLINE u64 check_withdrawal(const Context *c, u64 *side_out) {
    Account *user = c->account[0], *source = c->account[7], *target = c->account[8];
    const Pool *pool = pool_of(c->account[3]);
    const Pubkey *mint = get_key(c->data + 1);
    if (!BUG(24)) REQUIRE(!(pool->flags & FLAG_LIQUIDITY_PAUSED), E_POOL_LIQUIDITY_PAUSED);
    REQUIRE(key_eq(&c->account[9]->key, &pool->lp_mint[0]), INVALID_ACCOUNT_DATA);
    REQUIRE(key_eq(&c->account[10]->key, &pool->lp_mint[1]), INVALID_ACCOUNT_DATA);
    TRY(check_token(target, BUG(37) ? 0 : &user->key, 0, REJECT_DELEGATE));
    TRY(check_token(source, &user->key, 0, REJECT_DELEGATE));
    REQUIRE(key_eq(&token_of(target)->mint, mint), INVALID_INSTRUCTION_DATA);
    u64 side = side_of(pool, mint);
    REQUIRE(side < 2, INVALID_ARGUMENT);
    bool right_lp = key_eq(&token_of(source)->mint, &pool->lp_mint[side]);
    if (BUG(16)) right_lp = right_lp || key_eq(&token_of(source)->mint, &pool->lp_mint[1 - side]);
    REQUIRE(right_lp, INVALID_ACCOUNT_DATA);
    TRY(check_vault(c, pool, side));
    TRY(check_lp_mint(c->account[9 + side], &c->account[3]->key));
    *side_out = side;
    return OK;
}

NOINLINE u64 withdraw(const Context *c) {
    REQUIRE(c->count == 11, INVALID_ACCOUNT_DATA);
    Account *user = c->account[0], *pool_account = c->account[3], *source = c->account[7];
    u64 amount = get_u64(c->data + 33), side;
    if (!BUG(50)) REQUIRE(amount != 0, INVALID_ARGUMENT);
    TRY(check_signer(user));
    TRY(check_system(c->account[2], c->program_id));
    TRY(check_pool(pool_account, get_key(c->data + 41), c->program_id));
    TRY(check_withdrawal(c, &side));
    Pool *pool = pool_of(pool_account);
    TRY(take_fee(user, pool_account, BUG(5) ? pool->swap_fee : pool->liquidity_fee, LIQUIDITY_FEE));
    REQUIRE(key_eq(&c->account[4]->key, TOKEN_PROGRAM), INCORRECT_PROGRAM_ID);

    u64 burned = BUG(15) && amount > 1 ? amount - 1 : amount;
    Account *lp_mint = c->account[9 + side];
    if (BUG(16) && key_eq(&token_of(source)->mint, &pool->lp_mint[1 - side])) lp_mint = c->account[10 - side];
    TokenMove burn_lp = {source, lp_mint, user, burned};
    TRY(token_move(TOKEN_BURN, &burn_lp, 0));
    PoolSigner signer;
    pool_signer(&signer, pool);
    TokenMove pay_out = {c->account[5 + side], c->account[8], pool_account, amount};
    TRY(token_move(TOKEN_TRANSFER, &pay_out, &signer.list));
    REQUIRE(pool->liquidity[side] >= amount, ARITHMETIC_OVERFLOW);
    if (!BUG(11)) pool->liquidity[side] -= amount;
    return OK;
}
