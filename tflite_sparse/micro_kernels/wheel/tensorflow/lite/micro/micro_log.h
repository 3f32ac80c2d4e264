#include "tensorflow/lite/micro/micro_common.h"
