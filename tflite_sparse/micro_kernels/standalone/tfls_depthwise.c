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

#if !defined(TFLS_MVE)
/* Outputs along one side whose windows end within the input. */
static int32_t inner_outputs(int32_t in, int32_t out, int32_t stride, int32_t pad) {
  return tfls_smaller(out, (in - 3 + pad) / stride + 1);
}
#endif

/* On CPUs with SMLAD:
 *
 * A column of the input, three values, is read once for the two or three outputs that it is part of: it completes one,
 * is the middle of the next and the start of another. Weights, biases and so sums are doubled, as SMMLAR wants them.
 * Lines are those of the image, or its columns where these are longer: less is done between lines then. "Columns" and
 * "rows" below are those of a line and across lines.
 */

#if defined(TFLS_MVE)
#include "tfls_depthwise_helium.h"
#elif defined(TFLS_DSP)
/* Lines of outputs of a channel in a row; the assembly knows the order. Places are those of channel 0. */
typedef struct {
  int32_t kind;
  const int8_t* loop_end; /* in the first line, where the input is read when the loop has written its outputs */
  int32_t line;           /* bytes of the input from one line to the next */
  int32_t output_gap, input_gap; /* added to both places at the end of a line */
  const int8_t* end;             /* where the line behind the last one would begin */
  const int8_t* input;
  int32_t step; /* bytes from one column to the next, in input and output */
  int32_t row;  /* from one row of the input to the next */
  intptr_t output; /* stride 1: bytes from the column that completes an output to it; stride 2: its address */
} Lines;

/* Which rows of the filter meet the input. Above: the last two, from the first row of the input on; below: the first
 * two, and rows are counted upwards from the last. */
enum { kWithin, kAbove, kBelow, kNoLines };

/* A channel, and what all of its outputs share; the assembly knows the order. "Halves": row 0 below, row 2 above. */
typedef struct {
  const Lines* lines; /* the assembly steps through them */
  int32_t channel;
  int32_t left, middle, right; /* weights of the columns, as halves */
  int32_t centre;              /* weights of row 1: left below, middle above */
  int32_t last_and_shift;      /* weight of row 1, right, above; flags; the shift to the right in the lowest byte */
  int32_t bias;
  int32_t zeros_on_left, zeros; /* the zero point as both halves; on the left 0 if there is no padding */
  int32_t multiplier, rounding;
} Filter;

/* Bits 8 to 10: 1 to 3 outputs that the loop of four begins with, 4 if it writes none. kReadsLeft has two bits: below
 * kStrides and below kHasBehind, so that one shift tests both. */
enum { kFirstOutputs = 256, kIsOdd = 1 << 11, kReadsLeft = 5 << 12, kStrides = 1 << 13, kHasBehind = 1 << 15 };

/* Stack: the lines up to end, multiplier, rounding, what the first sum of a line begins with, bias of the others, what
 * padding on the right adds; then the argument. r0, r1: halves of a column and its row 1, r2: a completed sum, r3, lr:
 * sums to come, r4 to r8: the weights, r9 to r12: the places from input on. */
#define TFLS_COLUMN \
  "ldrsb r0, [r9]\n ldrsb r2, [r9, r11, lsl #1]\n ldrsb r1, [r9, r11]\n pkhbt r0, r0, r2, lsl #16\n"
#define TFLS_LEFT(to, from) "smlad " to ", r0, r4, " from "\n smlabb " to ", r1, r7, " to "\n"
#define TFLS_MIDDLE(to, from) "smlad " to ", r0, r5, " from "\n smlabt " to ", r1, r7, " to "\n"
#define TFLS_RIGHT "smlad r2, r0, r6, r3\n smlabt r2, r1, r8, r2\n"
#define TFLS_NEXT "add r9, r9, r10\n"
/* A sum as int8 in another register, with multiplier and rounding: tfls_quick_output. Halves of negative products need
 * not be rounded away from zero where these are clamped to one output. */
#define TFLS_SHIFTED(to) "asr " to ", " to ", r8\n ssat " to ", #8, " to "\n"
#define TFLS_ANY(to, sum) "smmlar " to ", " sum ", r0, r1\n add " to ", " to ", " sum ", asr #31\n" TFLS_SHIFTED(to)
#define TFLS_CLAMPED(to, sum) "smmlar " to ", " sum ", r0, r1\n" TFLS_SHIFTED(to)
#define TFLS_SCALE "ldrd r0, r1, [sp, #20]\n"
#define TFLS_SUMS "ldrd r3, lr, [sp, #28]\n"
#define TFLS_BEHIND(to) "ldr " to ", [sp, #36]\n"
/* N: the left column is read, C: there is padding on the right. */
#define TFLS_ENDS "lsls r0, r8, #17\n"
/* r0: 0 behind the last line. */
#define TFLS_END_LINE                                                                     \
  "ldm sp, {r0, r1, r2, r3, lr}\n add r0, r0, r1\n str r0, [sp]\n add r12, r12, r2\n"       \
  "add r9, r9, r3\n sub r0, r9, lr\n"
