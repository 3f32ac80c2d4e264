/* CONV_2D of one channel, such as a grey image, with filters of 3x3: a tile of 2x2 outputs at a time. Its sixteen inputs
 * stay in registers, or at hand, while the outputs of all filters are computed. With MAX_POOL_2D behind it, the largest
 * of the four sums is scaled, and no other: outputs grow with their sums. */
#include "tfls_fixed_point.h"
#include "tfls_operators.h"

enum { kSide = 4 /* of the inputs of a tile */ };

/* Where a tile's outputs go, and how far they lie apart; the assembly knows the order. */
typedef struct {
  const void* end; /* of the filters */
  int8_t* output;
  const int32_t* inputs;
  int32_t column, row;
  const int8_t* weights; /* for CPUs without SMLAD */
} Tile;

/* The inputs of the tile whose first one is (y, x), where some lie in the padding: four rows of four. */
TFLS_OUTLINE void copy_inputs(const TflsConv2D* p, const int8_t* image, int32_t y, int32_t x, int8_t* to) {
  const int32_t in_h = p->in_h, in_w = p->in_w;
  int32_t row, column;
  for (row = y; row < y + kSide; row++) {
    const int8_t* const from = image + row * in_w;
    const int outside = row < 0 || row >= in_h;
    for (column = x; column < x + kSide; column++)
      *to++ = outside || column < 0 || column >= in_w ? p->input_zero_point : from[column];
  }
}

#if defined(TFLS_DSP)
/* A filter made ready: weights are doubled, as SMMLAR wants sums. The assembly knows the order. */
typedef struct {
  int32_t twice_bias;
  int32_t outer[3];  /* left and right weights of the rows, as halves */
  int32_t middle[2]; /* middle weights: of rows 0 and 1, of row 2 */
  int32_t multiplier, rounding, right;
} Filter;

TFLS_INLINE int32_t twice_as_halves(int32_t low, int32_t high) {
  int32_t word;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(word) : "r"(2 * low), "r"(2 * high));
  return word;
}

static Filter filter_of(const TflsConv2D* p, int32_t o) {
  const int8_t* const w = p->weights + 9 * o;
  const int32_t channel = o * p->channel_step;
  const TflsQuickScale scale =
      tfls_quick_scale_of(p->bias[o], p->multiplier[channel], p->shift[channel], p->output_zero_point);
  const Filter filter = {scale.twice_bias,
                         {twice_as_halves(w[0], w[2]), twice_as_halves(w[3], w[5]), twice_as_halves(w[6], w[8])},
                         {twice_as_halves(w[1], w[4]), twice_as_halves(w[7], 0)},
                         scale.multiplier,
                         scale.rounding,
                         scale.right};
  return filter;
}

/* The doubled sums of a tile in r0 (first row), r2, r3 (second row), r12. r1: the filter, moved on to its multiplier,
 * r4 to r11: of each row the inputs 0 and 2, then 1 and 3. */
#define TFLS_TILE_SUMS                                                                                         \
  "ldmia r1!, {r0, lr}\n smlad r2, r5, lr, r0\n smlad r3, r6, lr, r0\n smlad r12, r7, lr, r0\n"               \
  "smlad r0, r4, lr, r0\n ldr lr, [r1], #4\n"                                                                 \
  "smlad r0, r6, lr, r0\n smlad r2, r7, lr, r2\n smlad r3, r8, lr, r3\n smlad r12, r9, lr, r12\n"             \
  "ldr lr, [r1], #4\n"                                                                                        \
  "smlad r0, r8, lr, r0\n smlad r2, r9, lr, r2\n smlad r3, r10, lr, r3\n smlad r12, r11, lr, r12\n"           \
  "ldr lr, [r1], #4\n"                                                                                        \
  "smlabb r0, r5, lr, r0\n smlatb r2, r4, lr, r2\n smlabb r3, r7, lr, r3\n smlatb r12, r6, lr, r12\n"         \
  "smlabt r0, r7, lr, r0\n smlatt r2, r6, lr, r2\n smlabt r3, r9, lr, r3\n smlatt r12, r8, lr, r12\n"         \
  "ldr lr, [r1], #4\n"                                                                                        \
  "smlabb r0, r9, lr, r0\n smlatb r2, r8, lr, r2\n smlabb r3, r11, lr, r3\n smlatb r12, r10, lr, r12\n"
