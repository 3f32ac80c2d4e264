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

/* The inputs of one column of the filter; NULL: padding. */
static const int8_t* inputs_at(const TflsConv2D* p, const Place* place, int32_t filter_y, int32_t filter_x) {
  const int32_t y = place->y + filter_y * p->dilation_h, x = place->x + filter_x * p->dilation_w;
  if (y < 0 || y >= p->in_h || x < 0 || x >= p->in_w) return NULL;
  return place->image + (y * p->in_w + x) * p->in_c;
}

TFLS_INLINE int8_t* put_padding(int8_t* to, int32_t zero_point, int32_t count) {
#if defined(TFLS_MVE)
  tfls_fill(to, zero_point, count);
#else
  if (count > 0) memset(to, zero_point, (size_t)count);
#endif
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

#if TFLS_HAS_LAYOUT(TFLS_PLAIN) || !defined(TFLS_DSP)
/* Whether the rows of a window lie within the input, each in one piece. */
static int is_inside(const TflsConv2D* p, const Place* place) {
  return place->y >= 0 && place->y + (p->filter_h - 1) * p->dilation_h < p->in_h && place->x >= 0 &&
         place->x + p->filter_w <= p->in_w && p->dilation_w == 1;
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

#if defined(TFLS_MVE)
/* All of the window is padding first, then the rows that meet the input take its values. */
TFLS_INLINE void gather_at_border(const TflsConv2D* p, const Place* place, int8_t* to) {
  const int32_t in_c = p->in_c, row = p->in_w * in_c, bytes = p->filter_w * in_c, step = p->dilation_h;
  const int32_t left = tfls_larger(-place->x, 0), right = tfls_smaller(p->filter_w, p->in_w - place->x);
  const int8_t* from = place->image + (place->y * p->in_w + place->x + left) * in_c;
  int32_t y = place->y, i;
  put_padding(to, p->input_zero_point, p->filter_h * bytes);
  to += left * in_c;
  for (i = p->filter_h; i > 0; i--, y += step, from += step * row, to += bytes)
    if (y >= 0 && y < p->in_h) tfls_copy(to, from, (right - left) * in_c);
}
#endif

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
#if defined(TFLS_MVE)
  gather_at_border(p, place, to);
#else
  for (y = 0; y < p->filter_h; y++) {
    const Row row = row_of(p, place, y);
    to = put_padding(to, p->input_zero_point, row.left);
    tfls_copy(to, row.from, row.middle);
    to = put_padding(to + row.middle, p->input_zero_point, row.right);
  }
#endif
}
#endif

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
static int is_pointwise(const TflsConv2D* p) { return p->filter_h == 1 && p->filter_w == 1; }

#if !defined(TFLS_MVE)
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
#else
#include "tfls_conv_helium.h"

/* The sums of so many outputs of both pixels, a multiple of 4, from a row of weights on. */
static void sums_of_both(TflsTwoPixels* of, const int8_t* weights, int32_t outputs, int32_t* sums) {
  const int32_t taps = of->taps;
  of->weights = weights;
  of->sums = sums;
  if (taps > kTflsShortTaps) {
    const int32_t left = outputs % 3;
    of->count = outputs / 3;
    tfls_sums_of_many_vectors(of);
    if (left == 0) return;
    of->weights = weights + (outputs - 3) * taps; /* the last three, some of them again */
    of->sums = sums + outputs - 3;
    of->count = 1;
    tfls_sums_of_many_vectors(of);
    return;
  }
  of->count = outputs >> 1;
  if (taps > 48) {
    tfls_sums_of_four_vectors(of);
  } else if (taps > 32) {
    tfls_sums_of_three_vectors(of);
  } else if (taps > 16) {
    tfls_sums_of_two_vectors(of);
  } else {
    tfls_sums_of_one_vector(of);
  }
}

/* Outputs of one pixel, in fours, whose scales shift either way. */
TFLS_OUTLINE void put_any(const TflsConv2D* p, const TflsTwoPixels* of, const int32_t* sums, int8_t* y) {
  int32_t i, channel;
  for (i = 0; i < 4 * of->fours; i += 4) {
    channel = i * p->channel_step;
    tfls_put_side_by_side(y + i, sums + i, of->bias + i, of->multiplier + channel, of->shift + channel,
                          !p->channel_step, of->zero_point, of->min, of->max);
  }
}

/* Four outputs or more of both pixels; the last four may overlap with those before. */
TFLS_OUTLINE void both_pixels(const TflsConv2D* p, TflsTwoPixels* of, int quick, int8_t* y0, int8_t* y1) {
  const int32_t out_c = p->out_c;
  int32_t sums[2 * kTflsSums], o, outputs;
  for (o = 0; o < out_c; o += outputs) {
    const int32_t first = tfls_smaller(o, out_c - 4), channel = first * p->channel_step;
    outputs = tfls_smaller((out_c - first) & ~3, kTflsSums);
    sums_of_both(of, p->weights + first * of->taps, outputs, sums);
    of->sums = sums;
    of->bias = p->bias + first;
    of->multiplier = p->multiplier + channel;
    of->shift = p->shift + channel;
    of->y0 = y0 + first;
    of->y1 = y1 + first;
    of->fours = outputs >> 2;
    if (quick) {
      tfls_put_two_pixels(of);
    } else {
      put_any(p, of, sums, of->y0);
      put_any(p, of, sums + kTflsSums, of->y1);
    }
  }
}

static void few_outputs(const TflsConv2D* p, const int8_t* x, int32_t taps, int8_t* y) {
  int32_t o;
  for (o = 0; o < p->out_c; o++) {
    const int32_t sum = tfls_dot(x, p->weights + o * taps, taps);
    emit(p, o, &sum, 1, y);
  }
}

/* Whether each output has a scale of its own, which shifts to the right. */
static int all_to_the_right(const TflsConv2D* p) {
  int32_t o;
  if (!p->channel_step) return 0;
  for (o = 0; o < p->out_c; o++)
    if (p->shift[o] >= 0) return 0;
  return 1;
}

/* Windows: places up to the last ones have all rows within the input, each in one piece. */
typedef struct {
  int32_t last_y, last_x, rows, bytes, step; /* step: from one row of a window to the next */
} Windows;

static Windows windows_of(const TflsConv2D* p) {
  const int32_t row = p->in_w * p->in_c;
  const Windows windows = {p->in_h - (p->filter_h - 1) * p->dilation_h - 1, p->dilation_w == 1 ? p->in_w - p->filter_w : -1,
                           p->filter_h, p->filter_w * p->in_c, p->dilation_h * row};
  return windows;
}

/* Gathers the window of a place, and moves on. */
TFLS_INLINE void next_window(const TflsConv2D* p, const Windows* windows, Place* place, int8_t* to) {
  if (place->y >= 0 && place->y <= windows->last_y && place->x >= 0 && place->x <= windows->last_x) {
    const int32_t bytes = windows->bytes, step = windows->step;
    const int8_t* from = place->image + (place->y * p->in_w + place->x) * p->in_c;
    int32_t left;
    for (left = windows->rows; left > 0; left--, to += bytes, from += step) tfls_copy(to, from, bytes);
  } else {
    gather(p, place, to);
  }
  to_next(p, place);
}

/* Convolutions whose outputs are those of one pixel each. */
TFLS_INLINE const int8_t* next_pixel(const TflsConv2D* p, Place* place) {
  const int8_t* const x = place->image + (place->y * p->in_w + place->x) * p->in_c;
  to_next(p, place);
  return x;
}

static void plain(const TflsConv2D* p, const int8_t* input, int8_t* output, int8_t* rows) {
  const int32_t taps = p->filter_h * p->filter_w * p->in_c, out_c = p->out_c;
  const int is_single = is_pointwise(p), is_flat = is_single && p->stride_h == 1 && p->stride_w == 1;
  const int quick = all_to_the_right(p);
  const Windows windows = windows_of(p);
  Place place = place_of(p, input, 0);
  TflsTwoPixels of;
  int32_t left;
  of.taps = taps;
  of.zero_point = p->output_zero_point;
  of.min = p->min;
  of.max = p->max;
  for (left = p->batches * p->out_h * p->out_w; left > 0; left -= 2, output += 2 * out_c) {
    const int is_pair = left > 1;
    int8_t* const second = is_pair ? output + out_c : output;
    if (is_flat) {
      of.x0 = input;
      of.x1 = is_pair ? input + taps : input;
      input += 2 * taps;
    } else if (is_single) {
      of.x0 = next_pixel(p, &place);
      of.x1 = is_pair ? next_pixel(p, &place) : of.x0;
    } else {
      next_window(p, &windows, &place, rows);
      if (is_pair) next_window(p, &windows, &place, rows + taps);
      of.x0 = rows;
      of.x1 = is_pair ? rows + taps : rows;
    }
    if (out_c >= 4) {
      both_pixels(p, &of, quick, output, second);
    } else {
      few_outputs(p, of.x0, taps, output);
      if (is_pair) few_outputs(p, of.x1, taps, second);
    }
  }
}
#endif
#endif

/* ---- Paired weights ---- */

#if TFLS_HAS_LAYOUT(TFLS_PAIRED)
#include "tfls_four_pixels.h"

#if defined(TFLS_DSP)
/* What of a window lies in the input where its columns are neighbours: rows of the filter from top to end, and of each
 * so many bytes, behind those to the left of the input and before those to the right of it. */
typedef struct {
  const int8_t* from;
  int32_t step; /* bytes from a row to the next */
  int32_t top, end, left, middle, right;
} Part;

TFLS_INLINE Part part_of(const TflsConv2D* p, const Place* place) {
  const int32_t in_c = p->in_c, row = p->in_w * in_c, columns = p->filter_w, dilation = p->dilation_h;
  const int32_t left = tfls_smaller(tfls_larger(-place->x, 0), columns);
  const int32_t right = tfls_smaller(tfls_larger(place->x + columns - p->in_w, 0), columns - left);
  int32_t y = place->y, top = 0, end = p->filter_h;
  while (y + (end - 1) * dilation >= p->in_h && end > 0) end--;
  for (; y < 0 && top < end; y += dilation) top++;
  {
    const Part part = {place->image + (y * row + (place->x + left) * in_c),
                       dilation * row,
                       top,
                       end,
                       left * in_c,
                       (columns - left - right) * in_c,
                       right * in_c};
    return part;
  }
}

/* A window in bytes, as gather_columns does it. */
TFLS_OUTLINE void gather_part(const TflsConv2D* p, const Part* part, int8_t* to) {
  const int32_t all = part->left + part->middle + part->right, bytes = part->middle, step = part->step;
  const int8_t* from = part->from;
  int32_t rows = part->end - part->top;
  if (rows < p->filter_h || bytes < all) put_padding(to, p->input_zero_point, p->filter_h * all);
  to += part->top * all + part->left;
  for (; rows > 0; rows--, from += step, to += all) {
    int32_t at;
    for (at = 0; at + 4 <= bytes; at += 4) TFLS_COPY(to + at, from + at, 4);
    if (bytes & 2) TFLS_COPY(to + at, from + at, 2);
    if (bytes & 1) to[bytes - 1] = from[bytes - 1];
  }
}

static void gather_row(const TflsConv2D* p, const Place* place, int8_t* to) {
  if (p->dilation_w != 1) {
    gather_columns(p, place, to);
  } else {
    const Part part = part_of(p, place);
    gather_part(p, &part, to);
  }
}
#else
#define gather_row gather
#endif

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
    gather_row(p, &place, row);
    paired_pixel(p, row, output);
  }
}

