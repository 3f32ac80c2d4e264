/* Dense int8 operators without an interpreter: one C function an operator, parameters worked out ahead.
 *
 * C99 that C++ takes as well; needs <stdint.h> and <string.h> only. No allocation, no recursion, no writable static
 * data. Nothing is checked at run time: who writes the parameters answers for them. Outputs equal to the bit those of
 * TensorFlow Lite Micro's reference kernels, which round twice (TFLITE_SINGLE_ROUNDING off).
 *
 * Conventions
 *   Tensors     dense, channels last. Where a comment does not say "in place", output and input must not overlap.
 *   Structs     are initialised by position (C++17 has no designators): the order of members stays as it is. Members
 *               may be added at the end; what is not initialised is 0.
 *   multiplier, shift
 *               as QuantizeMultiplier computes them: x * multiplier * 2^(shift - 31), 0 or >= 2^30, shift -31 to 30.
 *               A scale of 0 is 0, 0.
 *   min, max    of the fused activation, -128 and 127 where there is none.
 *   scratch     memory at a multiple of 4 bytes that a function uses while it runs; NULL where it needs 0 bytes.
 *   [file.c]    where a function is. Every file needs tfls_fixed_point.h and this header.
 *
 * Windows: pad_h and pad_w are rows and columns of padding before the input (ComputePaddingHeightWidth); what lies
 * behind it follows from the output's size.
 */
#ifndef TFLS_OPERATORS_H_
#define TFLS_OPERATORS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How the weights of CONV_2D and FULLY_CONNECTED lie. */
#define TFLS_PLAIN 0  /* as in the file: (outputs, filter rows, filter columns, input channels) */
#define TFLS_PAIRED 1 /* two outputs in a half-word, for CPUs with SMLAD: codecs/dense_weights.py arranges them */

/* Which layouts are compiled: a bit for each number above. An app may leave out what its model does not use. */
#ifndef TFLS_LAYOUTS
#define TFLS_LAYOUTS 3u
#endif
#define TFLS_HAS_LAYOUT(layout) ((TFLS_LAYOUTS >> (layout)) & 1u)

/* Paired weights lie at a multiple of 4 bytes: static const int8_t weights[] TFLS_ALIGNED = {...}; */
#if defined(__GNUC__)
#define TFLS_ALIGNED __attribute__((aligned(4)))
#else
#define TFLS_ALIGNED /* only code for GNU compilers asks for it */
#endif

/* ---- CONV_2D, FULLY_CONNECTED, DEPTHWISE_CONV_2D, TRANSPOSE_CONV ----
 *
 * bias        has the input's zero point folded in, except in TRANSPOSE_CONV: bias[o] - input_zero_point * sum of the
 *             weights of output o (mod 2^32). Never NULL.
 * multiplier, shift
 *             one for each output, or one for all.
 * channel_step
 *             1: one multiplier and shift for each output; 0: the first for all.
 * wide        1: some sum, the folded bias included, may reach 2^30 in magnitude after a shift to the left, or shift
 *             is below -20: slower code. 0 otherwise; codecs/dense_weights.py: is_wide.
 */

#define TFLS_MANY_PIXELS 16

/* batch x in_h x in_w x in_c -> batch x out_h x out_w x out_c.  [tfls_conv.c]
 * Scratch bytes, with taps = filter_h * filter_w * in_c:
 *   TFLS_PAIRED          8 * taps if in_c is a multiple of 4, else 9 * (taps rounded up to a multiple of 4);
 *                        where "wide" is 0 and there are TFLS_MANY_PIXELS pixels (batches * out_h * out_w) or more,
 *                        and 16 * (out_c rounded up to a multiple of 2)
 *   TFLS_PLAIN           0 if filter_h == filter_w == 1 (then pad_h == pad_w == 0), else 2 * taps
 * TFLS_PAIRED pays on CPUs with __ARM_FEATURE_DSP (Cortex-M4, M7, M33) and runs on all; elsewhere, M55 included,
 * TFLS_PLAIN is quicker. */
