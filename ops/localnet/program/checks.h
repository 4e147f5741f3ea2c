/* The checks that several instructions share, each with its steps in the contract's order (CONTRACT.md 3.1). */
#ifndef FRT_CHECKS_H
#define FRT_CHECKS_H
#include "cpi.h"

INLINE u64 check_signer(const Account *account) {
    return account->signer ? OK : MISSING_REQUIRED_SIGNATURE;
}

/* ---- system state ---- */

NOINLINE u64 check_system_key(const Account *account, const Pubkey *program_id) {
    Pubkey expected;
    FIND_NAMED("system_state", program_id, &expected);
    return key_eq(&account->key, &expected) ? OK : INVALID_ACCOUNT_DATA;
}

/* Borsh parse: a bool and an option tag must be 0 or 1; bytes after the fields are tolerated. */
INLINE u64 load_system(Account *account) {
    System *state = system_of(account);
    u64 length = account->data_length;
    REQUIRE(length != 0, UNINITIALIZED_ACCOUNT);
    REQUIRE(length >= 51, INVALID_ACCOUNT_DATA);
    REQUIRE(state->paused <= 1 && state->has_pending <= 1, INVALID_ACCOUNT_DATA);
    REQUIRE(!state->has_pending || length >= SYSTEM_SIZE, INVALID_ACCOUNT_DATA);
    return OK;
}

/* CHK_SYSTEM without its last step. */
NOINLINE u64 check_system_loaded(Account *account, const Pubkey *program_id) {
    TRY(check_system_key(account, program_id));
    return load_system(account);
}

NOINLINE u64 check_system(Account *account, const Pubkey *program_id) {
    TRY(check_system_loaded(account, program_id));
    return system_of(account)->paused ? E_SYSTEM_PAUSED : OK;
}

/* ---- authorities ---- */

typedef struct PACKED {
    u32 tag;
    u64 slot;
    u8 has_authority;
    Pubkey authority;
} ProgramData;

/* The record at the ProgramData address names `signer` as the program's upgrade authority. */
NOINLINE bool is_upgrade_authority(const Account *signer, const Account *record, const Pubkey *program_id) {
    Pubkey expected;
    Slice seed[1] = {{program_id, 32}};
    u8 bump;
    find_address(seed, 1, UPGRADEABLE_LOADER, &expected, &bump);
    const ProgramData *header = (const ProgramData *)record->data;
    return key_eq(&record->key, &expected) && key_eq(&record->owner, UPGRADEABLE_LOADER) &&
           record->data_length >= sizeof(ProgramData) && header->tag == 3 && header->has_authority == 1 &&
           key_eq(&header->authority, &signer->key);
}

/* Steps 4 to 6 of CHK_ADMIN. */
INLINE u64 check_authority(const Account *signer, Account *system, const Account *record, const Pubkey *program_id) {
    if (key_eq(&signer->key, &system_of(system)->admin)) return OK;
    return is_upgrade_authority(signer, record, program_id) ? OK : INVALID_ACCOUNT_DATA;
}

NOINLINE u64 check_admin(const Account *signer, Account *system, const Account *record, const Pubkey *program_id) {
    if (!BUG(19)) TRY(check_signer(signer));
    TRY(check_system_loaded(system, program_id));
    return check_authority(signer, system, record, program_id);
}

NOINLINE u64 check_treasury_key(const Account *account, const Pubkey *program_id, u64 code) {
    Pubkey expected;
    FIND_NAMED("main_treasury", program_id, &expected);
    return key_eq(&account->key, &expected) ? OK : code;
}

/* ---- pool ---- */

