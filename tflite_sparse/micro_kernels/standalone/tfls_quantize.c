/* QUANTIZE of float32 (AffineQuantize) and DEQUANTIZE. */
#include "tfls_operators.h"

/* The nearest integer, halves away from zero, of a value within int8 and a zero point; larger ones end there. */
static int32_t rounded(float value) {
  const float limited = value < -256.0f ? -256.0f : value > 256.0f ? 256.0f : value;
  const int32_t whole = (int32_t)limited; /* towards zero */
  const float rest = limited - (float)whole; /* exact */
  return rest >= 0.5f ? whole + 1 : rest <= -0.5f ? whole - 1 : whole;
}

void tfls_quantize(const TflsQuantize* params, const float* input, int8_t* output) {
  int32_t i;
  for (i = 0; i < params->count; i++) {
    const int32_t value = rounded(input[i] / params->scale) + params->zero_point;
    output[i] = (int8_t)(value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value);
  }
}

void tfls_dequantize(const TflsQuantize* params, const int8_t* input, float* output) {
  int32_t i;
  for (i = 0; i < params->count; i++) output[i] = params->scale * (float)(input[i] - params->zero_point);
}
