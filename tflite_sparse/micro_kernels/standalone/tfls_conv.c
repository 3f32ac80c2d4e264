/* CONV_2D with dense int8 weights: the inputs of an output pixel are gathered, then multiplied with each row of
 * weights. Padding is the input's zero point, which the bias takes off again. */
#include "tfls_dot.h"
#include "tfls_operators.h"
#include "tfls_paired.h"

/* An output pixel, and where its window starts. */
typedef struct {
  const int8_t* image;
  int32_t row, column; /* of the output */
  int32_t y, x;
} Place;

static Place place_of(const TflsConv2D* p, const int8_t* input, int32_t pixel) {
  const int32_t in_image = p->out_h * p->out_w, batch = pixel / in_image, rest = pixel - batch * in_image;
  const int32_t row = rest / p->out_w, column = rest - row * p->out_w;
  const Place place = {input + batch * p->in_h * p->in_w * p->in_c, row, column, row * p->stride_h - p->pad_h,
                       column * p->stride_w - p->pad_w};
  return place;
}

static void to_next(const TflsConv2D* p, Place* place) {
  place->x += p->stride_w;
  if (++place->column < p->out_w) return;
  place->column = 0;
  place->x = -p->pad_w;
  place->y += p->stride_h;
  if (++place->row < p->out_h) return;
  place->row = 0;
  place->y = -p->pad_h;
  place->image += p->in_h * p->in_w * p->in_c;
}

/* Whether the rows of a window lie within the input, each in one piece. */
static int is_inside(const TflsConv2D* p, const Place* place) {
  return place->y >= 0 && place->y + (p->filter_h - 1) * p->dilation_h < p->in_h && place->x >= 0 &&
         place->x + p->filter_w <= p->in_w && p->dilation_w == 1;
}

/* The inputs of one column of the filter; NULL: padding. */
static const int8_t* inputs_at(const TflsConv2D* p, const Place* place, int32_t filter_y, int32_t filter_x) {
  const int32_t y = place->y + filter_y * p->dilation_h, x = place->x + filter_x * p->dilation_w;
  if (y < 0 || y >= p->in_h || x < 0 || x >= p->in_w) return NULL;
  return place->image + (y * p->in_w + x) * p->in_c;
}

/* Columns of the filter that are neighbours in memory, from filter_x on; at least 1. */
static int32_t run_of(const TflsConv2D* p, const Place* place, int32_t filter_x) {
  const int32_t x = place->x + filter_x;
  if (p->dilation_w != 1 || x < 0) return 1;
  return tfls_larger(tfls_smaller(p->in_w - x, p->filter_w - filter_x), 1);
}

TFLS_OUTLINE void gather(const TflsConv2D* p, const Place* place, int8_t* to) {
  int32_t y, x, run;
  if (is_inside(p, place)) {
    const int32_t bytes = p->filter_w * p->in_c, step = p->dilation_h * p->in_w * p->in_c;
    const int8_t* from = inputs_at(p, place, 0, 0);
    for (y = 0; y < p->filter_h; y++, to += bytes, from += step) tfls_copy(to, from, bytes);
    return;
  }
  for (y = 0; y < p->filter_h; y++) {
    for (x = 0; x < p->filter_w; x += run) {
      const int8_t* const from = inputs_at(p, place, y, x);
      int32_t bytes;
      run = run_of(p, place, x);
      bytes = run * p->in_c;
      if (from != NULL) {
        tfls_copy(to, from, bytes);
      } else {
        memset(to, p->input_zero_point, (size_t)bytes);
      }
      to += bytes;
    }
  }
}

/* Sums of one output, for pixels that are out_c apart. */
static void emit(const TflsConv2D* p, int32_t o, const int32_t* sums, int32_t count, int8_t* y) {
  const int32_t channel = o * p->channel_step, bias = p->bias[o], step = p->out_c, min = p->min, max = p->max;
  const int32_t multiplier = p->multiplier[channel], shift = p->shift[channel];
  const TflsScale scale = tfls_scale_of(multiplier, shift, p->output_zero_point);
#if defined(TFLS_DSP)
  if (tfls_is_quick(shift, p->wide)) {
    const TflsQuickScale quick = tfls_quick_scale_of(bias, multiplier, shift, p->output_zero_point);
    for (y += o; count > 0; count--, y += step) *y = tfls_clamped(tfls_quick_output(*sums++, &quick), min, max);
    return;
  }
#endif
  if (p->wide) {
    for (y += o; count > 0; count--, y += step) *y = tfls_wide_output(tfls_sum(*sums++, bias), &scale, min, max);
  } else {
    for (y += o; count > 0; count--, y += step) *y = tfls_narrow_output(*sums++ + bias, &scale, min, max);
  }
}

