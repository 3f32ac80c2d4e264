/* DEPTHWISE_CONV_2D with 3x3 filters on CPUs with Helium: sixteen channels at once.
 *
 * Three rows of the input are copied, a strip of kColumns at a time and with their padding: 16 bytes a column. Where
 * there are at most eight channels, and columns of the output are neighbours in the input, those of several columns lie
 * side by side: each copied column then has those that follow behind it.
 */
#ifndef TFLS_DEPTHWISE_HELIUM_H_
#define TFLS_DEPTHWISE_HELIUM_H_

#include "tfls_helium.h"
#include "tfls_operators.h"

#if defined(TFLS_MVE)
enum { kLanes = 16, kColumns = 10 };

/* What sixteen lanes of outputs are computed with. Words are in the order in which products come: lanes 0, 4, 8, 12;
 * 2, 6, ...; 1, 5, ...; 3, 7, ... The assembly knows it all. */
typedef struct {
  int8_t weights[9][kLanes];
  int32_t bias[4][4], multiplier[4][4], shift[4][4];
} Lanes;

/* A strip of a line of outputs. The assembly knows the order. */
typedef struct {
  int8_t* rows[3];
  int8_t* output;
  int32_t vectors;   /* of outputs */
  int32_t step;      /* from one to the next in rows */
  int32_t to_next;   /* and in the output */
  int32_t left;      /* lanes that are written: so many, or all if it is more; */
  int32_t less;      /* by how much that is less for the next vector */
  const Lanes* lanes;
  int32_t zero_point, min, max;
} Strip;

/* Reads one of the nine: its place in a row, the row, and its weights. */
#define TFLS_TAP(input, weights) "vldrb.u8 q4, [" input "]\n vldrw.u32 q5, [r10, #16 * " weights "]\n"
/* Products of two taps, even lanes in q6, odd ones in q7. The first one is that of -x - 1, which is taken off: a sum is
 * the weight of the first tap too large, which the bias takes off again, and fits in a half-word whatever the weights. */
#define TFLS_FIRST_TAP(input, weights) TFLS_TAP(input, weights) "vmvn q4, q4\n vmullb.s8 q6, q4, q5\n vmullt.s8 q7, q4, q5\n"
#define TFLS_TWO_TAPS(input0, weights0, input1, weights1)                                          \
  TFLS_FIRST_TAP(input0, weights0)                                                                 \
  TFLS_TAP(input1, weights1) "vmullb.s8 q5, q4, q5\n vsub.i16 q6, q5, q6\n"                        \
  "vldrw.u32 q5, [r10, #16 * " weights1 "]\n vmullt.s8 q4, q4, q5\n vsub.i16 q7, q4, q7\n"
#define TFLS_ADD                                                                                   \
  "vmovlb.s16 q4, q6\n vadd.i32 q0, q0, q4\n vmovlt.s16 q5, q6\n vadd.i32 q1, q1, q5\n"            \
  "vmovlb.s16 q4, q7\n vadd.i32 q2, q2, q4\n vmovlt.s16 q5, q7\n vadd.i32 q3, q3, q5\n"
#define TFLS_BIAS(sums, number) "vldrw.u32 q4, [r10, #144 + 16 * " number "]\n vadd.i32 " sums ", " sums ", q4\n"
/* Halves of negative products are rounded away from zero. */
#define TFLS_SCALE(sums, number)                                                                   \
  "vldrw.u32 q4, [r10, #208 + 16 * " number "]\n vqrdmulh.s32 " sums ", " sums ", q4\n"            \
  "vldrw.u32 q5, [r10, #272 + 16 * " number "]\n vpt.s32 lt, " sums ", zr\n"                       \
  "vsubt.i32 " sums ", " sums ", r12\n vrshl.s32 " sums ", " sums ", q5\n"

