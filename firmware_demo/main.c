/* Recognise ten handwritten digits, with the dense model and with the sparse one, and print what they say.
 *
 * board.h starts the CPU, prints and counts for the emulator: on a board of yours, replace it (README.md).
 */
#include <string.h>

#include "board.h"
#include "digits_dense.h"
#include "digits_sparse.h"
#include "images.h"

typedef struct {
  const char* name;
  int8_t* (*input)(int index);
  int (*run)(void);
  const int8_t* (*output)(int index);
} Form;

static const Form forms[] = {
    {"dense:", digits_dense_input, digits_dense_run, digits_dense_output},
    {"sparse:", digits_sparse_input, digits_sparse_run, digits_sparse_output},
};

static void print_number(int32_t number) {
  char text[12];
  char* at = text + sizeof text - 1;
  uint32_t left = number < 0 ? 0u - (uint32_t)number : (uint32_t)number;
  *at = '\0';
  do {
    *--at = (char)('0' + left % 10u);
    left /= 10u;
  } while (left > 0);
  if (number < 0) *--at = '-';
  print(at);
}

static int largest(const int8_t* scores, int count) {
  int best = 0, i;
  for (i = 1; i < count; i++)
    if (scores[i] > scores[best]) best = i;
  return best;
}

static void recognise(const Form* form, int image) {
  const int8_t* scores;
  uint32_t count;
  int i;
  memcpy(form->input(0), image_pixels + image * DIGITS_DENSE_INPUT_0_COUNT, DIGITS_DENSE_INPUT_0_COUNT);
  start_counting();
  if (form->run() != 0) leave(1);
  count = instructions();
  scores = form->output(0);
  print(form->name);
  print(" a ");
  print_number(image_digits[image]);
  print(" is taken for ");
  print(digits_dense_labels[largest(scores, DIGITS_DENSE_OUTPUT_0_COUNT)]);
  print(", scores");
  for (i = 0; i < DIGITS_DENSE_OUTPUT_0_COUNT; i++) {
    print(" ");
    print_number(scores[i]);
  }
  print(" in ");
  print_number((int32_t)count);
  print(" instructions\n");
}

static void run_all(void) {
  const int images = (int)(sizeof image_digits / sizeof *image_digits);
  int image;
  for (image = 0; image < images; image++) {
    recognise(&forms[0], image);
    recognise(&forms[1], image);
  }
  leave(0);
}
