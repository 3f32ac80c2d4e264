// What the Python package tflite-micro calls by name to register the operator (custom_op_registerers).
#include "tflite_sparse_ops.h"

static_assert(sizeof(tflite::micro::TFLMRegistration) == 56, "the package has registrations of 56 bytes");

extern "C" bool TfliteSparseRegisterer(tflite::micro::PythonResolver* resolver) {
  return tflite_sparse::AddSparseOps(*resolver) == tflite::micro::kTfLiteOk;
}
