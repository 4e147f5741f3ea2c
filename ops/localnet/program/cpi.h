/* Derived addresses and calls into the system and SPL Token programs. */
#ifndef FRT_CPI_H
#define FRT_CPI_H
#include "state.h"

typedef struct {
    const Pubkey *key;
    u8 writable;
    u8 signer;
} Meta;

typedef struct {
    const Pubkey *key;
    u64 *lamports;
    u64 data_length;
    u8 *data;
    const Pubkey *owner;
    u64 rent_epoch;
    u8 signer;
    u8 writable;
    u8 executable;
} Info;

typedef struct {
    const Pubkey *program;
    const Meta *metas;
    u64 meta_count;
    const u8 *data;
    u64 data_length;
} Instruction;

#define MAX_CALL_ACCOUNTS 4
#define READ 0
#define WRITE 1
#define SIGN 2

/* One call under construction; lives in the caller's frame. */
typedef struct {
    Meta meta[MAX_CALL_ACCOUNTS];
    Info info[MAX_CALL_ACCOUNTS];
    u64 count;
    u8 data[56];
    u64 length;
} Call;

INLINE void call_account(Call *call, Account *account, u8 mode) {
    Meta *meta = &call->meta[call->count];
    Info *info = &call->info[call->count++];
    meta->key = &account->key;
    meta->writable = (mode & WRITE) != 0;
    meta->signer = (mode & SIGN) != 0;
    info->key = &account->key;
    info->lamports = (u64 *)((u8 *)account + __builtin_offsetof(Account, lamports));
    info->data_length = account->data_length;
    info->data = account->data;
    info->owner = &account->owner;
    info->rent_epoch = U64_MAX; /* the runtime does not read it back */
    info->signer = account->signer;
    info->writable = account->writable;
    info->executable = account->executable;
}

typedef struct PACKED {
    u64 value;
} Word;

typedef struct PACKED {
    u32 value;
} Half;

INLINE void put_u64(u8 *target, u64 value) { ((Word *)target)->value = value; }
INLINE u64 get_u64(const u8 *source) { return ((const Word *)source)->value; }
INLINE u64 get_u32(const u8 *source) { return ((const Half *)source)->value; }
INLINE void put_key(u8 *target, const Pubkey *key) { *(Pubkey *)target = *key; }
INLINE const Pubkey *get_key(const u8 *source) { return (const Pubkey *)source; }

/* signer: the seeds of the one derived address that signs, or 0. */
NOINLINE u64 call_invoke(Call *call, const Pubkey *program, const Slice *signer) {
    Instruction instruction = {program, call->meta, call->count, call->data, call->length};
    return sol_invoke_signed_c(&instruction, call->info, call->count, signer, signer ? 1 : 0);
}

/* ---- derived addresses ---- */

#define SEED_TEXT(text) {text, sizeof(text) - 1}

NOINLINE void find_address(const Slice *seeds, u64 count, const Pubkey *program, Pubkey *out, u8 *bump) {
    if (sol_try_find_program_address(seeds, count, program, out, bump) != OK) abort();
}

NOINLINE u8 find_named(const char *name, u64 length, const Pubkey *program, Pubkey *out) {
    Slice seed[1] = {{name, length}};
    u8 bump;
    find_address(seed, 1, program, out, &bump);
    return bump;
}
#define FIND_NAMED(name, program, out) find_named(name, sizeof(name) - 1, program, out)

/* Signing seeds of a pool_state: the five seeds and the stored bump. */
typedef struct {
    Slice seed[6];
    Slice list;
} PoolSigner;

INLINE void pool_signer(PoolSigner *signer, const Pool *pool) {
    signer->seed[0] = (Slice)SEED_TEXT("pool_state");
    signer->seed[1] = (Slice){&pool->mint[0], 32};
    signer->seed[2] = (Slice){&pool->mint[1], 32};
    signer->seed[3] = (Slice){&pool->ratio[0], 8};
    signer->seed[4] = (Slice){&pool->ratio[1], 8};
    signer->seed[5] = (Slice){&pool->bump, 1};
    signer->list = (Slice){signer->seed, 6};
}

/* ---- system program ---- */

NOINLINE u64 system_transfer(Account *from, Account *to, u64 lamports) {
    Call call;
    call.count = 0;
    call_account(&call, from, WRITE | SIGN);
    call_account(&call, to, WRITE);
    *(u32 *)call.data = 2;
    put_u64(call.data + 4, lamports);
    call.length = 12;
    return call_invoke(&call, SYSTEM_PROGRAM, 0);
}

/* Creates `account` (a derived address that signs with `signer`) with the rent-exempt minimum of `space` bytes. */
NOINLINE u64 create_account(Account *payer, Account *account, u64 space, const Pubkey *owner, const Slice *signer) {
    Call call;
    call.count = 0;
    call_account(&call, payer, WRITE | SIGN);
    call_account(&call, account, WRITE | SIGN);
    *(u32 *)call.data = 0;
    put_u64(call.data + 4, rent_minimum(space));
    put_u64(call.data + 12, space);
    put_key(call.data + 20, owner);
    call.length = 52;
    return call_invoke(&call, SYSTEM_PROGRAM, signer);
}

/* ---- SPL Token ---- */

#define TOKEN_INITIALIZE_MINT 0
#define TOKEN_INITIALIZE_ACCOUNT 1
#define TOKEN_TRANSFER 3
#define TOKEN_MINT_TO 7
#define TOKEN_BURN 8

typedef struct {
    Account *first;
    Account *second;
    Account *authority;
    u64 amount;
} TokenMove;

/* Transfer (from, to), MintTo (mint, to) and Burn (from, mint) share their shape: two accounts and an authority. */
NOINLINE u64 token_move(u8 kind, const TokenMove *move, const Slice *signer) {
    Call call;
    call.count = 0;
    call_account(&call, move->first, WRITE);
    call_account(&call, move->second, WRITE);
    call_account(&call, move->authority, SIGN);
    call.data[0] = kind;
    put_u64(call.data + 1, move->amount);
    call.length = 9;
    return call_invoke(&call, TOKEN_PROGRAM, signer);
}

NOINLINE u64 token_initialize_account(Account *account, Account *mint, Account *owner, Account *rent) {
    Call call;
    call.count = 0;
    call_account(&call, account, WRITE);
    call_account(&call, mint, READ);
    call_account(&call, owner, READ);
    call_account(&call, rent, READ);
    call.data[0] = TOKEN_INITIALIZE_ACCOUNT;
    call.length = 1;
    return call_invoke(&call, TOKEN_PROGRAM, 0);
}

NOINLINE u64 token_initialize_mint(Account *mint, Account *rent, u8 decimals, const Pubkey *authority) {
    Call call;
    call.count = 0;
    call_account(&call, mint, WRITE);
    call_account(&call, rent, READ);
    call.data[0] = TOKEN_INITIALIZE_MINT;
    call.data[1] = decimals;
    put_key(call.data + 2, authority);
    call.data[34] = 0; /* no freeze authority */
    call.length = 35;
    return call_invoke(&call, TOKEN_PROGRAM, 0);
}
#endif
