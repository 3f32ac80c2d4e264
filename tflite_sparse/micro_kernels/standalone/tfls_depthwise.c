/* DEPTHWISE_CONV_2D. Padding is the input's zero point, which the bias takes off again. */
#include "tfls_fixed_point.h"
#include "tfls_operators.h"

static TflsScale scale_of(const TflsDepthwiseConv2D* p, int32_t o) {
  const int32_t channel = o * p->channel_step;
  return tfls_scale_of(p->multiplier[channel], p->shift[channel], p->output_zero_point);
}

/* ---- Any filter ---- */

/* Elements from one column or row of a window to the next, in the input and in the weights; from one window to the next
 * in a line. */
typedef struct {
  int32_t column, row, weight_column, weight_row, window;
} Steps;

/* The part of a window that lies within the input: its first element, of channel 0, and how many rows and columns of
 * the filter lie above it and left of it. */
typedef struct {
  const int8_t* input;
  int32_t above, rows, left, columns;
} Window;

/* Places of a filter within the input along one side: the first, and how many. */
typedef struct {
  int32_t first, count;
} Places;

static Places places_of(int32_t start, int32_t size, int32_t filter, int32_t dilation) {
  const int32_t first = start < 0 ? tfls_smaller((-start + dilation - 1) / dilation, filter) : 0;
  const int32_t end = start + (filter - 1) * dilation < size ? filter : (size - start + dilation - 1) / dilation;
  const Places places = {first, tfls_larger(end - first, 0)};
  return places;
}

TFLS_INLINE int32_t three_columns(const Steps* steps, int32_t rows, const int8_t* x, const int8_t* w) {
  const int32_t column = steps->column, weight_column = steps->weight_column;
  const int32_t to_row = steps->row - 2 * column, to_weight_row = steps->weight_row - 2 * weight_column;
  int32_t sum = 0;
  for (; rows > 0; rows--, x += to_row, w += to_weight_row) {
    sum += *x * *w;
    x += column;
    w += weight_column;
    sum += *x * *w;
    x += column;
    w += weight_column;
    sum += *x * *w;
  }
  return sum;
}

/* Functions of their own, for CPUs with few registers. */
TFLS_OUTLINE int32_t any_columns(const Steps* steps, const Window* window, const int8_t* x, const int8_t* w) {
  const int32_t column = steps->column, weight_column = steps->weight_column;
  int32_t sum = 0, row, i;
  for (row = window->rows; row > 0; row--, x += steps->row, w += steps->weight_row) {
    const int8_t *from = x, *weight = w;
    for (i = window->columns; i > 0; i--, from += column, weight += weight_column) sum += *from * *weight;
  }
  return sum;
}

TFLS_OUTLINE int32_t sum_of_weights(const Steps* steps, int32_t rows, int32_t columns, const int8_t* w) {
  const int32_t step = steps->weight_column, to_row = steps->weight_row - columns * step;
  int32_t sum = 0, i;
  for (; rows > 0; rows--, w += to_row)
    for (i = columns; i > 0; i--, w += step) sum += *w;
  return sum;
}

TFLS_OUTLINE int32_t weights_in_padding(const TflsDepthwiseConv2D* p, const Steps* steps, const Window* window,
                                        const int8_t* w) {
  const int32_t below = p->filter_h - window->above - window->rows;
  const int32_t right = p->filter_w - window->left - window->columns;
  const int8_t* const inside = w + window->above * steps->weight_row;
  int32_t sum = 0;
  if (window->above > 0) sum += sum_of_weights(steps, window->above, p->filter_w, w);
  if (below > 0) sum += sum_of_weights(steps, below, p->filter_w, inside + window->rows * steps->weight_row);
  if (window->left > 0) sum += sum_of_weights(steps, window->rows, window->left, inside);
  if (right > 0) {
    const int32_t before = window->left + window->columns;
    sum += sum_of_weights(steps, window->rows, right, inside + before * steps->weight_column);
  }
  return sum;
}

TFLS_INLINE int is_whole(const TflsDepthwiseConv2D* p, const Window* window) {
  return window->rows == p->filter_h && window->columns == p->filter_w;
}

