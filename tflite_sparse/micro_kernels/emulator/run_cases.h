/* Run operators from a file of cases; tflite_sparse/runtime/kernel_cases.py writes them and reads the results. */
#ifndef RUN_CASES_H_
#define RUN_CASES_H_

#include <stddef.h>
#include <stdint.h>

/* All uint32, little-endian. The sections follow, each at a multiple of 16 bytes: options, stream, parameters, input. */
typedef struct {
  uint32_t case_bytes; /* this and the sections */
  uint32_t options_bytes, stream_bytes, parameters_bytes, input_bytes, output_bytes;
  uint32_t input_rank, output_rank;
  int32_t input_dims[4], output_dims[4];
} Case;

typedef struct {
  uint32_t status, instructions, scratch_bytes, output_bytes; /* the output follows */
} Result;

enum { kSectionAlignment = 16 };

static inline uint32_t padded(uint32_t bytes) { return (bytes + kSectionAlignment - 1) & ~(uint32_t)(kSectionAlignment - 1); }

#endif /* RUN_CASES_H_ */
