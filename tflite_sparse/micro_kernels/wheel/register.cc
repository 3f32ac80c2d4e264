// What the Python package tflite-micro calls by name to register the operator (custom_op_registerers).
#include "tflite_sparse_ops.h"

extern "C" bool TfliteSparseRegisterer(tflite::micro::PythonResolver* resolver) {
  return tflite_sparse::AddSparseOps(*resolver) == tflite::micro::kTfLiteOk;
}
