/* Sums of products of int8 vectors, for CONV_2D and FULLY_CONNECTED. */
#ifndef TFLS_DOT_H_
#define TFLS_DOT_H_

#include "tfls_fixed_point.h"
#include "tfls_helium.h"

#if defined(__ARM_ARCH) && __ARM_ARCH == 6 && !defined(TFLS_PORTABLE)
#define TFLS_FEW_REGISTERS 1

/* sums: x and w0, x and w1; all count up to their ends, one index for three addresses. */
static void tfls_dot_one_by_two(const int8_t* x, const int8_t* w0, const int8_t* w1, int32_t count, int32_t* sums) {
  int32_t a = 0, b = 0, i;
  x += count;
  w0 += count;
  w1 += count;
  for (i = -count; i < 0; i++) {
    a += x[i] * w0[i];
    b += x[i] * w1[i];
  }
  sums[0] = a;
  sums[1] = b;
}
#endif

/* sums: x0 and w0, x0 and w1, x1 and w0, x1 and w1. */
TFLS_INLINE void tfls_dot_two_by_two(const int8_t* x0, const int8_t* x1, const int8_t* w0, const int8_t* w1,
                                     int32_t count, int32_t* sums) {
#if defined(TFLS_FEW_REGISTERS)
  tfls_dot_one_by_two(x0, w0, w1, count, sums);
  tfls_dot_one_by_two(x1, w0, w1, count, sums + 2);
#else
  int32_t a = 0, b = 0, c = 0, d = 0;
#define TFLS_STEP(i)                                              \
  {                                                              \
    const int32_t u = x0[i], v = x1[i], s = w0[i], t = w1[i];    \
    a += u * s;                                                  \
    b += u * t;                                                  \
    c += v * s;                                                  \
    d += v * t;                                                  \
  }
#define TFLS_FOUR_STEPS(i) TFLS_STEP(i) TFLS_STEP(i + 1) TFLS_STEP(i + 2) TFLS_STEP(i + 3)
  for (; count >= 8; count -= 8, x0 += 8, x1 += 8, w0 += 8, w1 += 8) {
    TFLS_FOUR_STEPS(0)
    TFLS_FOUR_STEPS(4)
  }
  if (count >= 4) {
    TFLS_FOUR_STEPS(0)
    count -= 4;
    x0 += 4;
    x1 += 4;
    w0 += 4;
    w1 += 4;
  }
  for (; count > 0; count--, x0++, x1++, w0++, w1++) TFLS_STEP(0)
#undef TFLS_FOUR_STEPS
#undef TFLS_STEP
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
#endif
}

/* sums: x and each of four rows of count weights. */
TFLS_INLINE void tfls_dot_one_by_four(const int8_t* x, const int8_t* weights, int32_t count, int32_t* sums) {
#if defined(TFLS_FEW_REGISTERS)
  tfls_dot_one_by_two(x, weights, weights + count, count, sums);
  tfls_dot_one_by_two(x, weights + 2 * count, weights + 3 * count, count, sums + 2);
#else
  const int8_t *w0 = weights, *w1 = w0 + count, *w2 = w1 + count, *w3 = w2 + count;
  int32_t a = 0, b = 0, c = 0, d = 0;
#if defined(TFLS_MVE)
  __asm__ volatile(
      "wlstp.8 lr, %[count], 2f\n"
      "1:\n vldrb.u8 q0, [%[x]], #16\n"
      "vldrb.u8 q1, [%[w0]], #16\n vldrb.u8 q2, [%[w1]], #16\n vmladava.s8 %[a], q0, q1\n"
      "vldrb.u8 q3, [%[w2]], #16\n vmladava.s8 %[b], q0, q2\n"
      "vldrb.u8 q1, [%[w3]], #16\n vmladava.s8 %[c], q0, q3\n vmladava.s8 %[d], q0, q1\n letp lr, 1b\n"
      "2:\n"
      : [x] "+r"(x), [w0] "+r"(w0), [w1] "+r"(w1), [w2] "+r"(w2), [w3] "+r"(w3), [a] "+Te"(a), [b] "+Te"(b),
        [c] "+Te"(c), [d] "+Te"(d)
      : [count] "r"(count)
      : "lr", "q0", "q1", "q2", "q3", "memory");
#else
#define TFLS_STEP(i)     \
  {                     \
    const int32_t v = x[i]; \
    a += v * w0[i];     \
    b += v * w1[i];     \
    c += v * w2[i];     \
    d += v * w3[i];     \
  }
  for (; count >= 4; count -= 4, x += 4, w0 += 4, w1 += 4, w2 += 4, w3 += 4) {
    TFLS_STEP(0)
    TFLS_STEP(1)
    TFLS_STEP(2)
    TFLS_STEP(3)
  }
  for (; count > 0; count--, x++, w0++, w1++, w2++, w3++) TFLS_STEP(0)
#undef TFLS_STEP
#endif
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
#endif
}

/* The sum of x and one row of weights. */
TFLS_INLINE int32_t tfls_dot(const int8_t* x, const int8_t* w, int32_t count) {
  int32_t sum = 0;
#if defined(TFLS_MVE)
  __asm__ volatile(
      "wlstp.8 lr, %[count], 2f\n"
      "1:\n vldrb.u8 q0, [%[x]], #16\n vldrb.u8 q1, [%[w]], #16\n vmladava.s8 %[sum], q0, q1\n letp lr, 1b\n"
      "2:\n"
      : [x] "+r"(x), [w] "+r"(w), [sum] "+Te"(sum)
      : [count] "r"(count)
      : "lr", "q0", "q1", "memory");
#else
  for (; count > 0; count--) sum += *x++ * *w++;
#endif
  return sum;
}

#endif /* TFLS_DOT_H_ */