#if defined(TFLS_DSP)
/* ---- Windows of four pixels ---- */

/* Rows of bytes, a multiple of 4 of them. Returns the end. */
TFLS_OUTLINE int32_t* widen_rows(const int8_t* from, int32_t bytes, int32_t* to, int32_t rows, int32_t step) {
  for (; rows > 0; rows--, from += step) to = tfls_widen(from, bytes, to);
  return to;
}

/* A window whose columns are neighbours; row is for what does not come in fours. */
static void gather_neighbours(const TflsConv2D* p, const Place* place, int8_t* row, int32_t* to) {
  const Part part = part_of(p, place);
  const int32_t all = part.left + part.middle + part.right, zero_point = p->input_zero_point;
  const int8_t* from = part.from;
  int32_t rows = part.end - part.top;
  if (((part.left | part.middle | part.right) & 3) != 0) {
    gather_part(p, &part, row);
    widen_rows(row, rounded_taps(p), to, 1, 0);
    return;
  }
  to = tfls_widen_padding(zero_point, part.top * all, to);
  if (part.middle == all) {
    to = widen_rows(from, all, to, rows, part.step);
  } else {
    for (; rows > 0; rows--, from += part.step) {
      to = tfls_widen_padding(zero_point, part.left, to);
      to = widen_rows(from, part.middle, to, 1, 0);
      to = tfls_widen_padding(zero_point, part.right, to);
    }
  }
  tfls_widen_padding(zero_point, (p->filter_h - part.end) * all, to);
}