/* The first weight of output o that meets the input. */
TFLS_INLINE const int8_t* weights_of(const TflsDepthwiseConv2D* p, const Steps* steps, const Window* window, int32_t o) {
  return p->weights + o + window->above * steps->weight_row + window->left * steps->weight_column;
}

TFLS_INLINE int32_t sum_within(const Steps* steps, const Window* window, const int8_t* x, const int8_t* w) {
  return window->columns == 3 ? three_columns(steps, window->rows, x, w) : any_columns(steps, window, x, w);
}

/* count windows side by side, channel by channel, of which the same part lies within the input. */
static void put_line(const TflsDepthwiseConv2D* p, const Steps* steps, const Window* window, int32_t count,
                     int8_t* output) {
  const int32_t out_c = p->in_c * p->depth_multiplier, to_next = steps->window, min = p->min, max = p->max;
  const int8_t* input = window->input;
  int32_t j = 0, o, n;
  for (o = 0; o < out_c; o++) {
    const int8_t *x = input, *const w = weights_of(p, steps, window, o);
    const TflsScale scale = scale_of(p, o);
    int8_t* y = output + o;
    int32_t bias = p->bias[o];
    if (!is_whole(p, window)) {
      const int32_t padding = p->input_zero_point * weights_in_padding(p, steps, window, p->weights + o);
      bias = tfls_sum(bias, padding);
    }
    if (p->wide) {
      for (n = count; n > 0; n--, x += to_next, y += out_c)
        *y = tfls_wide_output(tfls_sum(bias, sum_within(steps, window, x, w)), &scale, min, max);
    } else if (window->columns == 3) {
      for (n = count; n > 0; n--, x += to_next, y += out_c)
        *y = tfls_narrow_output(bias + three_columns(steps, window->rows, x, w), &scale, min, max);
    } else {
      for (n = count; n > 0; n--, x += to_next, y += out_c)
        *y = tfls_narrow_output(bias + any_columns(steps, window, x, w), &scale, min, max);
    }
    if (++j == p->depth_multiplier) {
      j = 0;
      input++;
    }
  }
}

static void any_filter(const TflsDepthwiseConv2D* p, const int8_t* image, int8_t* output) {
  const int32_t channels = p->in_c, out_c = channels * p->depth_multiplier, reach = (p->filter_w - 1) * p->dilation_w;
  const Steps steps = {p->dilation_w * channels, p->dilation_h * p->in_w * channels, out_c, p->filter_w * out_c,
                       p->stride_w * channels};
  int32_t out_y, out_x, count;
  for (out_y = 0; out_y < p->out_h; out_y++) {
    const int32_t y = out_y * p->stride_h - p->pad_h;
    const Places down = places_of(y, p->in_h, p->filter_h, p->dilation_h);
    for (out_x = 0; out_x < p->out_w; out_x += count, output += count * out_c) {
      const int32_t x = out_x * p->stride_w - p->pad_w;
      const Places right = places_of(x, p->in_w, p->filter_w, p->dilation_w);
      const int32_t row = y + down.first * p->dilation_h, column = x + right.first * p->dilation_w;
      const Window window = {down.count > 0 && right.count > 0 ? image + (row * p->in_w + column) * channels : image,
                             down.first, down.count, right.first, right.count};
      count = 1;
      if (right.count == p->filter_w) /* as are those that follow, until one ends behind the input */
        count = tfls_smaller((p->in_w - 1 - reach - x) / p->stride_w + 1, p->out_w - out_x);
      put_line(p, &steps, &window, count, output);
    }
  }
}

/* ---- 3x3: a channel at a time, line by line ---- */

/* Outputs along one side whose windows end within the input. */
static int32_t inner_outputs(int32_t in, int32_t out, int32_t stride, int32_t pad) {
  return tfls_smaller(out, (in - 3 + pad) / stride + 1);
}

/* On CPUs with SMLAD:
 *
 * A column of the input, three values, is read once for the two or three outputs that it is part of: it completes one,
 * is the middle of the next and the start of another. Weights, biases and so sums are doubled, as SMMLAR wants them.
 */