typedef struct {
  const int8_t* weights;
  const int32_t* bias;
  const int32_t* multiplier;
  const int8_t* shift;
  int32_t in_c, out_c;
  uint16_t batches, in_h, in_w, out_h, out_w;
  uint16_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
  int8_t input_zero_point, output_zero_point, min, max;
  uint8_t channel_step, wide, layout;
} TflsConv2D;
void tfls_conv_2d(const TflsConv2D* params, const int8_t* input, int8_t* output, void* scratch);
/* The same, faster, for plain weights of one input channel, 3x3 filters with strides and dilations of 1, at most one
 * row and column of padding before the input, out_h and out_w of 2 or more, shifts that are all negative, and sums that
 * are not wide. Scratch: 36 * out_c bytes.  [tfls_conv_3x3x1.c] */
void tfls_conv_2d_3x3x1(const TflsConv2D* params, const int8_t* input, int8_t* output, void* scratch);

/* rows x inputs -> rows x outputs.  [tfls_fully_connected.c]
 * Weights are int8 with a zero point of 0. Scratch: 0 bytes. */
typedef struct {
  const int8_t* weights;
  const int32_t* bias;
  const int32_t* multiplier;
  const int8_t* shift;
  int32_t rows, inputs, outputs;
  int8_t output_zero_point, min, max;
  uint8_t channel_step, wide, layout;
} TflsFullyConnected;
void tfls_fully_connected(const TflsFullyConnected* params, const int8_t* input, int8_t* output);

/* Weights as in the file: (1, filter_h, filter_w, out_c); out_c = in_c * depth_multiplier.  [tfls_depthwise.c]
 * Scratch: 0 bytes. */
typedef struct {
  const int8_t* weights;
  const int32_t* bias;
  const int32_t* multiplier;
  const int8_t* shift;
  int32_t in_c, depth_multiplier;
  uint16_t batches, in_h, in_w, out_h, out_w;
  uint16_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
  int8_t input_zero_point, output_zero_point, min, max;
  uint8_t channel_step, wide, by_columns;
} TflsDepthwiseConv2D;
void tfls_depthwise_conv_2d(const TflsDepthwiseConv2D* params, const int8_t* input, int8_t* output);
/* The same, faster, for 3x3 filters with a multiplier of 1, dilations of 1, stride_w 1 or 2, an in_h of 3 or more, at
 * most one row or column of padding on each side, at least two columns of the input in each window, shifts that are all
 * negative, and sums that are not wide. by_columns: lines that the assembly for CPUs with SMLAD computes are the columns of
 * the image; for an in_w of 3 or more that is also out_w, and a stride_h of 1. Else 0: the output may then overlap with
 * the input where it lies far enough before it. */
void tfls_depthwise_conv_2d_3x3(const TflsDepthwiseConv2D* params, const int8_t* input, int8_t* output);
/* The same where min is not below the output's zero point: on CPUs with SMLAD an instruction less for an output. */
void tfls_depthwise_conv_2d_3x3_clamped(const TflsDepthwiseConv2D* params, const int8_t* input, int8_t* output);

/* Weights as in the file: (out_c, filter_h, filter_w, in_c); bias as in the file (zeros where it has none); padding
 * as ComputePaddingHeightWidth yields it of the OUTPUT's size (TransposeConvPrepare).  [tfls_transpose_conv.c]
 * Scratch: 0 bytes. */
typedef struct {
  const int8_t* weights;
  const int32_t* bias;
  const int32_t* multiplier;
  const int8_t* shift;
  int32_t in_c, out_c;
  uint16_t batches, in_h, in_w, out_h, out_w;
  uint16_t filter_h, filter_w, stride_h, stride_w, pad_h, pad_w;
  int8_t input_zero_point, output_zero_point, min, max;
  uint8_t channel_step;
} TflsTransposeConv;
void tfls_transpose_conv(const TflsTransposeConv* params, const int8_t* input, int8_t* output);

/* ---- MAX_POOL_2D, AVERAGE_POOL_2D, MEAN ----  [tfls_pool.c]  Scratch: 0 bytes. */

