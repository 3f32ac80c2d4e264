/* A Cortex-M under qemu-system-arm: start, run the cases of cases.bin, write results.bin, count instructions.
 *
 * Files and the end of the program go through semihosting (Arm, "Semihosting for AArch32 and AArch64"). With
 * `-icount shift=6` each instruction takes 64 ns of the emulated time, which SysTick counts to the digit.
 */
#include "../tflite_sparse_kernels.h"
#include "run_cases.h"

enum { kOpen = 1, kClose = 2, kWrite = 5, kRead = 6, kExitExtended = 0x20, kRead_Binary = 1, kWrite_Binary = 5 };
enum { kApplicationExit = 0x20026, kSysTickTop = 0xFFFFFF };

#define SYSTICK ((volatile uint32_t*)0xE000E010u) /* control, reload, current */
#define CPACR (*(volatile uint32_t*)0xE000ED88u)
#define CCR (*(volatile uint32_t*)0xE000ED14u)

static uint8_t cases[CASE_BYTES] __attribute__((aligned(16)));
static uint8_t output[OUTPUT_BYTES] __attribute__((aligned(16)));
static uint8_t scratch[SCRATCH_BYTES] __attribute__((aligned(16)));
static volatile uint32_t wraps;

static int call_host(int operation, const void* argument) {
  register int r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static void leave(uint32_t code) {
  const uint32_t block[2] = {kApplicationExit, code};
  call_host(kExitExtended, block);
  for (;;) {
  }
}

static int open_file(const char* name, uint32_t length, uint32_t mode) {
  const uintptr_t block[3] = {(uintptr_t)name, mode, length};
  return call_host(kOpen, block);
}

/* Bytes that were not read or written. */
static uint32_t transfer(int operation, int file, const void* data, uint32_t bytes) {
  const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)data, bytes};
  return (uint32_t)call_host(operation, block);
}

static void start_counting(void) {
  wraps = 0;
  SYSTICK[0] = 0;
  SYSTICK[1] = kSysTickTop;
  SYSTICK[2] = 0;
  SYSTICK[0] = 7; /* processor clock, interrupt, on */
}

static uint64_t ticks(void) {
  const uint32_t left = SYSTICK[2];
  SYSTICK[0] = 0;
  return (uint64_t)wraps * (kSysTickTop + 1u) + (kSysTickTop - left);
}

static void run_one(const Case* each, int results) {
  const uint8_t* const options = (const uint8_t*)each + padded(sizeof(Case));
  const uint8_t* const stream = options + padded(each->options_bytes);
  const uint8_t* const parameters = stream + padded(each->stream_bytes);
  const int8_t* const input = (const int8_t*)(parameters + padded(each->parameters_bytes));
  const TflsConstants constants = {options, each->options_bytes,  stream, each->stream_bytes,
                                   parameters, each->parameters_bytes};
  Result result = {0, 0, 0, 0};
  TflsOperator op;
  result.status = (uint32_t)tfls_open(&op, &constants, (const int*)each->input_dims, (int)each->input_rank,
                                      (const int*)each->output_dims, (int)each->output_rank);
  if (result.status == TFLS_OK) {
    result.scratch_bytes = op.scratch_bytes;
    if (op.scratch_bytes > SCRATCH_BYTES || each->output_bytes > OUTPUT_BYTES) leave(4);
    start_counting();
    tfls_run(&op, input, (int8_t*)output, scratch);
    result.instructions = (uint32_t)(ticks() * TICKS_NUMERATOR / TICKS_DENOMINATOR);
    result.output_bytes = each->output_bytes;
  }
  if (transfer(kWrite, results, &result, sizeof result)) leave(3);
  if (result.output_bytes && transfer(kWrite, results, output, result.output_bytes)) leave(3);
}

static void run_all(void) {
  const int in = open_file("cases.bin", 9, kRead_Binary), out = open_file("results.bin", 11, kWrite_Binary);
  uint32_t at = 0, bytes;
  if (in < 0 || out < 0) leave(2);
  bytes = CASE_BYTES - transfer(kRead, in, cases, CASE_BYTES);
  while (at + sizeof(Case) <= bytes) {
    const Case* each = (const Case*)(const void*)(cases + at);
    run_one(each, out);
    at += each->case_bytes;
  }
  call_host(kClose, (const int[]){out});
  leave(0);
}

void reset(void);
void fault(void);
void systick(void);
extern uint32_t stack_top, bss_start, bss_end;

__attribute__((section(".vectors"), used)) static void* const vectors[16] = {
    &stack_top, (void*)reset, (void*)fault, (void*)fault, (void*)fault, (void*)fault, (void*)fault, (void*)fault,
    (void*)fault, (void*)fault, (void*)fault, (void*)fault, (void*)fault, (void*)fault, (void*)fault, (void*)systick};

void systick(void) { wraps++; }

void fault(void) { leave(99); }

void reset(void) {
  uint32_t* word;
#if defined(__ARM_FEATURE_MVE)
  CPACR |= 0xFu << 20; /* floating point and Helium */
  CCR |= 1u << 19;     /* low-overhead loops */
  __asm__ volatile("dsb\n isb");
#endif
  for (word = &bss_start; word < &bss_end; word++) *word = 0;
  run_all();
}
