/* The math header as a native library, so that a test can compare it with Python's integers in bulk. */
#include "wide.h"

__attribute__((visibility("default"))) void wide_batch(const u64 *input, u64 *output, u64 count) {
    for (u64 i = 0; i < count; i++, input += 3, output += 6) {
        Wide product, quotient;
        u64 remainder;
        wide_mul(input[0], input[1], &product);
        wide_div(&product, input[2], &quotient, &remainder);
        output[0] = product.low;
        output[1] = product.high;
        output[2] = quotient.low;
        output[3] = quotient.high;
        output[4] = remainder;
        output[5] = mul_div(input[0], input[1], input[2], &remainder);
    }
}
