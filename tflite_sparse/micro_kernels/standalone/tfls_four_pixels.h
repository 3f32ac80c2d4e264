/* CONV_2D of four pixels at once on CPUs with SMLAD, with paired weights (tfls_paired.h). The windows of the pixels lie
 * side by side as half-words: of each four inputs, a word of each pixel with inputs 0 and 2, then with 1 and 3. */
#ifndef TFLS_FOUR_PIXELS_H_
#define TFLS_FOUR_PIXELS_H_

#include "tfls_fixed_point.h"
#include "tfls_paired.h"

#if defined(TFLS_DSP)
enum { kTflsPixels = 4 /* that paired weights are multiplied with at once */ };

/* ---- Windows ---- */

/* Bytes, a multiple of 4 of them, as half-words among those of the other pixels. Returns the end. */
static int32_t* tfls_widen(const int8_t* from, int32_t count, int32_t* to) {
  for (; count > 0; count -= 4, from += 4, to += 2 * kTflsPixels) {
    int32_t word;
    TFLS_COPY(&word, from, 4);
    to[0] = tfls_even_halves(word);
    to[kTflsPixels] = tfls_odd_halves(word);
  }
  return to;
}

static int32_t* tfls_widen_padding(int32_t zero_point, int32_t count, int32_t* to) {
  const int32_t word = tfls_even_halves(zero_point & 0xFF) * 0x10001;
  for (; count > 0; count -= 4, to += 2 * kTflsPixels) to[0] = to[kTflsPixels] = word;
  return to;
}

/* The windows of four pixels that lie step bytes apart in the input, as rows of so many bytes. */
typedef struct {
  int32_t step, bytes, to_row, rows; /* to_row: bytes from one row of the input to the next */
} TflsWindows;

/* Windows of rows of any length. Rows are read in words; one that two rows share takes its first bytes from the row
 * above, so that up to three bytes before a row and four behind it are read. Behind the last row are zeros.
 * Stack: the shared bytes of each pixel, bytes of a row, bytes to the next one, rows left, the row, how many bytes are
 * shared. r0: where half-words go, r1, r2: places of two pixels, those of the others are 2 * r3 further, r4 to r7:
 * words of the pixels, r12: bytes of the row that are left, less 4. */
#define TFLS_WIDENED_WORD                                                                             \
  "sxtb16 r8, r4, ror #8\n sxtb16 r9, r5, ror #8\n sxtb16 r10, r6, ror #8\n sxtb16 r11, r7, ror #8\n" \
  "sxtb16 r4, r4\n sxtb16 r5, r5\n sxtb16 r6, r6\n sxtb16 r7, r7\n stmia r0!, {r4-r11}\n"
TFLS_NAKED static void tfls_widen_four(int32_t* words TFLS_UNNAMED, const int8_t* from TFLS_UNNAMED,
                                        const TflsWindows* windows TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n push {r4-r11, lr}\n ldmia r2, {r3-r6}\n mov r7, r1\n mov r8, #0\n push {r4-r8}\n sub sp, #16\n"
      "1:\n ldr r8, [sp, #32]\n ldr r12, [sp, #16]\n ldr r1, [sp, #28]\n"
      "add r12, r12, r8\n sub r12, r12, #4\n sub r1, r1, r8\n add r2, r1, r3\n"
      "ldr r4, [r1]\n ldr r5, [r2]\n ldr r6, [r1, r3, lsl #1]\n ldr r7, [r2, r3, lsl #1]\n"
      "cmp r8, #0\n beq 2f\n"
      "lsl r8, r8, #3\n mov lr, #-1\n lsl lr, lr, r8\n and r4, r4, lr\n and r5, r5, lr\n and r6, r6, lr\n"
      "and r7, r7, lr\n ldmia sp, {r8-r11}\n orr r4, r4, r8\n orr r5, r5, r9\n orr r6, r6, r10\n orr r7, r7, r11\n"
      "2:\n cmp r12, #0\n blt 4f\n"
      "3:\n" TFLS_WIDENED_WORD
      "ldr r4, [r1, #4]!\n ldr r5, [r2, #4]!\n ldr r6, [r1, r3, lsl #1]\n ldr r7, [r2, r3, lsl #1]\n"
      "subs r12, r12, #4\n bpl 3b\n"
      "4:\n add r12, r12, #4\n ldr r8, [sp, #20]\n ldr r9, [sp, #28]\n add r9, r9, r8\n strd r9, r12, [sp, #28]\n"
      "cmp r12, #0\n beq 5f\n"
      "lsl r8, r12, #3\n mov lr, #-1\n lsl lr, lr, r8\n bic r4, r4, lr\n bic r5, r5, lr\n bic r6, r6, lr\n"
      "bic r7, r7, lr\n stmia sp, {r4-r7}\n"
      "5:\n ldr r8, [sp, #24]\n subs r8, r8, #1\n str r8, [sp, #24]\n bne 1b\n"
      "cmp r12, #0\n beq 6f\n" TFLS_WIDENED_WORD
      "6:\n add sp, #36\n pop {r4-r11, pc}\n");
}

/* ---- Products ---- */