#if defined(TFLS_DSP)
/* Lines of outputs of a channel in a row; the assembly knows the order. Places are those of channel 0. */
typedef struct {
  int32_t flags;
  const int8_t* loop_end; /* in the first line, where the input is read when all inner outputs are written */
  int32_t line;           /* bytes of the input from one line to the next */
  int32_t output_gap, input_gap; /* added to both places at the end of a line */
  const int8_t* end;             /* where the line behind the last one would begin */
  const int8_t* input;
  int32_t step; /* bytes from one column to the next, in input and output */
  int32_t row;  /* from one row of the input to the next */
  intptr_t output; /* stride 1: bytes from the column that completes an output to it; stride 2: its address */
} Lines;

/* What all of these outputs share. "Halves": row 0 below, row 2 above. */
typedef struct {
  int32_t bias, multiplier, rounding;
  int32_t first;  /* the sum that a line begins with: the bias, and with padding on the left what that adds */
  int32_t behind; /* what padding on the right adds to the last sum */
  int32_t left, middle, right; /* weights of the columns, as halves */
  int32_t centre;              /* weights of row 1: left below, middle above */
  int32_t last_and_shift;      /* weight of row 1, right, above; the shift to the right below */
} Filter;

enum { kReadsLeft = 1 /* no padding on the left */, kIsOdd = 2 /* inner outputs */, kHasBehind = 4 };

/* Stack: the filter up to behind, the lines up to end. r0, r1: halves of a column and its row 1, r2: a completed sum,
 * r3, lr: sums to come, r4 to r8: the weights, r9 to r12: the places from input on. */
#define TFLS_BEGIN                                                                      \
  ".syntax unified\n push {r4-r11, lr}\n mov r12, r2\n ldmia r0!, {r2-r7}\n"            \
  "add r3, r3, r12\n add r7, r7, r12\n push {r2-r7}\n ldmia r1!, {r2-r6}\n push {r2-r6}\n" \
  "ldmia r1, {r4-r8}\n mov r2, r12\n ldmia r0, {r9-r12}\n add r9, r9, r2\n"
#define TFLS_COLUMN \
  "ldrsb r0, [r9]\n ldrsb r2, [r9, r11, lsl #1]\n ldrsb r1, [r9, r11]\n pkhbt r0, r0, r2, lsl #16\n"
#define TFLS_LEFT(to) "smlad " to ", r0, r4, " to "\n smlabb " to ", r1, r7, " to "\n"
#define TFLS_MIDDLE(to, from) "smlad " to ", r0, r5, " from "\n smlabt " to ", r1, r7, " to "\n"
#define TFLS_RIGHT "smlad r2, r0, r6, r3\n smlabt r2, r1, r8, r2\n"
#define TFLS_NEXT "add r9, r9, r10\n"
/* r2 as int8, in r0: tfls_quick_output. */
#define TFLS_SCALE                                                                      \
  "ldrd r0, r1, [sp, #4]\n smmlar r0, r2, r0, r1\n add r0, r0, r2, asr #31\n"           \
  "asr r0, r0, r8\n ssat r0, #8, r0\n"
/* N: the left column is read, C: inner outputs are odd. */
#define TFLS_BEGIN_LINE                                                                 \
  "2:\n ldr r0, [sp, #20]\n ldr r3, [sp, #12]\n lsls r0, r0, #31\n bpl 3f\n"            \
  TFLS_COLUMN TFLS_LEFT("r3") TFLS_NEXT "3:\n"
#define TFLS_SKIP_WITHOUT_BEHIND "ldr r0, [sp, #20]\n lsls r0, r0, #30\n bcc 5f\n"
#define TFLS_ADD_BEHIND "ldr r2, [sp, #16]\n add r2, r2, r3\n"
#define TFLS_END_LINE                                                                   \
  "5:\n ldrd r0, r1, [sp, #24]\n ldrd r2, r3, [sp, #32]\n add r0, r0, r1\n str r0, [sp, #24]\n" \
  "ldr r0, [sp, #40]\n add r12, r12, r2\n add r9, r9, r3\n cmp r9, r0\n bne 2b\n"       \
  "add sp, #44\n pop {r4-r11, pc}\n"
