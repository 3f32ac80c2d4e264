/* Sums of products of int8 vectors, for CONV_2D and FULLY_CONNECTED. */
#ifndef TFLS_DOT_H_
#define TFLS_DOT_H_

#include "tfls_fixed_point.h"

#if defined(__ARM_FEATURE_MVE) && !defined(TFLS_PORTABLE)
#define TFLS_MVE 1
#include <arm_mve.h>
#endif

/* sums: x0 and w0, x0 and w1, x1 and w0, x1 and w1. */
TFLS_INLINE void tfls_dot_two_by_two(const int8_t* x0, const int8_t* x1, const int8_t* w0, const int8_t* w1,
                                     int32_t count, int32_t* sums) {
  int32_t a = 0, b = 0, c = 0, d = 0;
#if defined(TFLS_MVE)
  for (; count > 0; count -= 16, x0 += 16, x1 += 16, w0 += 16, w1 += 16) {
    const mve_pred16_t some = vctp8q((uint32_t)count);
    const int8x16_t u = vldrbq_z_s8(x0, some), v = vldrbq_z_s8(x1, some);
    const int8x16_t s = vldrbq_z_s8(w0, some), t = vldrbq_z_s8(w1, some);
    a = vmladavaq_s8(a, u, s);
    b = vmladavaq_s8(b, u, t);
    c = vmladavaq_s8(c, v, s);
    d = vmladavaq_s8(d, v, t);
  }
#else
  for (; count > 0; count--) {
    const int32_t u = *x0++, v = *x1++, s = *w0++, t = *w1++;
    a += u * s;
    b += u * t;
    c += v * s;
    d += v * t;
  }
#endif
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}

/* sums: x and each of four rows of count weights. */
TFLS_INLINE void tfls_dot_one_by_four(const int8_t* x, const int8_t* weights, int32_t count, int32_t* sums) {
  const int8_t *w0 = weights, *w1 = w0 + count, *w2 = w1 + count, *w3 = w2 + count;
  int32_t a = 0, b = 0, c = 0, d = 0;
#if defined(TFLS_MVE)
  for (; count > 0; count -= 16, x += 16, w0 += 16, w1 += 16, w2 += 16, w3 += 16) {
    const mve_pred16_t some = vctp8q((uint32_t)count);
    const int8x16_t v = vldrbq_z_s8(x, some);
    a = vmladavaq_s8(a, v, vldrbq_z_s8(w0, some));
    b = vmladavaq_s8(b, v, vldrbq_z_s8(w1, some));
    c = vmladavaq_s8(c, v, vldrbq_z_s8(w2, some));
    d = vmladavaq_s8(d, v, vldrbq_z_s8(w3, some));
  }
#else
  for (; count > 0; count--) {
    const int32_t v = *x++;
    a += v * *w0++;
    b += v * *w1++;
    c += v * *w2++;
    d += v * *w3++;
  }
#endif
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}

/* The sum of x and one row of weights. */
TFLS_INLINE int32_t tfls_dot(const int8_t* x, const int8_t* w, int32_t count) {
  int32_t sum = 0;
  for (; count > 0; count--) sum += *x++ * *w++;
  return sum;
}

#endif /* TFLS_DOT_H_ */
