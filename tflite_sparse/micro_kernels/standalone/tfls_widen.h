/* Inputs for paired weights on CPUs with SMLAD: bytes of the windows of four pixels as half-words side by side. Of each
 * four inputs, the words of the four pixels with inputs 0 and 2, then those with 1 and 3 (tfls_paired.h). */
#ifndef TFLS_WIDEN_H_
#define TFLS_WIDEN_H_

#include "tfls_fixed_point.h"

#if defined(TFLS_DSP)
enum { kTflsPixels = 4 /* that paired weights are multiplied with at once */ };

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
 * shared. r0: where half-words go, r1, r2: places of two pixels, those of the others are 2 * r3 further, r4 to r7: words
 * of the pixels, r12: bytes of the row that are left, less 4. */
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
#endif

#endif /* TFLS_WIDEN_H_ */
