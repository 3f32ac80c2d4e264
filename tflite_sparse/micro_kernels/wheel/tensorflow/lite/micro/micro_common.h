// Own declarations of what tflite_sparse_ops.cc takes from TensorFlow Lite Micro, laid out as the Python package
// tflite-micro of the pinned version has it (x86-64), whose functions are called. Not for firmware: there they tell only
// how large the code becomes.
#ifndef TFLITE_SPARSE_WHEEL_MICRO_COMMON_H_
#define TFLITE_SPARSE_WHEEL_MICRO_COMMON_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

void MicroPrintf(const char* format, ...);

namespace tflite {
namespace micro {

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
enum TfLiteType { kTfLiteUInt8 = 3, kTfLiteInt8 = 9 };

struct TfLiteContext;
struct TfLiteIntArray {
  int size;
  int data[1];
};
union TfLitePtrUnion {
  void* data;
};
struct TfLiteEvalTensor {
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  TfLiteType type;
};
struct TfLiteNode {
  TfLiteIntArray *inputs, *outputs, *intermediates;
  void* user_data;
};
struct TFLMRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  void (*reset)(TfLiteContext* context, void* buffer);
  int32_t builtin_code;
  const char* custom_name;
};

const TfLiteEvalTensor* GetEvalInput(const TfLiteContext* context, const TfLiteNode* node, int index);
TfLiteEvalTensor* GetEvalOutput(const TfLiteContext* context, const TfLiteNode* node, int index);
void* MicroContextAllocatePersistentBuffer(TfLiteContext* context, size_t bytes);
TfLiteStatus MicroContextRequestScratchBufferInArena(TfLiteContext* context, size_t bytes, int* index);
void* MicroContextGetScratchBuffer(TfLiteContext* context, int index);

// The resolver that the Python package hands to functions that register operators.
struct PythonResolver {
  enum { kRoom = 200, kCustom = 32 };
  void* virtual_functions;
  TFLMRegistration registrations[kRoom];
  unsigned int used;

  TfLiteStatus AddCustom(const char* name, const TFLMRegistration* registration) {
    if (used >= kRoom) return kTfLiteError;
    TFLMRegistration* const to = &registrations[used++];
    *to = *registration;
    to->builtin_code = kCustom;
    to->custom_name = name;
    return kTfLiteOk;
  }
};

}  // namespace micro
}  // namespace tflite

#endif  // TFLITE_SPARSE_WHEEL_MICRO_COMMON_H_
