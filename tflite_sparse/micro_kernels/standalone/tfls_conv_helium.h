/* CONV_2D of two pixels at once on CPUs with Helium, with plain weights: first the sums of up to kTflsSums outputs of
 * both, then these outputs. */
#ifndef TFLS_CONV_HELIUM_H_
#define TFLS_CONV_HELIUM_H_

#include "tfls_helium.h"

#if defined(TFLS_MVE)
enum {
  kTflsSums = 48,      /* of each pixel; the assembly knows how many, in bytes */
  kTflsShortTaps = 64, /* windows of so many inputs stay in registers */
};
#define TFLS_SECOND_SUMS "192"

/* The assembly knows the order. Bias, multiplier and shift are those of the first output. */
typedef struct {
  const int8_t *x0, *x1; /* windows of the pixels, or twice the same */
  const int8_t* weights;
  int32_t taps;  /* inputs of an output */
  int32_t count; /* pairs of outputs, or threes */
  int32_t* sums; /* without bias: kTflsSums of each pixel */
  const int32_t *bias, *multiplier;
  const int8_t* shift;
  int8_t *y0, *y1;
  int32_t fours, zero_point, min, max; /* fours: how many outputs, in fours */
} TflsTwoPixels;

/* ---- Sums, windows in registers ----
 *
 * r2: weights, r3: bytes from the end of a row of weights, rounded up to a vector, back to the end of the row, r4, r5:
 * windows. The last vector of a row ends where the row does; what it has in common with the one before is 0 in the
 * windows. A window of one vector is read as far as it goes, as are its weights. Sums: r4, r8 of the first pixel, r6,
 * r10 of the second. */
#define TFLS_BEGIN_SUMS ".syntax unified\n push {r4-r10, lr}\n vpush {d8-d15}\n ldm r0, {r4-r9}\n mov r1, r9\n mov r2, r6\n"
#define TFLS_END_SUMS                                                                              \
  "strd r6, r10, [r1, #" TFLS_SECOND_SUMS "]\n strd r4, r8, [r1], #8\n le lr, 1b\n vpop {d8-d15}\n pop {r4-r10, pc}\n"
/* Reads the last vectors of both windows, of so many that are bytes long together. */
#define TFLS_LAST_VECTORS(bytes, first, second)                                                    \
  "sub r3, r7, #" bytes "\n rsb r0, r3, #0\n mov r12, #-1\n lsl r12, r12, r0\n vmsr p0, r12\n add r9, r4, r7\n" \
  "add r10, r5, r7\n vpstt\n vldrbt.u8 " first ", [r9, #-16]\n vldrbt.u8 " second ", [r10, #-16]\n"

#define TFLS_ROW(a, b) "vpst\n vldrbt.u8 q2, [r2]\n add r2, r2, r7\n vmladav.s8 " a ", q0, q2\n vmladav.s8 " b ", q1, q2\n"
TFLS_NAKED static void tfls_sums_of_one_vector(const TflsTwoPixels* of TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n push {r4-r10, lr}\n ldm r0, {r4-r9}\n mov r1, r9\n mov r2, r6\n"
      "vctp.8 r7\n vpstt\n vldrbt.u8 q0, [r4]\n vldrbt.u8 q1, [r5]\n dls lr, r8\n"
      "1:\n" TFLS_ROW("r4", "r6") TFLS_ROW("r8", "r10")
      "strd r6, r10, [r1, #" TFLS_SECOND_SUMS "]\n strd r4, r8, [r1], #8\n le lr, 1b\n pop {r4-r10, pc}\n");
}
#undef TFLS_ROW

#define TFLS_ROW(a, b)                                                                             \
  "vldrb.u8 q4, [r2], #16\n vmladav.s8 " a ", q0, q4\n add r2, r2, r3\n vldrb.u8 q5, [r2], #16\n"  \
  "vmladav.s8 " b ", q2, q4\n vmladava.s8 " a ", q1, q5\n vmladava.s8 " b ", q3, q5\n"
TFLS_NAKED static void tfls_sums_of_two_vectors(const TflsTwoPixels* of TFLS_UNNAMED) {
  __asm__ volatile(
      TFLS_BEGIN_SUMS TFLS_LAST_VECTORS("32", "q1", "q3") "vldrb.u8 q0, [r4]\n vldrb.u8 q2, [r5]\n dls lr, r8\n"
      "1:\n" TFLS_ROW("r4", "r6") TFLS_ROW("r8", "r10") TFLS_END_SUMS);
}
#undef TFLS_ROW

#define TFLS_ROW(a, b)                                                                             \
  "vldrb.u8 q6, [r2], #16\n vmladav.s8 " a ", q0, q6\n vldrb.u8 q7, [r2], #16\n add r2, r2, r3\n"  \
  "vmladav.s8 " b ", q3, q6\n vldrb.u8 q6, [r2], #16\n vmladava.s8 " a ", q1, q7\n"                \
  "vmladava.s8 " b ", q4, q7\n vmladava.s8 " a ", q2, q6\n vmladava.s8 " b ", q5, q6\n"
TFLS_NAKED static void tfls_sums_of_three_vectors(const TflsTwoPixels* of TFLS_UNNAMED) {
  __asm__ volatile(
      TFLS_BEGIN_SUMS TFLS_LAST_VECTORS("48", "q2", "q5")
      "vldrb.u8 q0, [r4]\n vldrb.u8 q1, [r4, #16]\n vldrb.u8 q3, [r5]\n vldrb.u8 q4, [r5, #16]\n dls lr, r8\n"
      "1:\n" TFLS_ROW("r4", "r6") TFLS_ROW("r8", "r10") TFLS_END_SUMS);
}
#undef TFLS_ROW

