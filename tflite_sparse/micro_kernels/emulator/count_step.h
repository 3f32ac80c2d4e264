/* Included ahead of a generated model, so that its operators are counted one by one; run_model.c has the function. */
#ifndef COUNT_STEP_H_
#define COUNT_STEP_H_

void count_step(int step);

#endif /* COUNT_STEP_H_ */
