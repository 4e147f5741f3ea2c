/* InitializeProgram (0) and InitializePool (1): CONTRACT.md 3.2, 3.3, 5. */
#include "checks.h"

/* Creates one of the two singletons; its name is its only seed. */
INLINE u64 create_singleton(const Context *c, Account *account, const Slice *name, u8 bump, u64 space) {
    Slice seed[2] = {*name, {&bump, 1}};
    Slice signer = {seed, 2};
    return create_account(c->account[0], account, space, c->program_id, &signer);
}

NOINLINE u64 initialize_program(const Context *c) {
    REQUIRE(c->count == 6, INVALID_ACCOUNT_DATA);
    Account *authority = c->account[0], *system = c->account[3], *treasury = c->account[4];
    REQUIRE(key_eq(&c->account[2]->key, RENT_SYSVAR), INVALID_ARGUMENT);
    TRY(check_signer(authority));
    REQUIRE(is_upgrade_authority(authority, c->account[5], c->program_id), INVALID_ACCOUNT_DATA);

    Pubkey expected;
    u8 system_bump = FIND_NAMED("system_state", c->program_id, &expected);
    REQUIRE(key_eq(&system->key, &expected), INVALID_ACCOUNT_DATA);
    REQUIRE(system->data_length == 0, ACCOUNT_ALREADY_INITIALIZED);
    u8 treasury_bump = FIND_NAMED("main_treasury", c->program_id, &expected);
    REQUIRE(key_eq(&treasury->key, &expected), INVALID_ACCOUNT_DATA);

    Slice system_name = SEED_TEXT("system_state"), treasury_name = SEED_TEXT("main_treasury");
    TRY(create_singleton(c, system, &system_name, system_bump, SYSTEM_SIZE));
    System *state = system_of(system);
    state->admin = *get_key(c->data + 1);
    state->has_pending = 1; /* the first admin is its own pending admin */
    state->pending = state->admin;
    state->change_time = unix_now();
    /* A new account is zeroed, which is a treasury with every counter at 0. */
    return create_singleton(c, treasury, &treasury_name, treasury_bump, TREASURY_SIZE);
}

/* ---- ratio classification ---- */

typedef enum { SIMPLE, DECIMAL, ENGINEERING } RatioType;

/* 10^decimals in wrapping arithmetic: 20 and more digits wrap, 64 and more give 0. */
INLINE u64 wrapping_factor(u8 decimals) {
    u64 factor = 1;
    for (u64 i = 0; i < decimals; i++) factor *= 10;
    return factor;
}

/* A side below one display unit is read as display units, saturating. */
INLINE u64 adjusted_side(u64 ratio, u64 factor) {
    if (factor <= 1 || ratio >= factor || ratio % factor == 0) return ratio;
    Wide product;
    wide_mul(ratio, factor, &product);
    return product.high ? U64_MAX : product.low;
}

NOINLINE RatioType classify_ratio(u64 ratio_a, u64 ratio_b, u8 decimals_a, u8 decimals_b) {
    u64 factor_a = wrapping_factor(decimals_a), factor_b = wrapping_factor(decimals_b);
    if (factor_a == 0 || factor_b == 0) abort();
    u64 a = adjusted_side(ratio_a, factor_a), b = adjusted_side(ratio_b, factor_b);
    if (a / factor_a != 1 && b / factor_b != 1) return ENGINEERING;
    return a % factor_a == 0 && b % factor_b == 0 ? SIMPLE : DECIMAL;
}

/* ---- InitializePool ---- */

/* Addresses and bumps of a pool to be created; the order of `key` is A, B. */
typedef struct {
    Pubkey pool;
    Pubkey vault[2];
    Pubkey lp_mint[2];
    u8 bump;
    u8 vault_bump[2];
    u8 lp_mint_bump[2];
    Account *mint[2];
    u64 ratio[2];
} Plan;

