// The operator TFLITE_SPARSE for TensorFlow Lite Micro: FULLY_CONNECTED and CONV_2D with weights that stay sparse.
//
//     tflite::MicroMutableOpResolver<5> resolver;  // one more than without it
//     tflite_sparse::AddSparseOps(resolver);
//
// Add tflite_sparse_kernels.c and tflite_sparse_ops.cc to the build of the app. C++11.
#ifndef TFLITE_SPARSE_OPS_H_
#define TFLITE_SPARSE_OPS_H_

#include "tensorflow/lite/micro/micro_common.h"

// Inside of tflite::micro, for there the types of TensorFlow Lite Micro are found whether they are global, as until
// autumn 2026, or members of it.
namespace tflite {
namespace micro {
namespace sparse {

const TFLMRegistration* Registration();

template <typename Resolver>
TfLiteStatus AddSparseOps(Resolver& resolver) {
  return resolver.AddCustom("TFLITE_SPARSE", Registration());
}

}  // namespace sparse
}  // namespace micro
}  // namespace tflite

namespace tflite_sparse {
using tflite::micro::sparse::AddSparseOps;
}  // namespace tflite_sparse

#endif  // TFLITE_SPARSE_OPS_H_
