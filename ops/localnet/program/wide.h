/* 128-bit products and quotients from 64-bit parts: the target has no library calls for them. */
#ifndef FRT_WIDE_H
#define FRT_WIDE_H
#include "base.h"

typedef struct {
    u64 low;
    u64 high;
} Wide;

/* out = a * b. The empty asm hides the pattern, which the optimizer would fold back into a missing libcall. */
INLINE void wide_mul(u64 a, u64 b, Wide *out) {
    u64 a_low = a & 0xffffffff, a_high = a >> 32, b_low = b & 0xffffffff, b_high = b >> 32;
    u64 low = a_low * b_low, cross = a_high * b_low, other = a_low * b_high;
    __asm__ volatile("" : "+r"(cross));
    u64 middle = (low >> 32) + (cross & 0xffffffff) + (other & 0xffffffff);
    out->low = (middle << 32) | (low & 0xffffffff);
    out->high = a_high * b_high + (cross >> 32) + (other >> 32) + (middle >> 32);
}

/* One 32-bit quotient digit of (rest : next) / divisor; rest < divisor, divisor normalized to 64 bits. */
INLINE u64 quotient_digit(u64 rest, u64 next, u64 divisor) {
    u64 top = divisor >> 32, bottom = divisor & 0xffffffff;
    u64 digit = rest / top, left = rest % top;
    while ((digit >> 32) != 0 || digit * bottom > ((left << 32) | next)) {
        digit--;
        left += top;
        if ((left >> 32) != 0) break;
    }
    return digit;
}

/* (high : low) / divisor for high < divisor, so that the quotient fits 64 bits (Knuth's algorithm D). */
NOINLINE u64 divide_narrow(u64 high, u64 low, u64 divisor, u64 *remainder) {
    u64 shift = 0;
    while ((divisor >> 63) == 0) {
        divisor <<= 1;
        shift++;
    }
    u64 rest = shift == 0 ? high : (high << shift) | (low >> (64 - shift));
    low <<= shift;
    u64 first = quotient_digit(rest, low >> 32, divisor);
    rest = (rest << 32) + (low >> 32) - first * divisor;
    u64 second = quotient_digit(rest, low & 0xffffffff, divisor);
    rest = (rest << 32) + (low & 0xffffffff) - second * divisor;
    *remainder = rest >> shift;
    return (first << 32) + second;
}

/* quotient = number / divisor, remainder in *remainder; divisor must not be 0. */
INLINE void wide_div(const Wide *number, u64 divisor, Wide *quotient, u64 *remainder) {
    quotient->high = number->high / divisor;
    u64 high = number->high % divisor;
    if (high == 0) {
        quotient->low = number->low / divisor;
        *remainder = number->low % divisor;
    } else {
        quotient->low = divide_narrow(high, number->low, divisor, remainder);
    }
}

/* floor(a * b / divisor), which the caller knows to fit 64 bits. */
NOINLINE u64 mul_div(u64 a, u64 b, u64 divisor, u64 *remainder) {
    Wide product, quotient;
    wide_mul(a, b, &product);
    wide_div(&product, divisor, &quotient, remainder);
    return quotient.low;
}
#endif
