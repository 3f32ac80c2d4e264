/* DEPTHWISE_CONV_2D. Padding is the input's zero point, which the bias takes off again. */
#include "tfls_fixed_point.h"
#include "tfls_operators.h"

static TflsScale scale_of(const TflsDepthwiseConv2D* p, int32_t o) {
  const int32_t channel = o * p->channel_step;
  return tfls_scale_of(p->multiplier[channel], p->shift[channel], p->output_zero_point);
}

/* ---- Any filter ---- */

/* Where a window lies: its first row and column, and whether all of it is within the input. */
typedef struct {
  int32_t y, x;
  int inside;
} Window;

static Window window_of(const TflsDepthwiseConv2D* p, int32_t out_y, int32_t out_x) {
  const int32_t y = out_y * p->stride_h - p->pad_h, x = out_x * p->stride_w - p->pad_w;
  const Window window = {y, x,
                         y >= 0 && x >= 0 && y + (p->filter_h - 1) * p->dilation_h < p->in_h &&
                             x + (p->filter_w - 1) * p->dilation_w < p->in_w};
  return window;
}

/* The sum of one output whose window is within the input: from is its first input, w its first weight. */
static int32_t sum_inside(const TflsDepthwiseConv2D* p, const int8_t* from, const int8_t* w, int32_t out_c) {
  const int32_t column = p->dilation_w * p->in_c, row = p->dilation_h * p->in_w * p->in_c;
  int32_t sum = 0, y, x;
  for (y = 0; y < p->filter_h; y++, from += row) {
    const int8_t* at = from;
    for (x = 0; x < p->filter_w; x++, at += column, w += out_c) sum += *at * *w;
  }
  return sum;
}

static int32_t sum_at_border(const TflsDepthwiseConv2D* p, const int8_t* channel, const Window* window, const int8_t* w,
                             int32_t out_c) {
  int32_t sum = 0, y, x;
  for (y = 0; y < p->filter_h; y++) {
    const int32_t in_y = window->y + y * p->dilation_h;
    for (x = 0; x < p->filter_w; x++, w += out_c) {
      const int32_t in_x = window->x + x * p->dilation_w;
      const int inside = in_y >= 0 && in_y < p->in_h && in_x >= 0 && in_x < p->in_w;
      sum += *w * (inside ? channel[(in_y * p->in_w + in_x) * p->in_c] : p->input_zero_point);
    }
  }
  return sum;
}

static void any_filter(const TflsDepthwiseConv2D* p, const int8_t* image, int8_t* output) {
  const int32_t out_c = p->in_c * p->depth_multiplier;
  int32_t y, x, i, j;
  for (y = 0; y < p->out_h; y++) {
    for (x = 0; x < p->out_w; x++) {
      const Window window = window_of(p, y, x);
      const int8_t* const first = window.inside ? image + (window.y * p->in_w + window.x) * p->in_c : image;
      int32_t o = 0;
      for (i = 0; i < p->in_c; i++) {
        for (j = 0; j < p->depth_multiplier; j++, o++) {
          const TflsScale scale = scale_of(p, o);
          const int32_t sum = window.inside ? sum_inside(p, first + i, p->weights + o, out_c)
                                            : sum_at_border(p, image + i, &window, p->weights + o, out_c);
          *output++ = p->wide ? tfls_wide_output(tfls_sum(sum, p->bias[o]), &scale, p->min, p->max)
                              : tfls_narrow_output(sum + p->bias[o], &scale, p->min, p->max);
        }
      }
    }
  }
}

/* ---- 3x3 on CPUs with SMLAD, a channel at a time: a column of the input is read once for the three outputs that it
 * is part of ---- */

#if defined(TFLS_DSP)
typedef struct {
  int32_t upper; /* rows 0 and 1, as halves */
  int32_t lower; /* row 2 */
} Column;

typedef struct {
  int32_t upper[3], lower[2]; /* of the three columns; lower: those of columns 0 and 1, that of column 2 */
  int32_t bias;
} Filter;

