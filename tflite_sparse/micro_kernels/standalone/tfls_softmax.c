/* SOFTMAX of int8 along the last axis, in the fixed-point arithmetic of reference_ops::Softmax. "Qn" is an int32 of n
 * integer bits, 31 - n bits behind the point (gemmlowp/fixedpoint). */
#include "tfls_fixed_point.h"
#include "tfls_operators.h"

enum {
  kSumBits = 12,    /* the sum of exponentials is Q12 */
  kOutputBits = 23, /* an output of 8 bits leaves as many of Q0 behind */
  k48Over17 = 1515870810,
  k32Over17 = 1010580540, /* both Q2 */
  kOneQ2 = 1 << 29,
  kNewtonSteps = 3
};

static int32_t leading_zeros(uint32_t x) {
#if defined(__GNUC__)
  return __builtin_clz(x);
#else
  int32_t zeros = 0;
  for (; !(x >> 31); x <<= 1) zeros++;
  return zeros;
#endif
}

/* x * 4, saturated */
static int32_t times_four(int32_t x) {
  return x > INT32_MAX / 4 ? INT32_MAX : x < INT32_MIN / 4 ? INT32_MIN : x * 4;
}

/* 1 / (1 + a) of a in [0, 1), all Q0: one_over_one_plus_x_for_x_in_0_1, Newton's method with x as Q2. */
static int32_t one_over_one_plus(int32_t a) {
  const int32_t half = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
  int32_t x = k48Over17 - tfls_high_product(half, k32Over17);
  int32_t i;
  for (i = 0; i < kNewtonSteps; i++) {
    const int32_t error = kOneQ2 - tfls_high_product(x, half);
    x += times_four(tfls_high_product(x, error));
  }
  return x > INT32_MAX / 2 ? INT32_MAX : x * 2;
}

static void softmax_row(const TflsSoftmax* p, const int8_t* input, int8_t* output) {
  int32_t largest = INT8_MIN, sum = 0, i, zeros, scale, exponent;
  for (i = 0; i < p->depth; i++) largest = tfls_larger(largest, input[i]);
  for (i = 0; i < p->depth; i++) {
    const int32_t difference = largest - input[i];
    if (difference < p->entries) sum += tfls_divided_by_power(p->exponentials[difference], kSumBits);
  }
  zeros = leading_zeros((uint32_t)sum);
  scale = one_over_one_plus((int32_t)(((uint32_t)sum << zeros) - 0x80000000u));
  exponent = kSumBits - zeros + kOutputBits;
  for (i = 0; i < p->depth; i++) {
    const int32_t difference = largest - input[i];
    int32_t value = 0;
    if (difference < p->entries)
      value = tfls_divided_by_power(tfls_high_product(scale, p->exponentials[difference]), exponent);
    output[i] = tfls_clamped(value + INT8_MIN, INT8_MIN, INT8_MAX);
  }
}

void tfls_softmax(const TflsSoftmax* params, const int8_t* input, int8_t* output) {
  int32_t row;
  for (row = 0; row < params->rows; row++, input += params->depth, output += params->depth)
    softmax_row(params, input, output);
}
