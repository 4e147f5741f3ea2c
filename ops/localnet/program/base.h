/* Plain types, result codes, constants and well-known keys of the program (CONTRACT.md 1, 3, 7). */
#ifndef FRT_BASE_H
#define FRT_BASE_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
typedef _Bool bool;
#define true 1
#define false 0
#define U64_MAX 0xffffffffffffffffULL

/* BUG(n) is a constant: without -DMUTANT no trace of a seeded bug reaches the object file.
 * What each number does wrong is said in mutants.py. */
#ifndef MUTANT
#define MUTANT 0
#endif
#define BUG(n) (MUTANT == (n))

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))
#define PACKED __attribute__((packed))

/* A result is 0, a custom code in the low word, or a builtin error's number in the high word. */
#define BUILTIN(n) ((u64)(n) << 32)
#define OK 0ULL
#define CUSTOM_ZERO BUILTIN(1)
#define INVALID_ARGUMENT BUILTIN(2)
#define INVALID_INSTRUCTION_DATA BUILTIN(3)
#define INVALID_ACCOUNT_DATA BUILTIN(4)
#define INSUFFICIENT_FUNDS BUILTIN(6)
#define INCORRECT_PROGRAM_ID BUILTIN(7)
#define MISSING_REQUIRED_SIGNATURE BUILTIN(8)
#define ACCOUNT_ALREADY_INITIALIZED BUILTIN(9)
#define UNINITIALIZED_ACCOUNT BUILTIN(10)
#define NOT_ENOUGH_ACCOUNT_KEYS BUILTIN(11)
#define BORSH_IO_ERROR BUILTIN(15)
#define ARITHMETIC_OVERFLOW BUILTIN(24)

#define E_SWAP_OVERFLOW 1019ULL
#define E_SYSTEM_PAUSED 1023ULL
#define E_SYSTEM_ALREADY_PAUSED 1024ULL
#define E_SYSTEM_NOT_PAUSED 1025ULL
#define E_POOL_SWAPS_PAUSED 1027ULL
#define E_SWAP_RESTRICTED 1028ULL
#define E_FEE_BALANCE 1031ULL
#define E_FEE_VALIDATION 1033ULL
#define E_TREASURY_OR_POOL_ID 1034ULL
#define E_POOL_LIQUIDITY_PAUSED 1035ULL
#define E_FEE_UPDATE_FLAGS 1043ULL
#define E_LIQUIDITY_FEE 1044ULL
#define E_SWAP_FEE 1045ULL
#define E_AMOUNT_MISMATCH 1047ULL
#define E_UNSUPPORTED_RATIO 1049ULL
#define E_LP_DELTA 3001ULL
#define E_LP_ACCOUNT 4001ULL

#define TRY(expression)             \
    do {                            \
        u64 try_code = (expression); \
        if (try_code) return try_code; \
    } while (0)
#define REQUIRE(condition, code) \
    do {                         \
        if (!(condition)) return (code); \
    } while (0)

/* Lamports, seconds and counts of CONTRACT.md 1. */
#define REGISTRATION_FEE 1150000000ULL
#define DEFAULT_LIQUIDITY_FEE 13000000ULL
#define DEFAULT_SWAP_FEE 271500ULL
#define LIQUIDITY_FEE_MIN 100000ULL
#define LIQUIDITY_FEE_MAX 100000000ULL
#define SWAP_FEE_MIN 10000ULL
#define SWAP_FEE_MAX 10000000ULL
#define MAX_CONSOLIDATED_POOLS 20
#define DONATION_MIN 100000000ULL
#define WITHDRAWAL_MIN 10000000ULL
#define WITHDRAWAL_WINDOW_S 3600
#define WITHDRAWAL_BASE_LIMIT 10000000000ULL
#define WITHDRAWAL_DRAIN_HOURS 48
#define RESTART_PENALTY_S 255600
#define ADMIN_TIMELOCK_S 259200