/* ---- Plain weights ---- */

#if TFLS_HAS_LAYOUT(TFLS_PLAIN)
#if defined(TFLS_MVE)
/* Four outputs of a pixel at once. */
static void plain_pixel(const TflsConv2D* p, const int8_t* x, int8_t* y) {
  const int32_t taps = p->filter_h * p->filter_w * p->in_c;
  const int8_t* w = p->weights;
  int32_t sums[4], o;
  for (o = 0; o + 4 <= p->out_c; o += 4, w += 4 * taps) {
    const int32_t channel = o * p->channel_step;
    tfls_dot_one_by_four(x, w, taps, sums);
    tfls_put_side_by_side(y + o, sums, p->bias + o, p->multiplier + channel, p->shift + channel, !p->channel_step,
                          p->output_zero_point, p->min, p->max);
  }
  for (; o < p->out_c; o++, w += taps) {
    sums[0] = tfls_dot(x, w, taps);
    emit(p, o, sums, 1, y);
  }
}

static void plain_pixels(const TflsConv2D* p, const int8_t* x0, const int8_t* x1, int32_t count, int8_t* y) {
  plain_pixel(p, x0, y);
  if (count == 2) plain_pixel(p, x1, y + p->out_c);
}
#else
/* Two outputs of two pixels at once. */
static void plain_pixels(const TflsConv2D* p, const int8_t* x0, const int8_t* x1, int32_t count, int8_t* y) {
  const int32_t taps = p->filter_h * p->filter_w * p->in_c;
  const int8_t* w = p->weights;
  int32_t sums[4], o;
  for (o = 0; o < p->out_c; o += 2, w += 2 * taps) {
    const int32_t outputs = tfls_smaller(p->out_c - o, 2);
    tfls_dot_two_by_two(x0, x1, w, outputs == 2 ? w + taps : w, taps, sums);
    {
      const int32_t first[2] = {sums[0], sums[2]}, second[2] = {sums[1], sums[3]};
      emit(p, o, first, count, y);
      if (outputs == 2) emit(p, o + 1, second, count, y);
    }
  }
}
#endif

static int is_pointwise(const TflsConv2D* p) { return p->filter_h == 1 && p->filter_w == 1; }

static void plain(const TflsConv2D* p, const int8_t* input, int8_t* output, int8_t* rows) {
  const int32_t taps = p->filter_h * p->filter_w * p->in_c, pixels = p->batches * p->out_h * p->out_w;
  Place place = place_of(p, input, 0);
  int32_t pixel;
  for (pixel = 0; pixel < pixels; pixel += 2, output += 2 * p->out_c) {
    const int32_t count = tfls_smaller(pixels - pixel, 2);
    const Place first = place;
    Place second = place;
    if (count == 2) to_next(p, &second);
    if (is_pointwise(p)) {
      plain_pixels(p, inputs_at(p, &first, 0, 0), inputs_at(p, &second, 0, 0), count, output);
    } else {
      gather(p, &first, rows);
      if (count == 2) gather(p, &second, rows + taps);
      plain_pixels(p, rows, count == 2 ? rows + taps : rows, count, output);
    }
    place = second;
    to_next(p, &place);
  }
}
#endif

/* ---- Paired weights ---- */

#if TFLS_HAS_LAYOUT(TFLS_PAIRED)
#include "tfls_widen.h"

static int32_t rounded_taps(const TflsConv2D* p) { return (p->filter_h * p->filter_w * p->in_c + 3) & ~3; }

/* One pixel, for CPUs without SMLAD and sums that are wide. */
static void paired_pixel(const TflsConv2D* p, const int8_t* x, int8_t* y) {
  const int32_t taps = rounded_taps(p);
  const int8_t* w = p->weights;
  int32_t o;
  for (o = 0; o < p->out_c; o += 2, w += 2 * taps) {
    int32_t sums[2] = {0, 0};
    tfls_paired_dot(x, w, taps, 4, sums);
    emit(p, o, sums, 1, y);
    if (o + 1 < p->out_c) emit(p, o + 1, sums + 1, 1, y);
  }
}

static void pad_row(const TflsConv2D* p, int8_t* row) {
  const int32_t taps = p->filter_h * p->filter_w * p->in_c;
  memset(row + taps, 0, (size_t)(rounded_taps(p) - taps));
}

static void paired_one_by_one(const TflsConv2D* p, const int8_t* input, int8_t* output, int8_t* row) {
  const int32_t pixels = p->batches * p->out_h * p->out_w;
  Place place = place_of(p, input, 0);
  int32_t pixel;
  pad_row(p, row);
  for (pixel = 0; pixel < pixels; pixel++, output += p->out_c, to_next(p, &place)) {
    gather(p, &place, row);
    paired_pixel(p, row, output);
  }
}