/* One whose columns lie apart, of inputs that come in fours. */
static void gather_apart(const TflsConv2D* p, const Place* place, int32_t* to) {
  int32_t y, x;
  for (y = 0; y < p->filter_h; y++) {
    for (x = 0; x < p->filter_w; x++) {
      const int8_t* const from = inputs_at(p, place, y, x);
      to = from != NULL ? tfls_widen(from, p->in_c, to) : tfls_widen_padding(p->input_zero_point, p->in_c, to);
    }
  }
}

TFLS_OUTLINE void gather_pixel(const TflsConv2D* p, const Place* place, int8_t* row, int32_t* to) {
  if (p->dilation_w == 1) {
    gather_neighbours(p, place, row, to);
  } else if (p->in_c % 4 == 0) {
    gather_apart(p, place, to);
  } else {
    gather_columns(p, place, row);
    widen_rows(row, rounded_taps(p), to, 1, 0);
  }
}

/* Where windows go, and which four may be read as tfls_widen_four does it: those of neighbours in a row of the output,
 * or of pixels of one input that lie one behind the other. */
typedef struct {
  const TflsConv2D* params;
  const int8_t* input;
  int32_t* words;
  int8_t* row; /* for inputs that do not come in fours */
  TflsWindows windows;
  int32_t last_column, last_y, last; /* of the first of four; last: where it starts in the input */
  int32_t last_x;                    /* of each that does not reach into the padding to the right */
} Gathering;

