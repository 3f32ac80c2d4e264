/* Sparse int8 FULLY_CONNECTED and CONV_2D: kernels that read pruned weights as they lie in flash.
 *
 * C99 without dependencies, allocation or writable static data. tflite_sparse_ops.h has the operator for TensorFlow
 * Lite Micro; these functions may be called without it as well:
 *
 *     TflsOperator op;
 *     TflsConstants constants = {options, ..., stream, ..., parameters, ...};
 *     if (tfls_open(&op, &constants, input_dims, 4, output_dims, 4) != TFLS_OK) ...   // once; checks everything
 *     tfls_run(&op, input, output, scratch);                                      // scratch: op.scratch_bytes
 *
 * Results equal those of TensorFlow Lite Micro's own operators to the bit (double rounding, the default there).
 *
 * tfls_open checks all that the constants say. Their lengths it is told. The operator for TensorFlow Lite Micro takes
 * them from the shapes of the tensors, for the runtime gives an operator no other size: a file whose shapes are longer
 * than its buffers is read past them. `tflite-sparse verify` refuses such a file.
 */
#ifndef TFLITE_SPARSE_KERNELS_H_
#define TFLITE_SPARSE_KERNELS_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TFLS_OPTIONS_VERSION 1
#define TFLS_OPTIONS_BYTES 40

/* Which kernel an operator uses; it fixes the layout of the stream. Kernels of "rows" take the inputs of one output
 * pixel (or of one row of FULLY_CONNECTED) at a time, the others several pixels at once. */
#define TFLS_ROW_INDEX8 1      /* rows; places in segments of 256 inputs */
#define TFLS_ROW_DELTA4 2      /* rows; distances of 4 bits */
#define TFLS_ROW_BLOCK4 3      /* rows; blocks of 4 inputs */
#define TFLS_ROW_BLOCK16 4     /* rows; blocks of 16 inputs */
#define TFLS_PAIR_DELTA8 5     /* 8 pixels, two of them in one 64-bit accumulator; distances of 8 bits */
#define TFLS_PAIR_DELTA4 6     /* the same; distances of 4 bits */
#define TFLS_STRIP_DELTA8 7    /* as 5 for strides and dilations of 1: packed rows stay while the filter moves down */
#define TFLS_STRIP_DELTA4 8    /* the same; distances of 4 bits */
#define TFLS_PIXEL_DELTA8 9    /* 4 pixels (Helium: 16), copied side by side; distances of 8 bits */
#define TFLS_DIRECT_DELTA8 10  /* 4 pixels, read in place: filters of 1x1 with a stride of 1 */
#define TFLS_PIXEL_BLOCK16 11  /* 4 pixels; blocks of 16 inputs */
#define TFLS_PAIR_DENSE8 12    /* as 5, for layers without zeros: every weight, no distances */
#define TFLS_ROW_SHARED 13     /* rows; few values: a byte is a value and a distance */
#define TFLS_PAIR_SHARED 14    /* as 5; the same bytes */
#define TFLS_STRIP_SHARED 15   /* as 7; the same bytes, column by column of the filter */
#define TFLS_PIXEL_SHARED 16   /* as 9; the same bytes */
#define TFLS_ROW_SHARED7 17    /* as 13, with 7 bits in the place of a byte */

/* Which kernels are compiled: a bit for each number above, and bit 0 for operators that pool, which files do not have. An
 * app may leave out what its files do not use. */
#define TFLS_POOLS 0
#ifndef TFLITE_SPARSE_KERNELS
#define TFLITE_SPARSE_KERNELS 0xFFFFFFFEu
#endif
#define TFLS_HAS(kernel) ((TFLITE_SPARSE_KERNELS >> (kernel)) & 1u)

typedef enum {
  TFLS_OK = 0,
  TFLS_BAD_OPTIONS,    /* the options are cut off, of another version, or contradict themselves */
  TFLS_BAD_KERNEL,     /* the kernel is not known or not compiled, or does not take this operator */
  TFLS_BAD_SHAPE,      /* input and output do not have the shapes that the options ask for */
  TFLS_BAD_PARAMETERS, /* the parameters have another size, are not aligned to 4 bytes, or a sum could overflow */
  TFLS_BAD_STREAM      /* the stream ends early or late, or a place lies outside of the inputs */
} TflsStatus;

/* The three constants of an operator in a file. */
typedef struct {
  const uint8_t* options; /* the custom options */
  size_t options_bytes;
  const uint8_t* stream; /* the weights */
  size_t stream_bytes;
  const uint8_t* parameters; /* int32 bias, int32 multiplier, int8 shift: one of each for an output; aligned to 4 */
  size_t parameters_bytes;
} TflsConstants;

/* An operator, ready to run. Pointers are into the constants. */
typedef struct {
  const uint8_t* stream;
  const int32_t* bias; /* the input's zero point is folded in */
  const int32_t* multiplier;
  const int8_t* shift;
  int32_t batches, in_c, out_c; /* FULLY_CONNECTED: rows, inputs, outputs */
  uint16_t in_h, in_w, out_h, out_w, filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
  int32_t taps; /* inputs of an output: filter_h * filter_w * in_c */
  uint32_t scratch_bytes; /* of the memory that tfls_run needs, aligned to 16 bytes; 0: none */
  uint8_t kernel;
  uint8_t channel_step; /* 0: all outputs share multiplier and shift; 1: one for each */
  uint8_t wide;  /* whether sums may take more than 30 bits */
  uint8_t quick; /* whether none does, and all outputs shift to the right by 1 to 19 */
  int8_t input_zero_point, output_zero_point, output_min, output_max;
  uint8_t pools; /* 1: each output is the largest of 2x2, those of MAX_POOL_2D with strides of 2 (generated C alone) */
  uint8_t clamped; /* whether sums take at most 23 bits, shifts are 1 to 15, and no output is below the zero point */
} TflsOperator;

/* Read and check the constants of an operator: lengths, ends of streams, places within the input, sums that fit in
 * the accumulators. Whatever it takes, tfls_run reads and writes nothing outside of the memory given to it.
 *
 * dims: sizes of input and output, rank 4 (batch, height, width, channels) for CONV_2D; any for FULLY_CONNECTED. */
TflsStatus tfls_open(TflsOperator* op, const TflsConstants* constants, const int* input_dims, int input_rank,
                     const int* output_dims, int output_rank);

/* Compute the output (int8, dense, channels last) from the input (the same). */
void tfls_run(const TflsOperator* op, const int8_t* input, int8_t* output, void* scratch);

/* What a status means, for a log. */
const char* tfls_status_text(TflsStatus status);

#ifdef __cplusplus
}
#endif

#endif /* TFLITE_SPARSE_KERNELS_H_ */
