/* The treasury: consolidation (17), withdrawal (15), donation (23): CONTRACT.md 3.12, 3.13. */
#include "checks.h"

typedef struct {
    u64 liquidity;
    u64 swap;
    u64 liquidity_operations;
    u64 swap_operations;
} Batch;

/* Splits `amount` over the two fee buckets in proportion; the odd lamport goes to the larger remainder. */
INLINE void split_amount(const Pool *pool, u64 amount, u64 *liquidity, u64 *swap) {
    u64 in_liquidity = pool->collected_liquidity_fees, in_swap = pool->collected_swap_fees;
    u64 sum = in_liquidity + in_swap, liquidity_rest, swap_rest;
    if (sum == 0) abort();
    *liquidity = mul_div(amount, in_liquidity, sum, &liquidity_rest);
    *swap = mul_div(amount, in_swap, sum, &swap_rest);
    u64 rest = amount - *liquidity - *swap;
    if (liquidity_rest >= swap_rest) {
        *liquidity += rest;
    } else {
        *swap += rest;
    }
    if (BUG(44)) {
        *liquidity = amount;
        *swap = 0;
    }
}

NOINLINE u64 consolidate_pool(const Context *c, Account *account, bool system_paused, Batch *batch) {
    TRY(check_pool(account, 0, c->program_id));
    Pool *pool = pool_of(account);
    u8 both = FLAG_LIQUIDITY_PAUSED | FLAG_SWAPS_PAUSED;
    if (!BUG(47) && !system_paused && (pool->flags & both) != both) return OK;
    if (pool->total_fees_collected <= pool->total_fees_consolidated) return OK;
    u64 pending = pool->total_fees_collected - pool->total_fees_consolidated;
    u64 kept = rent_minimum(BUG(43) ? POOL_SIZE : POOL_RENT_SIZE);
    u64 amount = account->lamports > kept ? account->lamports - kept : 0;
    if (amount > pending) amount = pending;
    if (amount == 0) return OK;

    u64 liquidity, swap;
    split_amount(pool, amount, &liquidity, &swap);
    if (amount == pending) {
        pool->collected_liquidity_fees = 0;
        pool->collected_swap_fees = 0;
    } else {
        pool->collected_liquidity_fees -= liquidity;
        pool->collected_swap_fees -= swap;
    }
    if (!BUG(45)) pool->total_fees_consolidated += amount;
    pool->last_consolidation = unix_now();
    pool->consolidations += 1;
    account->lamports -= amount;
    c->account[2]->lamports += amount;
    batch->liquidity += liquidity;
    batch->swap += swap;
    /* Operations are counted by the default fees, whatever the pool charges. */
    batch->liquidity_operations += liquidity / DEFAULT_LIQUIDITY_FEE;
    batch->swap_operations += swap / DEFAULT_SWAP_FEE;
    return OK;
}

NOINLINE u64 consolidate_pool_fees(const Context *c) {
    u64 pools = c->data[1];
    REQUIRE(pools != 0 && pools <= MAX_CONSOLIDATED_POOLS, INVALID_ARGUMENT);
    if (c->count < 4 + pools) abort();
    REQUIRE(c->count == 4 + pools, NOT_ENOUGH_ACCOUNT_KEYS);
    Account *system = c->account[1], *account = c->account[2];
    TRY(check_treasury_key(account, c->program_id, INVALID_ACCOUNT_DATA));
    if (BUG(22)) {
        TRY(check_signer(c->account[0]));
        TRY(check_system_loaded(system, c->program_id));
    } else {
        TRY(check_admin(c->account[0], system, c->account[3], c->program_id));
    }
    REQUIRE(key_eq(&system->owner, c->program_id), INCORRECT_PROGRAM_ID);

    Batch batch = {0, 0, 0, 0};
    for (u64 i = 0; i < pools; i++) {
        TRY(consolidate_pool(c, c->account[4 + i], system_of(system)->paused, &batch));
    }
    REQUIRE(account->data_length == TREASURY_SIZE, BORSH_IO_ERROR);
    Treasury *treasury = treasury_of(account);
    treasury->total_liquidity_fees += batch.liquidity;
    if (!BUG(46)) treasury->total_regular_swap_fees += batch.swap;
    treasury->total_swap_contract_fees += batch.swap;
    treasury->liquidity_operations += batch.liquidity_operations;
    treasury->regular_swaps += batch.swap_operations;
    treasury->consolidations += 1;
    treasury->last_update = unix_now();
    treasury->total_balance = account->lamports;
    return OK;
}