/* Outputs of a strip. r0, r5: min and max, r1 to r4: rows and output, r6 to r11: members from step on, r12: 1. */
TFLS_NAKED static void put_strip(const Strip* strip TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n push {r4-r11, lr}\n vpush {d8-d15}\n ldr r12, [r0, #44]\n ldm r0, {r1-r11}\n dls lr, r5\n"
      "ldr r5, [r0, #48]\n mov r0, r12\n mov r12, #1\n"
      "1:\n" TFLS_FIRST_TAP("r1", "0")
      TFLS_TAP("r1, #16", "1") "vmullb.s8 q0, q4, q5\n vsub.i16 q6, q0, q6\n vmullt.s8 q1, q4, q5\n vsub.i16 q7, q1, q7\n"
      "vmovlb.s16 q0, q6\n vmovlt.s16 q1, q6\n vmovlb.s16 q2, q7\n vmovlt.s16 q3, q7\n"
      TFLS_BIAS("q0", "0") TFLS_BIAS("q1", "1") TFLS_BIAS("q2", "2") TFLS_BIAS("q3", "3")
      TFLS_TWO_TAPS("r1, #32", "2", "r2", "3") "add r1, r1, r6\n" TFLS_ADD
      TFLS_TWO_TAPS("r2, #16", "4", "r2, #32", "5") "add r2, r2, r6\n" TFLS_ADD
      TFLS_TWO_TAPS("r3", "6", "r3, #16", "7") TFLS_ADD
      TFLS_TAP("r3, #32", "8") "vmullb.s8 q6, q4, q5\n add r3, r3, r6\n vmullt.s8 q7, q4, q5\n" TFLS_ADD
      TFLS_SCALE("q0", "0") TFLS_SCALE("q1", "1") TFLS_SCALE("q2", "2") TFLS_SCALE("q3", "3")
      "vqmovnb.s32 q0, q0\n vqmovnb.s32 q2, q2\n vqmovnt.s32 q0, q1\n vqmovnt.s32 q2, q3\n"
      "vqadd.s16 q0, q0, r11\n vqadd.s16 q2, q2, r11\n vqmovnb.s16 q0, q0\n vdup.8 q4, r0\n vqmovnt.s16 q0, q2\n"
      "vdup.8 q5, r5\n vmax.s8 q0, q0, q4\n vctp.8 r8\n vmin.s8 q0, q0, q5\n vpst\n vstrbt.8 q0, [r4]\n"
      "add r4, r4, r7\n sub r8, r8, r9\n le lr, 1b\n vpop {d8-d15}\n pop {r4-r11, pc}\n");
}

/* The lanes from a channel on; lanes that are not written repeat others. */
static void set_lanes(const TflsDepthwiseConv2D* p, int32_t channel, Lanes* lanes) {
  const int32_t channels = p->in_c, step = p->channel_step;
  const uint8x16_t last = vdupq_n_u8((uint8_t)tfls_smaller(channels - channel - 1, kLanes - 1));
  const uint8x16_t place = channels < kLanes ? viwdupq_n_u8(0, (uint32_t)channels, 1) : vminq_u8(vidupq_n_u8(0, 1), last);
  const uint16x8_t even = vmovlbq_u8(place), odd = vmovltq_u8(place);
  const uint32x4_t places[4] = {vmovlbq_u16(even), vmovltq_u16(even), vmovlbq_u16(odd), vmovltq_u16(odd)};
  const int8_t* weights = p->weights + channel;
  int16x8_t first_even = vdupq_n_s16(0), first_odd = first_even; /* sums of the weights of first taps */
  int32x4_t first[4];
  int32_t i;
  for (i = 0; i < 9; i++, weights += channels) {
    const int8x16_t tap = vldrbq_gather_offset_s8(weights, place);
    vstrbq_s8(lanes->weights[i], tap);
    if (i % 2 != 0 || i == 8) continue;
    first_even = vaddq_s16(first_even, vmovlbq_s8(tap));
    first_odd = vaddq_s16(first_odd, vmovltq_s8(tap));
  }
  first[0] = vmovlbq_s16(first_even);
  first[1] = vmovltq_s16(first_even);
  first[2] = vmovlbq_s16(first_odd);
  first[3] = vmovltq_s16(first_odd);
  for (i = 0; i < 4; i++) {
    const uint32x4_t scale = vmulq_n_u32(places[i], (uint32_t)step);
    vstrwq_s32(lanes->bias[i], vsubq_s32(vldrwq_gather_shifted_offset_s32(p->bias + channel, places[i]), first[i]));
    vstrwq_s32(lanes->multiplier[i], vldrwq_gather_shifted_offset_s32(p->multiplier + step * channel, scale));
    vstrwq_s32(lanes->shift[i], vldrbq_gather_offset_s32(p->shift + step * channel, scale));
  }
}

/* Copies so many lanes of each of count columns, channels apart. */
TFLS_INLINE void copy_columns(int8_t* to, const int8_t* from, int32_t channels, int32_t lanes, int32_t count) {
  __asm__ volatile(
      "vctp.8 %[lanes]\n wls lr, %[count], 2f\n"
      "1:\n vpst\n vldrbt.u8 q0, [%[from]]\n add %[from], %[from], %[channels]\n vstrb.8 q0, [%[to]], #16\n le lr, 1b\n"
      "2:\n"
      : [to] "+r"(to), [from] "+r"(from)
      : [channels] "r"(channels), [lanes] "r"(lanes), [count] "r"(count)
      : "lr", "q0", "memory");
}

