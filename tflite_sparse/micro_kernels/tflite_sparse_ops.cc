// See tflite_sparse_ops.h. Inputs of the operator: activations (int8), stream and parameters (uint8, constant).
#include "tflite_sparse_ops.h"

#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/micro/kernels/kernel_util.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tflite_sparse_kernels.h"

namespace tflite {
namespace micro {
namespace sparse {
namespace {

enum Inputs { kActivations = 0, kStream = 1, kParameters = 2, kLeastInputs = 3 };

struct OpData {
  TflsOperator op;
  const uint8_t* options;
  uint32_t options_bytes;
  int scratch;
};

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  OpData* data = static_cast<OpData*>(MicroContextAllocatePersistentBuffer(context, sizeof(OpData)));
  if (data == nullptr) return nullptr;
  data->options = reinterpret_cast<const uint8_t*>(buffer);
  data->options_bytes = buffer == nullptr ? 0 : static_cast<uint32_t>(length);
  data->scratch = -1;
  return data;
}

// The bytes of a constant; 0 if it is none of uint8.
size_t ConstantBytes(const TfLiteEvalTensor* tensor) {
  const bool is_vector = tensor != nullptr && tensor->type == kTfLiteUInt8 && tensor->data.data != nullptr &&
                         tensor->dims->size == 1 && tensor->dims->data[0] > 0;
  return is_vector ? static_cast<size_t>(tensor->dims->data[0]) : 0;
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  OpData* data = static_cast<OpData*>(node->user_data);
  if (data == nullptr || node->inputs->size < kLeastInputs || node->outputs->size != 1) return kTfLiteError;
  const TfLiteEvalTensor* input = GetEvalInput(context, node, kActivations);
  const TfLiteEvalTensor* stream = GetEvalInput(context, node, kStream);
  const TfLiteEvalTensor* parameters = GetEvalInput(context, node, kParameters);
  const TfLiteEvalTensor* output = GetEvalOutput(context, node, 0);
  const TflsConstants constants = {data->options,
                                   data->options_bytes,
                                   stream == nullptr ? nullptr : static_cast<const uint8_t*>(stream->data.data),
                                   ConstantBytes(stream),
                                   parameters == nullptr ? nullptr : static_cast<const uint8_t*>(parameters->data.data),
                                   ConstantBytes(parameters)};
  if (input == nullptr || output == nullptr || input->type != kTfLiteInt8 || output->type != kTfLiteInt8 ||
      constants.stream_bytes == 0 || constants.parameters_bytes == 0) {
    MicroPrintf("TFLITE_SPARSE: its inputs or outputs have other types");
    return kTfLiteError;
  }
  const TflsStatus status = tfls_open(&data->op, &constants, input->dims->data, input->dims->size, output->dims->data,
                                      output->dims->size);
  if (status != TFLS_OK) {
    MicroPrintf("TFLITE_SPARSE: %s", tfls_status_text(status));
    return kTfLiteError;
  }
  if (data->op.scratch_bytes == 0) return kTfLiteOk;
  return MicroContextRequestScratchBufferInArena(context, data->op.scratch_bytes, &data->scratch);
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = static_cast<const OpData*>(node->user_data);
  const TfLiteEvalTensor* input = GetEvalInput(context, node, kActivations);
  TfLiteEvalTensor* output = GetEvalOutput(context, node, 0);
  void* scratch = data->scratch < 0 ? nullptr : MicroContextGetScratchBuffer(context, data->scratch);
  if (data->op.scratch_bytes != 0 && scratch == nullptr) return kTfLiteError;
  tfls_run(&data->op, static_cast<const int8_t*>(input->data.data), static_cast<int8_t*>(output->data.data), scratch);
  return kTfLiteOk;
}

}  // namespace

const TFLMRegistration* Registration() {
  static const TFLMRegistration registration = {Init, nullptr, Prepare, Invoke, nullptr, 0, nullptr};
  return &registration;
}

}  // namespace sparse
}  // namespace micro
}  // namespace tflite