static Gathering gathering_of(const TflsConv2D* p, const int8_t* input, int32_t* words) {
  const int32_t row = p->in_w * p->in_c, bytes = p->filter_w * p->in_c, taps = p->filter_h * bytes;
  const int32_t below = (p->filter_h - 1) * p->dilation_h, step = p->stride_w * p->in_c;
  const int is_flat = p->filter_h == 1 && p->filter_w == 1 && p->stride_h == 1 && p->stride_w == 1;
  Gathering gathering = {p,
                         input,
                         words,
                         (int8_t*)(words + kTflsPixels / 2 * rounded_taps(p)),
                         {step, bytes, p->filter_h, p->dilation_h * row},
                         p->out_w - kTflsPixels,
                         p->in_h - 1 - below,
                         (p->batches * p->in_h - below) * row - 3 * step - bytes - (-taps & 3),
                         p->in_w - p->filter_w};
  if (is_flat) {
    gathering.last_column = p->out_w;
    gathering.last_x = p->in_w + 3;
  } else if (p->filter_w != 1 && p->dilation_w != 1) {
    gathering.last_column = -1;
  }
  return gathering;
}

static void skip_four(const TflsConv2D* p, Place* place) {
  place->column += kTflsPixels;
  place->x += kTflsPixels * p->stride_w;
  while (place->column >= p->out_w) {
    place->column -= p->out_w;
    place->x -= p->out_w * p->stride_w;
    place->y += p->stride_h;
    if (++place->row < p->out_h) continue;
    place->row = 0;
    place->y = -p->pad_h;
    place->image += p->in_h * p->in_w * p->in_c;
  }
}

/* Widens the windows of count pixels, those from place on, and moves it on. Of windows that are read together those
 * that reach into the padding are read again. */
TFLS_OUTLINE void gather_four(const Gathering* gathering, Place* place, int32_t count) {
  const TflsConv2D* const p = gathering->params;
  const int32_t at = (int32_t)(place->image - gathering->input) + (place->y * p->in_w + place->x) * p->in_c;
  int32_t first_x = 0, j;
  if (count < kTflsPixels || place->column > gathering->last_column || place->y < 0 || place->y > gathering->last_y ||
      at < 0 || at > gathering->last) {
    first_x = INT32_MAX; /* all of them one by one */
  } else {
    tfls_widen_four(gathering->words, gathering->input + at, &gathering->windows);
    if (place->x >= 0 && place->x + 3 * p->stride_w <= gathering->last_x) {
      skip_four(p, place);
      return;
    }
  }
  for (j = 0; j < count; j++, to_next(p, place))
    if (place->x < first_x || place->x > gathering->last_x)
      gather_pixel(p, place, gathering->row, gathering->words + j);
}