#define TFLS_TWO_COLUMNS(to_int8)                                                         \
  TFLS_COLUMN TFLS_MIDDLE("r3", "r3") TFLS_NEXT TFLS_COLUMN TFLS_RIGHT TFLS_LEFT("r3", "lr") TFLS_SCALE      \
  to_int8("r0", "r2") TFLS_NEXT

/* All lines of a channel. At least one output of each is inner: its window ends within the input. */
#define TFLS_PUT_LINES(name, to_int8)                                                                       \
  TFLS_NAKED static void name(Filter* filter TFLS_UNNAMED) {                                                \
    __asm__ volatile(                                                                                       \
        ".syntax unified\n push {r0, r4-r11, lr}\n sub sp, sp, #40\n"                                       \
        "ldrd r3, r4, [r0, #40]\n strd r3, r4, [sp, #20]\n"                                                 \
        "10:\n ldr r1, [sp, #40]\n ldm r1, {r0, r2, r4-r11}\n ldr r3, [r0], #4\n tbb [pc, r3]\n"            \
        "11:\n .byte (14f - 11b) / 2, (15f - 11b) / 2, (12f - 11b) / 2, (16f - 11b) / 2\n"                  \
        "16:\n add sp, sp, #44\n pop {r4-r11, pc}\n"                                                        \
        /* above: row 0 lies in the padding, row 1 becomes row 0 and row 2 row 1 */                         \
        "15:\n smlabb r9, r4, r11, r9\n smlabb r9, r5, r11, r9\n smlabb r9, r6, r11, r9\n"                  \
        "pkhtb r12, r5, r4, asr #16\n pkhbt r3, r8, r6\n b 13f\n"                                           \
        /* below: row 2 lies in the padding, rows 0 and 1 change places */                                  \
        "12:\n smlatb r9, r4, r11, r9\n smlatb r9, r5, r11, r9\n smlatb r9, r6, r11, r9\n"                  \
        "pkhbt r12, r4, r5, lsl #16\n pkhbt r3, r8, r6, lsl #16\n"                                          \
        "13:\n uxth r4, r7\n lsr r5, r7, #16\n lsr r6, r8, #16\n mov r7, r12\n mov r8, r3\n"                \
        "14:\n smlad r3, r4, r10, r9\n smlabb r3, r7, r10, r3\n strd r3, r9, [sp, #28]\n"                   \
        "smuad r3, r6, r11\n smlatb r3, r8, r11, r3\n str r3, [sp, #36]\n"                                  \
        "ldm r0!, {r3, r9-r12}\n add r3, r3, r2\n add r12, r12, r2\n stm sp, {r3, r9-r12}\n"                \
        "ldm r0!, {r9-r12}\n str r0, [r1]\n add r9, r9, r2\n lsls r0, r8, #19\n bcs 20f\n"                  \
        /* a stride of 1 along lines: four outputs a turn, and the last inner one with the one behind it */ \
        "bpl 2f\n"                                                                                          \
        "1:\n" TFLS_SUMS TFLS_COLUMN TFLS_LEFT("r3", "r3") TFLS_NEXT "b 3f\n"                               \
        "2:\n" TFLS_SUMS                                                                                    \
        "3:\n" TFLS_COLUMN TFLS_MIDDLE("r3", "r3") TFLS_LEFT("lr", "lr") TFLS_NEXT                          \
        "ubfx r0, r8, #8, #3\n tbb [pc, r0]\n"                                                              \
        "4:\n .byte (5f - 4b) / 2, (5f - 4b) / 2 + (6f - 5f) * 3 / 8, (5f - 4b) / 2 + (6f - 5f) / 4\n"      \
        ".byte (5f - 4b) / 2 + (6f - 5f) / 8, (7f - 4b) / 2\n .p2align 1\n"                                 \
        "5:\n .rept 4\n"                                                                                    \
        TFLS_COLUMN TFLS_RIGHT TFLS_MIDDLE("r3", "lr") "ldr lr, [sp, #32]\n" TFLS_LEFT("lr", "lr")          \
        TFLS_SCALE to_int8("r0", "r2") "strb r0, [r9, r12]\n" TFLS_NEXT                                     \
        ".endr\n"                                                                                           \
        "6:\n ldr r0, [sp]\n cmp r9, r0\n bne 5b\n"                                                         \
        "7:\n" TFLS_ENDS "bcc 8f\n"                                                                         \
        TFLS_COLUMN TFLS_RIGHT TFLS_MIDDLE("r3", "lr") TFLS_BEHIND("lr") "add r3, r3, lr\n"                 \
        TFLS_SCALE to_int8("lr", "r2") "strb lr, [r9, r12]\n" TFLS_NEXT                                     \
        to_int8("r0", "r3") "strb r0, [r9, r12]\n"                                                          \
        "8:\n" TFLS_END_LINE "cbz r0, 9f\n bpl 2b\n b 1b\n"                                                 \
        "9:\n b 10b\n"                                                                                      \
        /* a stride of 2: two outputs a turn */                                                             \
        "20:\n add r12, r12, r2\n bpl 22f\n"                                                                \
        "21:\n" TFLS_SUMS TFLS_COLUMN TFLS_LEFT("r3", "r3") TFLS_NEXT "b 23f\n"                             \
        "22:\n" TFLS_SUMS                                                                                   \
        "23:\n lsls r0, r8, #21\n bcs 25f\n"                                                                \
        "24:\n" TFLS_TWO_COLUMNS(to_int8) "strb r0, [r12]\n"                                                \
        "25:\n" TFLS_TWO_COLUMNS(to_int8) "strb r0, [r12, r10]\n"                                           \
        "add r12, r12, r10, lsl #1\n ldr r0, [sp]\n cmp r9, r0\n bne 24b\n"                                 \
        TFLS_ENDS "bcc 26f\n"                                                                               \
        TFLS_COLUMN TFLS_MIDDLE("r3", "r3") TFLS_BEHIND("r2") "add r2, r2, r3\n"                            \
        TFLS_SCALE to_int8("r0", "r2") "strb r0, [r12]\n"                                                   \
        "26:\n" TFLS_END_LINE "cbz r0, 27f\n bpl 22b\n b 21b\n"                                             \
        "27:\n b 10b\n");                                                                                   \
  }