#define TFLS_ONE_OUTPUT                                                                 \
  TFLS_COLUMN TFLS_RIGHT TFLS_MIDDLE("r3", "lr") "ldr lr, [sp]\n" TFLS_LEFT("lr")       \
  TFLS_SCALE "strb r0, [r9, r12]\n" TFLS_NEXT

/* Lines of a stride of 1 along them. At least one output is inner: its window ends within the input. */
TFLS_NAKED static void sliding_lines(const Lines* lines TFLS_UNNAMED, const Filter* filter TFLS_UNNAMED,
                                     int32_t channel TFLS_UNNAMED) {
  __asm__ volatile(
      TFLS_BEGIN TFLS_BEGIN_LINE
      TFLS_COLUMN TFLS_MIDDLE("r3", "r3") "ldr lr, [sp]\n" TFLS_LEFT("lr") TFLS_NEXT "bcs 4f\n"
      "1:\n" TFLS_ONE_OUTPUT "4:\n" TFLS_ONE_OUTPUT "ldr r0, [sp, #24]\n cmp r9, r0\n bne 1b\n"
      TFLS_SKIP_WITHOUT_BEHIND TFLS_ADD_BEHIND TFLS_SCALE "strb r0, [r9, r12]\n"
      TFLS_END_LINE);
}

/* The same for a stride of 2. */
TFLS_NAKED static void striding_lines(const Lines* lines TFLS_UNNAMED, const Filter* filter TFLS_UNNAMED,
                                      int32_t channel TFLS_UNNAMED) {
  __asm__ volatile(
      TFLS_BEGIN "add r12, r12, r2\n" TFLS_BEGIN_LINE "ldr lr, [sp, #24]\n"
      "1:\n" TFLS_COLUMN TFLS_MIDDLE("r3", "r3") TFLS_NEXT
      TFLS_COLUMN TFLS_RIGHT "ldr r3, [sp]\n" TFLS_LEFT("r3")
      TFLS_SCALE "strb r0, [r12]\n add r12, r12, r10\n" TFLS_NEXT "cmp r9, lr\n bne 1b\n"
      TFLS_SKIP_WITHOUT_BEHIND TFLS_COLUMN TFLS_MIDDLE("r3", "r3")
      TFLS_ADD_BEHIND TFLS_SCALE "strb r0, [r12]\n add r12, r12, r10\n"
      TFLS_END_LINE);
}

TFLS_INLINE int32_t halves(int32_t low, int32_t high) {
  int32_t word;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(word) : "r"(low), "r"(high));
  return word;
}

/* count lines of outputs, from number first on. Their windows begin at row y of the input and further down. */
static Lines lines_of(const TflsDepthwiseConv2D* p, const int8_t* image, int8_t* output, int32_t first, int32_t y,
                      int32_t count) {
  const int32_t channels = p->in_c, row = p->in_w * channels, line = p->stride_h * row, out_row = p->out_w * channels;
  const int32_t inner = inner_outputs(p->in_w, p->out_w, p->stride_w, p->pad_w);
  const int32_t before = (p->stride_w == 1 ? 2 : 1) - p->pad_w; /* columns that are read before the first output */
  const int32_t read = (before + p->stride_w * inner) * channels;
  const int8_t* const from = image + y * row;
  const intptr_t to = (intptr_t)output + first * out_row;
  const Lines lines = {(p->pad_w ? 0 : kReadsLeft) | (inner % 2 ? kIsOdd : 0) | (inner < p->out_w ? kHasBehind : 0),
                       from + read,
                       line,
                       p->stride_w == 1 ? out_row - line : 0,
                       line - read,
                       from + count * line,
                       from,
                       channels,
                       row,
                       p->stride_w == 1 ? to - (intptr_t)(from + before * channels) : to};
  return lines;
}

/* A row of the filter, each weight doubled. */
typedef struct {
  int32_t left, middle, right;
} Row;

TFLS_INLINE Row row_of(const int8_t* weights, int32_t channels) {
  const Row row = {2 * weights[0], 2 * weights[channels], 2 * weights[2 * channels]};
  return row;
}

