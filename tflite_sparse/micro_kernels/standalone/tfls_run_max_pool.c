#include "tfls_run_max_pool.h"

#include "tfls_pool_rows.h"

TFLS_DEFINE_ROWS(sparse_rows, TflsOperator, tfls_run)

void tfls_run_max_pool(const TflsOperator* op, const TflsPool2D* pool, const int8_t* input, int8_t* output,
                       void* scratch) {
  tfls_pool_rows(pool, op, sparse_rows, input, output, scratch);
}