TFLS_PUT_LINES(put_lines, TFLS_ANY)
TFLS_PUT_LINES(put_clamped_lines, TFLS_CLAMPED)

/* low and high as halves */
TFLS_INLINE int32_t paired(int32_t low, int32_t high) {
  int32_t halves;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(halves) : "r"(low), "r"(high));
  return halves;
}

/* The same, doubled. */
TFLS_INLINE int32_t doubled(int32_t low, int32_t high) {
  int32_t halves = paired(low, high);
  __asm__("sadd16 %0, %0, %0" : "+r"(halves));
  return halves;
}

/* One side of the image: along lines, or across them. */
typedef struct {
  int32_t in, out, stride, pad;
  int32_t step, out_step; /* bytes from one element to the next, in input and output */
} Side;

typedef struct {
  Side along, across;
  const int8_t* image;
  int8_t* output;
  int32_t inner;      /* outputs of a line whose windows end within the input */
  int32_t has_behind; /* 1: one output more */
  int32_t in_loop;    /* outputs that the loop writes */
} Plan;

/* count lines of outputs, from number first on. Their windows begin at this row of the input and further down. */
static Lines lines_of(const Plan* plan, int32_t kind, int32_t first, int32_t row, int32_t count) {
  const Side *const along = &plan->along, *const across = &plan->across;
  const int32_t stride = along->stride, step = along->step, line = across->stride * across->step;
  const int32_t before = (stride == 1 ? 2 : 1) - along->pad; /* columns that are read before the first output */
  const int32_t odd = plan->inner % 2 * along->out_step;     /* stride 2: the loop begins with its second output */
  const int8_t* const from = plan->image + row * across->step;
  const intptr_t to = (intptr_t)plan->output + first * across->out_step;
  const Lines lines = {kind,
                       from + (before + stride * plan->in_loop) * step,
                       line,
                       stride == 1 ? across->out_step - line : across->out_step - plan->inner * along->out_step - odd,
                       line - (before + stride * plan->inner) * step,
                       from + count * line,
                       from,
                       step,
                       kind == kBelow ? -across->step : across->step,
                       stride == 1 ? to - (intptr_t)(from + before * step) : to - odd};
  return lines;
}