NOINLINE u8 find_pool_part(const char *name, u64 length, const Plan *plan, const Pubkey *program, Pubkey *out) {
    Slice seed[2] = {{name, length}, {&plan->pool, 32}};
    u8 bump;
    find_address(seed, 2, program, out, &bump);
    return bump;
}
#define FIND_PART(name, plan, program, out) find_pool_part(name, sizeof(name) - 1, plan, program, out)

NOINLINE u64 check_pool_addresses(const Context *c, Plan *plan) {
    Slice seed[5] = {SEED_TEXT("pool_state"),
                     {&plan->mint[0]->key, 32},
                     {&plan->mint[1]->key, 32},
                     {&plan->ratio[0], 8},
                     {&plan->ratio[1], 8}};
    find_address(seed, 5, c->program_id, &plan->pool, &plan->bump);
    REQUIRE(key_eq(&c->account[3]->key, &plan->pool), INVALID_ACCOUNT_DATA);
    REQUIRE(c->account[3]->data_length == 0, ACCOUNT_ALREADY_INITIALIZED);
    plan->vault_bump[0] = FIND_PART("token_a_vault", plan, c->program_id, &plan->vault[0]);
    plan->vault_bump[1] = FIND_PART("token_b_vault", plan, c->program_id, &plan->vault[1]);
    plan->lp_mint_bump[0] = FIND_PART("lp_token_a_mint", plan, c->program_id, &plan->lp_mint[0]);
    plan->lp_mint_bump[1] = FIND_PART("lp_token_b_mint", plan, c->program_id, &plan->lp_mint[1]);
    for (u64 side = 0; side < 2; side++) {
        REQUIRE(key_eq(&c->account[9 + side]->key, &plan->vault[side]), INVALID_ACCOUNT_DATA);
        REQUIRE(key_eq(&c->account[11 + side]->key, &plan->lp_mint[side]), INVALID_ACCOUNT_DATA);
    }
    return OK;
}

/* Creates one vault or LP mint, owned by SPL Token. */
NOINLINE u64 create_part(const Context *c, Account *account, const Slice *name, const u8 *bump, u64 space) {
    Slice seed[3] = {*name, {&c->account[3]->key, 32}, {bump, 1}};
    Slice signer = {seed, 3};
    return create_account(c->account[0], account, space, TOKEN_PROGRAM, &signer);
}

NOINLINE u64 create_pool_accounts(const Context *c, const Plan *plan) {
    Account *pool = c->account[3], *rent = c->account[6];
    Slice seed[6] = {SEED_TEXT("pool_state"),  {&plan->mint[0]->key, 32}, {&plan->mint[1]->key, 32},
                     {&plan->ratio[0], 8},     {&plan->ratio[1], 8},      {&plan->bump, 1}};
    Slice signer = {seed, 6};
    TRY(create_account(c->account[0], pool, POOL_SIZE, c->program_id, &signer));
    Slice vault_name[2] = {SEED_TEXT("token_a_vault"), SEED_TEXT("token_b_vault")};
    for (u64 side = 0; side < 2; side++) {
        TRY(create_part(c, c->account[9 + side], &vault_name[side], &plan->vault_bump[side], TOKEN_SIZE));
        TRY(token_initialize_account(c->account[9 + side], plan->mint[side], pool, rent));
    }
    Slice lp_name[2] = {SEED_TEXT("lp_token_a_mint"), SEED_TEXT("lp_token_b_mint")};
    for (u64 side = 0; side < 2; side++) {
        /* Decimals come from the mint in the order passed, not from the normalized side (CONTRACT.md 5). */
        u8 decimals = mint_of(c->account[7 + side])->decimals;
        TRY(create_part(c, c->account[11 + side], &lp_name[side], &plan->lp_mint_bump[side], MINT_SIZE));
        TRY(token_initialize_mint(c->account[11 + side], rent, decimals, &pool->key));
    }
    return OK;
}