/* A sum as int8: tfls_quick_output. */
#define TFLS_TILE_OUTPUT(sum, multiplier, rounding, right)                                       \
  "smmlar lr, " sum ", " multiplier ", " rounding "\n add lr, lr, " sum ", asr #31\n"            \
  "asr lr, lr, " right "\n ssat " sum ", #8, lr\n"
#define TFLS_LARGER(a, b) "cmp " a ", " b "\n it lt\n movlt " a ", " b "\n"

/* One output of each filter, from the first one to the tile's end: the largest of its tile. */
TFLS_NAKED static void put_largest(const Tile* tile TFLS_UNNAMED, const Filter* filters TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n push {r4-r11, lr}\n ldmia r0, {r2-r4}\n push {r2, r3}\n ldmia r4, {r4-r11}\n"
      "1:\n" TFLS_TILE_SUMS TFLS_LARGER("r0", "r2") TFLS_LARGER("r3", "r12") TFLS_LARGER("r0", "r3")
      "ldmia r1!, {r2, r3, r12}\n" TFLS_TILE_OUTPUT("r0", "r2", "r3", "r12")
      "ldrd r2, r3, [sp]\n strb r0, [r3], #1\n str r3, [sp, #4]\n cmp r1, r2\n bne 1b\n"
      "add sp, #8\n pop {r4-r11, pc}\n");
}

/* The four outputs of each filter. */
TFLS_NAKED static void put_tile(const Tile* tile TFLS_UNNAMED, const Filter* filters TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n push {r4-r11, lr}\n ldmia r0, {r4-r8}\n push {r4-r8}\n ldmia r6, {r4-r11}\n"
      "1:\n" TFLS_TILE_SUMS "ldmia r1!, {r4-r6}\n"
      TFLS_TILE_OUTPUT("r0", "r4", "r5", "r6") TFLS_TILE_OUTPUT("r2", "r4", "r5", "r6")
      TFLS_TILE_OUTPUT("r3", "r4", "r5", "r6") TFLS_TILE_OUTPUT("r12", "r4", "r5", "r6")
      "ldmia sp, {r4-r8}\n strb r2, [r5, r7]\n add r7, r7, r8\n strb r3, [r5, r8]\n"
      "strb r12, [r5, r7]\n strb r0, [r5], #1\n str r5, [sp, #4]\n cmp r1, r4\n ldmia r6, {r4-r11}\n bne 1b\n"
      "add sp, #20\n pop {r4-r11, pc}\n");
}

enum { kInputWords = 2 * kSide };

/* Of each row, as half-words: inputs 0 and 2, then 1 and 3. */
TFLS_INLINE void spread(const int8_t* from, int32_t row, int32_t* to) {
  int32_t i;
  for (i = 0; i < kSide; i++, from += row, to += 2) {
    int32_t word;
    TFLS_COPY(&word, from, kSide);
    to[0] = tfls_even_halves(word);
    to[1] = tfls_odd_halves(word);
  }
}
#else
typedef struct {
  int32_t bias;
  TflsScale scale;
} Filter;

static Filter filter_of(const TflsConv2D* p, int32_t o) {
  const int32_t channel = o * p->channel_step;
  const Filter filter = {p->bias[o],
                         tfls_scale_of(p->multiplier[channel], p->shift[channel], p->output_zero_point)};
  return filter;
}

typedef struct {
  int32_t a, b, c, d; /* row by row */
} Sums;

TFLS_INLINE Sums sums_of(int32_t bias, const int8_t* w, const int32_t* x) {
  Sums sums = {bias, bias, bias, bias};
#define TFLS_TAP(place)                      \
  {                                          \
    const int32_t weight = *w++;             \
    sums.a += weight * x[place];             \
    sums.b += weight * x[place + 1];         \
    sums.c += weight * x[place + kSide];     \
    sums.d += weight * x[place + kSide + 1]; \
  }
#define TFLS_THREE_TAPS(place) TFLS_TAP(place) TFLS_TAP(place + 1) TFLS_TAP(place + 2)
  TFLS_THREE_TAPS(0)
  TFLS_THREE_TAPS(kSide)
  TFLS_THREE_TAPS(2 * kSide)
#undef TFLS_THREE_TAPS
#undef TFLS_TAP
  return sums;
}