/* Lines of the image are its columns if these are longer, the places of which must be as many in input and output. */
static Plan plan_of(const TflsDepthwiseConv2D* p, const int8_t* image, int8_t* output, int is_down) {
  const int32_t step = p->in_c, row = p->in_w * step, out_row = p->out_w * step;
  const Side right = {p->in_w, p->out_w, p->stride_w, p->pad_w, step, step};
  const Side down = {p->in_h, p->out_h, p->stride_h, p->pad_h, row, out_row};
  Plan plan;
  plan.along = is_down ? down : right;
  plan.across = is_down ? right : down;
  plan.image = image;
  plan.output = output;
  plan.inner = inner_outputs(plan.along.in, plan.along.out, plan.along.stride, plan.along.pad);
  plan.has_behind = plan.inner < plan.along.out;
  plan.in_loop = plan.along.stride == 1 ? plan.inner - plan.has_behind : plan.inner;
  return plan;
}

static int32_t flags_of(const Plan* plan) {
  const int32_t first = plan->in_loop == 0 ? 4 : plan->in_loop % 4, stride = plan->along.stride;
  return first * kFirstOutputs | (stride == 1 ? 0 : kStrides) | (plan->inner % 2 ? kIsOdd : 0) |
         (plan->along.pad ? 0 : kReadsLeft) | (plan->has_behind ? kHasBehind : 0);
}

typedef void (*PutLines)(Filter* filter); /* known where it is compiled, so that the call is direct */

TFLS_INLINE void three_by_three(const TflsDepthwiseConv2D* p, const int8_t* image, int8_t* output, PutLines put) {
  const int is_down = p->by_columns;
  const int32_t channels = p->in_c, step = is_down ? 3 * channels : channels, row = is_down ? channels : 3 * channels;
  const Plan plan = plan_of(p, image, output, is_down);
  const Side* const across = &plan.across;
  const int32_t inner = inner_outputs(across->in, across->out, across->stride, across->pad), pad = across->pad;
  const int32_t whole = inner - pad, flags = flags_of(&plan), zeros = paired(p->input_zero_point, p->input_zero_point);
  const int8_t* w = p->weights;
  const int8_t* shifts = p->shift;
  const int32_t *bias = p->bias, *multiplier = p->multiplier;
  const int32_t last_bit = 2 * p->output_zero_point + 1, to_next = p->channel_step;
  Lines lines[4], *next = lines;
  Filter filter;
  int32_t channel;
  if (pad) *next++ = lines_of(&plan, kAbove, 0, 0, 1);
  if (whole > 0) *next++ = lines_of(&plan, kWithin, pad, pad * (across->stride - 1), whole);
  if (inner < across->out) *next++ = lines_of(&plan, kBelow, inner, across->in - 1, 1);
  next->kind = kNoLines;
  filter.zeros_on_left = plan.along.pad ? zeros : 0;
  filter.zeros = zeros;
  for (channel = 0; channel < channels; channel++, w++, shifts += to_next, multiplier += to_next) {
    const int8_t *const second = w + row, *const third = second + row;
    const int32_t shift = *shifts;
    filter.lines = lines;
    filter.channel = channel;
    filter.left = doubled(w[0], third[0]);
    filter.middle = doubled(w[step], third[step]);
    filter.right = doubled(w[2 * step], third[2 * step]);
    filter.centre = doubled(second[0], second[step]);
    filter.last_and_shift = tfls_raised(second[2 * step], 17) | flags | -shift;
    filter.bias = 2 * *bias++;
    filter.multiplier = *multiplier;
    filter.rounding = tfls_raised(last_bit, -shift - 1);
    put(&filter);
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

#if defined(TFLS_DSP) && !defined(TFLS_MVE)
TFLS_INLINE void each_image(const TflsDepthwiseConv2D* params, const int8_t* input, int8_t* output, PutLines put) {
  int32_t batch;
  for (batch = 0; batch < params->batches; batch++) {
    three_by_three(params, input, output, put);
    input += params->in_h * params->in_w * params->in_c;
    output += params->out_h * params->out_w * params->in_c;
  }
}

void tfls_depthwise_conv_2d_3x3(const TflsDepthwiseConv2D* params, const int8_t* input, int8_t* output) {
  each_image(params, input, output, put_lines);
}

void tfls_depthwise_conv_2d_3x3_clamped(const TflsDepthwiseConv2D* params, const int8_t* input, int8_t* output) {
  each_image(params, input, output, put_clamped_lines);
}
#else
void tfls_depthwise_conv_2d_3x3(const TflsDepthwiseConv2D* params, const int8_t* input, int8_t* output) {
  int32_t batch;
  for (batch = 0; batch < params->batches; batch++) {
    three_by_three(params, input, output);
    input += params->in_h * params->in_w * params->in_c;
    output += params->out_h * params->out_w * params->in_c;
  }
}

void tfls_depthwise_conv_2d_3x3_clamped(const TflsDepthwiseConv2D* params, const int8_t* input, int8_t* output) {
  tfls_depthwise_conv_2d_3x3(params, input, output);
}
#endif