typedef struct {
  int32_t channels;
  uint16_t batches, in_h, in_w, out_h, out_w, filter_h, filter_w, stride_h, stride_w, pad_h, pad_w;
  int8_t min, max;
} TflsPool2D;
void tfls_max_pool_2d(const TflsPool2D* params, const int8_t* input, int8_t* output);
/* MAX_POOL_2D of a convolution's output, which never lies in memory as a whole. pool: as for tfls_max_pool_2d, without
 * padding above, and with windows that do not share rows (stride_h >= filter_h).  [tfls_conv_max_pool.c]
 * Scratch bytes: filter_h * conv->out_w * conv->out_c, rounded up to a multiple of 16, and those of the convolution. */
void tfls_conv_2d_max_pool(const TflsConv2D* conv, const TflsPool2D* pool, const int8_t* input, int8_t* output,
                           void* scratch);
/* The same for what tfls_conv_2d_3x3x1 takes and windows of 2x2 with strides of 2 and no padding: quicker, with the
 * scratch memory of that function.  [tfls_conv_3x3x1.c] */
void tfls_conv_2d_3x3x1_max_pool(const TflsConv2D* conv, const TflsPool2D* pool, const int8_t* input, int8_t* output,
                                 void* scratch);
void tfls_average_pool_2d(const TflsPool2D* params, const int8_t* input, int8_t* output);

/* Output element (i, j, k) is the mean over (p, q, r) of input[i * kept_step[0] + j * kept_step[1] + k * kept_step[2] +
 * p * reduced_step[0] + ...]; sizes that are not needed are 1, their steps 0. The output is written in order; axes
 * that are neighbours and both kept or both reduced may be merged.
 * multiplier and shift have 1 / (elements reduced) in them as QuantizedMeanOrSum works it out; sum_offset is
 * -input_zero_point * (elements reduced). Sums must fit in int32. */
typedef struct {
  int32_t kept[3], kept_step[3], reduced[3], reduced_step[3];
  int32_t sum_offset, multiplier, shift;
  int8_t output_zero_point;
} TflsMean;
void tfls_mean(const TflsMean* params, const int8_t* input, int8_t* output);

/* ---- ADD, SUB, MUL, PRELU ----  [tfls_elementwise.c]  Scratch: 0 bytes.
 *
 * size are the output's four sizes, 1 in front where its rank is lower; neighbouring axes along which both inputs
 * step alike may be merged, towards the last. step1 and step2 are elements to the next of an axis in each input, 0
 * where it is broadcast. In place: the output may be an input whose steps are those of the dense output. */

/* ADD and SUB: offsets are -zero_point of an input, multipliers as AddPrepare computes them in double, for SUB as well;
 * left_shift 20. */
typedef struct {
  int32_t size[4], step1[4], step2[4];
  int32_t input1_offset, input2_offset, left_shift;
  int32_t input1_multiplier, input2_multiplier, output_multiplier;
  int8_t input1_shift, input2_shift, output_shift, output_zero_point, min, max;
} TflsAdd;
void tfls_add(const TflsAdd* params, const int8_t* input1, const int8_t* input2, int8_t* output);
void tfls_sub(const TflsAdd* params, const int8_t* input1, const int8_t* input2, int8_t* output);

typedef struct {
  int32_t size[4], step1[4], step2[4];
  int32_t input1_offset, input2_offset, multiplier;
  int8_t shift, output_zero_point, min, max;
} TflsMul;
void tfls_mul(const TflsMul* params, const int8_t* input1, const int8_t* input2, int8_t* output);

/* alpha is the second input; multiplier and shift are those of inputs of 0 and more (output_multiplier_1 of
 * PreluPrepare), negative_* those of others (output_multiplier_2). */
typedef struct {
  int32_t size[4], step1[4], step2[4];
  int32_t input_offset, alpha_offset, multiplier, negative_multiplier;
  int8_t shift, negative_shift, output_zero_point;
} TflsPrelu;
void tfls_prelu(const TflsPrelu* params, const int8_t* input, const int8_t* alpha, int8_t* output);

