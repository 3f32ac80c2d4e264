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

/* Each element of to becomes the larger one. */
static void raise_to(int8_t* to, const int8_t* from, int32_t count) {
#if defined(TFLS_DSP)
  for (; count >= 4; count -= 4, to += 4, from += 4) {
    int32_t a, b, difference;
    TFLS_COPY(&a, to, 4);
    TFLS_COPY(&b, from, 4);
    __asm__("ssub8 %1, %0, %2\n sel %0, %0, %2" : "+r"(a), "=&r"(difference) : "r"(b) : "cc");
    TFLS_COPY(to, &a, 4);
  }
#endif
  for (; count > 0; count--, to++, from++)
    if (*from > *to) *to = *from;
}

static void largest(const TflsPool2D* p, const Window* window, int8_t* output) {
  const int32_t channels = p->channels;
  int32_t y, x;
  tfls_copy(output, window->first, channels);
  for (y = 0; y < window->rows; y++) {
    const int8_t* at = window->first + y * p->in_w * channels;
    for (x = 0; x < window->columns; x++, at += channels) raise_to(output, at, channels);
  }
  tfls_clamp_all(output, channels, p->min, p->max);
}

static void average(const TflsPool2D* p, const Window* window, int8_t* output) {
  const int32_t channels = p->channels, count = window->rows * window->columns;
  int32_t channel, y, x;
  for (channel = 0; channel < channels; channel++) {
    int32_t sum = 0;
    for (y = 0; y < window->rows; y++) {
      const int8_t* at = window->first + y * p->in_w * channels + channel;
      for (x = 0; x < window->columns; x++, at += channels) sum += *at;
    }
    output[channel] = tfls_clamped((sum > 0 ? sum + count / 2 : sum - count / 2) / count, p->min, p->max);
  }
}

/* Calls pixel for the window of each pixel of the output. */
TFLS_INLINE void pool(const TflsPool2D* p, const int8_t* input, int8_t* output,
                      void (*pixel)(const TflsPool2D*, const Window*, int8_t*)) {
  int32_t batch, y, x;
  for (batch = 0; batch < p->batches; batch++, input += p->in_h * p->in_w * p->channels) {
    for (y = 0; y < p->out_h; y++) {
      for (x = 0; x < p->out_w; x++, output += p->channels) {
        const Window window = window_of(p, input, y, x);
        pixel(p, &window, output);
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