TFLS_INLINE int32_t halves(int32_t low, int32_t high) {
  int32_t word;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(word) : "r"(low), "r"(high));
  return word;
}
TFLS_INLINE int32_t plus_both(int32_t sum, int32_t a, int32_t b) {
  __asm__("smlad %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(sum));
  return sum;
}
TFLS_INLINE int32_t plus_low(int32_t sum, int32_t a, int32_t b) {
  __asm__("smlabb %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(sum));
  return sum;
}
TFLS_INLINE int32_t plus_high(int32_t sum, int32_t a, int32_t b) {
  __asm__("smlabt %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(sum));
  return sum;
}

/* The weights of a channel. Those of a row of padding go into the bias, for any row may then be read in its place. */
static Filter filter_of(const TflsDepthwiseConv2D* p, int32_t channel, const int* is_row) {
  const int32_t zero_point = p->input_zero_point;
  int32_t w[3][3], y, x, bias = p->bias[channel];
  for (y = 0; y < 3; y++) {
    for (x = 0; x < 3; x++) {
      w[y][x] = p->weights[(3 * y + x) * p->in_c + channel];
      if (is_row[y]) continue;
      bias += zero_point * w[y][x];
      w[y][x] = 0;
    }
  }
  {
    const Filter filter = {{halves(w[0][0], w[1][0]), halves(w[0][1], w[1][1]), halves(w[0][2], w[1][2])},
                           {halves(w[2][0], w[2][1]), w[2][2]},
                           bias};
    return filter;
  }
}

/* The rows of an output, at some column. */
typedef struct {
  const int8_t* at[3];
} Rows;

TFLS_INLINE Column column_at(const Rows* rows, int32_t offset) {
  const Column column = {halves(rows->at[0][offset], rows->at[1][offset]), rows->at[2][offset]};
  return column;
}

TFLS_INLINE Column next_column(Rows* rows, int32_t step) {
  const Column column = column_at(rows, 0);
  rows->at[0] += step;
  rows->at[1] += step;
  rows->at[2] += step;
  return column;
}

TFLS_INLINE int32_t sum_of(const Filter* filter, const Column* a, const Column* b, const Column* c) {
  int32_t sum = plus_both(0, a->upper, filter->upper[0]);
  sum = plus_both(sum, b->upper, filter->upper[1]);
  sum = plus_both(sum, c->upper, filter->upper[2]);
  sum = plus_low(sum, a->lower, filter->lower[0]);
  sum = plus_high(sum, b->lower, filter->lower[0]);
  return plus_low(sum, c->lower, filter->lower[1]);
}

/* Writes one output and returns the place of the next. */
TFLS_INLINE int8_t* put(int8_t* output, const Filter* filter, const TflsQuickScale* scale, const Column* a,
                        const Column* b, const Column* c, int32_t step) {
  *output = tfls_quick_output(sum_of(filter, a, b, c), scale);
  return output + step;
}

/* One row of outputs of one channel, strides of 1. */
static void row_of_outputs(const TflsDepthwiseConv2D* p, const Rows* places, Filter filter, TflsQuickScale scale,
                           int8_t* output) {
  const int32_t channels = p->in_c, zero_point = p->input_zero_point, width = p->in_w, outputs = p->out_w;
  const int32_t inside = tfls_larger(tfls_smaller(outputs, width - 2 + p->pad_w), 0); /* before the padding behind */
  const Column padding = {halves(zero_point, zero_point), zero_point};
  Rows rows = *places;
  Column a = padding, b = padding, c;
  int32_t left;
  if (p->pad_w == 0) a = next_column(&rows, channels);
  if (p->pad_w < 2 && width > 1 - p->pad_w) b = next_column(&rows, channels);
  for (left = inside; left >= 3; left -= 3) {
    c = next_column(&rows, channels);
    output = put(output, &filter, &scale, &a, &b, &c, channels);
    a = next_column(&rows, channels);
    output = put(output, &filter, &scale, &b, &c, &a, channels);
    b = next_column(&rows, channels);
    output = put(output, &filter, &scale, &c, &a, &b, channels);
  }
  for (; left > 0; left--) {
    c = next_column(&rows, channels);
    output = put(output, &filter, &scale, &a, &b, &c, channels);
    a = b;
    b = c;
  }
  for (left = outputs - inside; left > 0; left--) {
    output = put(output, &filter, &scale, &a, &b, &padding, channels);
    a = b;
    b = padding;
  }
}

/* The same for other strides. */
static void row_with_stride(const TflsDepthwiseConv2D* p, const Rows* places, Filter filter, TflsQuickScale scale,
                            int8_t* output) {
  const int32_t channels = p->in_c, zero_point = p->input_zero_point, width = p->in_w, stride = p->stride_w;
  const Column padding = {halves(zero_point, zero_point), zero_point};
  int32_t left, x = -p->pad_w;
  for (left = p->out_w; left > 0; left--, x += stride) {
    const Column a = x >= 0 && x < width ? column_at(places, x * channels) : padding;
    const Column b = x >= -1 && x < width - 1 ? column_at(places, (x + 1) * channels) : padding;
    const Column c = x >= -2 && x < width - 2 ? column_at(places, (x + 2) * channels) : padding;
    output = put(output, &filter, &scale, &a, &b, &c, channels);
  }
}

static void three_by_three(const TflsDepthwiseConv2D* p, const int8_t* image, int8_t* output) {
  const int32_t in_row = p->in_w * p->in_c, out_row = p->out_w * p->in_c;
  int32_t channel, y, i;
  for (channel = 0; channel < p->in_c; channel++) {
    const int32_t multiplier = p->multiplier[channel * p->channel_step], shift = p->shift[channel * p->channel_step];
    int is_row[3] = {1, 1, 1};
    Filter filter = filter_of(p, channel, is_row);
    for (y = 0; y < p->out_h; y++) {
      int8_t* const to = output + y * out_row + channel;
      TflsQuickScale scale;
      Rows rows;
      int changed = 0;
      for (i = 0; i < 3; i++) {
        const int32_t in_y = y * p->stride_h - p->pad_h + i, nearest = tfls_smaller(tfls_larger(in_y, 0), p->in_h - 1);
        changed |= is_row[i] != (in_y == nearest);
        is_row[i] = in_y == nearest;
        rows.at[i] = image + nearest * in_row + channel;
      }
      if (changed) filter = filter_of(p, channel, is_row);
      scale = tfls_quick_scale_of(filter.bias, multiplier, shift, p->output_zero_point);
      if (p->stride_w == 1) {
        row_of_outputs(p, &rows, filter, scale, to);
      } else {
        row_with_stride(p, &rows, filter, scale, to);
      }
    }
  }
  tfls_clamp_all(output, p->out_h * out_row, p->min, p->max);
}

static int is_three_by_three(const TflsDepthwiseConv2D* p) {
  int32_t i;
  if (p->filter_h != 3 || p->filter_w != 3 || p->depth_multiplier != 1 || p->dilation_h != 1 || p->dilation_w != 1)
    return 0;
  for (i = p->channel_step ? p->in_c - 1 : 0; i >= 0; i--)
    if (!tfls_is_quick(p->shift[i], p->wide)) return 0;
  return 1;
}
#endif

void tfls_depthwise_conv_2d(const TflsDepthwiseConv2D* params, const int8_t* input, int8_t* output) {
  const TflsDepthwiseConv2D* const p = params;
  int32_t batch;
  for (batch = 0; batch < p->batches; batch++) {
#if defined(TFLS_DSP)
    if (is_three_by_three(p)) {
      three_by_three(p, input, output);
    } else {
      any_filter(p, input, output);
    }
#else
    any_filter(p, input, output);
#endif
    input += p->in_h * p->in_w * p->in_c;
    output += p->out_h * p->out_w * p->in_c * p->depth_multiplier;
  }
}
