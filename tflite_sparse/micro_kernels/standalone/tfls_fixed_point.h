/* Requantisation as TensorFlow Lite Micro's reference kernels do it (kernels/internal/common.h, double rounding), and
 * what else the C files of this folder share. Right shifts of negative numbers are arithmetic, as in every compiler
 * for these CPUs. */
#ifndef TFLS_FIXED_POINT_H_
#define TFLS_FIXED_POINT_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The assembly is Thumb-2, and reads words at any address. */
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__thumb2__) && defined(__ARM_FEATURE_UNALIGNED) && \
    defined(__GNUC__) && !defined(TFLS_PORTABLE)
#define TFLS_DSP 1
#endif
#if defined(__ARM_FEATURE_MVE) && !defined(TFLS_PORTABLE)
#define TFLS_MVE 1
#endif
#if defined(__GNUC__) && (defined(TFLS_DSP) || defined(TFLS_MVE))
/* A function of assembly alone. The compiler must take nothing for granted of it, not even that it leaves its argument
 * unread; and it must lie at a multiple of 4 bytes, which ADR counts from, whatever the compiler optimises. */
#if defined(__clang__)
#define TFLS_NAKED __attribute__((naked, noinline, unused, aligned(4)))
#else
#define TFLS_NAKED __attribute__((naked, noipa, unused, aligned(4)))
#endif
#define TFLS_UNNAMED __attribute__((unused)) /* an argument that only assembly reads */
#endif
#if defined(__GNUC__)
#define TFLS_INLINE static inline __attribute__((always_inline, unused))
#define TFLS_OUTLINE static __attribute__((noinline))
#else
#define TFLS_INLINE static inline
#define TFLS_OUTLINE static
#endif

TFLS_INLINE int32_t tfls_smaller(int32_t a, int32_t b) { return a < b ? a : b; }
TFLS_INLINE int32_t tfls_larger(int32_t a, int32_t b) { return a > b ? a : b; }

TFLS_INLINE int8_t tfls_clamped(int32_t value, int32_t min, int32_t max) {
  return (int8_t)(value < min ? min : value > max ? max : value);
}

/* x * 2^bits modulo 2^32 */
TFLS_INLINE int32_t tfls_raised(int32_t x, int32_t bits) { return (int32_t)((uint32_t)x << bits); }

/* a * b / 2^31, rounded, halves up: SaturatingRoundingDoublingHighMul, but for -2^31 times itself */
TFLS_INLINE int32_t tfls_high_product(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* The same for |a| < 2^30. */
TFLS_INLINE int32_t tfls_narrow_product(int32_t a, int32_t b) {
#if defined(TFLS_DSP)
  int32_t product;
  __asm__("smmulr %0, %1, %2" : "=r"(product) : "r"(a * 2), "r"(b));
  return product;
#elif defined(__ARM_ARCH) && __ARM_ARCH == 6 && !defined(TFLS_PORTABLE)
  /* ARMv6-M has no long multiplication: four products of 16-bit halves. */
  const int32_t b_low = b & 0xFFFF, b_high = b >> 16, a_low = a & 0xFFFF, a_high = a >> 16;
  const int32_t middle = a_high * b_low + (int32_t)((uint32_t)a_low * (uint32_t)b_low >> 16);
  const int32_t lower = a_low * b_high + (middle & 0xFFFF) + 0x4000;
  return ((a_high * b_high + (middle >> 16) + (lower >> 16)) * 2) | ((lower >> 15) & 1);
#else
  return (int32_t)(((int64_t)(a * 2) * b + ((int64_t)1 << 31)) >> 32); /* the upper word as it is */
#endif
}

/* x / 2^exponent, rounded, halves away from zero, for exponents 0 to 31: RoundingDivideByPOT */
TFLS_INLINE int32_t tfls_divided_by_power(int32_t x, int32_t exponent) {
  const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1u);
  return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0) ? 1 : 0);
}

/* MultiplyByQuantizedMultiplier */
TFLS_INLINE int32_t tfls_scaled(int32_t x, int32_t multiplier, int32_t shift) {
  if (shift > 0) return tfls_high_product(tfls_raised(x, shift), multiplier);
  return tfls_divided_by_power(tfls_high_product(x, multiplier), -shift);
}

/* One output channel's scale, made ready for many sums. */
typedef struct {
  int32_t multiplier, left, right, zero_point;
  int32_t rounding; /* half of the last bit, and the zero point */
} TflsScale;

