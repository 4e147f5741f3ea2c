/* The view instructions (5 to 11, 14, 16, 18): log lines only, no state, no return data (CONTRACT.md 3.9, 3.13).
 * Their texts are our own, as logs are no part of the contract; only GetVersion's version line is fixed. */
#include "checks.h"

#define LOG(text) sol_log_(text, sizeof(text) - 1)

NOINLINE u64 get_version(void) {
    LOG("Contract Version: 0.17.1070");
    return OK;
}

INLINE void log_pool(const Pool *pool) {
    sol_log_64_(pool->ratio[0], pool->ratio[1], pool->liquidity[0], pool->liquidity[1], pool->flags);
    sol_log_64_(pool->liquidity_fee, pool->swap_fee, pool->collected_liquidity_fees, pool->collected_swap_fees,
                pool->total_fees_collected - pool->total_fees_consolidated);
}

/* A pool under the id compiled in, wherever this copy is deployed. */
NOINLINE u64 view_declared_pool(const Context *c, u64 index) {
    TRY(check_pool(c->account[index], 0, DECLARED_ID));
    log_pool(pool_of(c->account[index]));
    return OK;
}

NOINLINE u64 view_pause_status(const Context *c) {
    if (c->count < 1) abort();
    REQUIRE(c->account[0]->data_length == POOL_SIZE, BORSH_IO_ERROR);
    sol_log_64_(pool_of(c->account[0])->flags, 0, 0, 0, 0);
    return OK;
}

NOINLINE u64 view_sol_balance(const Context *c) {
    REQUIRE(c->count >= 1, NOT_ENOUGH_ACCOUNT_KEYS);
    sol_log_64_(c->account[0]->lamports, c->account[0]->data_length, 0, 0, 0);
    return OK;
}

NOINLINE u64 view_treasury(const Context *c) {
    if (c->count < 1) abort();
    Account *account = c->account[0];
    if (account->data_length >= TREASURY_SIZE) {
        const Treasury *treasury = treasury_of(account);
        sol_log_64_(account->lamports, treasury->total_balance, treasury->total_liquidity_fees,
                    treasury->total_regular_swap_fees, treasury->total_withdrawn);
    }
    return OK;
}

NOINLINE u64 view_consolidation(const Context *c) {
    u64 pools = c->data[1];
    if (c->count < pools) abort();
    for (u64 i = 0; i < pools; i++) {
        TRY(check_pool(c->account[i], 0, c->program_id));
        log_pool(pool_of(c->account[i]));
    }
    return OK;
}

/* Logs an address as four little-endian words. */
INLINE void log_key(const Pubkey *key) {
    sol_log_64_(key->word[0], key->word[1], key->word[2], key->word[3], 0);
}

/* Assumes a raw 1:N pool: the base token's side gets the ratio 1. */
NOINLINE u64 view_pool_address(const Context *c) {
    const Pubkey *multiple = get_key(c->data + 1), *base = get_key(c->data + 33);
    u64 one = 1, many = get_u64(c->data + 65);
    bool multiple_first = key_less(multiple, base);
    Slice seed[5] = {SEED_TEXT("pool_state"),
                     {multiple_first ? multiple : base, 32},
                     {multiple_first ? base : multiple, 32},
                     {multiple_first ? &many : &one, 8},
                     {multiple_first ? &one : &many, 8}};
    Pubkey out;
    u8 bump;
    find_address(seed, 5, c->program_id, &out, &bump);
    log_key(&out);
    return OK;
}

NOINLINE u64 view_vault_addresses(const Context *c) {
    Slice name[2] = {SEED_TEXT("token_a_vault"), SEED_TEXT("token_b_vault")};
    for (u64 side = 0; side < 2; side++) {
        Slice seed[2] = {name[side], {c->data + 1, 32}};
        Pubkey out;
        u8 bump;
        find_address(seed, 2, c->program_id, &out, &bump);
        log_key(&out);
    }
    return OK;
}
