/* Run a generated model on a host: samples from standard input, outputs to standard output.
 *
 * Arguments: the number of inputs, the bytes of each, then the same of the outputs. Compiled with MODEL_HEADER, the name
 * of the header in quotes, and MODEL_PREFIX, that of its functions.
 */
#include <stdio.h>
#include <stdlib.h>

#include MODEL_HEADER

#define JOINED(prefix, name) prefix##name
#define FUNCTION(prefix, name) JOINED(prefix, name)
#define INPUT FUNCTION(MODEL_PREFIX, _input)
#define OUTPUT FUNCTION(MODEL_PREFIX, _output)
#define RUN FUNCTION(MODEL_PREFIX, _run)

enum { kBadArguments = 2, kEndsEarly = 3, kRunFailed = 4, kNotWritten = 5 };

/* 1: all inputs were read; 0: there is no sample left; else the status to end with. */
static int read_inputs(char** bytes, int count) {
  int i;
  for (i = 0; i < count; i++) {
    const size_t wanted = strtoul(bytes[i], NULL, 10);
    const size_t found = fread((void*)INPUT(i), 1, wanted, stdin);
    if (found == 0 && i == 0) return 0;
    if (found != wanted) return kEndsEarly;
  }
  return 1;
}

int main(int argc, char** argv) {
  const int inputs = argc > 1 ? atoi(argv[1]) : 0;
  const int outputs = inputs > 0 && argc > inputs + 2 ? atoi(argv[inputs + 2]) : 0;
  int i, status;
  if (inputs <= 0 || outputs <= 0 || argc != inputs + outputs + 3) return kBadArguments;
  while ((status = read_inputs(argv + 2, inputs)) == 1) {
    if (RUN() != 0) return kRunFailed;
    for (i = 0; i < outputs; i++) {
      const size_t wanted = strtoul(argv[inputs + 3 + i], NULL, 10);
      if (fwrite((const void*)OUTPUT(i), 1, wanted, stdout) != wanted) return kNotWritten;
    }
  }
  return fflush(stdout) == 0 ? status : kNotWritten;
}
