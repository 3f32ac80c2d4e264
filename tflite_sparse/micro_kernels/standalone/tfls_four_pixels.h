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
TFLS_INLINE int32_t* tfls_widen(const int8_t* from, int32_t count, int32_t* to) {
  for (; count > 0; count -= 4, from += 4, to += 2 * kTflsPixels) {
    int32_t word;
    TFLS_COPY(&word, from, 4);
    to[0] = tfls_even_halves(word);
    to[kTflsPixels] = tfls_odd_halves(word);
  }
  return to;
}

TFLS_OUTLINE int32_t* tfls_widen_padding(int32_t zero_point, int32_t count, int32_t* to) {
  const int32_t word = tfls_even_halves(zero_point & 0xFF) * 0x10001;
  for (; count > 0; count -= 4, to += 2 * kTflsPixels) to[0] = to[kTflsPixels] = word;
  return to;
}

/* The windows of four pixels that lie step bytes apart in the input, as rows of so many bytes. */
typedef struct {
  int32_t step, bytes, rows, to_row; /* to_row: bytes from one row of the input to the next */
} TflsWindows;

/* Windows of rows of any length. A word that two rows share takes its first bytes from the row above. Behind the last
 * row are bytes of any value, as weights are zeros there: they are read where windows do not come in whole words.
 * Stack: bytes of a row, the row, rows left, bytes to the next one. r0: where half-words go, r1, r2: places of two pixels,
 * those of the others are 2 * r3 further, r4 to r7: words of the pixels, r12: bytes of the row that are left, less 4,
 * lr: how many bytes are shared. */
#define TFLS_NEXT_WORDS(a, b, c, d) \
  "ldr " a ", [r1, #4]!\n ldr " b ", [r2, #4]!\n ldr " c ", [r1, r3, lsl #1]\n ldr " d ", [r2, r3, lsl #1]\n"
#define TFLS_WIDENED_WORD                                                                             \
  "sxtb16 r8, r4, ror #8\n sxtb16 r9, r5, ror #8\n sxtb16 r10, r6, ror #8\n sxtb16 r11, r7, ror #8\n" \
  "sxtb16 r4, r4\n sxtb16 r5, r5\n sxtb16 r6, r6\n sxtb16 r7, r7\n stmia r0!, {r4-r11}\n"
TFLS_NAKED static void tfls_widen_four(int32_t* words TFLS_UNNAMED, const int8_t* from TFLS_UNNAMED,
                                        const TflsWindows* windows TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n push {r4-r11, lr}\n ldmia r2, {r3, r4, r6, r7}\n sub r5, r1, #4\n push {r4-r7}\n mov lr, #0\n"
      "1:\n ldrd r12, r1, [sp]\n sub r1, r1, lr\n add r12, r12, lr\n add r2, r1, r3\n cmp lr, #0\n beq 2f\n"
      "lsl r8, lr, #3\n mov r9, #-1\n lsl r9, r9, r8\n uadd8 r9, r9, r9\n" /* the bytes to select: those not shared */
      TFLS_NEXT_WORDS("r8", "r9", "r10", "r11")
      "sel r4, r8, r4\n sel r5, r9, r5\n sel r6, r10, r6\n sel r7, r11, r7\n b 3f\n"
      "2:\n" TFLS_NEXT_WORDS("r4", "r5", "r6", "r7")
      "3:\n subs r12, r12, #4\n bmi 7f\n" TFLS_WIDENED_WORD "subs r12, r12, #4\n bmi 5f\n"
      "4:\n" TFLS_NEXT_WORDS("r4", "r5", "r6", "r7") TFLS_WIDENED_WORD "subs r12, r12, #4\n bpl 4b\n"
      "5:\n adds lr, r12, #4\n beq 6f\n" TFLS_NEXT_WORDS("r4", "r5", "r6", "r7")
      "6:\n ldrd r8, r9, [sp, #4]\n ldr r10, [sp, #12]\n add r8, r8, r10\n subs r9, r9, #1\n strd r8, r9, [sp, #4]\n"
      "bne 1b\n cmp lr, #0\n beq 8f\n" TFLS_WIDENED_WORD "b 8f\n"
      "7:\n add lr, r12, #4\n b 6b\n"
      "8:\n add sp, #16\n pop {r4-r11, pc}\n");
}

/* ---- Products ---- */

#define TFLS_TWO_INPUTS                                                                                       \
  "ldr r12, [r1], #4\n sxtb16 lr, r12\n ldmia r0!, {r10, r11}\n"                                              \
  "smlad r2, lr, r10, r2\n smlad r6, r12, r10, r6\n smlad r3, lr, r11, r3\n smlad r7, r12, r11, r7\n"         \
  "ldmia r0!, {r10, r11}\n"                                                                                   \
  "smlad r4, lr, r10, r4\n smlad r8, r12, r10, r8\n smlad r5, lr, r11, r5\n smlad r9, r12, r11, r9\n"
#define TFLS_FIRST_INPUTS                                                                                     \
  "ldr r12, [r1], #4\n sxtb16 lr, r12\n ldmia r0!, {r10, r11}\n"                                              \
  "smuad r2, lr, r10\n smuad r6, r12, r10\n smuad r3, lr, r11\n smuad r7, r12, r11\n"                         \
  "ldmia r0!, {r10, r11}\n"                                                                                   \
  "smuad r4, lr, r10\n smuad r8, r12, r10\n smuad r5, lr, r11\n smuad r9, r12, r11\n"
