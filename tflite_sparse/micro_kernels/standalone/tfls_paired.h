/* Weights that codecs/dense_weights.py pairs: a half-word is w0 + 256 * w1 of two outputs, a word has those of two
 * inputs. Then one instruction multiplies and adds both outputs at once,
 *
 *     SMLAD(word, x) = S0 + 256 * S1,        SMLAD(SXTB16(word), x) = S0,
 *
 * and S1 is their difference / 256, exact while |S1| < 2^23: TFLS_PAIRED_INPUTS inputs at a time. A weight then costs
 * half of an instruction to unpack. Of each four inputs the words hold 0 and 2, then 1 and 3, as SXTB16 yields them.
 */
#ifndef TFLS_PAIRED_H_
#define TFLS_PAIRED_H_

#include "tfls_fixed_point.h"

#define TFLS_PAIRED_INPUTS 512 /* 512 * 127 * 128 < 2^23 */

#if defined(TFLS_DSP)
#define TFLS_DIFFERENCE(low, all) "sub " all ", " all ", " low "\n asr " all ", " all ", #8\n"
#endif

/* The sums of two outputs, added to sums, for one pixel: x has count inputs, a multiple of 4; step is the bytes from
 * one word of this pair to the next. For CPUs without SMLAD. */
TFLS_INLINE void tfls_paired_dot(const int8_t* x, const int8_t* weights, int32_t count, int32_t step, int32_t* sums) {
  int32_t a = sums[0], b = sums[1], i, j;
  for (; count > 0; count -= 4, x += 4) {
    for (i = 0; i < 2; i++, weights += step) {
      for (j = 0; j < 2; j++) {
        const int32_t low = weights[2 * j], high = weights[2 * j + 1];
        a += x[i + 2 * j] * low;
        b += x[i + 2 * j] * (high - (low >> 31)); /* high has what low borrows */
      }
    }
  }
  sums[0] = a;
  sums[1] = b;
}

#endif /* TFLS_PAIRED_H_ */