#if defined(TFLS_DSP)
#define TFLS_TWO_INPUTS                                                                                       \
  "ldr r12, [r1], #4\n sxtb16 lr, r12\n ldmia r0!, {r10, r11}\n"                                              \
  "smlad r2, lr, r10, r2\n smlad r6, r12, r10, r6\n smlad r3, lr, r11, r3\n smlad r7, r12, r11, r7\n"         \
  "ldmia r0!, {r10, r11}\n"                                                                                   \
  "smlad r4, lr, r10, r4\n smlad r8, r12, r10, r8\n smlad r5, lr, r11, r5\n smlad r9, r12, r11, r9\n"
#define TFLS_FOUR_INPUTS TFLS_TWO_INPUTS TFLS_TWO_INPUTS

/* The sums of two outputs of four pixels, (output, pixel), over count inputs, a multiple of 4 from 4 to
 * TFLS_PAIRED_INPUTS. The words of the pixels lie side by side. */
TFLS_NAKED static void four_pixels(const int32_t* words TFLS_UNNAMED, const int8_t* weights TFLS_UNNAMED,
                                   int32_t count TFLS_UNNAMED, int32_t* sums TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n add r12, r1, r2, lsl #1\n push {r3-r12, lr}\n"
      "mov r3, #0\n mov r4, r3\n mov r5, r3\n mov r6, r3\n mov r7, r3\n mov r8, r3\n mov r9, r3\n"
      "tst r2, #4\n mov r2, r3\n bne 2f\n" /* an odd one of the fours first */
      "1:\n" TFLS_FOUR_INPUTS "2:\n" TFLS_FOUR_INPUTS "ldr r10, [sp, #36]\n cmp r1, r10\n bne 1b\n"
      TFLS_DIFFERENCE("r2", "r6") TFLS_DIFFERENCE("r3", "r7") TFLS_DIFFERENCE("r4", "r8") TFLS_DIFFERENCE("r5", "r9")
      "ldr r10, [sp]\n stmia r10, {r2-r9}\n add sp, #4\n pop {r4-r12, pc}\n");
}

static void gather_words(const TflsConv2D* p, const Place* place, int32_t* to) {
  int32_t y, x, run;
  if (is_inside(p, place)) {
    const int32_t bytes = p->filter_w * p->in_c, step = p->dilation_h * p->in_w * p->in_c;
    const int8_t* from = inputs_at(p, place, 0, 0);
    for (y = 0; y < p->filter_h; y++, from += step) to = tfls_widen(from, bytes, to);
    return;
  }
  for (y = 0; y < p->filter_h; y++) {
    for (x = 0; x < p->filter_w; x += run) {
      const int8_t* const from = inputs_at(p, place, y, x);
      run = run_of(p, place, x);
      to = from != NULL ? tfls_widen(from, run * p->in_c, to)
                        : tfls_widen_padding(p->input_zero_point, run * p->in_c, to);
    }
  }
}

/* Widens four windows that lie in one row of the output, or one behind the other, where they may be read as
 * tfls_widen_four does it. Returns whether it did. */
static int widen_together(const TflsConv2D* p, const Place* place, const int8_t* input, int32_t* words) {
  const int32_t in_c = p->in_c, row = p->in_w * in_c, bytes = p->filter_w * in_c;
  const TflsWindows windows = {p->stride_w * in_c, bytes, p->dilation_h * row, p->filter_h};
  const int8_t* const end = input + p->batches * p->in_h * row;
  const int is_flat = p->filter_h == 1 && p->filter_w == 1 && p->stride_h == 1 && p->stride_w == 1;
  const int8_t *from, *behind;
  if (!is_inside(p, place)) return 0;
  if (!is_flat && place->column + kTflsPixels > p->out_w) return 0;
  if (!is_flat && place->x + 3 * p->stride_w + p->filter_w > p->in_w) return 0;
  from = inputs_at(p, place, 0, 0);
  behind = from + 3 * windows.step + (windows.rows - 1) * windows.to_row + bytes;
  if (from - input < 3 || end - behind < 4) return 0;
  tfls_widen_four(words, from, &windows);
  return 1;
}

/* Four pixels of one output, step apart, saturated. */
TFLS_INLINE void put_four(int8_t* y, int32_t step, const int32_t* sums, const TflsQuickScale* scale) {
  const int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3]; /* read before bytes are written */
  y[0] = tfls_quick_output(a, scale);
  y[step] = tfls_quick_output(b, scale);
  y[2 * step] = tfls_quick_output(c, scale);
  y[3 * step] = tfls_quick_output(d, scale);
}