/* ---- Outputs of four pixels ---- */

static void sums_of_two(const int32_t* words, const int8_t* weights, int32_t taps, int32_t* sums) {
  tfls_four_pixels(words, weights, words + kTflsPixels / 2 * taps, sums, NULL, NULL, 0, NULL, 0);
}

/* Sums of more inputs than tfls_four_pixels takes. */
static void long_sums_of_two(const int32_t* words, const int8_t* weights, int32_t taps, int32_t* sums) {
  int32_t more[2 * kTflsPixels], at, i;
  sums_of_two(words, weights, TFLS_PAIRED_INPUTS, sums);
  for (at = TFLS_PAIRED_INPUTS; at < taps; at += TFLS_PAIRED_INPUTS) {
    sums_of_two(words + kTflsPixels / 2 * at, weights + 2 * at, tfls_smaller(taps - at, TFLS_PAIRED_INPUTS), more);
    for (i = 0; i < 2 * kTflsPixels; i++) sums[i] += more[i];
  }
}

static void paired_outputs(const TflsConv2D* p, const int32_t* words, int32_t count, int8_t* y) {
  const int32_t taps = rounded_taps(p), out_c = p->out_c;
  const int8_t* w = p->weights;
  int32_t sums[2 * kTflsPixels], o;
  for (o = 0; o < out_c; o += 2, w += 2 * taps) {
    if (taps <= TFLS_PAIRED_INPUTS) {
      sums_of_two(words, w, taps, sums);
    } else {
      long_sums_of_two(words, w, taps, sums);
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

static void quick_scales(const TflsConv2D* p, int32_t first, int32_t count, TflsQuickScale* scales) {
  const int32_t* bias = p->bias + first;
  const int32_t* multiplier = p->multiplier + first * p->channel_step;
  const int8_t* shift = p->shift + first * p->channel_step;
  for (; count > 0; count--, multiplier += p->channel_step, shift += p->channel_step)
    *scales++ = tfls_quick_scale_of(*bias++, *multiplier, *shift, p->output_zero_point);
}

enum { kFewScales = 8 /* that are made ready again for each four pixels where there are few of these */ };

static void outputs_of_few(const TflsConv2D* p, const int32_t* words, int32_t taps, int8_t* y) {
  TflsQuickScale scales[kFewScales];
  int32_t o;
  for (o = 0; o < p->out_c; o += kFewScales) {
    const int32_t count = tfls_smaller(p->out_c - o, kFewScales);
    quick_scales(p, o, count, scales);
    tfls_four_pixels(words, p->weights + o * taps, words + kTflsPixels / 2 * taps, NULL, scales, y + o, p->out_c,
                     scales + count, p->output_zero_point <= p->min);
  }
}

static void paired_by_four(const TflsConv2D* p, const int8_t* input, int8_t* output, int32_t* words) {
  const int32_t pixels = p->batches * p->out_h * p->out_w, taps = rounded_taps(p), out_c = p->out_c;
  const int32_t count = tfls_smaller(pixels, kTflsPixels);
  const int32_t clamped = p->output_zero_point <= p->min;
  const int quick = taps <= TFLS_PAIRED_INPUTS && count == kTflsPixels && all_quick(p);
  const Gathering gathering = gathering_of(p, input, words);
  int32_t* const end = words + kTflsPixels / 2 * taps;
  TflsQuickScale* const scales = (TflsQuickScale*)(p->in_c % 4 == 0 ? end : end + taps / 4);
  Place place = place_of(p, input, 0);
  int8_t* y = output;
  int32_t left;
  if (quick && pixels >= TFLS_MANY_PIXELS) quick_scales(p, 0, out_c, scales);
  for (left = pixels; left > 0; left -= kTflsPixels, y += kTflsPixels * out_c) {
    if (left < count) { /* the last ones again */
      y -= (count - left) * out_c;
      place = place_of(p, input, pixels - count);
    }
    gather_four(&gathering, &place, count);
    if (!quick) {
      paired_outputs(p, words, count, y);
    } else if (pixels < TFLS_MANY_PIXELS) {
      outputs_of_few(p, words, taps, y);
    } else {
      tfls_four_pixels(words, p->weights, end, NULL, scales, y, out_c, scales + out_c, clamped);
    }
  }
  tfls_clamp_all(output, pixels * out_c, p->min, p->max);
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
