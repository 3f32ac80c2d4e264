/* A Cortex-M under qemu-system-arm: start, files of the host, the end of the program, and a counter of instructions.
 *
 * Files and the end of the program go through semihosting (Arm, "Semihosting for AArch32 and AArch64"). With
 * `-icount shift=6` each instruction takes 64 ns of the emulated time, which SysTick counts to the digit. Included by
 * the one file that defines run_all.
 */
#ifndef BOARD_H_
#define BOARD_H_

#include <stddef.h>
#include <stdint.h>

enum { kOpen = 1, kClose = 2, kPrint = 4, kWrite = 5, kRead = 6, kExitExtended = 0x20, kRead_Binary = 1, kWrite_Binary = 5 };
enum { kApplicationExit = 0x20026, kSysTickTop = 0xFFFFFF };

#define SYSTICK ((volatile uint32_t*)0xE000E010u) /* control, reload, current */
#define CPACR (*(volatile uint32_t*)0xE000ED88u)
#define CCR (*(volatile uint32_t*)0xE000ED14u)

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

/* Text of a program that has no files; the emulator prints it. */
static inline void print(const char* text) { call_host(kPrint, text); }

static inline int open_file(const char* name, uint32_t length, uint32_t mode) {
  const uintptr_t block[3] = {(uintptr_t)name, mode, length};
  return call_host(kOpen, block);
}

/* Bytes that were not read or written. */
static inline uint32_t transfer(int operation, int file, const void* data, uint32_t bytes) {
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

static inline uint32_t instructions(void) { return (uint32_t)(ticks() * TICKS_NUMERATOR / TICKS_DENOMINATOR); }

static void run_all(void); /* the program; ends with leave(0) */

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

#endif /* BOARD_H_ */
