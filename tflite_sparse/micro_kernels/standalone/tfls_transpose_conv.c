/* TRANSPOSE_CONV: each output sums the inputs that reach it, so that no memory for sums is needed. */
#include "tfls_fixed_point.h"
#include "tfls_operators.h"

/* The sum of one output: filter row y of it is input row (out_y + pad_h - y) / stride_h where that is whole. */
static int32_t sum_of(const TflsTransposeConv* p, const int8_t* image, int32_t out_y, int32_t out_x, int32_t o) {
  const int8_t* const weights = p->weights + o * p->filter_h * p->filter_w * p->in_c;
  const int32_t top = out_y + p->pad_h, left = out_x + p->pad_w;
  int32_t sum = p->bias[o], y, x, i;
  for (y = top % p->stride_h; y < p->filter_h && y <= top; y += p->stride_h) {
    const int32_t in_y = (top - y) / p->stride_h;
    if (in_y >= p->in_h) continue;
    for (x = left % p->stride_w; x < p->filter_w && x <= left; x += p->stride_w) {
      const int32_t in_x = (left - x) / p->stride_w;
      const int8_t* const from = image + (in_y * p->in_w + in_x) * p->in_c;
      const int8_t* const w = weights + (y * p->filter_w + x) * p->in_c;
      if (in_x >= p->in_w) continue;
      for (i = 0; i < p->in_c; i++) sum = tfls_sum(sum, (from[i] - p->input_zero_point) * w[i]);
    }
  }
  return sum;
}

void tfls_transpose_conv(const TflsTransposeConv* params, const int8_t* input, int8_t* output) {
  const TflsTransposeConv* const p = params;
  int32_t batch, y, x, o;
  for (batch = 0; batch < p->batches; batch++, input += p->in_h * p->in_w * p->in_c) {
    for (y = 0; y < p->out_h; y++) {
      for (x = 0; x < p->out_w; x++) {
        for (o = 0; o < p->out_c; o++) {
          const int32_t channel = o * p->channel_step;
          const int32_t value = tfls_scaled(sum_of(p, input, y, x, o), p->multiplier[channel], p->shift[channel]);
          *output++ = tfls_clamped(tfls_sum(value, p->output_zero_point), p->min, p->max);
        }
      }
    }
  }
}