/* Hourly limit: 10 SOL times the smallest power of ten that drains the stored balance within 48 hours. */
INLINE u64 withdrawal_limit(const Treasury *treasury) {
    u64 balance = treasury->total_balance, reserve = treasury->rent_exempt_minimum;
    u64 drained = balance > reserve ? balance - reserve : 0;
    u64 limit = WITHDRAWAL_BASE_LIMIT;
    /* Two more digits would pass u64; no supply of lamports reaches that tier. */
    while (drained > limit * WITHDRAWAL_DRAIN_HOURS && limit < 100000000000000000ULL) limit *= 10;
    return limit;
}

NOINLINE u64 withdraw_treasury_fees(const Context *c) {
    if (c->count < 6) abort();
    Account *account = c->account[1], *target = c->account[3];
    REQUIRE(account->writable && target->writable, INVALID_ACCOUNT_DATA);
    TRY(check_treasury_key(account, c->program_id, INVALID_ACCOUNT_DATA));
    TRY(check_system(c->account[4], c->program_id));
    TRY(check_admin(c->account[0], c->account[4], c->account[5], c->program_id));
    REQUIRE(key_eq(&c->account[2]->key, RENT_SYSVAR), INVALID_ARGUMENT);
    REQUIRE(account->data_length >= TREASURY_SIZE, INVALID_ACCOUNT_DATA);
    Treasury *treasury = treasury_of(account);

    u64 kept = rent_minimum(TREASURY_SIZE), requested = get_u64(c->data + 1);
    u64 available = account->lamports > kept ? account->lamports - kept : 0;
    u64 amount = requested == 0 ? available : requested;
    REQUIRE(amount != 0, INSUFFICIENT_FUNDS);
    REQUIRE(requested == 0 || requested >= WITHDRAWAL_MIN, INVALID_INSTRUCTION_DATA);
    REQUIRE(amount <= available, INSUFFICIENT_FUNDS);
    i64 now = unix_now(), last = treasury->last_withdrawal;
    REQUIRE(last <= now, INVALID_INSTRUCTION_DATA);
    REQUIRE(amount <= withdrawal_limit(treasury), INVALID_INSTRUCTION_DATA);
    REQUIRE(last == 0 || now - last >= WITHDRAWAL_WINDOW_S, INVALID_INSTRUCTION_DATA);

    account->lamports -= amount;
    target->lamports += amount;
    treasury->withdrawals += 1;
    treasury->total_withdrawn += amount;
    treasury->last_withdrawal = now;
    treasury->last_update = now;
    treasury->total_balance = account->lamports;
    return OK;
}

NOINLINE u64 donate_sol(const Context *c) {
    REQUIRE(c->count == 4, INVALID_ACCOUNT_DATA);
    Account *donor = c->account[0], *account = c->account[1];
    u64 amount = get_u64(c->data + 1);
    TRY(check_signer(donor));
    REQUIRE(donor->writable && account->writable, INVALID_ACCOUNT_DATA);
    REQUIRE(key_eq(&c->account[3]->key, SYSTEM_PROGRAM), INCORRECT_PROGRAM_ID);
    REQUIRE(amount >= DONATION_MIN, INVALID_ARGUMENT);
    REQUIRE(donor->lamports >= amount, INSUFFICIENT_FUNDS);
    TRY(check_treasury_key(account, c->program_id, INVALID_ACCOUNT_DATA));
    TRY(check_system(c->account[2], c->program_id));
    TRY(system_transfer(donor, account, amount));
    REQUIRE(account->data_length >= TREASURY_SIZE, INVALID_ACCOUNT_DATA);
    Treasury *treasury = treasury_of(account);
    treasury->donations += 1;
    treasury->total_donations += amount;
    treasury->last_update = unix_now();
    treasury->total_balance = account->lamports;
    return OK;
}
