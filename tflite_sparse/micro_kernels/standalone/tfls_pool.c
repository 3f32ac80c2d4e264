/* MAX_POOL_2D, AVERAGE_POOL_2D and MEAN. */
#include "tfls_fixed_point.h"
#include "tfls_helium.h"
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

/* Channels that were computed together with others; the rest is computed one by one. */
#if defined(TFLS_MVE)
static int32_t largest_together(const TflsPool2D* p, const Window* window, int8_t* output) {
  const int32_t channels = p->channels;
  int32_t channel, y, x;
  for (channel = 0; channel < channels; channel += 16) {
    const mve_pred16_t some = vctp8q((uint32_t)(channels - channel));
    int8x16_t most = vdupq_n_s8(INT8_MIN);
    for (y = 0; y < window->rows; y++) {
      const int8_t* at = window->first + y * p->in_w * channels + channel;
      for (x = window->columns; x > 0; x--, at += channels) most = vmaxq_s8(most, vldrbq_z_s8(at, some));
    }
    vstrbq_p_s8(output + channel, most, some);
  }
  return channels;
}
#elif defined(TFLS_DSP)
/* The larger ones of four bytes each. */
TFLS_INLINE int32_t larger_bytes(int32_t a, int32_t b) {
  int32_t difference;
  __asm__("ssub8 %1, %0, %2\n sel %0, %0, %2" : "+r"(a), "=&r"(difference) : "r"(b) : "cc");
  return a;
}

TFLS_INLINE int32_t four_at(const int8_t* at) {
  int32_t word;
  TFLS_COPY(&word, at, 4);
  return word;
}

static int32_t largest_together(const TflsPool2D* p, const Window* window, int8_t* output) {
  const int32_t channels = p->channels, row = p->in_w * channels, whole = channels & ~3;
  const int8_t *from = window->first, *const end = from + whole;
  int32_t y, x;
  if (window->rows == 2 && window->columns == 2) {
    for (; from != end; from += 4, output += 4) {
      const int8_t* const next = from + row;
      const int32_t upper = larger_bytes(four_at(from), four_at(from + channels));
      const int32_t most = larger_bytes(larger_bytes(upper, four_at(next)), four_at(next + channels));
      TFLS_COPY(output, &most, 4);
    }
    return whole;
  }
  for (; from != end; from += 4, output += 4) {
    int32_t most = four_at(from);
    for (y = 0; y < window->rows; y++) {
      const int8_t* at = from + y * row;
      for (x = window->columns; x > 0; x--, at += channels) most = larger_bytes(most, four_at(at));
    }
    TFLS_COPY(output, &most, 4);
  }
  return whole;
}
#endif

static void largest(const TflsPool2D* p, const Window* window, int8_t* output) {
  const int32_t channels = p->channels;
  int32_t channel = 0, y, x;
#if defined(TFLS_MVE) || defined(TFLS_DSP)
  channel = largest_together(p, window, output);
#endif
  for (; channel < channels; channel++) {
    int32_t most = INT8_MIN;
    for (y = 0; y < window->rows; y++) {
      const int8_t* at = window->first + y * p->in_w * channels + channel;
      for (x = window->columns; x > 0; x--, at += channels) most = tfls_larger(most, *at);
    }
    output[channel] = (int8_t)most;
  }
  tfls_clamp_all(output, channels, p->min, p->max);
}

TFLS_INLINE int8_t mean_of(int32_t sum, int32_t count, const TflsPool2D* p) {
  return tfls_clamped((sum > 0 ? sum + count / 2 : sum - count / 2) / count, p->min, p->max);
}

#if defined(TFLS_DSP)
enum { kHalfWordSum = 255 /* int8 values, the sum of which fits in a half-word */ };

/* acc: halves, to which bytes 0 and 2 of a word are added; or 1 and 3. */
TFLS_INLINE int32_t plus_even(int32_t acc, int32_t word) {
  __asm__("sxtab16 %0, %0, %1" : "+r"(acc) : "r"(word));
  return acc;
}
TFLS_INLINE int32_t plus_odd(int32_t acc, int32_t word) {
  __asm__("sxtab16 %0, %0, %1, ror #8" : "+r"(acc) : "r"(word));
  return acc;
}

/* Channels in fours. */
static int32_t average_together(const TflsPool2D* p, const Window* window, int8_t* output) {
  const int32_t channels = p->channels, count = window->rows * window->columns;
  int32_t channel, y, x;
  if (count > kHalfWordSum) return 0;
  for (channel = 0; channel + 4 <= channels; channel += 4) {
    int32_t even = 0, odd = 0;
    for (y = 0; y < window->rows; y++) {
      const int8_t* at = window->first + y * p->in_w * channels + channel;
      for (x = window->columns; x > 0; x--, at += channels) {
        int32_t word;
        TFLS_COPY(&word, at, 4);
        even = plus_even(even, word);
        odd = plus_odd(odd, word);
      }
    }
    output[channel] = mean_of((int16_t)even, count, p);
    output[channel + 1] = mean_of((int16_t)odd, count, p);
    output[channel + 2] = mean_of(even >> 16, count, p);
    output[channel + 3] = mean_of(odd >> 16, count, p);
  }
  return channel;
}
#endif

static void average(const TflsPool2D* p, const Window* window, int8_t* output) {
  const int32_t channels = p->channels, count = window->rows * window->columns;
  int32_t channel = 0, y, x;
#if defined(TFLS_DSP)
  channel = average_together(p, window, output);
#endif
  for (; channel < channels; channel++) {
    int32_t sum = 0;
    for (y = 0; y < window->rows; y++) {
      const int8_t* at = window->first + y * p->in_w * channels + channel;
      for (x = 0; x < window->columns; x++, at += channels) sum += *at;
    }
    output[channel] = mean_of(sum, count, p);
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
