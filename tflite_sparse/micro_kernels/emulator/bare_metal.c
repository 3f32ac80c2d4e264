/* Run the cases of cases.bin on an emulated Cortex-M, write results.bin, count instructions. See board.h. */
#include "../tflite_sparse_kernels.h"
#include "board.h"
#include "run_cases.h"

static uint8_t cases[CASE_BYTES] __attribute__((aligned(16)));
static uint8_t output[OUTPUT_BYTES] __attribute__((aligned(16)));
static uint8_t scratch[SCRATCH_BYTES] __attribute__((aligned(16)));

static void run_one(const Case* each, int results) {
  const uint8_t* const options = (const uint8_t*)each + padded(sizeof(Case));
  const uint8_t* const stream = options + padded(each->options_bytes);
  const uint8_t* const parameters = stream + padded(each->stream_bytes);
  const int8_t* const input = (const int8_t*)(parameters + padded(each->parameters_bytes));
  const TflsConstants constants = {options, each->options_bytes,  stream, each->stream_bytes,
                                   parameters, each->parameters_bytes};
  Result result = {0, 0, 0, 0};
  TflsOperator op;
  result.status = (uint32_t)tfls_open(&op, &constants, (const int*)each->input_dims, (int)each->input_rank,
                                      (const int*)each->output_dims, (int)each->output_rank);
  if (result.status == TFLS_OK) {
    result.scratch_bytes = op.scratch_bytes;
    if (op.scratch_bytes > SCRATCH_BYTES || each->output_bytes > OUTPUT_BYTES) leave(4);
    start_counting();
    tfls_run(&op, input, (int8_t*)output, scratch);
    result.instructions = instructions();
    result.output_bytes = each->output_bytes;
  }
  if (transfer(kWrite, results, &result, sizeof result)) leave(3);
  if (result.output_bytes && transfer(kWrite, results, output, result.output_bytes)) leave(3);
}

static void run_all(void) {
  const int in = open_file("cases.bin", 9, kRead_Binary), out = open_file("results.bin", 11, kWrite_Binary);
  uint32_t at = 0, bytes;
  if (in < 0 || out < 0) leave(2);
  bytes = CASE_BYTES - transfer(kRead, in, cases, CASE_BYTES);
  while (at + sizeof(Case) <= bytes) {
    const Case* each = (const Case*)(const void*)(cases + at);
    run_one(each, out);
    at += each->case_bytes;
  }
  call_host(kClose, (const int[]){out});
  leave(0);
}
