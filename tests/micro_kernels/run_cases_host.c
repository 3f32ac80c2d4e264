/* The cases of a file on this machine, each constant in memory of exactly its size, so that sanitizers see a step
 * over its end: run_cases_host CASES RESULTS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emulator/run_cases.h"
#include "tflite_sparse_kernels.h"

static uint8_t* copy_of(const uint8_t** at, uint32_t bytes) {
  uint8_t* const copy = (uint8_t*)malloc(bytes ? bytes : 1);
  if (copy == NULL) exit(3);
  memcpy(copy, *at, bytes);
  *at += padded(bytes);
  return copy;
}

static void run_one(const uint8_t* content, FILE* results) {
  Case each;
  Result result = {0, 0, 0, 0};
  TflsOperator op;
  const uint8_t* at = content + padded(sizeof each);
  uint8_t *options, *stream, *parameters, *input;
  memcpy(&each, content, sizeof each);
  options = copy_of(&at, each.options_bytes);
  stream = copy_of(&at, each.stream_bytes);
  parameters = copy_of(&at, each.parameters_bytes);
  input = copy_of(&at, each.input_bytes);
  {
    const TflsConstants constants = {options,    each.options_bytes,    stream, each.stream_bytes,
                                     parameters, each.parameters_bytes};
    result.status = (uint32_t)tfls_open(&op, &constants, (const int*)each.input_dims, (int)each.input_rank,
                                        (const int*)each.output_dims, (int)each.output_rank);
  }
  if (result.status == TFLS_OK) {
    int8_t* const output = (int8_t*)malloc(each.output_bytes);
    void* const scratch = malloc(op.scratch_bytes ? op.scratch_bytes : 1);
    if (output == NULL || scratch == NULL) exit(3);
    result.scratch_bytes = op.scratch_bytes;
    result.output_bytes = each.output_bytes;
    tfls_run(&op, (const int8_t*)input, output, scratch);
    fwrite(&result, sizeof result, 1, results);
    fwrite(output, each.output_bytes, 1, results);
    free(output);
    free(scratch);
  } else {
    fwrite(&result, sizeof result, 1, results);
  }
  free(options);
  free(stream);
  free(parameters);
  free(input);
}

int main(int count, char** arguments) {
  FILE *cases, *results;
  uint8_t header[sizeof(Case)];
  if (count != 3 || !(cases = fopen(arguments[1], "rb")) || !(results = fopen(arguments[2], "wb"))) return 2;
  while (fread(header, sizeof header, 1, cases) == 1) {
    uint32_t bytes;
    uint8_t* content;
    memcpy(&bytes, header, sizeof bytes);
    content = (uint8_t*)malloc(bytes);
    if (content == NULL) return 3;
    memcpy(content, header, sizeof header);
    if (fread(content + sizeof header, bytes - sizeof header, 1, cases) != 1) return 4;
    run_one(content, results);
    free(content);
  }
  return fclose(results);
}
