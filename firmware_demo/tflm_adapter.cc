// The functions of digits_sparse.h on TensorFlow Lite Micro, for a project that has its interpreter: copy this file and
// the folder micro/ that `tflite-sparse encode digits.tflite --target micro --micro-kernels sparse -o OUT.tflite` writes
// beside OUT.tflite. micro/app.cc makes the interpreter; main.c stays as it is. Leave out digits_sparse.c.
#include <cstdint>

#include "tensorflow/lite/micro/micro_interpreter.h"

tflite::MicroInterpreter* MakeInterpreter();  // of micro/app.cc

namespace {

tflite::MicroInterpreter* Interpreter() {
  static tflite::MicroInterpreter* const interpreter = MakeInterpreter();
  return interpreter;
}

}  // namespace

extern "C" {

int8_t* digits_sparse_input(int index) {
  return Interpreter() == nullptr ? nullptr : Interpreter()->typed_input_tensor<int8_t>(index);
}

const int8_t* digits_sparse_output(int index) {
  return Interpreter() == nullptr ? nullptr : Interpreter()->typed_output_tensor<int8_t>(index);
}

int digits_sparse_run(void) { return Interpreter() != nullptr && Interpreter()->Invoke() == kTfLiteOk ? 0 : 1; }

}  // extern "C"
