/* Run a generated model on an emulated Cortex-M: samples from input.bin, outputs to output.bin, and behind them, for the
 * last sample, the instructions of each operator (uint32). See board.h.
 *
 * Compiled with MODEL_HEADER, the name of the header in quotes, MODEL_PREFIX and MODEL_MACRO, of its names, and with
 * count_step.h included ahead of the model.
 */
#include MODEL_HEADER
#include "board.h"

#define JOINED(prefix, name) prefix##name
#define NAME(prefix, name) JOINED(prefix, name)
#define INPUT NAME(MODEL_PREFIX, _input)
#define OUTPUT NAME(MODEL_PREFIX, _output)
#define RUN NAME(MODEL_PREFIX, _run)
#define STEPS NAME(MODEL_MACRO, _STEPS)

static const uint32_t input_bytes[] = {INPUT_BYTES};
static const uint32_t output_bytes[] = {OUTPUT_BYTES};
static uint32_t counts[STEPS];

void count_step(int step) {
  counts[step] = instructions();
  start_counting();
}

/* 1: all inputs were read; 0: there is no sample left. */
static int read_inputs(int file) {
  uint32_t i;
  for (i = 0; i < sizeof input_bytes / sizeof *input_bytes; i++) {
    const uint32_t missing = transfer(kRead, file, INPUT((int)i), input_bytes[i]);
    if (missing == input_bytes[i] && i == 0) return 0;
    if (missing) leave(3);
  }
  return 1;
}

static void run_all(void) {
  const int in = open_file("input.bin", 9, kRead_Binary), out = open_file("output.bin", 10, kWrite_Binary);
  uint32_t i;
  if (in < 0 || out < 0) leave(2);
  while (read_inputs(in)) {
    start_counting();
    if (RUN() != 0) leave(4);
    for (i = 0; i < sizeof output_bytes / sizeof *output_bytes; i++)
      if (transfer(kWrite, out, OUTPUT((int)i), output_bytes[i])) leave(3);
  }
  if (transfer(kWrite, out, counts, sizeof counts)) leave(3);
  call_host(kClose, (const int[]){out});
  leave(0);
}