NOINLINE u64 write_new_pool(const Context *c, const Plan *plan) {
    for (u64 side = 0; side < 2; side++) {
        const Account *mint = plan->mint[side];
        REQUIRE(mint->data_length == MINT_SIZE && ((const Mint *)mint->data)->initialized, INVALID_ACCOUNT_DATA);
    }
    RatioType type = classify_ratio(plan->ratio[0], plan->ratio[1], mint_of(plan->mint[0])->decimals,
                                    mint_of(plan->mint[1])->decimals);
    REQUIRE(type != ENGINEERING, E_UNSUPPORTED_RATIO);
    Pool *pool = pool_of(c->account[3]);
    pool->owner = c->account[0]->key;
    for (u64 side = 0; side < 2; side++) {
        pool->mint[side] = plan->mint[side]->key;
        pool->vault[side] = plan->vault[side];
        pool->lp_mint[side] = plan->lp_mint[side];
        pool->ratio[side] = plan->ratio[side];
        pool->vault_bump[side] = plan->vault_bump[side];
        pool->lp_mint_bump[side] = plan->lp_mint_bump[side];
    }
    pool->bump = plan->bump;
    pool->flags = (type == SIMPLE ? FLAG_SIMPLE : 0) | (c->data[17] & (FLAG_OWNER_ONLY | FLAG_EXACT));
    pool->liquidity_fee = DEFAULT_LIQUIDITY_FEE;
    pool->swap_fee = DEFAULT_SWAP_FEE;
    return OK;
}

/* Steps 10 to 12: the registration fee goes to the treasury. */
NOINLINE u64 take_registration_fee(const Context *c) {
    Account *user = c->account[0], *account = c->account[5];
    REQUIRE(user->lamports >= REGISTRATION_FEE, E_FEE_BALANCE);
    TRY(check_treasury_key(account, c->program_id, E_TREASURY_OR_POOL_ID));
    REQUIRE(account->writable, E_FEE_VALIDATION);
    TRY(system_transfer(user, account, REGISTRATION_FEE));
    REQUIRE(account->data_length >= TREASURY_SIZE, INVALID_ACCOUNT_DATA);
    Treasury *treasury = treasury_of(account);
    treasury->pool_creations += 1;
    if (!BUG(48)) treasury->total_pool_creation_fees += REGISTRATION_FEE;
    treasury->last_update = unix_now();
    treasury->total_balance = account->lamports;
    return OK;
}

NOINLINE u64 initialize_pool(const Context *c) {
    REQUIRE(c->count == 13, INVALID_ACCOUNT_DATA);
    TRY(check_signer(c->account[0]));
    TRY(check_system(c->account[2], c->program_id));
    REQUIRE(key_eq(&c->account[6]->key, RENT_SYSVAR), INVALID_ARGUMENT);
    Account *first = c->account[7], *second = c->account[8];
    for (u64 i = 7; i < 9; i++) {
        if (c->account[i]->data_length < MINT_SIZE) abort();
        REQUIRE(mint_parses(c->account[i]), INVALID_ACCOUNT_DATA);
    }
    Plan plan;
    plan.ratio[0] = get_u64(c->data + 1);
    plan.ratio[1] = get_u64(c->data + 9);
    REQUIRE(plan.ratio[0] != 0 && plan.ratio[1] != 0, INVALID_ARGUMENT);
    REQUIRE(!key_eq(&first->key, &second->key), INVALID_ARGUMENT);
    REQUIRE(key_eq(&first->owner, TOKEN_PROGRAM) && key_eq(&second->owner, TOKEN_PROGRAM), INCORRECT_PROGRAM_ID);
    REQUIRE(key_eq(&c->account[4]->key, TOKEN_PROGRAM), INCORRECT_PROGRAM_ID);
    TRY(take_registration_fee(c));
    bool ordered = key_less(&first->key, &second->key);
    plan.mint[0] = ordered ? first : second;
    plan.mint[1] = ordered ? second : first;
    TRY(check_pool_addresses(c, &plan));
    TRY(create_pool_accounts(c, &plan));
    return write_new_pool(c, &plan);
}
