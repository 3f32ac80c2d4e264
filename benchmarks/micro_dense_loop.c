/* A plain dense loop in the place of the kernels, for comparison: the weights of TFLS_PAIR_DENSE8 are those of a dense
 * operator in order, so it reads and checks its constants as the kernels do. */
#define tfls_run tfls_run_kernel
#include "tflite_sparse_kernels.c"
#undef tfls_run

static int32_t products(const int8_t* weights, const int8_t* inputs, int32_t count) {
  int32_t sum = 0, i;
  for (i = 0; i < count; i++) sum += weights[i] * inputs[i];
  return sum;
}

/* Places outside of the image hold the zero point, which is folded into the bias. */
static int32_t outside(const int8_t* weights, int32_t zero_point, int32_t count) {
  int32_t sum = 0, i;
  for (i = 0; i < count; i++) sum += weights[i] * zero_point;
  return sum;
}

static int8_t one_output(const TflsOperator* op, const int8_t* image, int32_t top, int32_t left, int32_t o) {
  const int8_t* weights = (const int8_t*)op->stream + o * op->taps;
  int32_t acc = op->bias[o], ky, kx;
  for (ky = 0; ky < op->filter_h; ky++) {
    const int32_t row = top + ky * op->dilation_h;
    if (op->dilation_w == 1 && row >= 0 && row < op->in_h && left >= 0 && left + op->filter_w <= op->in_w) {
      const int32_t count = op->filter_w * op->in_c; /* a row of the filter in one go */
      acc += products(weights, image + (row * op->in_w + left) * op->in_c, count);
      weights += count;
      continue;
    }
    for (kx = 0; kx < op->filter_w; kx++, weights += op->in_c) {
      const int32_t column = left + kx * op->dilation_w;
      if (row >= 0 && row < op->in_h && column >= 0 && column < op->in_w)
        acc += products(weights, image + (row * op->in_w + column) * op->in_c, op->in_c);
      else
        acc += outside(weights, op->input_zero_point, op->in_c);
    }
  }
  return (int8_t)output_of(op, o, acc);
}

void tfls_run(const TflsOperator* op, const int8_t* input, int8_t* output, void* scratch) {
  int32_t batch, row, column, o;
  (void)scratch;
  for (batch = 0; batch < op->batches; batch++, input += op->in_h * op->in_w * op->in_c)
    for (row = 0; row < op->out_h; row++)
      for (column = 0; column < op->out_w; column++)
        for (o = 0; o < op->out_c; o++)
          *output++ =
              one_output(op, input, row * op->stride_h - op->pad_h, column * op->stride_w - op->pad_w, o);
}
