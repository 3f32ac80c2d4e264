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

/* A row of a window, in inputs: so many left of the input, within it from a place on, and right of it. */
typedef struct {
  const int8_t* from;
  int32_t left, middle, right;
} Row;

/* Row y of a window whose columns are neighbours; all of it is on the left where the row lies in the padding. */
TFLS_INLINE Row row_of(const TflsConv2D* p, const Place* place, int32_t filter_y) {
  const int32_t y = place->y + filter_y * p->dilation_h, columns = p->filter_w, in_c = p->in_c;
  const int32_t left = y < 0 || y >= p->in_h ? columns : tfls_smaller(tfls_larger(-place->x, 0), columns);
  const int32_t right = tfls_smaller(tfls_larger(place->x + columns - p->in_w, 0), columns - left);
  const Row row = {place->image + (y * p->in_w + place->x + left) * in_c, left * in_c, (columns - left - right) * in_c,
                   right * in_c};
  return row;
}

TFLS_INLINE int8_t* put_padding(int8_t* to, int32_t zero_point, int32_t count) {
  if (count > 0) memset(to, zero_point, (size_t)count);
  return to + count;
}

static void gather_columns(const TflsConv2D* p, const Place* place, int8_t* to) {
  int32_t y, x;
  for (y = 0; y < p->filter_h; y++) {
    for (x = 0; x < p->filter_w; x++, to += p->in_c) {
      const int8_t* const from = inputs_at(p, place, y, x);
      if (from != NULL) {
        tfls_copy(to, from, p->in_c);
      } else {
        put_padding(to, p->input_zero_point, p->in_c);
      }
    }
  }
}

TFLS_OUTLINE void gather(const TflsConv2D* p, const Place* place, int8_t* to) {
  int32_t y;
  if (is_inside(p, place)) {
    const int32_t bytes = p->filter_w * p->in_c, step = p->dilation_h * p->in_w * p->in_c;
    const int8_t* from = inputs_at(p, place, 0, 0);
    for (y = 0; y < p->filter_h; y++, to += bytes, from += step) tfls_copy(to, from, bytes);
    return;
  }
  if (p->dilation_w != 1) {
    gather_columns(p, place, to);
    return;
  }
  for (y = 0; y < p->filter_h; y++) {
    const Row row = row_of(p, place, y);
    to = put_padding(to, p->input_zero_point, row.left);
    tfls_copy(to, row.from, row.middle);
    to = put_padding(to + row.middle, p->input_zero_point, row.right);
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
#include "tfls_four_pixels.h"

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
static void quick_outputs(const TflsConv2D* p, const int32_t* words, int8_t* y) {
  TflsOutputs outputs = {words,    p->weights,      rounded_taps(p),              p->bias, p->multiplier,
                     p->shift, p->channel_step, 2 * p->output_zero_point + 1, y,       p->out_c,
                     p->out_c};
  tfls_four_quick_pixels(&outputs);
}

static void gather_words(const TflsConv2D* p, const Place* place, int32_t* to) {
  const int32_t in_c = p->in_c, zero_point = p->input_zero_point;
  int32_t y, x;
  if (is_inside(p, place)) {
    const int32_t bytes = p->filter_w * in_c, step = p->dilation_h * p->in_w * in_c;
    const int8_t* from = inputs_at(p, place, 0, 0);
    for (y = 0; y < p->filter_h; y++, from += step) to = tfls_widen(from, bytes, to);
    return;
  }
  for (y = 0; y < p->filter_h; y++) {
    if (p->dilation_w == 1) {
      const Row row = row_of(p, place, y);
      to = tfls_widen_padding(zero_point, row.left, to);
      to = tfls_widen(row.from, row.middle, to);
      to = tfls_widen_padding(zero_point, row.right, to);
      continue;
    }
    for (x = 0; x < p->filter_w; x++) {
      const int8_t* const from = inputs_at(p, place, y, x);
      to = from != NULL ? tfls_widen(from, in_c, to) : tfls_widen_padding(zero_point, in_c, to);
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

/* Sums of more inputs than tfls_four_pixels takes. */
static void four_long_pixels(const int32_t* words, const int8_t* weights, int32_t taps, int32_t* sums) {
  int32_t more[2 * kTflsPixels], at, i;
  tfls_four_pixels(words, weights, TFLS_PAIRED_INPUTS, sums);
  for (at = TFLS_PAIRED_INPUTS; at < taps; at += TFLS_PAIRED_INPUTS) {
    tfls_four_pixels(words + kTflsPixels / 2 * at, weights + 2 * at, tfls_smaller(taps - at, TFLS_PAIRED_INPUTS), more);
    for (i = 0; i < 2 * kTflsPixels; i++) sums[i] += more[i];
  }
}

static void paired_outputs(const TflsConv2D* p, const int32_t* words, int32_t count, int8_t* y) {
  const int32_t taps = rounded_taps(p), out_c = p->out_c;
  const int8_t* w = p->weights;
  int32_t sums[2 * kTflsPixels], o;
  for (o = 0; o < out_c; o += 2, w += 2 * taps) {
    if (taps <= TFLS_PAIRED_INPUTS) {
      tfls_four_pixels(words, w, taps, sums);
    } else {
      four_long_pixels(words, w, taps, sums);
    }
    emit(p, o, sums, count, y);
    if (o + 1 < out_c) emit(p, o + 1, sums + kTflsPixels, count, y);
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
  const int quick = taps <= TFLS_PAIRED_INPUTS && all_quick(p);
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
    if (quick && count == kTflsPixels) {
      quick_outputs(p, words, output + first * p->out_c);
    } else {
      paired_outputs(p, words, count, output + first * p->out_c);
    }
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
