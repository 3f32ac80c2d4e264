/* CONV_2D with sparse weights, then MAX_POOL_2D.  [tfls_run_max_pool.c]
 *
 * As tfls_conv_2d_max_pool, for an operator of tflite_sparse_kernels.h; its memory is that of op->scratch_bytes. */
#ifndef TFLS_RUN_MAX_POOL_H_
#define TFLS_RUN_MAX_POOL_H_

#include "tflite_sparse_kernels.h"
#include "tfls_operators.h"

#ifdef __cplusplus
extern "C" {
#endif

void tfls_run_max_pool(const TflsOperator* op, const TflsPool2D* pool, const int8_t* input, int8_t* output,
                       void* scratch);

#ifdef __cplusplus
}
#endif

#endif /* TFLS_RUN_MAX_POOL_H_ */