#define TFLS_TWO_INPUTS                                                                                       \
  "ldr r12, [r1], #4\n sxtb16 lr, r12\n ldmia r0!, {r10, r11}\n"                                              \
  "smlad r2, lr, r10, r2\n smlad r6, r12, r10, r6\n smlad r3, lr, r11, r3\n smlad r7, r12, r11, r7\n"         \
  "ldmia r0!, {r10, r11}\n"                                                                                   \
  "smlad r4, lr, r10, r4\n smlad r8, r12, r10, r8\n smlad r5, lr, r11, r5\n smlad r9, r12, r11, r9\n"
#define TFLS_FOUR_INPUTS TFLS_TWO_INPUTS TFLS_TWO_INPUTS

/* The sums of two outputs of four pixels in r2 to r9, over r2 inputs, a multiple of 4 from 4 to TFLS_PAIRED_INPUTS. r0:
 * words of the pixels, side by side, r1: weights. Where they end lies in the stack, end bytes up. */
#define TFLS_TWO_OUTPUTS(end)                                                                                  \
  "mov r3, #0\n mov r4, r3\n mov r5, r3\n mov r6, r3\n mov r7, r3\n mov r8, r3\n mov r9, r3\n"                   \
  "tst r2, #4\n mov r2, r3\n bne 2f\n" /* an odd one of the fours first */                                     \
  "1:\n" TFLS_FOUR_INPUTS "2:\n" TFLS_FOUR_INPUTS "ldr r10, [sp, #" end "]\n cmp r1, r10\n bne 1b\n"           \
  TFLS_DIFFERENCE("r2", "r6") TFLS_DIFFERENCE("r3", "r7") TFLS_DIFFERENCE("r4", "r8") TFLS_DIFFERENCE("r5", "r9")

/* These sums, (output, pixel). */
TFLS_NAKED static void tfls_four_pixels(const int32_t* words TFLS_UNNAMED, const int8_t* weights TFLS_UNNAMED,
                                        int32_t count TFLS_UNNAMED, int32_t* sums TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n add r12, r1, r2, lsl #1\n push {r3-r12, lr}\n" TFLS_TWO_OUTPUTS("36")
      "ldr r10, [sp]\n stmia r10, {r2-r9}\n add sp, #4\n pop {r4-r12, pc}\n");
}

/* All outputs of four pixels whose scales are quick; the assembly knows the order. It moves on what points to the
 * output: bias, multiplier, shift, y, and outputs, which are left. */
typedef struct {
  const int32_t* words;
  const int8_t* weights;
  int32_t taps;
  const int32_t *bias, *multiplier;
  const int8_t* shift;
  int32_t channel_step, rounding; /* rounding: 2 * zero point + 1 */
  int8_t* y;
  int32_t out_c, outputs;
} TflsOutputs;

/* The four pixels of one output: tfls_quick_output of the sums in a to d. r0: the outputs. */
#define TFLS_PUT_PIXEL(sum) \
  "smmlar r10, " sum ", lr, r11\n add r10, r10, " sum ", asr #31\n asr r10, r10, r12\n ssat " sum ", #8, r10\n"
#define TFLS_PUT_FOUR(a, b, c, d)                                                                                      \
  "ldr r10, [r0, #12]\n ldr lr, [r10], #4\n str r10, [r0, #12]\n lsl lr, lr, #1\n"                                     \
  "add " a ", lr, " a ", lsl #1\n add " b ", lr, " b ", lsl #1\n"                                                      \
  "add " c ", lr, " c ", lsl #1\n add " d ", lr, " d ", lsl #1\n ldr r11, [r0, #24]\n"                                 \
  "ldr r10, [r0, #20]\n ldrsb r12, [r10]\n add r10, r10, r11\n str r10, [r0, #20]\n rsb r12, r12, #0\n"               \
  "ldr r10, [r0, #16]\n ldr lr, [r10]\n add r10, r10, r11, lsl #2\n str r10, [r0, #16]\n"                             \
  "ldr r10, [r0, #28]\n sub r11, r12, #1\n lsl r11, r10, r11\n"                                                       \
  TFLS_PUT_PIXEL(a) TFLS_PUT_PIXEL(b) TFLS_PUT_PIXEL(c) TFLS_PUT_PIXEL(d)                                              \
  "ldrd r10, r11, [r0, #32]\n add r12, r10, r11\n strb " a ", [r10], #1\n str r10, [r0, #32]\n"                        \
  "strb " b ", [r12]\n strb " c ", [r12, r11]\n strb " d ", [r12, r11, lsl #1]\n"
TFLS_NAKED static void tfls_four_quick_pixels(TflsOutputs* outputs TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n push {r4-r11, lr}\n sub sp, #8\n str r0, [sp]\n ldr r1, [r0, #4]\n"
      "3:\n ldr r2, [r0, #8]\n ldr r0, [r0]\n add r12, r1, r2, lsl #1\n str r12, [sp, #4]\n"
      TFLS_TWO_OUTPUTS("4") "ldr r0, [sp]\n" TFLS_PUT_FOUR("r2", "r3", "r4", "r5")
      "ldr r10, [r0, #40]\n cmp r10, #1\n beq 4f\n" TFLS_PUT_FOUR("r6", "r7", "r8", "r9")
      "ldr r10, [r0, #40]\n subs r10, r10, #2\n str r10, [r0, #40]\n bne 3b\n"
      "4:\n add sp, #8\n pop {r4-r11, pc}\n");
}
#endif

#endif /* TFLS_FOUR_PIXELS_H_ */