/* The weights of three rows of the input, and a row of the filter that lies in the padding. */
TFLS_INLINE void set_rows(Filter* filter, int32_t twice_bias, int32_t zero_point, int is_padded, Row top, Row centre,
                          Row bottom, Row outside) {
  filter->bias = twice_bias + zero_point * (outside.left + outside.middle + outside.right);
  filter->first = filter->bias + (is_padded ? zero_point * (top.left + centre.left + bottom.left) : 0);
  filter->behind = zero_point * (top.right + centre.right + bottom.right);
  filter->left = halves(top.left, bottom.left);
  filter->middle = halves(top.middle, bottom.middle);
  filter->right = halves(top.right, bottom.right);
  filter->centre = halves(centre.left, centre.middle);
  filter->last_and_shift = halves(filter->last_and_shift, centre.right);
}

static void three_by_three(const TflsDepthwiseConv2D* p, const int8_t* image, int8_t* output) {
  const int32_t channels = p->in_c, zero_point = p->input_zero_point, pad = p->pad_h, stride = p->stride_h;
  const int32_t inner = inner_outputs(p->in_h, p->out_h, stride, pad), whole = inner - pad;
  const Lines above = lines_of(p, image, output, 0, 0, 1);
  const Lines within = lines_of(p, image, output, pad, pad * (stride - 1), whole);
  const Lines below = lines_of(p, image, output, inner, p->in_h - 3, 1);
  void (*const put)(const Lines*, const Filter*, int32_t) = p->stride_w == 1 ? sliding_lines : striding_lines;
  int32_t channel;
  for (channel = 0; channel < channels; channel++) {
    const int8_t* const weights = p->weights + channel;
    const int32_t scale = channel * p->channel_step, shift = p->shift[scale], bias = 2 * p->bias[channel];
    const Row first = row_of(weights, channels), second = row_of(weights + 3 * channels, channels);
    const Row third = row_of(weights + 6 * channels, channels), none = {0, 0, 0};
    Filter filter;
    filter.multiplier = p->multiplier[scale];
    filter.rounding = tfls_raised(2 * p->output_zero_point + 1, -shift - 1);
    filter.last_and_shift = -shift;
    if (pad) {
      set_rows(&filter, bias, zero_point, p->pad_w, second, third, none, first);
      put(&above, &filter, channel);
    }
    if (whole > 0) {
      set_rows(&filter, bias, zero_point, p->pad_w, first, second, third, none);
      put(&within, &filter, channel);
    }
    if (inner < p->out_h) {
      set_rows(&filter, bias, zero_point, p->pad_w, none, first, second, third);
      put(&below, &filter, channel);
    }
  }
  tfls_clamp_all(output, p->out_h * p->out_w * channels, p->min, p->max);
}

#else

/* What the outputs of a channel share. */
typedef struct {
  const TflsDepthwiseConv2D* p;
  TflsScale scale;
  int32_t weights[9];
} Channel;

/* The sums that outputs begin with: the bias, and what the padding adds above or below a line, and at its ends. */
typedef struct {
  int32_t left, middle, right;
} Biases;

/* Products of a row of a window with a row of the filter. */
TFLS_INLINE int32_t two_products(const int8_t* x, int32_t column, const int32_t* w) {
  return x[0] * w[0] + x[column] * w[1];
}

TFLS_INLINE int32_t three_products(const int8_t* x, int32_t column, const int32_t* w) {
  return x[0] * w[0] + x[column] * w[1] + x[2 * column] * w[2];
}

/* The sum at an end of a line, where two columns of a window lie within the input. */
TFLS_OUTLINE int32_t sum_at_end(const TflsDepthwiseConv2D* p, const int8_t* x, const int32_t* w, int32_t rows) {
  const int32_t column = p->in_c, row = p->in_w * column;
  int32_t sum = 0;
  for (; rows > 0; rows--, x += row, w += 3) sum += two_products(x, column, w);
  return sum;
}