/* Two vectors of the second window do not stay in registers. */
#define TFLS_ROW(a, b)                                                                             \
  "vldrb.u8 q6, [r2], #16\n vmladav.s8 " a ", q0, q6\n vldrb.u8 q7, [r5, #16]\n"                   \
  "vmladav.s8 " b ", q4, q6\n vldrb.u8 q6, [r2], #16\n vmladava.s8 " a ", q1, q6\n"                \
  "vmladava.s8 " b ", q7, q6\n vldrb.u8 q6, [r2], #16\n add r2, r2, r3\n vldrb.u8 q7, [r5, #32]\n" \
  "vmladava.s8 " a ", q2, q6\n vmladava.s8 " b ", q7, q6\n vldrb.u8 q6, [r2], #16\n"               \
  "vmladava.s8 " a ", q3, q6\n vmladava.s8 " b ", q5, q6\n"
TFLS_NAKED static void tfls_sums_of_four_vectors(const TflsTwoPixels* of TFLS_UNNAMED) {
  __asm__ volatile(
      TFLS_BEGIN_SUMS TFLS_LAST_VECTORS("64", "q3", "q5")
      "vldrb.u8 q0, [r4]\n vldrb.u8 q1, [r4, #16]\n vldrb.u8 q2, [r4, #32]\n vldrb.u8 q4, [r5]\n dls lr, r8\n"
      "1:\n" TFLS_ROW("r4", "r6") TFLS_ROW("r8", "r10") TFLS_END_SUMS);
}
#undef TFLS_ROW

/* ---- Sums of more than kTflsShortTaps inputs ----
 *
 * Three outputs at once. r0, r2, r4 and r6, r8, r10: their sums, r1, r3: windows, r5, r7, r9: rows of weights, r11:
 * where sums go. Stack: the argument. */
#define TFLS_SIXTEEN_INPUTS(product)                                                               \
  "vldrb.u8 q0, [r1], #16\n vldrb.u8 q2, [r5], #16\n " product " r0, q0, q2\n"                     \
  "vldrb.u8 q1, [r3], #16\n " product " r6, q1, q2\n vldrb.u8 q3, [r7], #16\n"                     \
  product " r2, q0, q3\n " product " r8, q1, q3\n vldrb.u8 q2, [r9], #16\n"                        \
  product " r4, q0, q2\n " product " r10, q1, q2\n"
TFLS_NAKED static void tfls_sums_of_many_vectors(TflsTwoPixels* of TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n push {r0, r4-r11, lr}\n ldr r5, [r0, #8]\n ldr r11, [r0, #20]\n"
      "1:\n ldr lr, [sp]\n ldr r12, [lr, #12]\n ldrd r1, r3, [lr]\n add r7, r5, r12\n add r9, r7, r12\n"
      "add r0, r9, r12\n str r0, [lr, #8]\n sub r12, r12, #16\n"
      TFLS_SIXTEEN_INPUTS("vmladav.s8") "dlstp.8 lr, r12\n"
      "2:\n" TFLS_SIXTEEN_INPUTS("vmladava.s8") "letp lr, 2b\n"
      "stm r11!, {r0, r2, r4}\n add r12, r11, #(" TFLS_SECOND_SUMS " - 12)\n stm r12, {r6, r8, r10}\n"
      "ldr lr, [sp]\n ldr r5, [lr, #8]\n ldr r12, [lr, #16]\n subs r12, r12, #1\n str r12, [lr, #16]\n bne 1b\n"
      "pop {r0, r4-r11, pc}\n");
}

/* ---- Outputs ----
 *
 * Four of both pixels at once, whose scales shift to the right: as tfls_put_side_by_side. */
TFLS_NAKED static void tfls_put_two_pixels(const TflsTwoPixels* of TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n push {r4-r10, lr}\n vpush {d8-d15}\n add r0, r0, #20\n ldm r0, {r1-r10}\n"
      "vdup.32 q6, r9\n vdup.32 q7, r10\n mov r12, #1\n dls lr, r7\n"
      "1:\n vldrw.u32 q2, [r2], #16\n vldrw.u32 q0, [r1], #16\n vadd.i32 q0, q0, q2\n"
      "vldrw.u32 q1, [r1, #(" TFLS_SECOND_SUMS " - 16)]\n vadd.i32 q1, q1, q2\n vldrw.u32 q3, [r3], #16\n"
      "vqrdmulh.s32 q0, q0, q3\n vldrb.s32 q4, [r4], #4\n vqrdmulh.s32 q1, q1, q3\n"
      "vpt.s32 lt, q0, zr\n vsubt.i32 q0, q0, r12\n vrshl.s32 q0, q0, q4\n vpt.s32 lt, q1, zr\n vsubt.i32 q1, q1, r12\n"
      "vadd.i32 q0, q0, r8\n vrshl.s32 q1, q1, q4\n vmax.s32 q0, q0, q6\n vadd.i32 q1, q1, r8\n vmin.s32 q0, q0, q7\n"
      "vmax.s32 q1, q1, q6\n vstrb.32 q0, [r5], #4\n vmin.s32 q1, q1, q7\n vstrb.32 q1, [r6], #4\n le lr, 1b\n"
      "vpop {d8-d15}\n pop {r4-r10, pc}\n");
}
#endif

#endif /* TFLS_CONV_HELIUM_H_ */
