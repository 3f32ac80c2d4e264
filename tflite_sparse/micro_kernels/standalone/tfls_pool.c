/* MAX_POOL_2D, AVERAGE_POOL_2D and MEAN. */
#include "tfls_fixed_point.h"
#include "tfls_operators.h"

/* The part of an output's window that lies within the input. */
typedef struct {
  const int8_t* first;
  int32_t rows, columns;
} Window;

static Window window_of(const TflsPool2D* p, const int8_t* image, int32_t out_y, int32_t out_x) {
  const int32_t y = out_y * p->stride_h - p->pad_h, x = out_x * p->stride_w - p->pad_w;
  const int32_t top = tfls_larger(y, 0), left = tfls_larger(x, 0);
  const Window window = {image + (top * p->in_w + left) * p->channels, tfls_smaller(y + p->filter_h, p->in_h) - top,
                         tfls_smaller(x + p->filter_w, p->in_w) - left};
  return window;
}

static int32_t largest(const TflsPool2D* p, const Window* window, int32_t channel) {
  int32_t found = INT8_MIN, y, x;
  for (y = 0; y < window->rows; y++) {
    const int8_t* at = window->first + y * p->in_w * p->channels + channel;
    for (x = 0; x < window->columns; x++, at += p->channels) found = tfls_larger(found, *at);
  }
  return found;
}

static int32_t average(const TflsPool2D* p, const Window* window, int32_t channel) {
  const int32_t count = window->rows * window->columns;
  int32_t sum = 0, y, x;
  for (y = 0; y < window->rows; y++) {
    const int8_t* at = window->first + y * p->in_w * p->channels + channel;
    for (x = 0; x < window->columns; x++, at += p->channels) sum += *at;
  }
  return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

TFLS_INLINE void pool(const TflsPool2D* p, const int8_t* input, int8_t* output,
                      int32_t (*of)(const TflsPool2D*, const Window*, int32_t)) {
  int32_t batch, y, x, channel;
  for (batch = 0; batch < p->batches; batch++, input += p->in_h * p->in_w * p->channels) {
    for (y = 0; y < p->out_h; y++) {
      for (x = 0; x < p->out_w; x++) {
        const Window window = window_of(p, input, y, x);
        for (channel = 0; channel < p->channels; channel++)
          *output++ = tfls_clamped(of(p, &window, channel), p->min, p->max);
      }
    }
  }
}

void tfls_max_pool_2d(const TflsPool2D* params, const int8_t* input, int8_t* output) {
  pool(params, input, output, largest);
}

void tfls_average_pool_2d(const TflsPool2D* params, const int8_t* input, int8_t* output) {
  pool(params, input, output, average);
}

static int32_t sum_of(const TflsMean* p, const int8_t* from) {
  int32_t sum = 0, i, j, k;
  for (i = 0; i < p->reduced[0]; i++) {
    for (j = 0; j < p->reduced[1]; j++) {
      const int8_t* at = from + i * p->reduced_step[0] + j * p->reduced_step[1];
      for (k = 0; k < p->reduced[2]; k++, at += p->reduced_step[2]) sum += *at;
    }
  }
  return sum;
}

void tfls_mean(const TflsMean* params, const int8_t* input, int8_t* output) {
  const TflsMean* const p = params;
  int32_t i, j, k;
  for (i = 0; i < p->kept[0]; i++) {
    for (j = 0; j < p->kept[1]; j++) {
      const int8_t* from = input + i * p->kept_step[0] + j * p->kept_step[1];
      for (k = 0; k < p->kept[2]; k++, from += p->kept_step[2]) {
        const int32_t sum = sum_of(p, from) + p->sum_offset;
        *output++ = tfls_clamped(tfls_scaled(sum, p->multiplier, p->shift) + p->output_zero_point, INT8_MIN, INT8_MAX);
      }
    }
  }
}
