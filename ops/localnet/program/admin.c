/* Administration: system pause, pool pauses, owner-only, pool fees, admin change (CONTRACT.md 3.7, 3.8, 3.10, 3.11, 3.13). */
#include "checks.h"

NOINLINE u64 pause_system(const Context *c) {
    if (c->count < 3) abort();
    Account *system = c->account[1];
    REQUIRE(system->writable, INVALID_ACCOUNT_DATA);
    TRY(check_admin(c->account[0], system, c->account[2], c->program_id));
    System *state = system_of(system);
    REQUIRE(!state->paused, E_SYSTEM_ALREADY_PAUSED);
    state->paused = 1;
    state->pause_time = unix_now();
    state->pause_reason = c->data[1];
    return OK;
}

NOINLINE u64 unpause_system(const Context *c) {
    REQUIRE(c->count >= 4, NOT_ENOUGH_ACCOUNT_KEYS);
    Account *system = c->account[1], *treasury_account = c->account[2];
    REQUIRE(system->writable && treasury_account->writable, INVALID_ACCOUNT_DATA);
    TRY(check_admin(c->account[0], system, c->account[3], c->program_id));
    TRY(check_treasury_key(treasury_account, c->program_id, INVALID_ACCOUNT_DATA));
    System *state = system_of(system);
    REQUIRE(state->paused, E_SYSTEM_NOT_PAUSED);
    state->paused = 0;
    state->pause_time = 0;
    state->pause_reason = 0;
    REQUIRE(treasury_account->data_length >= TREASURY_SIZE, INVALID_ACCOUNT_DATA);
    Treasury *treasury = treasury_of(treasury_account);
    i64 now = unix_now();
    treasury->last_withdrawal = now + RESTART_PENALTY_S;
    treasury->last_update = now;
    return OK;
}

/* The opening that all pool administration shares: accounts 0 admin, 1 system_state, 2 pool_state, 3 ProgramData. */
NOINLINE u64 check_pool_admin(const Context *c, bool any_signer) {
    TRY(check_system(c->account[1], c->program_id));
    if (any_signer) return check_signer(c->account[0]);
    return check_admin(c->account[0], c->account[1], c->account[3], c->program_id);
}

INLINE u8 pool_pause_bits(u8 argument) {
    u8 bits = 0;
    if (argument & 1) bits |= FLAG_LIQUIDITY_PAUSED;
    if (argument & 2) bits |= BUG(27) ? FLAG_LIQUIDITY_PAUSED : FLAG_SWAPS_PAUSED;
    return bits;
}

NOINLINE u64 pause_pool(const Context *c, bool pause) {
    REQUIRE(c->count == 4, INVALID_ACCOUNT_DATA);
    TRY(check_pool_admin(c, BUG(21)));
    TRY(check_pool(c->account[2], get_key(c->data + 2), c->program_id));
    Pool *pool = pool_of(c->account[2]);
    u8 bits = pool_pause_bits(c->data[1]);
    pool->flags = pause ? pool->flags | bits : pool->flags & ~bits;
    return OK;
}

NOINLINE u64 set_swap_owner_only(const Context *c) {
    REQUIRE(c->count == 4, INVALID_ACCOUNT_DATA);
    TRY(check_pool_admin(c, BUG(23)));
    TRY(check_pool(c->account[2], get_key(c->data + 34), c->program_id));
    Pool *pool = pool_of(c->account[2]);
    if (c->data[1]) {
        pool->flags |= FLAG_OWNER_ONLY;
        if (!BUG(29)) pool->owner = *get_key(c->data + 2);
    } else {
        pool->flags &= ~FLAG_OWNER_ONLY;
    }
    return OK;
}

NOINLINE u64 update_pool_fees(const Context *c) {
    REQUIRE(c->count >= 4, NOT_ENOUGH_ACCOUNT_KEYS);
    TRY(check_pool_admin(c, BUG(20)));
    u8 which = c->data[1];
    u64 liquidity_fee = get_u64(c->data + 2), swap_fee = get_u64(c->data + 10);
    REQUIRE(which >= 1 && which <= 3, E_FEE_UPDATE_FLAGS);
    if (which & 1) {
        REQUIRE(liquidity_fee >= LIQUIDITY_FEE_MIN && liquidity_fee <= LIQUIDITY_FEE_MAX, E_LIQUIDITY_FEE);
    }
    if (which & 2) {
        REQUIRE(swap_fee >= SWAP_FEE_MIN && (BUG(7) || swap_fee <= SWAP_FEE_MAX), E_SWAP_FEE);
    }
    TRY(check_pool(c->account[2], get_key(c->data + 18), c->program_id));
    Pool *pool = pool_of(c->account[2]);
    if (which & 1) pool->liquidity_fee = liquidity_fee;
    if (which & 2) pool->swap_fee = BUG(8) ? liquidity_fee : swap_fee;
    return OK;
}

NOINLINE u64 process_admin_change(const Context *c) {
    REQUIRE(c->count == 3, INVALID_ACCOUNT_DATA);
    Account *signer = c->account[0], *system = c->account[1];
    TRY(check_system(system, c->program_id));
    TRY(check_authority(signer, system, c->account[2], c->program_id));
    TRY(check_signer(signer));
    System *state = system_of(system);
    const Pubkey *proposed = get_key(c->data + 1);
    i64 now = unix_now();
    bool repeated = state->has_pending && key_eq(&state->pending, proposed);
    if (repeated && now - state->change_time >= ADMIN_TIMELOCK_S) {
        state->admin = state->pending; /* a no-op when the pending admin is the current one */
        state->has_pending = 0;
        change_time_of(state)->value = 0;
        return OK;
    }
    /* Anything else, an early repeat included, starts the timelock anew. */
    REQUIRE(system->data_length >= SYSTEM_SIZE, INVALID_ACCOUNT_DATA);
    state->has_pending = 1;
    state->pending = *proposed;
    change_time_of(state)->value = now;
    return OK;
}
