/* FULLY_CONNECTED with dense int8 weights. */
#include "tfls_dot.h"
#include "tfls_operators.h"
#include "tfls_paired.h"

enum { kGroup = 8 /* outputs that paired weights interleave; what is left comes in groups of two */ };

static void emit(const TflsFullyConnected* p, int32_t first, int32_t count, const int32_t* sums, int8_t* y) {
  int32_t o;
  for (o = first; o < first + count; o++) {
    const int32_t channel = o * p->channel_step, sum = tfls_sum(*sums++, p->bias[o]);
    const TflsScale scale = tfls_scale_of(p->multiplier[channel], p->shift[channel], p->output_zero_point);
    y[o] = p->wide ? tfls_wide_output(sum, &scale, p->min, p->max) : tfls_narrow_output(sum, &scale, p->min, p->max);
  }
}

#if TFLS_HAS_LAYOUT(TFLS_PLAIN)
static void emit_four(const TflsFullyConnected* p, int32_t first, const int32_t* sums, int8_t* y) {
#if defined(TFLS_MVE)
  const int32_t channel = first * p->channel_step;
  tfls_put_side_by_side(y + first, sums, p->bias + first, p->multiplier + channel, p->shift + channel, !p->channel_step,
                        p->output_zero_point, p->min, p->max);
#else
  emit(p, first, 4, sums, y);
#endif
}

static void plain_row(const TflsFullyConnected* p, const int8_t* x, int8_t* y) {
  const int8_t* weights = p->weights;
  int32_t sums[4], o = 0;
  for (; o + 4 <= p->outputs; o += 4, weights += 4 * p->inputs) {
    tfls_dot_one_by_four(x, weights, p->inputs, sums);
    emit_four(p, o, sums, y);
  }
  for (; o < p->outputs; o++, weights += p->inputs) {
    sums[0] = tfls_dot(x, weights, p->inputs);
    emit(p, o, 1, sums, y);
  }
}

#endif

#if TFLS_HAS_LAYOUT(TFLS_PAIRED)
/* One to three inputs that are left, and zeros. */
static void last_inputs(const int8_t* x, int32_t count, int8_t* four) {
  int32_t i;
  for (i = 0; i < 4; i++) four[i] = (int8_t)(i < count ? x[i] : 0);
}

#if defined(TFLS_DSP)
#define TFLS_TWO_PAIRS(low0, all0, low1, all1)                                                   \
  "ldmia r1!, {r10, r11}\n"                                                                     \
  "smlad " all0 ", r10, lr, " all0 "\n sxtb16 r10, r10\n smlad " low0 ", r10, lr, " low0 "\n"   \
  "smlad " all1 ", r11, lr, " all1 "\n sxtb16 r11, r11\n smlad " low1 ", r11, lr, " low1 "\n"
#define TFLS_FOUR_PAIRS TFLS_TWO_PAIRS("r2", "r3", "r4", "r5") TFLS_TWO_PAIRS("r6", "r7", "r8", "r9")
#define TFLS_FOUR_INPUTS \
  "ldr r12, [r0], #4\n sxtb16 lr, r12\n" TFLS_FOUR_PAIRS "sxtb16 lr, r12, ror #8\n" TFLS_FOUR_PAIRS

/* The sums of eight outputs over count inputs, a multiple of 4 from 4 to TFLS_PAIRED_INPUTS. */
TFLS_NAKED static void eight_outputs(const int8_t* x TFLS_UNNAMED, const int8_t* weights TFLS_UNNAMED,
                                   int32_t count TFLS_UNNAMED, int32_t* sums TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n add r12, r1, r2, lsl #3\n push {r3-r12, lr}\n"
      "mov r3, #0\n mov r4, r3\n mov r5, r3\n mov r6, r3\n mov r7, r3\n mov r8, r3\n mov r9, r3\n"
      "tst r2, #4\n mov r2, r3\n bne 2f\n" /* an odd one of the fours first */
      "1:\n" TFLS_FOUR_INPUTS "2:\n" TFLS_FOUR_INPUTS "ldr r10, [sp, #36]\n cmp r1, r10\n bne 1b\n"
      TFLS_DIFFERENCE("r2", "r3") TFLS_DIFFERENCE("r4", "r5") TFLS_DIFFERENCE("r6", "r7") TFLS_DIFFERENCE("r8", "r9")
      "ldr r10, [sp]\n stmia r10, {r2-r9}\n add sp, #4\n pop {r4-r12, pc}\n");
}

static void add_eight(const int8_t* x, const int8_t* weights, int32_t count, int32_t* sums) {
  int32_t more[kGroup], i;
  eight_outputs(x, weights, count, more);
  for (i = 0; i < kGroup; i++) sums[i] += more[i];
}

static void group_of_eight(const int8_t* x, const int8_t* weights, int32_t inputs, int32_t* sums) {
  const int32_t whole = inputs & ~3;
  int32_t at, i;
  for (i = 0; i < kGroup; i++) sums[i] = 0;
  for (at = 0; at < whole; at += TFLS_PAIRED_INPUTS)
    add_eight(x + at, weights + kGroup * at, tfls_smaller(whole - at, TFLS_PAIRED_INPUTS), sums);
  if (whole < inputs) {
    int8_t rest[4];
    last_inputs(x + whole, inputs - whole, rest);
    add_eight(rest, weights + kGroup * whole, 4, sums);
  }
}
#endif

/* A pair of outputs; step: bytes from one of its words to the next. */
static void pair(const int8_t* x, const int8_t* weights, int32_t inputs, int32_t step, int32_t* sums) {
  const int32_t whole = inputs & ~3;
  sums[0] = sums[1] = 0;
  tfls_paired_dot(x, weights, whole, step, sums);
  if (whole < inputs) {
    int8_t rest[4];
    last_inputs(x + whole, inputs - whole, rest);
    tfls_paired_dot(rest, weights + whole / 2 * step, 4, step, sums);
  }
}

#if !defined(TFLS_DSP)
static void group_of_eight(const int8_t* x, const int8_t* weights, int32_t inputs, int32_t* sums) {
  int32_t i;
  for (i = 0; i < kGroup; i += 2) pair(x, weights + 2 * i, inputs, 2 * kGroup, sums + i);
}
#endif

static void paired_row(const TflsFullyConnected* p, const int8_t* x, int8_t* y) {
  const int32_t rounded = (p->inputs + 3) & ~3;
  const int8_t* weights = p->weights;
  int32_t sums[kGroup], o = 0;
  for (; o + kGroup <= p->outputs; o += kGroup, weights += kGroup * rounded) {
    group_of_eight(x, weights, p->inputs, sums);
    emit(p, o, kGroup, sums, y);
  }
  for (; o < p->outputs; o += 2, weights += 2 * rounded) {
    pair(x, weights, p->inputs, 4, sums);
    emit(p, o, tfls_smaller(p->outputs - o, 2), sums, y);
  }
}

#endif

void tfls_fully_connected(const TflsFullyConnected* params, const int8_t* input, int8_t* output) {
  int32_t row;
  for (row = 0; row < params->rows; row++, input += params->inputs, output += params->outputs) {
#if TFLS_HAS_LAYOUT(TFLS_PLAIN)
    if (params->layout == TFLS_PLAIN) plain_row(params, input, output);
#endif
#if TFLS_HAS_LAYOUT(TFLS_PAIRED)
    if (params->layout == TFLS_PAIRED) paired_row(params, input, output);
#endif
  }
}