#define TFLS_FOUR_INPUTS TFLS_TWO_INPUTS TFLS_TWO_INPUTS /* in 96 bytes of code */

/* The outputs of the four pixels of one channel: tfls_quick_output of the sums in a to d, which are without their bias.
 * Halves of negative products need not be rounded away from zero where these are clamped to one output. */
#define TFLS_PUT_ANY(sum) \
  "smmlar r10, " sum ", r11, r12\n add r10, r10, " sum ", asr #31\n asr r10, r10, lr\n ssat " sum ", #8, r10\n"
#define TFLS_PUT_CLAMPED(sum) "smmlar r10, " sum ", r11, r12\n asr r10, r10, lr\n ssat " sum ", #8, r10\n"
#define TFLS_PUT_FOUR(put, a, b, c, d, doubled)                                                \
  "ldmia r0!, {r10-r12, lr}\n add " a ", r10, " a doubled "\n add " b ", r10, " b doubled "\n" \
  "add " c ", r10, " c doubled "\n add " d ", r10, " d doubled "\n" put(a) put(b) put(c) put(d)
#define TFLS_PUT_EIGHT(put)                                                         \
  "ldr r0, [sp, #56]\n" TFLS_PUT_FOUR(put, "r2", "r3", "r4", "r5", ", lsl #1") \
  TFLS_PUT_FOUR(put, "r6", "r7", "r8", "r9", ", asr #7")

/* Sums of four pixels over the words up to end, at most TFLS_PAIRED_INPUTS inputs. Either those of two outputs,
 * (output, pixel), to sums; or, where sums is NULL, as many outputs as there are scales, to y and what is out_c, 2 * out_c
 * and 3 * out_c further. Of an odd number of scales another one is read. clamped: no output is below the zero point.
 * Stack: words, end, where the odd ones of the fours begin (the first four apart, a turn takes four of them), where
 * sums go, sums. r0: words or scales, r1: weights, r2 to r9: sums, first those of one output, then of both (tfls_paired.h).
 */
TFLS_NAKED static void tfls_four_pixels(const int32_t* words TFLS_UNNAMED, const int8_t* weights TFLS_UNNAMED,
                                        const int32_t* end TFLS_UNNAMED, int32_t* sums TFLS_UNNAMED,
                                        const TflsQuickScale* scales TFLS_UNNAMED, int8_t* y TFLS_UNNAMED,
                                        int32_t out_c TFLS_UNNAMED, const TflsQuickScale* scales_end TFLS_UNNAMED,
                                        int32_t clamped TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n push {r3-r11, lr}\n"
      "sub r10, r2, r0\n sub r10, r10, #32\n ubfx r10, r10, #5, #2\n mov r11, #96\n adr r12, 2f\n"
      "mls r10, r10, r11, r12\n orr r10, r10, #1\n"
      "adr r11, 7f\n cbnz r3, 0f\n adr r11, 5f\n ldr r3, [sp, #56]\n cbz r3, 0f\n adr r11, 4f\n"
      "0:\n orr r11, r11, #1\n push {r0, r2, r10, r11}\n"
      "3:\n ldr r0, [sp]\n" TFLS_FIRST_INPUTS TFLS_TWO_INPUTS "ldr pc, [sp, #8]\n"
      "1:\n" TFLS_FOUR_INPUTS TFLS_FOUR_INPUTS TFLS_FOUR_INPUTS TFLS_FOUR_INPUTS
      "2:\n ldr r10, [sp, #4]\n cmp r0, r10\n bne 1b\n"
      "sub r6, r6, r2\n sub r7, r7, r3\n sub r8, r8, r4\n sub r9, r9, r5\n ldr pc, [sp, #12]\n" /* 256 * sums */
      "4:\n" TFLS_PUT_EIGHT(TFLS_PUT_CLAMPED) "b 6f\n"
      "5:\n" TFLS_PUT_EIGHT(TFLS_PUT_ANY)
      "6:\n ldr r12, [sp, #68]\n cmp r0, r12\n ldrd r10, r11, [sp, #60]\n add r12, r10, r11\n bhi 8f\n"
      "bfi r2, r6, #8, #8\n bfi r3, r7, #8, #8\n bfi r4, r8, #8, #8\n bfi r5, r9, #8, #8\n"
      "strh r2, [r10], #2\n strh r3, [r12]\n strh r4, [r12, r11]\n strh r5, [r12, r11, lsl #1]\n"
      "strd r0, r10, [sp, #56]\n bne 3b\n b 9f\n"
      "7:\n asr r6, r6, #8\n asr r7, r7, #8\n asr r8, r8, #8\n asr r9, r9, #8\n ldr r10, [sp, #16]\n"
      "stmia r10, {r2-r9}\n b 9f\n"
      "8:\n strb r2, [r10]\n strb r3, [r12]\n strb r4, [r12, r11]\n strb r5, [r12, r11, lsl #1]\n" /* an odd one */
      "9:\n add sp, #20\n pop {r4-r11, pc}\n");
}
#endif

#endif /* TFLS_FOUR_PIXELS_H_ */
