/* MAX_POOL_2D of what a convolution yields, one row of the pool's output at a time. The convolution computes the rows
 * that this one needs, and no others lie in memory. */
#ifndef TFLS_POOL_ROWS_H_
#define TFLS_POOL_ROWS_H_

#include "tfls_fixed_point.h"
#include "tfls_operators.h"

/* Computes so many rows of a convolution's output from a row on. */
typedef void (*TflsRows)(const void* conv, int32_t batch, int32_t first, int32_t count, const int8_t* input,
                         int8_t* output, void* scratch);

/* scratch: the rows that this one needs; behind them, at a multiple of 16 bytes, the memory of the convolution. */
TFLS_INLINE void tfls_pool_rows(const TflsPool2D* pool, const void* conv, TflsRows compute, const int8_t* input,
                                int8_t* output, void* scratch) {
  const int32_t bytes = pool->out_w * pool->channels;
  int8_t* const rows = (int8_t*)scratch;
  void* const behind = rows + ((pool->filter_h * pool->in_w * pool->channels + 15) & ~15);
  TflsPool2D line = *pool;
  int32_t batch, y;
  line.batches = 1;
  line.out_h = 1;
  for (batch = 0; batch < pool->batches; batch++) {
    for (y = 0; y < pool->out_h; y++, output += bytes) {
      const int32_t first = y * pool->stride_h, count = tfls_smaller(pool->filter_h, pool->in_h - first);
      compute(conv, batch, first, count, input, rows, behind);
      line.in_h = (uint16_t)count;
      tfls_max_pool_2d(&line, rows, output);
    }
  }
}

/* A function of the type above for parameters of one type: the part of the convolution that yields these rows reads the
 * input from the row on where the first window begins. */
#define TFLS_DEFINE_ROWS(name, Type, compute)                                                              \
  static void name(const void* conv, int32_t batch, int32_t first, int32_t count, const int8_t* input,      \
                   int8_t* output, void* scratch) {                                                         \
    const Type* const whole = (const Type*)conv;                                                            \
    const int32_t y = first * whole->stride_h - whole->pad_h, skipped = tfls_larger(y, 0);                  \
    Type part = *whole;                                                                                     \
    part.batches = 1;                                                                                       \
    part.in_h = (uint16_t)(whole->in_h - skipped);                                                          \
    part.out_h = (uint16_t)count;                                                                           \
    part.pad_h = (uint16_t)(skipped - y);                                                                   \
    compute(&part, input + (batch * whole->in_h + skipped) * whole->in_w * whole->in_c, output, scratch);   \
  }

#endif /* TFLS_POOL_ROWS_H_ */