/* ---- RELU, RELU6, LEAKY_RELU, HARD_SWISH, LOGISTIC, TANH, QUANTIZE of int8 to int8 ----  [tfls_table.c]
 *
 * Every operator that maps one int8 to one int8: a table of 256 outputs, made ahead in the arithmetic of the
 * operator's reference kernel, for inputs -128 to 127 in this order. In place. Scratch: 0 bytes. */
typedef struct {
  const int8_t* table;
  int32_t count; /* elements of the tensor */
} TflsTable;
void tfls_table(const TflsTable* params, const int8_t* input, int8_t* output);

/* ---- SOFTMAX along the last axis, output scale 1/256, zero point -128 ----  [tfls_softmax.c]
 *
 * exponentials[d] is exp_on_negative_values(MultiplyByQuantizedMultiplierGreaterThanOne(-d)), raw Q0, for d = 0 up to
 * -diff_min; from there on, entries count as 0. At most 256 entries (255 is the largest difference).
 * In place. Scratch: 0 bytes. depth is at most 4095 (sums are Q12). */
typedef struct {
  const int32_t* exponentials;
  int32_t entries, rows, depth;
} TflsSoftmax;
void tfls_softmax(const TflsSoftmax* params, const int8_t* input, int8_t* output);

/* ---- Moving data ----  [tfls_data.c]  Scratch: 0 bytes.
 *
 * RESHAPE, SQUEEZE and EXPAND_DIMS need no function where the output may be the input's memory; else tfls_copy_blocks
 * with count 1. Sizes and steps count int8 elements. */

/* CONCATENATION: a call an input, the output's pointer moved to the input's first block. SPLIT: a call an output, the
 * input's pointer moved. count blocks of block bytes; from one to the next, input and output move on by their step. */
typedef struct {
  int32_t count, block, input_step, output_step;
} TflsBlocks;
void tfls_copy_blocks(const TflsBlocks* params, const int8_t* input, int8_t* output);

/* TRANSPOSE, STRIDED_SLICE, SLICE: output, written in order, of sizes size; its element (i, j, ...) is
 * input[start + i * step[0] + j * step[1] + ...]. Steps may be negative. Unused axes in front: size 1, step 0. */
typedef struct {
  int32_t start, size[6], step[6];
} TflsStrided;
void tfls_strided_copy(const TflsStrided* params, const int8_t* input, int8_t* output);

/* PAD, PADV2: before and after of each of four axes (1s in front where the rank is lower; axes without padding may be
 * merged with the one behind). value: the constant of PADV2; PAD without one: the output's zero point. */
typedef struct {
  int32_t input_size[4], before[4], after[4];
  int8_t value;
} TflsPad;
void tfls_pad(const TflsPad* params, const int8_t* input, int8_t* output);

/* rows[y] and columns[x] are the input's row and column of each of the output: GetNearestNeighbor, in float32. */
typedef struct {
  const uint16_t* rows;
  const uint16_t* columns;
  int32_t channels;
  uint16_t batches, in_h, in_w, out_h, out_w;
} TflsResizeNearest;
void tfls_resize_nearest_neighbor(const TflsResizeNearest* params, const int8_t* input, int8_t* output);

/* outer x axis x inner -> outer x inner, int32; the first of equal ones. */
typedef struct {
  int32_t outer, axis, inner;
} TflsArgMax;
void tfls_arg_max(const TflsArgMax* params, const int8_t* input, int32_t* output);

/* ---- QUANTIZE of float32, DEQUANTIZE ----  [tfls_quantize.c]  Scratch: 0 bytes. */

typedef struct {
  float scale;
  int32_t zero_point, count;
} TflsQuantize;
void tfls_quantize(const TflsQuantize* params, const float* input, int8_t* output);
void tfls_dequantize(const TflsQuantize* params, const int8_t* input, float* output);

#ifdef __cplusplus
}
#endif

#endif /* TFLS_OPERATORS_H_ */
