/* ADD, SUB, MUL and PRELU: two inputs, broadcast where their steps are 0. */
#include "tfls_fixed_point.h"
#include "tfls_operators.h"

/* Both inputs and the output at the start of one row, the last axis. */
typedef struct {
  const int8_t* first;
  const int8_t* second;
  int8_t* output;
  int32_t count, step1, step2;
} Row;

/* Calls row_function for each row of the output. */
TFLS_INLINE void each_row(const int32_t* size, const int32_t* step1, const int32_t* step2, const int8_t* input1,
                          const int8_t* input2, int8_t* output, const void* params,
                          void (*row_function)(const void*, const Row*)) {
  Row row = {NULL, NULL, output, size[3], step1[3], step2[3]};
  int32_t i, j, k;
  for (i = 0; i < size[0]; i++) {
    for (j = 0; j < size[1]; j++) {
      for (k = 0; k < size[2]; k++, row.output += row.count) {
        row.first = input1 + i * step1[0] + j * step1[1] + k * step1[2];
        row.second = input2 + i * step2[0] + j * step2[1] + k * step2[2];
        row_function(params, &row);
      }
    }
  }
}

/* sign: 1 adds, -1 subtracts. |operands| < 2^29, their scales are at most 1/2: no sum leaves 2^30. */
TFLS_INLINE void sum_row(const TflsAdd* p, const Row* row, int32_t sign) {
  const int32_t right1 = -p->input1_shift, right2 = -p->input2_shift, right = -p->output_shift;
  const int8_t *first = row->first, *second = row->second;
  int32_t i;
  for (i = 0; i < row->count; i++, first += row->step1, second += row->step2) {
    const int32_t x1 = (*first + p->input1_offset) * (1 << p->left_shift);
    const int32_t x2 = (*second + p->input2_offset) * (1 << p->left_shift);
    const int32_t scaled1 = tfls_divided_by_power(tfls_narrow_product(x1, p->input1_multiplier), right1);
    const int32_t scaled2 = tfls_divided_by_power(tfls_narrow_product(x2, p->input2_multiplier), right2);
    const int32_t sum = tfls_high_product(scaled1 + sign * scaled2, p->output_multiplier);
    row->output[i] = tfls_clamped(tfls_divided_by_power(sum, right) + p->output_zero_point, p->min, p->max);
  }
}

static void add_row(const void* params, const Row* row) { sum_row((const TflsAdd*)params, row, 1); }
static void sub_row(const void* params, const Row* row) { sum_row((const TflsAdd*)params, row, -1); }

static void mul_row(const void* params, const Row* row) {
  const TflsMul* const p = (const TflsMul*)params;
  const int8_t *first = row->first, *second = row->second;
  int32_t i;
  for (i = 0; i < row->count; i++, first += row->step1, second += row->step2) {
    const int32_t product = (*first + p->input1_offset) * (*second + p->input2_offset);
    const int32_t value = tfls_scaled(product, p->multiplier, p->shift) + p->output_zero_point;
    row->output[i] = tfls_clamped(value, p->min, p->max);
  }
}

static void prelu_row(const void* params, const Row* row) {
  const TflsPrelu* const p = (const TflsPrelu*)params;
  const int8_t *first = row->first, *second = row->second;
  int32_t i;
  for (i = 0; i < row->count; i++, first += row->step1, second += row->step2) {
    const int32_t x = *first + p->input_offset;
    const int32_t product = x * (*second + p->alpha_offset);
    const int32_t value = x >= 0 ? tfls_scaled(x, p->multiplier, p->shift)
                                 : tfls_scaled(product, p->negative_multiplier, p->negative_shift);
    row->output[i] = tfls_clamped(value + p->output_zero_point, INT8_MIN, INT8_MAX);
  }
}

void tfls_add(const TflsAdd* params, const int8_t* input1, const int8_t* input2, int8_t* output) {
  each_row(params->size, params->step1, params->step2, input1, input2, output, params, add_row);
}

void tfls_sub(const TflsAdd* params, const int8_t* input1, const int8_t* input2, int8_t* output) {
  each_row(params->size, params->step1, params->step2, input1, input2, output, params, sub_row);
}

void tfls_mul(const TflsMul* params, const int8_t* input1, const int8_t* input2, int8_t* output) {
  each_row(params->size, params->step1, params->step2, input1, input2, output, params, mul_row);
}

void tfls_prelu(const TflsPrelu* params, const int8_t* input, const int8_t* alpha, int8_t* output) {
  each_row(params->size, params->step1, params->step2, input, alpha, output, params, prelu_row);
}
