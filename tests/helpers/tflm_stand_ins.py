"""Declarations of TensorFlow Lite Micro that generated C++ uses, to compile it without the headers."""

from __future__ import annotations

from tflite_sparse.backends import micro_cpp

STAND_INS = {
    "tensorflow/lite/schema/schema_generated.h": """
namespace tflite { struct Model {}; const Model* GetModel(const void* buffer); }
""",
    "tensorflow/lite/micro/micro_interpreter.h": """
#include <cstddef>
#include <cstdint>
#include "tensorflow/lite/schema/schema_generated.h"
typedef enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;
#define TF_LITE_ENSURE_STATUS(a) do { const TfLiteStatus s = (a); if (s != kTfLiteOk) { return s; } } while (0)
namespace tflite {
class MicroOpResolver {};
class MicroProfilerInterface;
struct MicroContext { struct AlternateMemoryRegion { void* address; size_t bytes; }; };
struct MicroAllocator { static MicroAllocator* Create(uint8_t* tensor_arena, size_t arena_size); };
struct MicroResourceVariables {
  static MicroResourceVariables* Create(MicroAllocator* allocator, int num_variables);
};
struct MicroInterpreter {
  MicroInterpreter(const Model* model, const MicroOpResolver& op_resolver, uint8_t* tensor_arena,
                   size_t tensor_arena_size, MicroResourceVariables* resource_variables = nullptr,
                   MicroProfilerInterface* profiler = nullptr, bool preserve_all_tensors = false);
  MicroInterpreter(const Model* model, const MicroOpResolver& op_resolver, MicroAllocator* allocator,
                   MicroResourceVariables* resource_variables = nullptr, MicroProfilerInterface* profiler = nullptr);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  template <class T> T* typed_input_tensor(int tensor_index);
  template <class T> T* typed_output_tensor(int tensor_index);
  TfLiteStatus SetDecompressionMemory(const MicroContext::AlternateMemoryRegion* regions, size_t count);
};
}
""",
    "tensorflow/lite/micro/micro_mutable_op_resolver.h": """
#include "tensorflow/lite/micro/micro_interpreter.h"
namespace tflite {
template <unsigned int tOpCount> class MicroMutableOpResolver : public MicroOpResolver {
 public:
"""
    + "".join(
        f"  TfLiteStatus {method}();\n"
        for table in (micro_cpp.METHODS, micro_cpp.CUSTOM_METHODS)
        for method in table.values()
    )
    + "};\n}\n",
}