/* Sums of more inputs than four_pixels takes. */
static void four_long_pixels(const int32_t* words, const int8_t* weights, int32_t taps, int32_t* sums) {
  int32_t more[2 * kTflsPixels], at, i;
  four_pixels(words, weights, TFLS_PAIRED_INPUTS, sums);
  for (at = TFLS_PAIRED_INPUTS; at < taps; at += TFLS_PAIRED_INPUTS) {
    four_pixels(words + kTflsPixels / 2 * at, weights + 2 * at, tfls_smaller(taps - at, TFLS_PAIRED_INPUTS), more);
    for (i = 0; i < 2 * kTflsPixels; i++) sums[i] += more[i];
  }
}

/* quick: four pixels, and all scales are quick. */
static void paired_outputs(const TflsConv2D* p, const int32_t* words, int32_t count, int quick, int8_t* y) {
  const int32_t taps = rounded_taps(p), out_c = p->out_c, zero_point = p->output_zero_point;
  const int32_t channel_step = p->channel_step;
  const int32_t *bias = p->bias, *multiplier = p->multiplier;
  const int8_t *shift = p->shift, *w = p->weights;
  int32_t sums[2 * kTflsPixels], o;
  for (o = 0; o < out_c; o += 2, w += 2 * taps) {
    if (taps <= TFLS_PAIRED_INPUTS) {
      four_pixels(words, w, taps, sums);
    } else {
      four_long_pixels(words, w, taps, sums);
    }
    if (quick) {
      TflsQuickScale scale = tfls_quick_scale_of(bias[o], *multiplier, *shift, zero_point);
      multiplier += channel_step;
      shift += channel_step;
      put_four(y + o, out_c, sums, &scale);
      if (o + 1 == out_c) return;
      scale = tfls_quick_scale_of(bias[o + 1], *multiplier, *shift, zero_point);
      multiplier += channel_step;
      shift += channel_step;
      put_four(y + o + 1, out_c, sums + kTflsPixels, &scale);
    } else {
      emit(p, o, sums, count, y);
      if (o + 1 < out_c) emit(p, o + 1, sums + kTflsPixels, count, y);
    }
  }
}

static int all_quick(const TflsConv2D* p) {
  int32_t i;
  for (i = p->channel_step ? p->out_c - 1 : 0; i >= 0; i--)
    if (!tfls_is_quick(p->shift[i], p->wide)) return 0;
  return 1;
}

static void paired_by_four(const TflsConv2D* p, const int8_t* input, int8_t* output, int32_t* words) {
  const int32_t pixels = p->batches * p->out_h * p->out_w, taps = rounded_taps(p);
  int8_t* const row = (int8_t*)(words + kTflsPixels / 2 * taps); /* for inputs that do not come in fours */
  const int quick = all_quick(p);
  int32_t start, j;
  if (p->in_c % 4 != 0) pad_row(p, row);
  for (start = 0; start < pixels; start += kTflsPixels) {
    const int32_t first = tfls_smaller(start, tfls_larger(pixels - kTflsPixels, 0)); /* the last ones again */
    const int32_t count = tfls_smaller(pixels - first, kTflsPixels);
    Place place = place_of(p, input, first);
    const int done = count == kTflsPixels && widen_together(p, &place, input, words);
    for (j = done ? count : 0; j < count; j++, to_next(p, &place)) {
      if (p->in_c % 4 == 0) {
        gather_words(p, &place, words + j);
      } else {
        gather(p, &place, row);
        tfls_widen(row, taps, words + j);
      }
    }
    paired_outputs(p, words, count, quick && count == kTflsPixels, output + first * p->out_c);
  }
  tfls_clamp_all(output, pixels * p->out_c, p->min, p->max);
}
#endif

static void paired(const TflsConv2D* p, const int8_t* input, int8_t* output, void* scratch) {
#if defined(TFLS_DSP)
  if (!p->wide) {
    paired_by_four(p, input, output, (int32_t*)scratch);
    return;
  }
#endif
  paired_one_by_one(p, input, output, (int8_t*)scratch);
}
#endif

void tfls_conv_2d(const TflsConv2D* params, const int8_t* input, int8_t* output, void* scratch) {
#if TFLS_HAS_LAYOUT(TFLS_PLAIN)
  if (params->layout == TFLS_PLAIN) plain(params, input, output, (int8_t*)scratch);
#endif
#if TFLS_HAS_LAYOUT(TFLS_PAIRED)
  if (params->layout == TFLS_PAIRED) paired(params, input, output, scratch);
#endif
}