/* CHK_POOL; pool_id 0 accepts any pool of this program. */
NOINLINE u64 check_pool(Account *account, const Pubkey *pool_id, const Pubkey *program_id) {
    if (!BUG(39)) REQUIRE(key_eq(&account->owner, program_id), INCORRECT_PROGRAM_ID);
    if (!BUG(34)) REQUIRE(!pool_id || key_eq(&account->key, pool_id), E_TREASURY_OR_POOL_ID);
    REQUIRE(account->data_length >= POOL_SIZE, INVALID_ACCOUNT_DATA);
    const Pool *pool = pool_of(account);
    REQUIRE(!key_is_zero(&pool->mint[0]) && !key_is_zero(&pool->mint[1]), INVALID_ACCOUNT_DATA);
    REQUIRE(pool->ratio[0] != 0 && pool->ratio[1] != 0, INVALID_ACCOUNT_DATA);
    return OK;
}

/* ---- tokens ---- */

#define REJECT_DELEGATE true
#define ALLOW_DELEGATE false

/* CHK_TOKEN; owner and mint may be 0 (not asked). Only the first 165 bytes count. */
NOINLINE u64 check_token(Account *account, const Pubkey *owner, const Pubkey *mint, bool reject_delegate) {
    REQUIRE(account->data_length != 0, UNINITIALIZED_ACCOUNT);
    REQUIRE(key_eq(&account->owner, TOKEN_PROGRAM), INCORRECT_PROGRAM_ID);
    if (account->data_length < TOKEN_SIZE) abort();
    const Token *token = token_of(account);
    REQUIRE(token->has_delegate <= 1 && token->state <= 2, INVALID_ACCOUNT_DATA);
    REQUIRE(token->is_native <= 1 && token->has_close_authority <= 1, INVALID_ACCOUNT_DATA);
    REQUIRE(token->state != 2, INVALID_ACCOUNT_DATA);
    if (reject_delegate && !BUG(38)) {
        REQUIRE(!token->has_delegate || token->delegated_amount == 0, INVALID_ACCOUNT_DATA);
    }
    REQUIRE(!owner || key_eq(&token->owner, owner), INVALID_ACCOUNT_DATA);
    REQUIRE(!mint || key_eq(&token->mint, mint), INVALID_ACCOUNT_DATA);
    return OK;
}

/* The enum tags of a mint; its length and its initialized flag are the caller's business. */
INLINE bool mint_parses(const Account *account) {
    const Mint *mint = (const Mint *)account->data;
    return mint->has_authority <= 1 && mint->initialized <= 1 && mint->has_freeze_authority <= 1;
}

NOINLINE u64 check_lp_mint(Account *account, const Pubkey *pool_key) {
    REQUIRE(key_eq(&account->owner, TOKEN_PROGRAM), INCORRECT_PROGRAM_ID);
    REQUIRE(account->data_length == MINT_SIZE && mint_parses(account), INVALID_ACCOUNT_DATA);
    const Mint *mint = mint_of(account);
    REQUIRE(mint->initialized && mint->has_authority, INVALID_ACCOUNT_DATA);
    return key_eq(&mint->authority, pool_key) ? OK : INVALID_ACCOUNT_DATA;
}

/* ---- fees ---- */

typedef enum { LIQUIDITY_FEE, SWAP_FEE } FeeKind;

/* TAKE_FEE: lamports from the user into pool_state. The caller has just passed CHK_POOL, nothing changed since. */
NOINLINE u64 take_fee(Account *user, Account *pool_account, u64 fee, FeeKind kind) {
    REQUIRE(user->lamports >= fee, E_FEE_BALANCE);
    REQUIRE(pool_account->writable, E_FEE_VALIDATION);
    TRY(system_transfer(user, pool_account, fee));
    Pool *pool = pool_of(pool_account);
    bool liquidity = kind == LIQUIDITY_FEE;
    if (BUG(12)) liquidity = false;
    u64 bucket = liquidity ? pool->collected_liquidity_fees : pool->collected_swap_fees;
    REQUIRE(bucket + fee >= bucket, E_FEE_VALIDATION);
    REQUIRE(pool->total_fees_collected + fee >= fee, E_FEE_VALIDATION);
    if (liquidity) {
        pool->collected_liquidity_fees = bucket + fee;
    } else {
        pool->collected_swap_fees = bucket + fee;
    }
    if (!(BUG(13) && kind == SWAP_FEE)) pool->total_fees_collected += fee;
    return OK;
}
#endif
