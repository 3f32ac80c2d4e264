/* CONV_2D with dense weights, then MAX_POOL_2D. */
#include "tfls_pool_rows.h"

TFLS_DEFINE_ROWS(conv_rows, TflsConv2D, tfls_conv_2d)

void tfls_conv_2d_max_pool(const TflsConv2D* conv, const TflsPool2D* pool, const int8_t* input, int8_t* output,
                           void* scratch) {
  tfls_pool_rows(pool, conv, conv_rows, input, output, scratch);
}
