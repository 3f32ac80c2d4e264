/* CPUs with Helium: bytes in sixteens, and four outputs requantised at once. */
#ifndef TFLS_HELIUM_H_
#define TFLS_HELIUM_H_

#include "tfls_fixed_point.h"

#if defined(TFLS_MVE)
#include <arm_mve.h>

TFLS_INLINE void tfls_copy(int8_t* to, const int8_t* from, int32_t count) {
  __asm__ volatile(
      "wlstp.8 lr, %[count], 2f\n1:\n vldrb.u8 q0, [%[from]], #16\n vstrb.8 q0, [%[to]], #16\n letp lr, 1b\n2:\n"
      : [to] "+r"(to), [from] "+r"(from)
      : [count] "r"(count)
      : "lr", "q0", "memory");
}

TFLS_INLINE void tfls_fill(int8_t* to, int32_t value, int32_t count) {
  __asm__ volatile(
      "vdup.8 q0, %[value]\n wlstp.8 lr, %[count], 2f\n1:\n vstrb.8 q0, [%[to]], #16\n letp lr, 1b\n2:\n"
      : [to] "+r"(to)
      : [value] "r"(value), [count] "r"(count)
      : "lr", "q0", "memory");
}

/* Outputs side by side, of sums of any size; bias, multiplier and shift are those of the first. */
TFLS_INLINE void tfls_put_side_by_side(int8_t* y, const int32_t* sums, const int32_t* bias, const int32_t* multiplier,
                                       const int8_t* shift, int one_scale, int32_t zero_point, int32_t min,
                                       int32_t max) {
  const int32x4_t multipliers = one_scale ? vdupq_n_s32(*multiplier) : vldrwq_s32(multiplier);
  const int32x4_t shifts = one_scale ? vdupq_n_s32(*shift) : vldrbq_s32(shift);
  const int32x4_t right = vminq_s32(shifts, vdupq_n_s32(0)), left = vsubq_s32(shifts, right);
  int32x4_t value = vaddq_s32(vldrwq_s32(sums), vldrwq_s32(bias));
  value = vqrdmulhq_s32(vshlq_s32(value, left), multipliers);
  value = vaddq_s32(value, vandq_s32(vshrq_n_s32(value, 31), vshrq_n_s32(shifts, 31))); /* halves away from zero */
  value = vaddq_n_s32(vrshlq_s32(value, right), zero_point);
  vstrbq_s32(y, vminq_s32(vmaxq_s32(value, vdupq_n_s32(min)), vdupq_n_s32(max)));
}
#endif

#endif /* TFLS_HELIUM_H_ */