/* Sizes in bytes. */
#define POOL_SIZE 438
#define POOL_RENT_SIZE 440 /* the struct's size in memory: what consolidation protects (CONTRACT.md 3.12) */
#define SYSTEM_SIZE 83
#define TREASURY_SIZE 136
#define TOKEN_SIZE 165
#define MINT_SIZE 82

typedef struct PACKED {
    u64 word[4];
} Pubkey;

static const u8 SYSTEM_PROGRAM_BYTES[32] = {0};
static const u8 TOKEN_PROGRAM_BYTES[32] = {
    0x06, 0xdd, 0xf6, 0xe1, 0xd7, 0x65, 0xa1, 0x93, 0xd9, 0xcb, 0xe1, 0x46, 0xce, 0xeb, 0x79, 0xac,
    0x1c, 0xb4, 0x85, 0xed, 0x5f, 0x5b, 0x37, 0x91, 0x3a, 0x8c, 0xf5, 0x85, 0x7e, 0xff, 0x00, 0xa9};
static const u8 RENT_SYSVAR_BYTES[32] = {
    0x06, 0xa7, 0xd5, 0x17, 0x19, 0x2c, 0x5c, 0x51, 0x21, 0x8c, 0xc9, 0x4c, 0x3d, 0x4a, 0xf1, 0x7f,
    0x58, 0xda, 0xee, 0x08, 0x9b, 0xa1, 0xfd, 0x44, 0xe3, 0xdb, 0xd9, 0x8a, 0x00, 0x00, 0x00, 0x00};
static const u8 UPGRADEABLE_LOADER_BYTES[32] = {
    0x02, 0xa8, 0xf6, 0x91, 0x4e, 0x88, 0xa1, 0xb0, 0xe2, 0x10, 0x15, 0x3e, 0xf7, 0x63, 0xae, 0x2b,
    0x00, 0xc2, 0xb9, 0x3d, 0x16, 0xc1, 0x24, 0xd2, 0xc0, 0x53, 0x7a, 0x10, 0x04, 0x80, 0x00, 0x00};
/* The id compiled into the view instructions 7, 9 and 10: 4aeVqtWh... (localnet). */
static const u8 DECLARED_ID_BYTES[32] = {
    0x35, 0x31, 0xa0, 0x34, 0x7f, 0x4a, 0x39, 0xde, 0xd2, 0xbf, 0xf8, 0x6a, 0x4f, 0xd2, 0xcc, 0x20,
    0x0e, 0x14, 0x7f, 0x60, 0xdf, 0xce, 0xaf, 0x63, 0xe1, 0xed, 0xe6, 0x4a, 0xe2, 0x2a, 0x0f, 0x53};
#define SYSTEM_PROGRAM ((const Pubkey *)SYSTEM_PROGRAM_BYTES)
#define TOKEN_PROGRAM ((const Pubkey *)TOKEN_PROGRAM_BYTES)
#define RENT_SYSVAR ((const Pubkey *)RENT_SYSVAR_BYTES)
#define UPGRADEABLE_LOADER ((const Pubkey *)UPGRADEABLE_LOADER_BYTES)
#define DECLARED_ID ((const Pubkey *)DECLARED_ID_BYTES)

INLINE bool key_eq(const Pubkey *a, const Pubkey *b) {
    return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->word[2] == b->word[2] && a->word[3] == b->word[3];
}

INLINE bool key_is_zero(const Pubkey *a) {
    return (a->word[0] | a->word[1] | a->word[2] | a->word[3]) == 0;
}

/* Unsigned bytewise order: the rule that decides which mint is A. */
NOINLINE bool key_less(const Pubkey *a, const Pubkey *b) {
    const u8 *x = (const u8 *)a, *y = (const u8 *)b;
    for (u64 i = 0; i < 32; i++) {
        if (x[i] != y[i]) return x[i] < y[i];
    }
    return false;
}
#endif