/* A line of outputs. rows: those of the filter that meet the input, from w and from x on. */
TFLS_OUTLINE void put_channel(const Channel* channel, const int8_t* x, const int32_t* w, int32_t rows,
                              const Biases* biases, int8_t* y) {
  const TflsDepthwiseConv2D* const p = channel->p;
  const int32_t column = p->in_c, row = p->in_w * column, step = p->stride_w * column, min = p->min, max = p->max;
  const int32_t inner = inner_outputs(p->in_w, p->out_w, p->stride_w, p->pad_w), bias = biases->middle;
  const TflsScale scale = channel->scale;
  int32_t n = inner - p->pad_w;
  if (p->pad_w) {
    *y = tfls_right_output(biases->left + sum_at_end(p, x, w + 1, rows), &scale, min, max);
    y += column;
    x += step - column;
  }
  if (rows == 3) {
    for (; n > 0; n--, x += step, y += column) {
      const int8_t *const second = x + row, *const third = second + row;
      const int32_t sum = bias + three_products(x, column, w) + three_products(second, column, w + 3) +
                          three_products(third, column, w + 6);
      *y = tfls_right_output(sum, &scale, min, max);
    }
  } else {
    for (; n > 0; n--, x += step, y += column) {
      const int32_t sum = bias + three_products(x, column, w) + three_products(x + row, column, w + 3);
      *y = tfls_right_output(sum, &scale, min, max);
    }
  }
  if (inner < p->out_w) *y = tfls_right_output(biases->right + sum_at_end(p, x, w, rows), &scale, min, max);
}

/* outside: a row of the filter that lies in the padding, or none. */
static Biases biases_of(int32_t bias, int32_t zero_point, const int32_t* w, int32_t rows, const int32_t* outside) {
  int32_t left = 0, right = 0;
  Biases biases;
  for (; rows > 0; rows--, w += 3) {
    left += w[0];
    right += w[2];
  }
  biases.middle = bias + (outside ? zero_point * (outside[0] + outside[1] + outside[2]) : 0);
  biases.left = biases.middle + zero_point * left;
  biases.right = biases.middle + zero_point * right;
  return biases;
}

static void three_by_three(const TflsDepthwiseConv2D* p, const int8_t* image, int8_t* output) {
  const int32_t channels = p->in_c, zero_point = p->input_zero_point, pad = p->pad_h;
  const int32_t inner = inner_outputs(p->in_h, p->out_h, p->stride_h, pad), row = p->in_w * channels;
  const int32_t line = p->stride_h * row, out_line = p->out_w * channels;
  int32_t o, i, n;
  for (o = 0; o < channels; o++) {
    const int8_t* x = image + o;
    int8_t* y = output + o;
    Channel channel;
    Biases biases;
    channel.p = p;
    channel.scale = scale_of(p, o);
    for (i = 0; i < 9; i++) channel.weights[i] = p->weights[o + i * channels];
    if (pad) {
      biases = biases_of(p->bias[o], zero_point, channel.weights + 3, 2, channel.weights);
      put_channel(&channel, x, channel.weights + 3, 2, &biases, y);
      x += line - row;
      y += out_line;
    }
    biases = biases_of(p->bias[o], zero_point, channel.weights, 3, NULL);
    for (n = inner - pad; n > 0; n--, x += line, y += out_line)
      put_channel(&channel, x, channel.weights, 3, &biases, y);
    if (inner < p->out_h) {
      biases = biases_of(p->bias[o], zero_point, channel.weights, 2, channel.weights + 6);
      put_channel(&channel, x, channel.weights, 2, &biases, y);
    }
  }
}
#endif

void tfls_depthwise_conv_2d(const TflsDepthwiseConv2D* params, const int8_t* input, int8_t* output) {
  int32_t batch;
  for (batch = 0; batch < params->batches; batch++) {
    any_filter(params, input, output);
    input += params->in_h * params->in_w * params->in_c;
    output += params->out_h * params->out_w * params->in_c * params->depth_multiplier;
  }
}

void tfls_depthwise_conv_2d_3x3(const TflsDepthwiseConv2D* params, const int8_t* input, int8_t* output) {
  int32_t batch;
  for (batch = 0; batch < params->batches; batch++) {
    three_by_three(params, input, output);
    input += params->in_h * params->in_w * params->in_c;
    output += params->out_h * params->out_w * params->in_c;
  }
}