/* Copies columns of which a part lies in the padding, or all. at: the first, in a row. */
static void copy_at_border(const TflsDepthwiseConv2D* p, int8_t* to, const int8_t* row, int32_t at, int32_t count) {
  const int32_t channels = p->in_c;
  const int8x16_t padding = vdupq_n_s8(p->input_zero_point);
  for (; count > 0; count--, at++, to += kLanes) {
    const int32_t first = tfls_smaller(tfls_larger(-at, 0) * channels, kLanes);
    const int32_t end = tfls_smaller(tfls_larger(p->in_w - at, 0) * channels, kLanes);
    const mve_pred16_t within = (mve_pred16_t)((1 << end) - (1 << tfls_smaller(first, end)));
    vstrbq_s8(to, vpselq_s8(vldrbq_z_s8(row + at * channels, within), padding, within));
  }
}

/* What strips of the same lanes share. */
typedef struct {
  int32_t channel, lanes, pixels; /* the first one; how many channels of how many pixels */
} Part;

/* Strips below each other, from column x of the output on. */
static void put_strips(const TflsDepthwiseConv2D* p, const Part* part, Strip* strip, const int8_t* image, int32_t x,
                       int8_t* output) {
  const int32_t channels = p->in_c, at = x * p->stride_w - p->pad_w, row = p->in_w * channels;
  const int32_t columns = (strip->vectors - 1) * part->pixels * p->stride_w + 3, has_parts = part->pixels > 1;
  const int32_t before = tfls_smaller(tfls_larger(-at, 0), columns), last = p->in_w - part->pixels - at;
  const int32_t whole = tfls_larger(tfls_smaller(columns, last + 1) - before, 0), end = before + whole;
  int8_t copied[3 * kColumns * kLanes];
  int32_t out_y, y = -p->pad_h, next = y;
  strip->rows[0] = copied;
  strip->rows[1] = copied + kColumns * kLanes;
  strip->rows[2] = copied + 2 * kColumns * kLanes;
  strip->output = output + x * channels + part->channel;
  if (!has_parts) tfls_fill(copied, p->input_zero_point, 3 * kColumns * kLanes);
  for (out_y = 0; out_y < p->out_h; out_y++, y += p->stride_h, strip->output += p->out_w * channels) {
    for (next = tfls_larger(next, y); next < y + 3; next++) {
      const int8_t* const from = image + next * row + part->channel;
      int8_t* const to = strip->rows[0];
      strip->rows[0] = strip->rows[1];
      strip->rows[1] = strip->rows[2];
      strip->rows[2] = to;
      if (next < 0 || next >= p->in_h) {
        tfls_fill(to, p->input_zero_point, columns * kLanes);
        continue;
      }
      if (has_parts) copy_at_border(p, to, from, at, before);
      copy_columns(to + before * kLanes, from + (at + before) * channels, channels, part->lanes, whole);
      if (has_parts) copy_at_border(p, to + end * kLanes, from, at + end, columns - end);
    }
    put_strip(strip);
  }
}

/* One image. */
static void three_by_three(const TflsDepthwiseConv2D* p, const int8_t* image, int8_t* output) {
  const int32_t channels = p->in_c, pixels = p->stride_w == 1 && channels < kLanes ? kLanes / channels : 1;
  const int32_t step = pixels * p->stride_w, most = (kColumns - 3) / step + 1;
  Lanes lanes;
  Strip strip;
  Part part;
  int32_t x;
  part.pixels = pixels;
  strip.step = kLanes * step;
  strip.to_next = pixels * channels;
  strip.less = channels < kLanes ? pixels * channels : 0;
  strip.lanes = &lanes;
  strip.zero_point = p->output_zero_point;
  strip.min = p->min;
  strip.max = p->max;
  for (part.channel = 0; part.channel < channels; part.channel += kLanes) {
    part.lanes = tfls_smaller(pixels * channels - part.channel, kLanes);
    set_lanes(p, part.channel, &lanes);
    for (x = 0; x < p->out_w; x += most * pixels) {
      const int32_t left = p->out_w - x;
      strip.vectors = tfls_smaller((left + pixels - 1) / pixels, most);
      strip.left = channels < kLanes ? left * channels : part.lanes;
      put_strips(p, &part, &strip, image, x, output);
    }
  }
}
#endif

#endif /* TFLS_DEPTHWISE_HELIUM_H_ */