TFLS_INLINE int8_t output_of(int32_t sum, const Filter* filter) {
  return tfls_right_output(sum, &filter->scale, INT8_MIN, INT8_MAX);
}

static void put_largest(const Tile* tile, const Filter* filter) {
  const int8_t* w = tile->weights;
  int8_t* y = tile->output;
  for (; filter != tile->end; filter++, w += 9) {
    const Sums sums = sums_of(filter->bias, w, tile->inputs);
    *y++ = output_of(tfls_larger(tfls_larger(sums.a, sums.b), tfls_larger(sums.c, sums.d)), filter);
  }
}

static void put_tile(const Tile* tile, const Filter* filter) {
  const int32_t column = tile->column, row = tile->row;
  const int8_t* w = tile->weights;
  int8_t* y = tile->output;
  for (; filter != tile->end; filter++, w += 9, y++) {
    const Sums sums = sums_of(filter->bias, w, tile->inputs);
    y[0] = output_of(sums.a, filter);
    y[column] = output_of(sums.b, filter);
    y[row] = output_of(sums.c, filter);
    y[row + column] = output_of(sums.d, filter);
  }
}

enum { kInputWords = kSide * kSide };

TFLS_INLINE void spread(const int8_t* from, int32_t row, int32_t* to) {
  int32_t y, x;
  for (y = 0; y < kSide; y++, from += row)
    for (x = 0; x < kSide; x++) *to++ = from[x];
}
#endif

static void read_inputs(const TflsConv2D* p, const int8_t* image, int32_t y, int32_t x, int32_t* to) {
  if (y >= 0 && x >= 0 && y + kSide <= p->in_h && x + kSide <= p->in_w) {
    spread(image + y * p->in_w + x, p->in_w, to);
  } else {
    int8_t bytes[kSide * kSide];
    copy_inputs(p, image, y, x, bytes);
    spread(bytes, kSide, to);
  }
}

TFLS_OUTLINE void prepare(const TflsConv2D* p, Filter* filters) {
  int32_t o;
  for (o = 0; o < p->out_c; o++) filters[o] = filter_of(p, o);
}

/* Calls put for each tile. rows, columns: of tiles; is_pooled: one output a tile. */
TFLS_INLINE void each_tile(const TflsConv2D* p, int32_t rows, int32_t columns, int is_pooled, const int8_t* input,
                           int8_t* output, Filter* filters, void (*put)(const Tile*, const Filter*)) {
  const int32_t out_c = p->out_c, out_w = p->out_w;
  int32_t inputs[kInputWords], batch, row, column;
  Tile tile = {filters + out_c, output, inputs, out_c, out_w * out_c, p->weights};
  prepare(p, filters);
  for (batch = 0; batch < p->batches; batch++, input += p->in_h * p->in_w) {
    for (row = 0; row < rows; row++) {
      /* The last tile of a row or column reaches back, so that it is whole as well. */
      const int32_t y = tfls_smaller(2 * row, p->out_h - 2);
      for (column = 0; column < columns; column++) {
        const int32_t x = tfls_smaller(2 * column, out_w - 2);
        if (!is_pooled) tile.output = output + (y * out_w + x) * out_c;
        read_inputs(p, input, y - p->pad_h, x - p->pad_w, inputs);
        put(&tile, filters);
        if (is_pooled) tile.output += out_c;
      }
    }
    if (!is_pooled) output += p->out_h * out_w * out_c;
  }
}

void tfls_conv_2d_3x3x1(const TflsConv2D* params, const int8_t* input, int8_t* output, void* scratch) {
  const int32_t rows = (params->out_h + 1) / 2, columns = (params->out_w + 1) / 2;
  each_tile(params, rows, columns, 0, input, output, (Filter*)scratch, put_tile);
  tfls_clamp_all(output, params->batches * params->out_h * params->out_w * params->out_c, params->min, params->max);
}

void tfls_conv_2d_3x3x1_max_pool(const TflsConv2D* conv, const TflsPool2D* pool, const int8_t* input, int8_t* output,
                                 void* scratch) {
  const int32_t min = tfls_clamped(conv->min, pool->min, pool->max), max = tfls_clamped(conv->max, pool->min, pool->max);
  each_tile(conv, pool->out_h, pool->out_w, 1, input, output, (Filter*)scratch, put_largest);
  tfls_clamp_all(output, conv->batches * pool->out_h * pool->out_w * conv->out_c, min, max);
}
