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

/* ---- 3x3 on CPUs with SMLAD: a channel at a time, along the longer side of the output. A column of the input, three
 * values across, is read once for the three outputs that it is part of ---- */

#if defined(TFLS_DSP)
/* A direction of the images: sizes, and elements from one to the next. */
typedef struct {
  int32_t in, out, stride, pad, in_step, out_step, filter_step;
} Axis;

typedef struct {
  int32_t upper; /* values 0 and 1, as halves */
  int32_t lower; /* value 2 */
} Column;

typedef struct {
  int32_t upper[3], lower[2]; /* of the three columns; lower: those of columns 0 and 1, that of column 2 */
  int32_t bias;
} Filter;

/* The three lines of the input that a line of outputs reads, at some place. */
typedef struct {
  const int8_t* at[3];
} Lines;

TFLS_INLINE int32_t halves(int32_t low, int32_t high) {
  int32_t word;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(word) : "r"(low), "r"(high));
  return word;
}
TFLS_INLINE int32_t plus_both(int32_t sum, int32_t a, int32_t b) {
  __asm__("smlad %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(sum));
  return sum;
}
TFLS_INLINE int32_t product_of_both(int32_t a, int32_t b) {
  int32_t sum;
  __asm__("smuad %0, %1, %2" : "=r"(sum) : "r"(a), "r"(b));
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

/* The weights of a channel, w[across][along]. Those of a line of padding go into the bias, for any line may then be
 * read in its place. */
static Filter filter_of(const TflsDepthwiseConv2D* p, const Axis* across, const Axis* along, int32_t channel,
                        const int* is_line) {
  const int8_t* const weights = p->weights + channel;
  int32_t w[3][3], i, j, bias = p->bias[channel];
  for (i = 0; i < 3; i++) {
    for (j = 0; j < 3; j++) {
      w[i][j] = weights[i * across->filter_step + j * along->filter_step];
      if (is_line[i]) continue;
      bias += p->input_zero_point * w[i][j];
      w[i][j] = 0;
    }
  }
  {
    const Filter filter = {{halves(w[0][0], w[1][0]), halves(w[0][1], w[1][1]), halves(w[0][2], w[1][2])},
                           {halves(w[2][0], w[2][1]), w[2][2]},
                           bias};
    return filter;
  }
}

TFLS_INLINE Column column_at(const Lines* lines, int32_t offset) {
  const Column column = {halves(lines->at[0][offset], lines->at[1][offset]), lines->at[2][offset]};
  return column;
}

TFLS_INLINE Column next_column(Lines* lines, int32_t step) {
  const Column column = column_at(lines, 0);
  lines->at[0] += step;
  lines->at[1] += step;
  lines->at[2] += step;
  return column;
}

/* Writes one output and returns the place of the next. */
TFLS_INLINE int8_t* put(int8_t* output, int32_t step, const Filter* filter, const TflsQuickScale* scale,
                        const Column* a, const Column* b, const Column* c) {
  int32_t sum = product_of_both(a->upper, filter->upper[0]);
  sum = plus_both(sum, b->upper, filter->upper[1]);
  sum = plus_both(sum, c->upper, filter->upper[2]);
  sum = plus_low(sum, a->lower, filter->lower[0]);
  sum = plus_high(sum, b->lower, filter->lower[0]);
  sum = plus_low(sum, c->lower, filter->lower[1]);
  *output = tfls_quick_output(sum, scale);
  return output + step;
}

/* One line of outputs of one channel, the stride 1. */
static void sliding_line(const Axis* axis, Column padding, Lines lines, Filter filter, TflsQuickScale scale,
                         int8_t* output) {
  const int32_t step = axis->in_step, to_next = axis->out_step, pad = axis->pad;
  const int32_t inside = tfls_larger(tfls_smaller(axis->out, axis->in - 2 + pad), 0); /* before the padding behind */
  int32_t left = inside, behind = axis->out - inside;
  Column a = padding, b = padding, c;
  if (pad == 0) a = next_column(&lines, step);
  if (axis->in > 1 - pad) b = next_column(&lines, step);
  for (; left >= 3; left -= 3) {
    c = next_column(&lines, step);
    output = put(output, to_next, &filter, &scale, &a, &b, &c);
    a = next_column(&lines, step);
    output = put(output, to_next, &filter, &scale, &b, &c, &a);
    b = next_column(&lines, step);
    output = put(output, to_next, &filter, &scale, &c, &a, &b);
  }
  for (; left > 0; left--) {
    c = next_column(&lines, step);
    output = put(output, to_next, &filter, &scale, &a, &b, &c);
    a = b;
    b = c;
  }
  for (; behind > 0; behind--) {
    output = put(output, to_next, &filter, &scale, &a, &b, &padding);
    a = b;
    b = padding;
  }
}

/* The same for another stride. */
static void striding_line(const Axis* axis, Column padding, Lines lines, Filter filter, TflsQuickScale scale,
                          int8_t* output) {
  const int32_t step = axis->in_step, to_next = axis->out_step, size = axis->in, stride = axis->stride;
  int32_t left = axis->out, at = -axis->pad, offset = at * step;
  for (; left > 0; left--, at += stride, offset += stride * step) {
    Column a = padding, b = padding, c = padding;
    if (at >= 0 && at < size - 2) {
      a = column_at(&lines, offset);
      b = column_at(&lines, offset + step);
      c = column_at(&lines, offset + 2 * step);
    } else {
      if (at >= 0 && at < size) a = column_at(&lines, offset);
      if (at >= -1 && at < size - 1) b = column_at(&lines, offset + step);
      if (at >= -2 && at < size - 2) c = column_at(&lines, offset + 2 * step);
    }
    output = put(output, to_next, &filter, &scale, &a, &b, &c);
  }
}

static void three_by_three(const TflsDepthwiseConv2D* p, const int8_t* image, int8_t* output) {
  const int32_t channels = p->in_c, zero_point = p->input_zero_point;
  const Axis down = {p->in_h, p->out_h, p->stride_h, p->pad_h, p->in_w * channels, p->out_w * channels, 3 * channels};
  const Axis right = {p->in_w, p->out_w, p->stride_w, p->pad_w, channels, channels, channels};
  const int is_tall = p->out_h > p->out_w;
  const Axis along = is_tall ? down : right, across = is_tall ? right : down;
  const Column padding = {halves(zero_point, zero_point), zero_point};
  int32_t channel, line, i;
  for (channel = 0; channel < channels; channel++) {
    const int32_t multiplier = p->multiplier[channel * p->channel_step], shift = p->shift[channel * p->channel_step];
    int is_line[3] = {-1, -1, -1}; /* not known yet */
    Filter filter = {{0, 0, 0}, {0, 0}, 0};
    for (line = 0; line < across.out; line++) {
      int8_t* const to = output + line * across.out_step + channel;
      TflsQuickScale scale;
      Lines lines;
      int changed = 0;
      for (i = 0; i < 3; i++) {
        const int32_t at = line * across.stride - across.pad + i;
        const int32_t nearest = tfls_smaller(tfls_larger(at, 0), across.in - 1);
        changed |= is_line[i] != (at == nearest);
        is_line[i] = at == nearest;
        lines.at[i] = image + nearest * across.in_step + channel;
      }
      if (changed) filter = filter_of(p, &across, &along, channel, is_line);
      scale = tfls_quick_scale_of(filter.bias, multiplier, shift, p->output_zero_point);
      if (along.stride == 1) {
        sliding_line(&along, padding, lines, filter, scale, to);
      } else {
        striding_line(&along, padding, lines, filter, scale, to);
      }
    }
  }
  tfls_clamp_all(output, p->out_h * p->out_w * channels, p->min, p->max);
}

static int is_three_by_three(const TflsDepthwiseConv2D* p) {
  int32_t i;
  if (p->filter_h != 3 || p->filter_w != 3 || p->depth_multiplier != 1 || p->dilation_h != 1 || p->dilation_w != 1)
    return 0;
  if (p->pad_h > 1 || p->pad_w > 1) return 0;
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
