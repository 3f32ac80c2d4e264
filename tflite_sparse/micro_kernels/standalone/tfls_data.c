/* Operators that move values and compute nothing, and ARG_MAX. */
#include <string.h>

#include "tfls_operators.h"

void tfls_copy_blocks(const TflsBlocks* params, const int8_t* input, int8_t* output) {
  int32_t i;
  for (i = 0; i < params->count; i++, input += params->input_step, output += params->output_step)
    memcpy(output, input, (size_t)params->block);
}

void tfls_strided_copy(const TflsStrided* params, const int8_t* input, int8_t* output) {
  const int32_t* const size = params->size;
  const int32_t* const step = params->step;
  int32_t a, b, c, d, e, f;
  input += params->start;
  for (a = 0; a < size[0]; a++) {
    for (b = 0; b < size[1]; b++) {
      for (c = 0; c < size[2]; c++) {
        for (d = 0; d < size[3]; d++) {
          for (e = 0; e < size[4]; e++) {
            const int32_t first = a * step[0] + b * step[1] + c * step[2] + d * step[3] + e * step[4];
            if (step[5] == 1) {
              memcpy(output, input + first, (size_t)size[5]);
              output += size[5];
            } else {
              for (f = 0; f < size[5]; f++) *output++ = input[first + f * step[5]];
            }
          }
        }
      }
    }
  }
}

static int8_t* filled(int8_t* at, int8_t value, int32_t count) {
  memset(at, value, (size_t)count);
  return at + count;
}

void tfls_pad(const TflsPad* params, const int8_t* input, int8_t* output) {
  const int32_t *const size = params->input_size, *const before = params->before, *const after = params->after;
  const int32_t row = before[3] + size[3] + after[3];
  const int32_t plane = row * (before[2] + size[2] + after[2]);
  const int32_t block = plane * (before[1] + size[1] + after[1]);
  int32_t i, j, k;
  output = filled(output, params->value, before[0] * block);
  for (i = 0; i < size[0]; i++) {
    output = filled(output, params->value, before[1] * plane);
    for (j = 0; j < size[1]; j++) {
      output = filled(output, params->value, before[2] * row);
      for (k = 0; k < size[2]; k++, input += size[3]) {
        output = filled(output, params->value, before[3]);
        memcpy(output, input, (size_t)size[3]);
        output = filled(output + size[3], params->value, after[3]);
      }
      output = filled(output, params->value, after[2] * row);
    }
    output = filled(output, params->value, after[1] * plane);
  }
  filled(output, params->value, after[0] * block);
}

void tfls_resize_nearest_neighbor(const TflsResizeNearest* params, const int8_t* input, int8_t* output) {
  const int32_t channels = params->channels;
  int32_t batch, y, x;
  for (batch = 0; batch < params->batches; batch++, input += params->in_h * params->in_w * channels) {
    for (y = 0; y < params->out_h; y++) {
      const int8_t* const row = input + params->rows[y] * params->in_w * channels;
      for (x = 0; x < params->out_w; x++, output += channels)
        memcpy(output, row + params->columns[x] * channels, (size_t)channels);
    }
  }
}

void tfls_arg_max(const TflsArgMax* params, const int8_t* input, int32_t* output) {
  int32_t i, j, k;
  for (i = 0; i < params->outer; i++, input += params->axis * params->inner) {
    for (k = 0; k < params->inner; k++) {
      int32_t best = 0;
      for (j = 1; j < params->axis; j++)
        if (input[j * params->inner + k] > input[best * params->inner + k]) best = j;
      *output++ = best;
    }
  }
}
