/* Our own implementation of the Fixed Ratio Trading program for local chains, written from CONTRACT.md.
 * One translation unit: parse the instruction strictly, then dispatch (CONTRACT.md 3.0). */
#include "initialize.c"
#include "liquidity.c"
#include "swap.c"
#include "admin.c"
#include "treasury.c"
#include "views.c"

#define INSTRUCTIONS 25
#define DONATE 23
/* Exact data lengths by discriminator; DonateSol carries a string and is measured apart. */
static const u8 DATA_LENGTH[INSTRUCTIONS] = {33, 18, 73, 73, 81, 73, 33, 1,  1,  1,  1, 1, 2,
                                             1,  1,  9,  1,  2,  2,  34, 34, 66, 50, 0, 33};

INLINE bool is_continuation(u8 byte) { return (byte & 0xc0) == 0x80; }

/* Well-formed UTF-8: shortest forms only, no surrogates, nothing above U+10FFFF. */
NOINLINE bool is_utf8(const u8 *text, u64 length) {
    u64 i = 0;
    while (i < length) {
        u8 lead = text[i++];
        if (lead < 0x80) continue;
        u64 more = lead < 0xc2 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : 0;
        if (more == 0 || length - i < more) return false;
        u8 low = 0x80, high = 0xbf, next = text[i];
        if (lead == 0xe0) low = 0xa0;
        if (lead == 0xed) high = 0x9f;
        if (lead == 0xf0) low = 0x90;
        if (lead == 0xf4) high = 0x8f;
        if (next < low || next > high) return false;
        for (u64 k = 1; k < more; k++) {
            if (!is_continuation(text[i + k])) return false;
        }
        i += more;
    }
    return true;
}

INLINE bool data_parses(const Context *c) {
    u8 kind = c->data[0];
    if (kind >= INSTRUCTIONS) return false;
    if (kind == DONATE) {
        if (c->length < 13) return false;
        u64 text_length = get_u32(c->data + 9);
        return c->length == 13 + text_length && is_utf8(c->data + 13, text_length);
    }
    if (c->length != DATA_LENGTH[kind]) return false;
    return kind != 21 || c->data[1] <= 1; /* SetSwapOwnerOnly's bool */
}

NOINLINE u64 dispatch_view(const Context *c) {
    switch (c->data[0]) {
        case 5: return view_pool_address(c);
        case 6: return view_vault_addresses(c);
        case 7:
            if (c->count < 4) abort();
            return view_declared_pool(c, 2);
        case 8: return view_pause_status(c);
        case 9:
            if (c->count < 1) abort();
            return view_declared_pool(c, 0);
        case 10:
            REQUIRE(c->count >= 1, NOT_ENOUGH_ACCOUNT_KEYS);
            return view_declared_pool(c, 0);
        case 11: return view_sol_balance(c);
        case 14: return get_version();
        case 16: return view_treasury(c);
        default: return view_consolidation(c);
    }
}

NOINLINE u64 dispatch(const Context *c) {
    REQUIRE(c->length != 0, INVALID_INSTRUCTION_DATA);
    REQUIRE(data_parses(c), BORSH_IO_ERROR);
    switch (c->data[0]) {
        case 0: return initialize_program(c);
        case 1: return initialize_pool(c);
        case 2: return deposit(c);
        case 3: return withdraw(c);
        case 4: return swap(c);
        case 12: return pause_system(c);
        case 13: return unpause_system(c);
        case 15: return withdraw_treasury_fees(c);
        case 17: return consolidate_pool_fees(c);
        case 19: return pause_pool(c, true);
        case 20: return pause_pool(c, false);
        case 21: return set_swap_owner_only(c);
        case 22: return update_pool_fees(c);
        case DONATE: return donate_sol(c);
        case 24: return process_admin_change(c);
        default: return dispatch_view(c);
    }
}

u64 entrypoint(u8 *input) {
    Context context;
    parse_input(input, &context);
    return dispatch(&context);
}