TFLS_INLINE TflsScale tfls_scale_of(int32_t multiplier, int32_t shift, int32_t zero_point) {
  const int32_t left = tfls_larger(shift, 0), right = left - shift;
  const int32_t half = right > 0 ? tfls_raised(1, right - 1) : 0;
  const TflsScale scale = {multiplier, left, right, zero_point, tfls_raised(zero_point, right) + half};
  return scale;
}

/* The output of a sum that is not "wide" (tfls_operators.h): |sum * 2^left| < 2^30, right <= 20. */
TFLS_INLINE int8_t tfls_narrow_output(int32_t sum, const TflsScale* scale, int32_t min, int32_t max) {
  const int32_t value = tfls_narrow_product(sum * (1 << scale->left), scale->multiplier);
  const int32_t towards_zero = scale->right > 0 ? value >> 31 : 0;
  return tfls_clamped((value + towards_zero + scale->rounding) >> scale->right, min, max);
}

/* The same where the scale shifts to the right. */
TFLS_INLINE int8_t tfls_right_output(int32_t sum, const TflsScale* scale, int32_t min, int32_t max) {
  const int32_t value = tfls_narrow_product(sum, scale->multiplier);
  return tfls_clamped((value + (value >> 31) + scale->rounding) >> scale->right, min, max);
}

/* The output of any sum. */
TFLS_INLINE int8_t tfls_wide_output(int32_t sum, const TflsScale* scale, int32_t min, int32_t max) {
  const int32_t value = tfls_high_product(tfls_raised(sum, scale->left), scale->multiplier);
  return tfls_clamped(tfls_divided_by_power(value, scale->right) + scale->zero_point, min, max);
}

#if defined(TFLS_DSP)
/* Bytes 0 and 2 of a word, or 1 and 3, as signed half-words. */
TFLS_INLINE int32_t tfls_even_halves(int32_t word) {
  int32_t halves;
  __asm__("sxtb16 %0, %1" : "=r"(halves) : "r"(word));
  return halves;
}

TFLS_INLINE int32_t tfls_odd_halves(int32_t word) {
  int32_t halves;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(word));
  return halves;
}

/* A scale that shifts to the right, with the bias: six instructions an output. */
typedef struct {
  int32_t twice_bias, multiplier, rounding, right;
} TflsQuickScale;

TFLS_INLINE int tfls_is_quick(int32_t shift, int wide) { return shift < 0 && !wide; }

TFLS_INLINE TflsQuickScale tfls_quick_scale_of(int32_t bias, int32_t multiplier, int32_t shift, int32_t zero_point) {
  const TflsQuickScale scale = {bias * 2, multiplier, tfls_raised(2 * zero_point + 1, -shift - 1), -shift};
  return scale;
}

/* The output of a sum without its bias, saturated to int8. Halves of negative products are rounded away from zero: the
 * sum has their sign, but where a product is 0, and that stays 0 either way. */
TFLS_INLINE int8_t tfls_quick_output(int32_t sum, const TflsQuickScale* scale) {
  const int32_t twice = scale->twice_bias + 2 * sum;
  int32_t value;
  __asm__("smmlar %0, %1, %2, %3" : "=r"(value) : "r"(twice), "r"(scale->multiplier), "r"(scale->rounding));
  value = (value + (twice >> 31)) >> scale->right;
  __asm__("ssat %0, #8, %1" : "=r"(value) : "r"(value));
  return (int8_t)value;
}
#endif

/* Activations that are narrower than int8, for outputs that are only saturated. */
TFLS_INLINE void tfls_clamp_all(int8_t* at, int32_t count, int32_t min, int32_t max) {
  if (min == INT8_MIN && max == INT8_MAX) return;
  for (; count > 0; count--, at++) *at = tfls_clamped(*at, min, max);
}

#if defined(__GNUC__)
#define TFLS_COPY __builtin_memcpy /* memcpy would be a call where the compiler is told -ffreestanding */
#else
#define TFLS_COPY memcpy
#endif

#if !defined(TFLS_MVE) /* else tfls_helium.h has it */
/* Copies a few bytes, for which memcpy takes longer. */
TFLS_INLINE void tfls_copy(int8_t* to, const int8_t* from, int32_t count) {
  for (; count >= 4; count -= 4, to += 4, from += 4) TFLS_COPY(to, from, 4);
  for (; count > 0; count--) *to++ = *from++;
}
#endif

/* a + b modulo 2^32 */
TFLS_INLINE int32_t tfls_sum(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

#endif /* TFLS_FIXED_POINT_H_ */
