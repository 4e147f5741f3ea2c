/* Account layouts, packed so that the C fields are the borsh bytes (CONTRACT.md 4). */
#ifndef FRT_STATE_H
#define FRT_STATE_H
#include "runtime.h"

#define FLAG_SIMPLE 0x01
#define FLAG_LIQUIDITY_PAUSED 0x02
#define FLAG_SWAPS_PAUSED 0x04
#define FLAG_OWNER_ONLY 0x20
#define FLAG_EXACT 0x40

typedef struct PACKED {
    Pubkey owner;
    Pubkey mint[2]; /* [0] is side A, [1] side B, everywhere */
    Pubkey vault[2];
    Pubkey lp_mint[2];
    u64 ratio[2];
    u64 liquidity[2];
    u8 bump;
    u8 vault_bump[2];
    u8 lp_mint_bump[2];
    u8 flags;
    u64 liquidity_fee;
    u64 swap_fee;
    u64 token_fees[4];
    u64 collected_liquidity_fees;
    u64 collected_swap_fees;
    u64 total_fees_collected;
    i64 last_consolidation;
    u64 consolidations;
    u64 total_fees_consolidated;
    u64 limits[6];
    u64 reserved[4];
} Pool;
_Static_assert(sizeof(Pool) == POOL_SIZE, "pool layout");

typedef struct PACKED {
    u64 total_balance;
    u64 rent_exempt_minimum;
    u64 total_withdrawn;
    u64 pool_creations;
    u64 liquidity_operations;
    u64 regular_swaps;
    u64 withdrawals;
    u64 failed_operations;
    u64 total_pool_creation_fees;
    u64 total_liquidity_fees;
    u64 total_regular_swap_fees;
    u64 total_swap_contract_fees;
    i64 last_update;
    u64 consolidations;
    i64 last_withdrawal;
    u64 donations;
    u64 total_donations;
} Treasury;
_Static_assert(sizeof(Treasury) == TREASURY_SIZE, "treasury layout");

/* The fixed head of SystemState; the optional pending admin and the change time follow. */
typedef struct PACKED {
    u8 paused;
    i64 pause_time;
    u8 pause_reason;
    Pubkey admin;
    u8 has_pending;
    Pubkey pending;      /* present only when has_pending is 1 */
    i64 change_time;     /* at 43 when has_pending is 0: use change_time_of */
} System;
_Static_assert(sizeof(System) == SYSTEM_SIZE, "system state layout");

typedef struct PACKED {
    i64 value;
} Time;

INLINE Time *change_time_of(System *state) {
    return (Time *)((u8 *)state + (state->has_pending ? 75 : 43));
}

typedef struct PACKED {
    Pubkey mint;
    Pubkey owner;
    u64 amount;
    u32 has_delegate;
    Pubkey delegate;
    u8 state; /* 0 uninitialized, 1 initialized, 2 frozen */
    u32 is_native;
    u64 native_reserve;
    u64 delegated_amount;
    u32 has_close_authority;
    Pubkey close_authority;
} Token;
_Static_assert(sizeof(Token) == TOKEN_SIZE, "token account layout");

typedef struct PACKED {
    u32 has_authority;
    Pubkey authority;
    u64 supply;
    u8 decimals;
    u8 initialized;
    u32 has_freeze_authority;
    Pubkey freeze_authority;
} Mint;
_Static_assert(sizeof(Mint) == MINT_SIZE, "mint layout");

INLINE Pool *pool_of(Account *account) { return (Pool *)account->data; }
INLINE System *system_of(Account *account) { return (System *)account->data; }
INLINE Treasury *treasury_of(Account *account) { return (Treasury *)account->data; }
INLINE Token *token_of(Account *account) { return (Token *)account->data; }
INLINE Mint *mint_of(Account *account) { return (Mint *)account->data; }
#endif
