/* The virtual machine's side: syscalls, the serialized input, sysvars. */
#ifndef FRT_RUNTIME_H
#define FRT_RUNTIME_H
#include "wide.h"

#define HEAP 0x300000000ULL
#define MAX_ACCOUNTS 256
#define SPARE_BYTES 10240

typedef struct {
    const void *address;
    u64 length;
} Slice; /* a seed, or a list of seeds */

extern void abort(void) __attribute__((noreturn));
extern u64 sol_log_(const char *text, u64 length);
extern u64 sol_log_64_(u64 a, u64 b, u64 c, u64 d, u64 e);
extern u64 sol_memset_(void *target, u8 value, u64 length);
extern u64 sol_try_find_program_address(const Slice *seeds, u64 count, const Pubkey *program, Pubkey *out, u8 *bump);
extern u64 sol_get_clock_sysvar(void *out);
extern u64 sol_get_rent_sysvar(void *out);
extern u64 sol_invoke_signed_c(const void *instruction, const void *infos, u64 count, const Slice *signers, u64 signer_count);

/* Account as the loader serialized it; data is followed by spare bytes for growth in a CPI. */
typedef struct PACKED {
    u8 duplicate_of; /* 0xff: the first occurrence */
    u8 signer;
    u8 writable;
    u8 executable;
    u32 reserved;
    Pubkey key;
    Pubkey owner;
    u64 lamports;
    u64 data_length;
    u8 data[];
} Account;

typedef struct {
    Account **account;
    u64 count;
    const u8 *data;
    u64 length;
    const Pubkey *program_id;
} Context;

/* Finds the accounts (same pointer for duplicates), the instruction data and the program id. */
INLINE void parse_input(u8 *input, Context *context) {
    u64 count = *(u64 *)input;
    u8 *cursor = input + 8;
    /* The table lives on the heap: 255 entries do not fit a 4,096-byte frame. */
    context->account = (Account **)HEAP;
    if (count > MAX_ACCOUNTS) abort();
    for (u64 i = 0; i < count; i++) {
        Account *account = (Account *)cursor;
        if (account->duplicate_of == 0xff) {
            context->account[i] = account;
            u64 padded = (account->data_length + 7) & ~7ULL;
            cursor += sizeof(Account) + padded + SPARE_BYTES + 8;
        } else {
            context->account[i] = context->account[account->duplicate_of];
            cursor += 8;
        }
    }
    context->count = count;
    context->length = *(u64 *)cursor;
    context->data = cursor + 8;
    context->program_id = (const Pubkey *)(cursor + 8 + context->length);
}

NOINLINE i64 unix_now(void) {
    i64 clock[5];
    if (sol_get_clock_sysvar(clock) != OK) abort();
    return clock[4];
}

/* Rent-exempt minimum of `size` bytes: (128 + size) * lamports per byte-year * threshold. The threshold is a double,
 * split by hand; the product is exact where the runtime's is: for thresholds of few bits, as every cluster has. */
NOINLINE u64 rent_minimum(u64 size) {
    u64 rent[3];
    if (sol_get_rent_sysvar(rent) != OK) abort();
    u64 yearly = (128 + size) * rent[0];
    u64 exponent = (rent[1] >> 52) & 0x7ff;
    u64 mantissa = (rent[1] & 0xfffffffffffffULL) | 0x10000000000000ULL;
    if (exponent < 1023 - 11 || exponent > 1023 + 11) abort(); /* thresholds outside 2^-11 .. 2^11 make no sense */
    u64 shift = 1075 - exponent, unused;
    return mul_div(yearly, mantissa, 1ULL << shift, &unused);
}
#endif
