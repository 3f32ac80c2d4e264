/* See tflite_sparse_kernels.h. Streams are described in tflite_sparse/codecs/streams of the package that writes them.
 *
 * Two ideas carry the convolutions. Several output pixels are computed at once, so that reading a weight and finding
 * its input is paid once for all of them. And where the CPU has SMLAL (32 x 32 + 64 bits), two pixels share one
 * operand, x0 + (x1 << 23), and one accumulator: exact while the absolute weights of an output sum to less than 32768,
 * for then the lower sum stays within 23 bits.
 */
#include "tflite_sparse_kernels.h"

#if defined(__ARM_FEATURE_MVE) && !defined(TFLS_PORTABLE)
#define TFLS_MVE 1
#include <arm_mve.h>
#endif
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__thumb2__) && !defined(TFLS_PORTABLE)
#define TFLS_DSP 1
#endif
#if (defined(__GNUC__) || defined(__clang__))
#define TFLS_INLINE static inline __attribute__((always_inline, unused)) /* as below */
#define TFLS_OUTLINE static __attribute__((noinline))
#define TFLS_HELPER static __attribute__((unused)) /* by kernels that are not compiled */
#define TFLS_LIKELY(condition) __builtin_expect(condition, 1)
#else
#define TFLS_INLINE static inline
#define TFLS_OUTLINE static
#define TFLS_HELPER static
#define TFLS_LIKELY(condition) (condition)
#endif

/* Kernels that share code. */
#define TFLS_HAS_SHARED_PAIRS (TFLS_HAS(TFLS_PAIR_SHARED) || TFLS_HAS(TFLS_STRIP_SHARED))
#define TFLS_HAS_SHARED_ROWS (TFLS_HAS(TFLS_ROW_SHARED) || TFLS_HAS(TFLS_ROW_SHARED7))
#define TFLS_HAS_SHARED (TFLS_HAS_SHARED_PAIRS || TFLS_HAS_SHARED_ROWS || TFLS_HAS(TFLS_PIXEL_SHARED))
#define TFLS_HAS_STRIPS (TFLS_HAS(TFLS_STRIP_DELTA8) || TFLS_HAS(TFLS_STRIP_DELTA4) || TFLS_HAS(TFLS_STRIP_SHARED))
#define TFLS_HAS_OTHER_PAIRS                                                                          \
  (TFLS_HAS(TFLS_PAIR_DELTA8) || TFLS_HAS(TFLS_PAIR_DELTA4) || TFLS_HAS(TFLS_STRIP_DELTA8) ||         \
   TFLS_HAS(TFLS_STRIP_DELTA4) || TFLS_HAS(TFLS_PAIR_DENSE8))

enum {
  kSegment = 256,     /* inputs that an index of 8 bits reaches */
  kLaneBits = 23,     /* where the second pixel of a pair starts */
  kHalfLane = 1 << (kLaneBits - 1),
  kPairPixels = 8,    /* pixels that the pair kernels compute at once */
#if defined(TFLS_MVE)
  kPixels = 16, /* pixels that the other convolutions compute at once */
#else
  kPixels = 4,
#endif
  kDirectPixels = 4,
  kBlockPixels = 4,
  kSymbols = 256,     /* of a stream of shared values; a table of them is 1 kB of scratch memory */
  kSymbols7 = 128,    /* of those of 7 bits */
  kMoreTables = 128,
  kOtherTable = 255,
  kMostValues = 64,   /* shared by a tensor */
  kLongestBridge = 1023,
  kMostRuns = 9,      /* columns of a filter; so that the longest bridge in bytes fits in 16 bits */
  kFastestShift = 20, /* from here on the zero point does not fit beside the rounding constant */
  kClampedShift = 16, /* the same with 8 bits more */
  kFlagOneScale = 1,
  kFlagValid = 2,
  kFlagFullyConnected = 4,
  kFlags = 7
};
#define TFLS_SUM_LIMIT 32768 /* absolute weights of an output, for pair kernels */

/* Pixels that TFLS_PIXEL_DELTA8 asks memory for. Defined to measure, on another machine, the arena of a CPU that
 * computes more of them at once. */
#ifndef TFLS_PIXELS
#define TFLS_PIXELS kPixels
#endif
typedef char tfls_pixels_are_enough[TFLS_PIXELS >= kPixels ? 1 : -1];

static uint32_t u16_at(const uint8_t* p) { return p[0] | (uint32_t)p[1] << 8; }
static uint32_t u32_at(const uint8_t* p) { return u16_at(p) | u16_at(p + 2) << 16; }

/* The same, in one instruction where the CPU reads words at any address. */
#if defined(__ARM_FEATURE_UNALIGNED) && !defined(__ARM_BIG_ENDIAN) && !defined(TFLS_PORTABLE)
#define TFLS_WORDS 1
#endif
TFLS_INLINE uint32_t word_at(const uint8_t* p) {
#if defined(TFLS_WORDS)
  struct __attribute__((packed)) word {
    uint32_t value;
  };
  return ((const struct word*)(const void*)p)->value;
#else
  return u32_at(p);
#endif
}

TFLS_HELPER int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }
TFLS_HELPER int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

TFLS_INLINE int pools(const TflsOperator* op) { return TFLS_HAS(TFLS_POOLS) && op->pools; }

/* ---- Requantisation: as TensorFlow Lite Micro does it, a rounding doubling high product, then a rounding shift ---- */

/* (acc * multiplier + 2^30) >> 31 for |acc| < 2^30 */
TFLS_INLINE int32_t high_product(int32_t acc, int32_t multiplier) {
#if defined(TFLS_DSP)
  int32_t product;
  __asm__("smmulr %0, %1, %2" : "=r"(product) : "r"(acc * 2), "r"(multiplier));
  return product;
#elif defined(__ARM_ARCH) && __ARM_ARCH == 6 && !defined(TFLS_PORTABLE)
  /* ARMv6-M has no long multiplication: four products of 16-bit halves. */
  const int32_t m_low = multiplier & 0xFFFF, m_high = multiplier >> 16, a_low = acc & 0xFFFF, a_high = acc >> 16;
  const int32_t middle = a_high * m_low + (int32_t)((uint32_t)a_low * (uint32_t)m_low >> 16);
  const int32_t lower = a_low * m_high + (middle & 0xFFFF) + 0x4000;
  return ((a_high * m_high + (middle >> 16) + (lower >> 16)) * 2) | ((lower >> 15) & 1);
#else
  return (int32_t)(((int64_t)acc * multiplier + (1 << 30)) >> 31);
#endif
}

TFLS_INLINE int32_t saturated(int32_t value) {
#if defined(__ARM_FEATURE_SAT) && !defined(TFLS_PORTABLE)
  __asm__("ssat %0, #8, %1" : "=r"(value) : "r"(value));
  return value;
#else
  return value < -128 ? -128 : value > 127 ? 127 : value;
#endif
}

TFLS_INLINE int32_t requantised(int32_t acc, int32_t multiplier, int32_t shift, int32_t zero_point) {
  int32_t value;
  if (TFLS_LIKELY(shift < 0)) {
    value = high_product(acc, multiplier);
    value = (value + (value >> 31) + (1 << (-shift - 1))) >> -shift;
  } else {
    value = high_product((int32_t)((uint32_t)acc << shift), multiplier);
  }
  return saturated(value + zero_point);
}

/* The same for sums of up to 31 bits; scales of channels that are next to dead make such biases. */
TFLS_OUTLINE int8_t requantised_wide(int32_t acc, int32_t multiplier, int32_t shift, int32_t zero_point) {
  const int32_t left = shift > 0 ? shift : 0, right = left - shift;
  int64_t value = ((int64_t)acc * ((int64_t)1 << left) * multiplier + (1 << 30)) >> 31;
  if (right > 0) value = (value + (value >> 63) + ((int64_t)1 << (right - 1))) >> right;
  value += zero_point;
  return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
}

TFLS_INLINE int32_t output_of(const TflsOperator* op, int32_t o, int32_t acc) {
  const int32_t channel = o * op->channel_step;
  if (!TFLS_LIKELY(!op->wide)) return requantised_wide(acc, op->multiplier[channel], op->shift[channel], op->output_zero_point);
  return requantised(acc, op->multiplier[channel], op->shift[channel], op->output_zero_point);
}

/* Several pixels of one output, out_c apart. */
TFLS_INLINE void emit(const TflsOperator* op, int32_t o, const int32_t* acc, int32_t count, int8_t* out) {
  const int32_t channel = o * op->channel_step, step = op->out_c, zero_point = op->output_zero_point;
  const int32_t multiplier = op->multiplier[channel], shift = op->shift[channel];
  int32_t j;
  if (op->wide) {
    for (j = 0; j < count; j++, out += step) *out = requantised_wide(acc[j], multiplier, shift, zero_point);
    return;
  }
  if (shift >= 0) {
    for (j = 0; j < count; j++, out += step) *out = (int8_t)requantised(acc[j], multiplier, shift, zero_point);
  } else {
    const int32_t right = -shift, half = 1 << (right - 1);
    for (j = 0; j < count; j++, out += step) {
      const int32_t value = high_product(acc[j], multiplier);
      *out = (int8_t)saturated(((value + (value >> 31) + half) >> right) + zero_point);
    }
  }
}

/* The pixels to compute: where the operator pools, those of a last odd row or column are none of them. */
TFLS_HELPER int32_t pixels_of(const TflsOperator* op) {
  if (pools(op)) return op->batches * (op->out_h & ~1) * (op->out_w & ~1);
  return op->batches * op->out_h * op->out_w;
}

/* One output of four pixels; the largest of them where the operator pools, for outputs grow with their sums. */
TFLS_INLINE void emit_four(const TflsOperator* op, int32_t o, const int32_t* acc, int32_t count, int8_t* out) {
  if (pools(op)) {
    *out = (int8_t)output_of(op, o, larger(larger(acc[0], acc[1]), larger(acc[2], acc[3])));
  } else {
    emit(op, o, acc, count, out);
  }
}

/* Activations narrower than int8; ReLU mostly is not, for the zero point then is -128. */
TFLS_OUTLINE void clamp(const TflsOperator* op, int8_t* out) {
  const int32_t low = op->output_min, high = op->output_max;
  int32_t count = pixels_of(op) / (pools(op) ? 4 : 1) * op->out_c;
  for (; count > 0; count--, out++) *out = (int8_t)(*out < low ? low : *out > high ? high : *out);
}

/* ---- Shared values: a symbol of 8 or 7 bits is a value and a distance ---- */

/* Stream: one or two tables of symbols, then the outputs. A table: a count of values, with 128 added if another table
 * follows, the values, the reach of each. Symbols are numbered value by value: a value at 1, 2, ... places behind the
 * symbol before it, up to its reach. The symbols behind these are bridges of 1, 2, ... times the least reach, with the
 * weight 0. Per output and run of places, a count of symbols (below 128 in one byte, else 128 + its upper half and then
 * its lower one), and the symbols. The place before a run is -1. Runs begin with the first table; 255 in front of a
 * count changes to the other one, for this run and those behind it. A symbol is a byte. Of TFLS_ROW_SHARED7 eight
 * symbols are the 7 bytes of a little-endian number, the first one in its lowest bits; those behind the last eight of a
 * run are a byte each. */

#if TFLS_HAS_SHARED
TFLS_INLINE uint32_t symbols_of(const TflsOperator* op) {
  return op->kernel == TFLS_ROW_SHARED7 ? kSymbols7 : kSymbols;
}
TFLS_INLINE uint32_t values_of(const uint8_t* table) { return *table & (kMoreTables - 1u); }

/* The least reach; and in `sum`, that of all values: the first symbol of a bridge. */
TFLS_INLINE uint32_t least_reach(const uint8_t* table, uint32_t* sum) {
  const uint32_t values = values_of(table);
  const uint8_t* const reaches = table + 1 + values;
  uint32_t least = reaches[0], v;
  *sum = 0;
  for (v = 0; v < values; v++) {
    *sum += reaches[v];
    if (reaches[v] < least) least = reaches[v];
  }
  return least;
}

TFLS_INLINE const uint8_t* behind(const uint8_t* table) { return table + 1 + 2 * values_of(table); }

/* Where a stream is read. */
typedef struct {
  const uint8_t* at;
  const uint32_t *steps, *other; /* what symbols mean in the table of the run, and in the other one */
} Symbols;

/* What a symbol means: the distance in bytes in the upper half, the weight, signed, in the lower one. `unit`: bytes
 * that a distance of 1 spans. */
static void read_table(const uint8_t* table, uint32_t unit, uint32_t symbols, uint32_t* steps) {
  const uint8_t *value = table + 1, *reach = value + values_of(table), *const end = reach;
  uint32_t first_bridge, i;
  const uint32_t least = unit * least_reach(table, &first_bridge);
  uint32_t bridge = least;
  for (; value != end; value++, reach++) {
    uint32_t step = (((uint32_t)*value ^ 0x80u) - 0x80u) & 0xFFFFu; /* extended from 8 bits to 16 */
    for (i = *reach; i > 0; i--) *steps++ = step += unit << 16;
  }
  for (i = first_bridge; i < symbols; i++, bridge += least) *steps++ = bridge << 16;
}

/* Fill all tables, from `scratch` on; the start of the first output. `rest` is behind the tables. */
static Symbols read_symbols(const TflsOperator* op, uint32_t unit, void* scratch, uint32_t** rest) {
  uint32_t* const steps = (uint32_t*)scratch;
  const uint32_t count = symbols_of(op);
  Symbols symbols = {behind(op->stream), steps, steps};
  read_table(op->stream, unit, count, steps);
  *rest = steps + count;
  if (*op->stream & kMoreTables) {
    read_table(symbols.at, unit, count, *rest);
    symbols.other = *rest;
    symbols.at = behind(symbols.at);
    *rest += count;
  }
  return symbols;
}

/* The number of symbols of the next run. */
TFLS_INLINE uint32_t next_run(Symbols* symbols) {
  uint32_t first = *symbols->at++;
  if (first == kOtherTable) {
    const uint32_t* const steps = symbols->steps;
    symbols->steps = symbols->other;
    symbols->other = steps;
    first = *symbols->at++;
  }
  return first < 128 ? first : (first - 128) << 8 | *symbols->at++;
}

TFLS_INLINE int32_t weight_of(uint32_t step) { return (int16_t)(uint16_t)step; }
#endif

/* ---- Kernels of rows ---- */

#if TFLS_HAS(TFLS_ROW_SHARED) && defined(TFLS_MVE)
typedef struct {
  int16x8_t weights;
  uint16x8_t places; /* behind the place in front of the first symbol */
} EightSymbols;

/* Their meanings are gathered from the table; distances are summed up to places by shifting them through memory, where
 * `room` has eight zeros and eight halves behind them. */
TFLS_INLINE EightSymbols eight_symbols(const uint32_t* steps, uint16x8_t symbols, uint16_t* room) {
  const uint16_t* const halves = (const uint16_t*)(const void*)steps;
  const uint16x8_t at = vshlq_n_u16(symbols, 2);
  EightSymbols found;
  found.weights = vreinterpretq_s16_u16(vldrhq_gather_offset_u16(halves, at));
  found.places = vldrhq_gather_offset_u16(halves + 1, at);
  vstrhq_u16(room + 8, found.places);
  found.places = vaddq_u16(found.places, vldrhq_u16(room + 7));
  vstrhq_u16(room + 8, found.places);
  found.places = vaddq_u16(found.places, vldrhq_u16(room + 6));
  vstrhq_u16(room + 8, found.places);
  found.places = vaddq_u16(found.places, vldrhq_u16(room + 4));
  return found;
}

TFLS_OUTLINE void row_shared(const TflsOperator* op, const int8_t* x, int8_t* y, Symbols symbols) {
  uint16_t room[16] = {0};
  int32_t o;
  for (o = 0; o < op->out_c; o++) {
    int32_t acc = op->bias[o];
    uint32_t left = next_run(&symbols);
    const int8_t* from = x - 1;
    for (; left >= 8; left -= 8, symbols.at += 8) {
      const EightSymbols found = eight_symbols(symbols.steps, vldrbq_u16(symbols.at), room);
      acc = vmladavaq_s16(acc, found.weights, vldrbq_gather_offset_s16(from, found.places));
      from += vgetq_lane_u16(found.places, 7);
    }
    if (left > 0) {
      const mve_pred16_t some = vctp16q(left);
      const EightSymbols found = eight_symbols(symbols.steps, vldrbq_z_u16(symbols.at, some), room);
      acc = vmladavaq_s16(acc, found.weights, vldrbq_gather_offset_z_s16(from, found.places, some));
      symbols.at += left;
    }
    y[o] = (int8_t)output_of(op, o, acc);
  }
}
#endif

#if TFLS_HAS(TFLS_ROW_SHARED7) || (TFLS_HAS(TFLS_ROW_SHARED) && !defined(TFLS_MVE))
TFLS_INLINE int32_t plus_symbol(int32_t acc, const uint32_t* steps, uint32_t symbol, const int8_t* x, uint32_t* at) {
  const uint32_t step = steps[symbol];
  *at += step >> 16;
  return acc + weight_of(step) * x[*at];
}
#endif

#if TFLS_HAS(TFLS_ROW_SHARED) && !defined(TFLS_MVE)
TFLS_OUTLINE void row_shared(const TflsOperator* op, const int8_t* x, int8_t* y, Symbols symbols) {
  int32_t o;
  for (o = 0; o < op->out_c; o++) {
    int32_t acc = op->bias[o];
    uint32_t n = next_run(&symbols), at = (uint32_t)-1;
    const uint8_t *s = symbols.at, *const end = s + n;
    const uint32_t* const steps = symbols.steps;
    symbols.at = end;
    switch (n & 7) { /* eight at a time; what is left over starts in the middle */
      case 0:
        while (s != end) {
          acc = plus_symbol(acc, steps, *s++, x, &at);
          /* fall through */
          case 7: acc = plus_symbol(acc, steps, *s++, x, &at); /* fall through */
          case 6: acc = plus_symbol(acc, steps, *s++, x, &at); /* fall through */
          case 5: acc = plus_symbol(acc, steps, *s++, x, &at); /* fall through */
          case 4: acc = plus_symbol(acc, steps, *s++, x, &at); /* fall through */
          case 3: acc = plus_symbol(acc, steps, *s++, x, &at); /* fall through */
          case 2: acc = plus_symbol(acc, steps, *s++, x, &at); /* fall through */
          case 1: acc = plus_symbol(acc, steps, *s++, x, &at);
        }
    }
    y[o] = (int8_t)output_of(op, o, acc);
  }
}
#endif

#if TFLS_HAS(TFLS_ROW_SHARED7)
TFLS_OUTLINE void row_shared7(const TflsOperator* op, const int8_t* x, int8_t* y, Symbols symbols) {
  int32_t o;
  for (o = 0; o < op->out_c; o++) {
    int32_t acc = op->bias[o];
    const uint32_t n = next_run(&symbols);
    uint32_t at = (uint32_t)-1, left = n & 7;
    const uint8_t *s = symbols.at, *const end = s + n / 8 * 7;
    const uint32_t* const steps = symbols.steps;
    for (; s != end; s += 7) {
      const uint32_t first = word_at(s), second = word_at(s + 3); /* bits 0 to 31, and 24 to 55 */
      acc = plus_symbol(acc, steps, first & 127, x, &at);
      acc = plus_symbol(acc, steps, first >> 7 & 127, x, &at);
      acc = plus_symbol(acc, steps, first >> 14 & 127, x, &at);
      acc = plus_symbol(acc, steps, first >> 21 & 127, x, &at);
      acc = plus_symbol(acc, steps, second >> 4 & 127, x, &at);
      acc = plus_symbol(acc, steps, second >> 11 & 127, x, &at);
      acc = plus_symbol(acc, steps, second >> 18 & 127, x, &at);
      acc = plus_symbol(acc, steps, second >> 25, x, &at);
    }
    for (; left > 0; left--) acc = plus_symbol(acc, steps, *s++, x, &at);
    symbols.at = s;
    y[o] = (int8_t)output_of(op, o, acc);
  }
}
#endif

#if TFLS_HAS_SHARED_ROWS
typedef void (*RowOfSymbols)(const TflsOperator* op, const int8_t* x, int8_t* y, Symbols symbols);

TFLS_INLINE void each_row_shared(const TflsOperator* op, const int8_t* x, int8_t* y, void* scratch, RowOfSymbols row) {
  int32_t rows = op->batches * op->out_h * op->out_w;
  uint32_t* unused;
  const Symbols symbols = read_symbols(op, 1, scratch, &unused);
  for (; rows > 0; rows--, x += op->taps, y += op->out_c) row(op, x, y, symbols);
}
#endif

#if defined(TFLS_DSP)
/* The compiler must take nothing for granted of a function of assembly alone, not even that it leaves its arguments
 * unread. */
#if defined(__clang__)
#define TFLS_NAKED __attribute__((naked, noinline))
#else
#define TFLS_NAKED __attribute__((naked, noipa))
#endif
#define TFLS_UNNAMED __attribute__((unused)) /* an argument that only assembly reads */

TFLS_INLINE int32_t low_bytes(uint32_t word) { /* bytes 0 and 2, signed, as halves */
  int32_t halves;
  __asm__("sxtb16 %0, %1" : "=r"(halves) : "r"(word));
  return halves;
}
TFLS_INLINE int32_t high_bytes(uint32_t word) { /* bytes 1 and 3 */
  int32_t halves;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(word));
  return halves;
}
TFLS_INLINE int32_t plus_both(int32_t acc, int32_t a, int32_t b) {
  __asm__("smlad %0, %1, %2, %0" : "+r"(acc) : "r"(a), "r"(b));
  return acc;
}
#endif

/* Per output and segment of 256 inputs: a count of groups; a group is four times weight, place in the segment. */
#if TFLS_HAS(TFLS_ROW_INDEX8) && defined(TFLS_MVE)
TFLS_OUTLINE void row_index8(const TflsOperator* op, const int8_t* x, int8_t* y) {
  const uint8_t* s = op->stream;
  const int8_t* const end = x + op->taps;
  const uint8x16_t even = vmulq_n_u8(vidupq_n_u8(0, 1), 2);
  int32_t o;
  for (o = 0; o < op->out_c; o++) {
    int32_t acc = op->bias[o];
    const int8_t* segment = x;
    do {
      const uint32_t groups = *s++, n = 4 * (groups & 3);
      __asm__ volatile(
          "wls lr, %[n], 2f\n"
          "1:\n vld20.8 {q0, q1}, [%[s]]\n vld21.8 {q0, q1}, [%[s]]!\n vldrb.u8 q2, [%[x], q1]\n"
          "vmladava.s8 %[acc], q0, q2\n le lr, 1b\n"
          "2:\n"
          : [s] "+r"(s), [acc] "+Te"(acc)
          : [n] "r"(groups >> 2), [x] "r"(segment)
          : "lr", "q0", "q1", "q2", "memory");
      if (n > 0) {
        const mve_pred16_t some = vctp8q(n);
        const uint8x16_t places = vldrbq_gather_offset_z_u8(s + 1, even, some);
        const int8x16_t weights = vldrbq_gather_offset_z_s8((const int8_t*)s, even, some);
        acc = vmladavaq_p_s8(acc, weights, vldrbq_gather_offset_z_s8(segment, places, some), some);
        s += 2 * n;
      }
      segment += kSegment;
    } while (segment < end);
    y[o] = (int8_t)output_of(op, o, acc);
  }
}
#elif TFLS_HAS(TFLS_ROW_INDEX8) && defined(TFLS_DSP) && defined(TFLS_WORDS)
typedef struct {
  const int8_t *x, *x_end;
  const uint8_t* stream;
  int8_t* y;
  const int32_t *bias, *multiplier;
  const int8_t* shift;
  int32_t channel_mask; /* 0: all outputs share multiplier and shift; else -1 */
  int32_t rounding;     /* twice the output's zero point, and 1 for the half that rounds; doubled, and 1 if clamped */
  const int8_t* y_end;
} IndexedRow;

/* Two weights and their places, w0, i0, w1, i1, in `word`. */
#define TFLS_PLUS_TWO(word)                                                                          \
  "ubfx r2, " word ", #8, #8\n lsrs r3, " word ", #24\n ldrsb r2, [r4, r2]\n ldrsb r3, [r4, r3]\n"    \
  "sxtb16 " word ", " word "\n smlabb r5, r2, " word ", r5\n smlabt r5, r3, " word ", r5\n"
#define TFLS_GROUP "ldr r0, [r6], #4\n ldr r1, [r6], #4\n" TFLS_PLUS_TWO("r0") TFLS_PLUS_TWO("r1")
/* Write the outputs from y to y_end, where shifts leave room for the zero point beside the rounding constant; return
 * the last sum and move the stream. Eight groups at a time; what is left over starts in the middle. r0 and r1: two weights
 * each, r2 and r3: inputs, r4: segment, r5: sum, r6: stream, r7: end of the groups, r8: end of x, r9: y, lr: x; r10,
 * r11, r12: bias, multiplier and shift, less what y adds as their index. */
TFLS_NAKED static int32_t index8_outputs(IndexedRow* row TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n push {r4-r11, lr}\n add r1, r0, #28\n ldmia r1, {r1, r2, r3}\n push {r0, r1, r2, r3}\n"
      "ldmia r0, {r4, r8}\n ldrd r6, r9, [r0, #8]\n add r0, #16\n ldmia r0, {r10, r11, r12}\n mov lr, r4\n"
      "and r1, r1, r9\n sub r10, r10, r9, lsl #2\n sub r11, r11, r1, lsl #2\n sub r12, r12, r1\n"
      "1:\n ldr r5, [r10, r9, lsl #2]\n mov r4, lr\n"
      "2:\n ldrb r0, [r6], #1\n add r7, r6, r0, lsl #3\n and r0, r0, #7\n tbb [pc, r0]\n"
      "3:\n .byte (18f - 3b) / 2, (17f - 3b) / 2, (16f - 3b) / 2, (15f - 3b) / 2\n"
      ".byte (14f - 3b) / 2, (13f - 3b) / 2, (12f - 3b) / 2, (11f - 3b) / 2\n"
      "10:\n" TFLS_GROUP "11:\n" TFLS_GROUP "12:\n" TFLS_GROUP "13:\n" TFLS_GROUP
      "14:\n" TFLS_GROUP "15:\n" TFLS_GROUP "16:\n" TFLS_GROUP "17:\n" TFLS_GROUP
      "18:\n cmp r6, r7\n bne 10b\n add r4, r4, #256\n cmp r4, r8\n blo 2b\n"
      "add r0, sp, #4\n ldmia r0, {r0, r1, r2}\n and r0, r0, r9\n ldr r3, [r11, r0, lsl #2]\n ldrsb r0, [r12, r0]\n"
      "mvns r0, r0\n lsls r1, r0\n lsls r4, r5, #1\n smmlar r1, r4, r3, r1\n add r1, r1, r4, asr #31\n asrs r1, r0\n"
      "ssat r1, #8, r1, asr #1\n strb r1, [r9], #1\n cmp r9, r2\n bne 1b\n"
      "pop {r0, r1, r2, r3}\n str r6, [r0, #8]\n mov r0, r5\n pop {r4-r11, pc}\n");
}

TFLS_OUTLINE void row_index8(const TflsOperator* op, const int8_t* x, int8_t* y) {
  IndexedRow row = {x, x + op->taps, op->stream, y, op->bias, op->multiplier, op->shift,
                    -op->channel_step, 2 * op->output_zero_point + 1, y + op->out_c};
  int32_t o;
  if (op->quick) {
    index8_outputs(&row);
    return;
  }
  for (o = 0; o < op->out_c; o++) { /* one by one, for the sums: what it writes does not count */
    row.bias = op->bias + o;
    row.y = y + o;
    row.y_end = row.y + 1;
    y[o] = (int8_t)output_of(op, o, index8_outputs(&row));
  }
}
#elif TFLS_HAS(TFLS_ROW_INDEX8)
TFLS_OUTLINE void row_index8(const TflsOperator* op, const int8_t* x, int8_t* y) {
  const uint8_t* s = op->stream;
  const int8_t* const end = x + op->taps;
  int32_t o;
  for (o = 0; o < op->out_c; o++) {
    int32_t acc = op->bias[o];
    const int8_t* segment = x;
    do {
      uint32_t n = *s++;
      for (; n > 0; n--) {
        acc += (int8_t)s[0] * segment[s[1]];
        acc += (int8_t)s[2] * segment[s[3]];
        acc += (int8_t)s[4] * segment[s[5]];
        acc += (int8_t)s[6] * segment[s[7]];
        s += 8;
      }
      segment += kSegment;
    } while (segment < end);
    y[o] = (int8_t)output_of(op, o, acc);
  }
}
#endif

/* Per output: a count of pairs of weights; a pair is a byte with two distances (low half first) and two weights. */
#if TFLS_HAS(TFLS_ROW_DELTA4)
TFLS_OUTLINE void row_delta4(const TflsOperator* op, const int8_t* x, int8_t* y) {
  const uint8_t* s = op->stream;
  int32_t o;
  for (o = 0; o < op->out_c; o++) {
    int32_t acc = op->bias[o];
    const int8_t* p = x;
    uint32_t n = u16_at(s);
    for (s += 2; n > 0; n--) {
      const uint32_t distances = s[0];
      p += distances & 15;
      acc += (int8_t)s[1] * *p;
      p += distances >> 4;
      acc += (int8_t)s[2] * *p;
      s += 3;
    }
    y[o] = (int8_t)output_of(op, o, acc);
  }
}
#endif

/* Per output and segment of 256 blocks: a count, the places of the blocks, the weights. */
#if TFLS_HAS(TFLS_ROW_BLOCK4) || TFLS_HAS(TFLS_ROW_BLOCK16)
TFLS_INLINE int32_t plus_four(int32_t acc, const uint8_t* w, const int8_t* x) {
#if defined(TFLS_DSP)
  const uint32_t a = word_at(w), b = word_at((const uint8_t*)x);
  return plus_both(plus_both(acc, low_bytes(a), low_bytes(b)), high_bytes(a), high_bytes(b));
#else
  return acc + (int8_t)w[0] * x[0] + (int8_t)w[1] * x[1] + (int8_t)w[2] * x[2] + (int8_t)w[3] * x[3];
#endif
}
TFLS_INLINE void row_blocks(const TflsOperator* op, const int8_t* x, int8_t* y, int32_t block) {
  const uint8_t* s = op->stream;
  const int8_t* const end = x + op->taps;
  int32_t o = 0;
  do { /* there is an output */
    int32_t acc = op->bias[o];
    const int8_t* segment = x;
    do {
      uint32_t n = u16_at(s);
      const uint8_t *place = s + 2, *w = place + n;
#if defined(TFLS_MVE)
      if (block == 16) {
        const int8_t* p;
        __asm__ volatile(
            "wls lr, %[n], 2f\n"
            "1:\n ldrb %[p], [%[place]], #1\n vldrb.u8 q0, [%[w]], #16\n add %[p], %[x], %[p], lsl #4\n"
            "vldrb.u8 q1, [%[p]]\n vmladava.s8 %[acc], q0, q1\n le lr, 1b\n"
            "2:\n"
            : [place] "+r"(place), [w] "+l"(w), [p] "=&l"(p), [acc] "+Te"(acc)
            : [n] "r"(n), [x] "r"(segment)
            : "lr", "q0", "q1", "memory");
        n = 0;
      }
#endif
      for (; n > 0; n--) {
        const int8_t* p = segment + block * *place++;
        int32_t j;
        for (j = 0; j < block; j += 4, w += 4) acc = plus_four(acc, w, p + j);
      }
      s = w;
      segment += block * kSegment;
    } while (segment < end);
    y[o] = (int8_t)output_of(op, o, acc);
  } while (++o < op->out_c);
}
#endif
#if TFLS_HAS(TFLS_ROW_BLOCK4)
TFLS_OUTLINE void row_block4(const TflsOperator* op, const int8_t* x, int8_t* y) { row_blocks(op, x, y, 4); }
#endif
#if TFLS_HAS(TFLS_ROW_BLOCK16)
TFLS_OUTLINE void row_block16(const TflsOperator* op, const int8_t* x, int8_t* y) { row_blocks(op, x, y, 16); }
#endif

static int is_pointwise(const TflsOperator* op) {
  return op->filter_h == 1 && op->filter_w == 1 && op->stride_h == 1 && op->stride_w == 1;
}

TFLS_HELPER void each_row(const TflsOperator* op, const int8_t* x, int8_t* y,
                          void (*kernel)(const TflsOperator*, const int8_t*, int8_t*)) {
  int32_t rows = op->batches * op->out_h * op->out_w; /* at least one */
  do {
    kernel(op, x, y);
    x += op->taps;
    y += op->out_c;
  } while (--rows > 0);
}

/* ---- Where the inputs of several output pixels lie ---- */

enum { kMostPixels = kPixels > kPairPixels ? kPixels : kPairPixels };

/* Of each pixel, the input under the first place of its filter, which may be outside. */
typedef struct {
  int32_t at[kMostPixels]; /* its first channel, counted from the start of the input */
  int32_t row[kMostPixels], column[kMostPixels];
  uint32_t outside; /* a bit for each pixel: its filter is not inside as a whole */
} Windows;

typedef struct {
  const int8_t* at[kMostPixels]; /* the first channel of each pixel's input; NULL: outside, the zero point is there */
} Sources;

/* Pixel number j of the windows: its filter begins at (y, x) of an image. */
TFLS_INLINE void put_window(const TflsOperator* op, int32_t batch, int32_t y, int32_t x, int32_t j, Windows* windows) {
  const int32_t last_row = op->in_h - (op->filter_h - 1) * op->dilation_h;
  const int32_t last_column = op->in_w - (op->filter_w - 1) * op->dilation_w;
  windows->at[j] = ((batch * op->in_h + y) * op->in_w + x) * op->in_c;
  windows->row[j] = y;
  windows->column[j] = x;
  if (y < 0 || y >= last_row || x < 0 || x >= last_column) windows->outside |= 1u << j;
}

/* The windows of `count` pixels from number `first` on. Pixels are counted through the whole batch; what lies behind
 * the last one repeats it. */
TFLS_HELPER void find_windows(const TflsOperator* op, int32_t first, int32_t count, Windows* windows) {
  const int32_t pixels = op->batches * op->out_h * op->out_w;
  int32_t j, row = first / op->out_w, column = first % op->out_w, batch = row / op->out_h;
  row %= op->out_h;
  windows->outside = 0;
  for (j = 0; j < count; j++) {
    put_window(op, batch, row * op->stride_h - op->pad_h, column * op->stride_w - op->pad_w, j, windows);
    if (first + j + 1 >= pixels) continue;
    if (++column == op->out_w) {
      column = 0;
      if (++row == op->out_h) {
        row = 0;
        batch++;
      }
    }
  }
}

/* The windows of the four pixels of which pooled output number `output` is the largest. */
TFLS_HELPER void find_pooled_windows(const TflsOperator* op, int32_t output, Windows* windows) {
  const int32_t out_h = op->out_h / 2, out_w = op->out_w / 2, line = output / out_w, batch = line / out_h;
  const int32_t row = 2 * (line - batch * out_h), column = 2 * (output - line * out_w);
  int32_t j;
  windows->outside = 0;
  for (j = 0; j < 4; j++) {
    const int32_t y = (row + (j >> 1)) * op->stride_h - op->pad_h, x = (column + (j & 1)) * op->stride_w - op->pad_w;
    put_window(op, batch, y, x, j, windows);
  }
}

/* The inputs of one place of the filter (row ky, column kx). */
TFLS_INLINE void find_sources(const TflsOperator* op, const int8_t* x, const Windows* windows, int32_t count,
                              int32_t ky, int32_t kx, Sources* sources) {
  const int32_t down = ky * op->dilation_h, right = kx * op->dilation_w;
  const int32_t further = (down * op->in_w + right) * op->in_c;
  int32_t j;
  if (!windows->outside) {
    for (j = 0; j < count; j++) sources->at[j] = x + (windows->at[j] + further);
    return;
  }
  for (j = 0; j < count; j++) {
    const uint32_t row = (uint32_t)(windows->row[j] + down), column = (uint32_t)(windows->column[j] + right);
    sources->at[j] = row < op->in_h && column < op->in_w ? x + (windows->at[j] + further) : NULL;
  }
}

/* ---- Pairs of pixels in 64-bit accumulators ---- */

#if TFLS_HAS_OTHER_PAIRS || TFLS_HAS_SHARED_PAIRS

TFLS_INLINE int32_t pair_of(int32_t low, int32_t high) {
  return (int32_t)((uint32_t)low + ((uint32_t)high << kLaneBits));
}

/* Inputs of two pixels as pairs, `step` words apart. */
TFLS_INLINE void pack_inside(int32_t* words, int32_t step, const int8_t* a, const int8_t* b, int32_t count) {
  for (; count >= 4; count -= 4, a += 4, b += 4, words += 4 * step) {
    words[0] = pair_of(a[0], b[0]);
    words[step] = pair_of(a[1], b[1]);
    words[2 * step] = pair_of(a[2], b[2]);
    words[3 * step] = pair_of(a[3], b[3]);
  }
  for (; count > 0; count--, words += step) *words = pair_of(*a++, *b++);
}

/* The same of pixels that may be outside: NULL. */
TFLS_INLINE void pack_pairs(int32_t* words, int32_t step, const int8_t* a, const int8_t* b, int32_t count,
                            int32_t zero_point) {
  if (a != NULL && b != NULL) {
    pack_inside(words, step, a, b, count);
    return;
  }
  for (; count > 0; count--, words += step) *words = pair_of(a ? *a++ : zero_point, b ? *b++ : zero_point);
}

/* Each lower lane starts at half of its range, so that it never borrows from the upper one. */
TFLS_INLINE void emit_lanes(const TflsOperator* op, int32_t o, const int64_t* lanes, int32_t count, int8_t* out) {
  int32_t acc[kPairPixels], j;
  for (j = 0; j < kPairPixels / 2; j++) {
    acc[2 * j] = op->bias[o] + ((int32_t)(lanes[j] & ((1 << kLaneBits) - 1)) - kHalfLane);
    acc[2 * j + 1] = op->bias[o] + (int32_t)(lanes[j] >> kLaneBits);
  }
  emit(op, o, acc, count, out);
}

#if TFLS_HAS_OTHER_PAIRS
/* All outputs of up to eight pixels, whose pairs lie at `base`; `unit`: words that a distance of 1 spans; `bits`: of a
 * distance. Stream, per output: a count of pairs of weights, then the pairs: distance, weight, distance, weight; for 4
 * bits, as row_delta4 has it; for 0 bits, all weights and nothing else. */
TFLS_OUTLINE void any_pair_outputs(const TflsOperator* op, const int32_t* base, int8_t* out, int32_t count, int32_t unit,
                                  int bits) {
  const uint8_t* s = op->stream;
  int32_t o;
  for (o = 0; o < op->out_c; o++) {
    const uint8_t* const end = bits == 0 ? s + op->taps : s + 2 + u16_at(s) * (bits == 8 ? 4u : 3u);
    const int32_t* x = base;
    int64_t lanes[kPairPixels / 2] = {kHalfLane, kHalfLane, kHalfLane, kHalfLane};
    int32_t j;
    for (; bits == 0 && s != end; s++, x += unit)
      for (j = 0; j < 4; j++) lanes[j] += (int64_t)(int8_t)*s * x[j];
    for (s += bits == 0 ? 0 : 2; s != end; s += bits == 8 ? 4 : 3) {
      int32_t w = (int8_t)s[1];
      x += unit * (bits == 8 ? s[0] : s[0] & 15);
      for (j = 0; j < 4; j++) lanes[j] += (int64_t)w * x[j];
      x += unit * (bits == 8 ? s[2] : s[0] >> 4);
      w = (int8_t)s[bits == 8 ? 3 : 2];
      for (j = 0; j < 4; j++) lanes[j] += (int64_t)w * x[j];
    }
    emit_lanes(op, o, lanes, count, out + o);
  }
}
#endif

#if defined(TFLS_DSP)
/* The same for eight pixels and right shifts that leave room for the zero point beside the rounding constant. By hand,
 * for the loop needs all registers: r0 stream, r1 pairs, r2 weight, r3 and r12 pairs, lr end, r4 to r11 accumulators. */
typedef struct {
  int32_t channel_mask; /* 0: all outputs share multiplier and shift; else -1 */
  int32_t rounding;     /* twice the output's zero point, and 1 for the half that rounds; doubled, and 1 if clamped */
  const int32_t* bias;
  const int32_t* multiplier;
  const int8_t* shift;
  const uint8_t* stream;
  const int32_t* base;
  int32_t apart[4]; /* bytes from an output to those of other pixels: -1, -3, 1 and 3 times the channels */
  int32_t taps;
} EightPixels;

/* One kept weight r2 for eight pixels: four pairs at r1. `smull` in place of `smlal`: the first weight. */
#define TFLS_PRODUCTS(multiply, first, second)                                                        \
  "ldrd r3, r12, " first "\n " multiply " r4, r5, r3, r2\n " multiply " r6, r7, r12, r2\n"             \
  "ldrd r3, r12, " second "\n " multiply " r8, r9, r3, r2\n " multiply " r10, r11, r12, r2\n"
#define TFLS_MULTIPLY(multiply) TFLS_PRODUCTS(multiply, "[r1]", "[r1, #8]")
#define TFLS_STEP8(multiply, scale) \
  "ldrsb r2, [r0, #1]\n ldrb r3, [r0], #2\n add r1, r1, r3, lsl #" scale "\n" TFLS_MULTIPLY(multiply)
#define TFLS_LOWER4(multiply, scale)                                                          \
  "ldrb r3, [r0]\n ldrsb r2, [r0, #1]\n and r3, r3, #15\n add r1, r1, r3, lsl #" scale "\n"    \
  TFLS_MULTIPLY(multiply)
#define TFLS_UPPER4(scale)                                                                    \
  "ldrsb r2, [r0, #2]\n ldrb r3, [r0], #3\n lsr r3, r3, #4\n add r1, r1, r3, lsl #" scale "\n" \
  TFLS_MULTIPLY("smlal")
/* The end of r2 pairs of weights. */
#define TFLS_BYTES8 "add lr, r0, r2, lsl #2\n"
#define TFLS_BYTES4 "add lr, r0, r2, lsl #1\n add lr, lr, r2\n"
#define TFLS_NO_LANES                                                                                 \
  "movs r4, #0\n mov r5, r4\n mov r6, r4\n mov r7, r4\n mov r8, r4\n mov r9, r4\n mov r10, r4\n mov r11, r4\n"
/* Four weights at a time; the first one sets the accumulators, the remainder starts in the middle. */
#define TFLS_LOOP(bytes, first, lower, upper)                                          \
  "ldrh r2, [r0], #2\n cbz r2, 9f\n" bytes "lsrs r2, r2, #1\n" first "bcs 6f\n b 5f\n" \
  "9:\n" TFLS_NO_LANES "b 3f\n"                                                        \
  "1:\n" lower "5:\n" upper lower "6:\n" upper "cmp r0, lr\n bne 1b\n"
#define TFLS_LOOP8(scale) \
  TFLS_LOOP(TFLS_BYTES8, TFLS_STEP8("smull", scale), TFLS_STEP8("smlal", scale), TFLS_STEP8("smlal", scale))
#define TFLS_LOOP4(scale) \
  TFLS_LOOP(TFLS_BYTES4, TFLS_LOWER4("smull", scale), TFLS_LOWER4("smlal", scale), TFLS_UPPER4(scale))
/* An odd number of weights starts in the middle of the loop. */
#define TFLS_STEP_DENSE "ldrsb r2, [r0], #1\n" TFLS_PRODUCTS("smlal", "[r1], #8", "[r1], #8")
#define TFLS_LOOP_DENSE                                                                     \
  TFLS_NO_LANES "ldr r3, [sp, #52]\n add lr, r0, r3\n tst r3, #1\n bne 4f\n"                 \
  "1:\n" TFLS_STEP_DENSE "4:\n" TFLS_STEP_DENSE "cmp r0, lr\n bne 1b\n"
/* Push the address of the output of pixel 4, which counts the channels; the fields of EightPixels up to `apart`; and
 * where that address ends. Bias, multiplier and shift are less what it adds as their index. r1: the output of
 * pixel 0. */
#define TFLS_EIGHT_FRAME                                                                     \
  "ldmia r0, {r2-r12}\n add r1, r1, r11, lsl #2\n and r0, r1, r2\n sub r4, r4, r1, lsl #2\n"  \
  "sub r5, r5, r0, lsl #2\n subs r6, r6, r0\n add lr, r1, r11\n push {r1-r12, lr}\n"
/* The output of a doubled sum, in r1. Halves of negative products are rounded away from zero: the sum has their sign,
 * but where a product is 0, and that stays 0 either way. */
#define TFLS_SCALE(sum) \
  "smmlar r1, " sum ", r12, r2\n add r1, r1, " sum ", asr #31\n asr r1, r1, lr\n ssat r1, #8, r1, asr #1\n"
#define TFLS_LOW(low) "sbfx " low ", " low ", #0, #23\n add " low ", r3, " low ", lsl #1\n" TFLS_SCALE(low)
/* Before TFLS_LOW of the same accumulator. A negative lower lane has borrowed 1 from the upper one: the carry. */
#define TFLS_UPPER_LANE(low, high) "lsrs r1, " low ", #23\n adc " high ", r1, " high ", lsl #9\n"
#define TFLS_HIGH(low, high) TFLS_UPPER_LANE(low, high) "add " high ", r3, " high ", lsl #1\n" TFLS_SCALE(high)
/* The same where outputs are clamped at the zero point, which all negative products then become: the sum, with its bias
 * at most 23 bits, stays where the lower lane moves to the top of a word. Both roundings in one, of 8 bits more. */
#define TFLS_CLAMPED_SCALE(sum) "smmla r1, " sum ", r12, r2\n asr r1, r1, lr\n ssat r1, #8, r1, asr #1\n"
#define TFLS_CLAMPED_LOW(low) "add " low ", r3, " low ", lsl #9\n" TFLS_CLAMPED_SCALE(low)
#define TFLS_CLAMPED_HIGH(low, high) \
  TFLS_UPPER_LANE(low, high) "add " high ", r3, " high ", lsl #9\n" TFLS_CLAMPED_SCALE(high)
/* The outputs of all accumulators. r0: that of pixel 4, r2: rounding constant, r3: the bias, shifted, r12: multiplier,
 * lr: what a product is shifted by, less 1. */
#define TFLS_PUT_EIGHT(low, high)                                                        \
  high("r4", "r5") "ldr r5, [sp, #36]\n strb r1, [r0, r5]\n"                             \
  low("r4") "ldr r4, [sp, #32]\n strb r1, [r0, r4, lsl #2]\n"                            \
  high("r6", "r7") "strb r1, [r0, r4]\n"                                                 \
  low("r6") "strb r1, [r0, r4, lsl #1]\n ldrd r6, r7, [sp, #40]\n"                       \
  high("r8", "r9") "strb r1, [r0, r6]\n"                                                 \
  high("r10", "r11") "strb r1, [r0, r7]\n"                                               \
  low("r10") "strb r1, [r0, r6, lsl #1]\n ldr r4, [sp, #48]\n"                           \
  low("r8") "strb r1, [r0], #1\n str r0, [sp]\n cmp r0, r4\n bne 2b\n"
#define TFLS_EIGHT_OUTPUTS                                                                                \
  "str r0, [sp, #24]\n ldmia sp, {r0, r1, r2, r3, r12, lr}\n ldr r3, [r3, r0, lsl #2]\n ands r1, r1, r0\n" \
  "ldr r12, [r12, r1, lsl #2]\n ldrsb lr, [lr, r1]\n asrs r2, r2, #1\n bcs 30f\n"                         \
  "lsls r3, r3, #1\n mvn lr, lr\n lsl r2, r2, lr\n" TFLS_PUT_EIGHT(TFLS_LOW, TFLS_HIGH) "b 31f\n"        \
  "30:\n lsls r3, r3, #9\n rsb lr, lr, #7\n lsl r2, r2, lr\n adds r2, r2, #128\n"                        \
  TFLS_PUT_EIGHT(TFLS_CLAMPED_LOW, TFLS_CLAMPED_HIGH) "31:\n"
#define TFLS_EIGHT_PIXELS(name, start, loop, bytes)                                                   \
  TFLS_NAKED static void name(const EightPixels* group TFLS_UNNAMED, int8_t* out TFLS_UNNAMED) {      \
    __asm__ volatile(                                                                                 \
        ".syntax unified\n push {r4-r11, lr}\n" start TFLS_EIGHT_FRAME "2:\n ldrd r0, r1, [sp, #24]\n" loop \
        "3:\n" TFLS_EIGHT_OUTPUTS "add sp, #" bytes "\n pop {r4-r11, pc}\n");                          \
  }
#if TFLS_HAS(TFLS_PAIR_DELTA8)
TFLS_EIGHT_PIXELS(eight_pixels_pair8, "", TFLS_LOOP8("4"), "52")
#endif
#if TFLS_HAS(TFLS_PAIR_DELTA4)
TFLS_EIGHT_PIXELS(eight_pixels_pair4, "", TFLS_LOOP4("4"), "52")
#endif
#if TFLS_HAS(TFLS_STRIP_DELTA8)
TFLS_EIGHT_PIXELS(eight_pixels_strip8, "", TFLS_LOOP8("2"), "52")
#endif
#if TFLS_HAS(TFLS_STRIP_DELTA4)
TFLS_EIGHT_PIXELS(eight_pixels_strip4, "", TFLS_LOOP4("2"), "52")
#endif
#if TFLS_HAS(TFLS_PAIR_DENSE8)
TFLS_EIGHT_PIXELS(eight_pixels_dense, "ldr r2, [r0, #44]\n push {r2}\n", TFLS_LOOP_DENSE, "56")
#endif

#if TFLS_HAS_SHARED_PAIRS
/* The same for shared values. r2 is a symbol, what it means, then its weight; lr the table of symbols. */
typedef struct {
  EightPixels pixels; /* without base: each run has its own */
  const uint32_t* steps;
  const uintptr_t* starts; /* of the runs */
  const uintptr_t* starts_end;
  uintptr_t both_steps; /* the sum of the addresses of both tables: less that of one, it is the other's */
} EightShared;

#define TFLS_STEP_SHARED \
  "ldrb r2, [r0], #1\n ldr r2, [lr, r2, lsl #2]\n add r1, r1, r2, lsr #16\n sxth r2, r2\n" TFLS_MULTIPLY("smlal")
/* Eight symbols at a time; the remainder of a run starts in the middle. Behind the frame of EightPixels lie the fields
 * of EightShared, the end of the run, and the next of `starts`. */
#define TFLS_EIGHT_SHARED(name, run, next)                                                      \
  TFLS_NAKED static void name(const EightShared* group TFLS_UNNAMED, int8_t* out TFLS_UNNAMED) { \
    __asm__ volatile(                                                                           \
        ".syntax unified\n push {r4-r11, lr}\n add r2, r0, #48\n ldmia r2, {r3-r6}\n sub sp, #8\n" \
        "push {r3-r6}\n" TFLS_EIGHT_FRAME                                                       \
        "2:\n ldr r0, [sp, #24]\n ldrd lr, r2, [sp, #52]\n" TFLS_NO_LANES run                   \
        "ldrb r3, [r0], #1\n cmp r3, #128\n bhs 6f\n"                                           \
        "7:\n adds r12, r0, r3\n str r12, [sp, #68]\n cmp r3, #0\n beq 3f\n and r3, r3, #7\n"   \
        "tbb [pc, r3]\n8:\n .byte (10f - 8b) / 2, (17f - 8b) / 2, (16f - 8b) / 2, (15f - 8b) / 2\n" \
        ".byte (14f - 8b) / 2, (13f - 8b) / 2, (12f - 8b) / 2, (11f - 8b) / 2\n"                \
        "6:\n cmp r3, #255\n beq 9f\n sub r3, r3, #128\n ldrb r12, [r0], #1\n add r3, r12, r3, lsl #8\n b 7b\n" \
        "9:\n ldr r12, [sp, #64]\n sub lr, r12, lr\n str lr, [sp, #52]\n ldrb r3, [r0], #1\n"  \
        "cmp r3, #128\n bhs 6b\n b 7b\n"                                                      \
        "10:\n" TFLS_STEP_SHARED "11:\n" TFLS_STEP_SHARED "12:\n" TFLS_STEP_SHARED               \
        "13:\n" TFLS_STEP_SHARED "14:\n" TFLS_STEP_SHARED "15:\n" TFLS_STEP_SHARED               \
        "16:\n" TFLS_STEP_SHARED "17:\n" TFLS_STEP_SHARED "ldr r3, [sp, #68]\n cmp r0, r3\n bne 10b\n" \
        "3:\n" next TFLS_EIGHT_OUTPUTS "add sp, #76\n pop {r4-r11, pc}\n");                     \
  }
#if TFLS_HAS(TFLS_PAIR_SHARED)
TFLS_EIGHT_SHARED(eight_pixels_one_run, "ldr r1, [r2]\n", "")
#endif
#if TFLS_HAS(TFLS_STRIP_SHARED)
TFLS_EIGHT_SHARED(eight_pixels_runs, "5:\n ldr r1, [r2], #4\n str r2, [sp, #72]\n",
                  "ldr r2, [sp, #72]\n ldr r3, [sp, #60]\n cmp r2, r3\n bne 5b\n")
#endif
#endif

#endif

enum { kSharedBits = 1 }; /* in place of the bits of a distance: symbols of shared values */

typedef struct {
  const TflsOperator* op;
  int32_t* words; /* for the packed inputs */
#if defined(TFLS_DSP)
  EightPixels eight;
#endif
#if TFLS_HAS_SHARED_PAIRS
  Symbols symbols; /* at the first output */
#endif
  uintptr_t starts[kMostRuns]; /* the address one place before each run */
  int32_t runs;
} Pairs;

static Pairs pairs_of(const TflsOperator* op, void* scratch) {
  Pairs pairs;
  pairs.op = op;
  pairs.words = (int32_t*)scratch;
#if defined(TFLS_DSP)
  {
    const int32_t out_c = op->out_c;
    const EightPixels eight = {
        -op->channel_step, 2 * (2 * op->output_zero_point + 1) + op->clamped, op->bias, op->multiplier, op->shift, op->stream, pairs.words,
        {-out_c, -3 * out_c, out_c, 3 * out_c}, op->taps};
    pairs.eight = eight;
  }
#endif
  return pairs;
}

#if TFLS_HAS_SHARED_PAIRS
/* The same with tables of symbols in front of the packed inputs; `unit`: bytes from a place to the next. */
static Pairs shared_pairs_of(const TflsOperator* op, void* scratch, uint32_t unit) {
  Pairs pairs = pairs_of(op, scratch);
  uint32_t* words;
  pairs.symbols = read_symbols(op, unit, scratch, &words);
#if defined(TFLS_DSP)
  pairs.eight.stream = pairs.symbols.at;
#endif
  pairs.words = (int32_t*)words;
  pairs.runs = 1;
  pairs.starts[0] = (uintptr_t)pairs.words - unit;
  return pairs;
}

/* As any_pair_outputs. */
TFLS_OUTLINE void any_shared_outputs(const Pairs* pairs, int8_t* out, int32_t count) {
  const TflsOperator* const op = pairs->op;
  Symbols symbols = pairs->symbols;
  int32_t o, run, j;
  for (o = 0; o < op->out_c; o++) {
    int64_t lanes[kPairPixels / 2] = {kHalfLane, kHalfLane, kHalfLane, kHalfLane};
    for (run = 0; run < pairs->runs; run++) {
      uintptr_t at = pairs->starts[run];
      uint32_t n = next_run(&symbols);
      for (; n > 0; n--) {
        const uint32_t step = symbols.steps[*symbols.at++];
        const int32_t* x;
        at += step >> 16;
        x = (const int32_t*)at;
        for (j = 0; j < kPairPixels / 2; j++) lanes[j] += (int64_t)weight_of(step) * x[j];
      }
    }
    emit_lanes(op, o, lanes, count, out + o);
  }
}

TFLS_OUTLINE void shared_outputs(const Pairs* pairs, int8_t* out, int32_t count) {
#if defined(TFLS_DSP)
  if (pairs->op->quick && count == kPairPixels) {
    const Symbols* const symbols = &pairs->symbols;
    const EightShared group = {pairs->eight, symbols->steps, pairs->starts, pairs->starts + pairs->runs,
                               (uintptr_t)symbols->steps + (uintptr_t)symbols->other};
#if TFLS_HAS(TFLS_PAIR_SHARED)
    if (pairs->runs == 1) {
      eight_pixels_one_run(&group, out);
      return;
    }
#endif
#if TFLS_HAS(TFLS_STRIP_SHARED)
    eight_pixels_runs(&group, out);
    return;
#endif
  }
#endif
  any_shared_outputs(pairs, out, count);
}
#endif

#if TFLS_HAS_OTHER_PAIRS
TFLS_OUTLINE void weight_outputs(const Pairs* pairs, int8_t* out, int32_t count, int32_t unit, int bits) {
#if defined(TFLS_DSP)
  if (pairs->op->quick && count == kPairPixels) {
    const EightPixels* const eight = &pairs->eight;
#if TFLS_HAS(TFLS_PAIR_DELTA8)
    if (unit == 4 && bits == 8) eight_pixels_pair8(eight, out);
#endif
#if TFLS_HAS(TFLS_PAIR_DELTA4)
    if (unit == 4 && bits == 4) eight_pixels_pair4(eight, out);
#endif
#if TFLS_HAS(TFLS_STRIP_DELTA8)
    if (unit == 1 && bits == 8) eight_pixels_strip8(eight, out);
#endif
#if TFLS_HAS(TFLS_STRIP_DELTA4)
    if (unit == 1 && bits == 4) eight_pixels_strip4(eight, out);
#endif
#if TFLS_HAS(TFLS_PAIR_DENSE8)
    if (bits == 0) eight_pixels_dense(eight, out);
#endif
    return;
  }
#endif
  any_pair_outputs(pairs->op, pairs->words, out, count, unit, bits);
}
#endif

TFLS_INLINE void pair_outputs(const Pairs* pairs, int8_t* out, int32_t count, int32_t unit, int bits) {
  (void)unit;
#if TFLS_HAS_SHARED_PAIRS
  if (bits == kSharedBits) shared_outputs(pairs, out, count);
#endif
#if TFLS_HAS_OTHER_PAIRS
  if (bits != kSharedBits) weight_outputs(pairs, out, count, unit, bits);
#endif
}

/* The start of a group of pixels: the last one reaches back, so that it is whole as well. */
static int32_t group_start(int32_t first, int32_t count) {
  return count >= kPairPixels && first > count - kPairPixels ? count - kPairPixels : first;
}
#endif

#if TFLS_HAS(TFLS_PAIR_DELTA8) || TFLS_HAS(TFLS_PAIR_DELTA4) || TFLS_HAS(TFLS_PAIR_DENSE8) || \
    TFLS_HAS(TFLS_PAIR_SHARED)
/* The inputs of two of the pixels as pairs, from `words` on, four words apart: (row of the filter, column, channel). */
TFLS_OUTLINE void pack_windows(const TflsOperator* op, const int8_t* x, const Windows* windows, int32_t pixel,
                              int32_t* words) {
  const int32_t channels = op->in_c, across = op->dilation_w, filter_w = op->filter_w;
  const int32_t zero_point = op->input_zero_point;
  int32_t ky, kx;
  for (ky = 0; ky < op->filter_h; ky++) {
    const int32_t down = ky * op->dilation_h;
    /* Columns that are inside: none where the row is not. */
    const uint32_t a_columns = (uint32_t)(windows->row[pixel] + down) < op->in_h ? op->in_w : 0;
    const uint32_t b_columns = (uint32_t)(windows->row[pixel + 1] + down) < op->in_h ? op->in_w : 0;
    int32_t a_column = windows->column[pixel], b_column = windows->column[pixel + 1];
    int32_t a = windows->at[pixel] + down * op->in_w * channels;
    int32_t b = windows->at[pixel + 1] + down * op->in_w * channels;
    if (channels == 1) { /* sounds and grey images: looking up a place takes longer than packing it */
      for (kx = filter_w; kx > 0; kx--, a += across, b += across, a_column += across, b_column += across, words += 4) {
        const int32_t low = (uint32_t)a_column < a_columns ? x[a] : zero_point;
        *words = pair_of(low, (uint32_t)b_column < b_columns ? x[b] : zero_point);
      }
      continue;
    }
    for (kx = filter_w; kx > 0; kx--, a_column += across, b_column += across, words += 4 * channels) {
      pack_pairs(words, 4, (uint32_t)a_column < a_columns ? x + a : NULL, (uint32_t)b_column < b_columns ? x + b : NULL,
                 channels, zero_point);
      a += across * channels;
      b += across * channels;
    }
  }
}

/* The same of windows that are inside, from a and b on; no dilation across. */
TFLS_OUTLINE void pack_inner_windows(const TflsOperator* op, const int8_t* a, const int8_t* b, int32_t* words) {
  const int32_t row = op->filter_w * op->in_c, step = op->dilation_h * op->in_w * op->in_c;
  int32_t ky;
  for (ky = op->filter_h; ky > 0; ky--, a += step, b += step, words += 4 * row) pack_inside(words, 4, a, b, row);
}

/* The inputs of eight pixels that lie side by side, as pairs. */
#if defined(TFLS_DSP)
/* r3, r5, r7, r9: the pairs; r11: the end of the first pixel; r12, lr, r10: 3, 5 and 7 times the channels. */
TFLS_NAKED static void pack_pixels_inside(const int8_t* x TFLS_UNNAMED, int32_t channels TFLS_UNNAMED,
                                          int32_t* words TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n push {r4-r11, lr}\n add r11, r0, r1\n add r12, r1, r1, lsl #1\n add lr, r1, r1, lsl #2\n"
      "rsb r10, r1, r1, lsl #3\n"
      "1:\n ldrsb r4, [r0, r1]\n ldrsb r5, [r0, r1, lsl #1]\n ldrsb r6, [r0, r12]\n ldrsb r7, [r0, r1, lsl #2]\n"
      "ldrsb r8, [r0, lr]\n ldrsb r9, [r0, r12, lsl #1]\n add r5, r5, r6, lsl #23\n ldrsb r6, [r0, r10]\n"
      "ldrsb r3, [r0], #1\n add r7, r7, r8, lsl #23\n add r9, r9, r6, lsl #23\n add r3, r3, r4, lsl #23\n"
      "cmp r0, r11\n stmia r2!, {r3, r5, r7, r9}\n bne 1b\n pop {r4-r11, pc}\n");
}
#else
TFLS_INLINE void pack_pixels_inside(const int8_t* x, int32_t channels, int32_t* words) {
  int32_t j;
  for (j = 0; j < kPairPixels / 2; j++, x += 2 * channels) pack_inside(words + j, 4, x, x + channels, channels);
}
#endif

/* Distances count inputs of the output: (row of the filter, column, channel). */
TFLS_OUTLINE void all_pairs(const Pairs* pairs, const int8_t* x, int8_t* y, int bits) {
  const TflsOperator* const op = pairs->op;
  const int32_t pixels = op->batches * op->out_h * op->out_w;
  int32_t* const words = pairs->words;
  int32_t start, j;
  for (start = 0; start < pixels; start += kPairPixels) {
    const int32_t first = group_start(start, pixels);
    if (is_pointwise(op) && pixels >= kPairPixels) {
      pack_pixels_inside(x + first * op->in_c, op->in_c, words);
    } else {
      Windows windows;
      find_windows(op, first, kPairPixels, &windows);
      for (j = 0; j < kPairPixels / 2; j++) {
        if ((windows.outside >> 2 * j & 3) == 0 && op->dilation_w == 1) {
          pack_inner_windows(op, x + windows.at[2 * j], x + windows.at[2 * j + 1], words + j);
        } else {
          pack_windows(op, x, &windows, 2 * j, words + j);
        }
      }
    }
    pair_outputs(pairs, y + first * op->out_c, smaller(pixels - first, kPairPixels), 4, bits);
  }
}
#endif
#if TFLS_HAS(TFLS_PAIR_DELTA8)
TFLS_OUTLINE void pair_delta8(const TflsOperator* op, const int8_t* x, int8_t* y, void* scratch) {
  const Pairs pairs = pairs_of(op, scratch);
  all_pairs(&pairs, x, y, 8);
}
#endif
#if TFLS_HAS(TFLS_PAIR_DELTA4)
TFLS_OUTLINE void pair_delta4(const TflsOperator* op, const int8_t* x, int8_t* y, void* scratch) {
  const Pairs pairs = pairs_of(op, scratch);
  all_pairs(&pairs, x, y, 4);
}
#endif
#if TFLS_HAS(TFLS_PAIR_DENSE8)
TFLS_OUTLINE void pair_dense8(const TflsOperator* op, const int8_t* x, int8_t* y, void* scratch) {
  const Pairs pairs = pairs_of(op, scratch);
  all_pairs(&pairs, x, y, 0);
}
#endif

#if TFLS_HAS(TFLS_PAIR_SHARED)
TFLS_OUTLINE void pair_shared(const TflsOperator* op, const int8_t* x, int8_t* y, void* scratch) {
  const Pairs pairs = shared_pairs_of(op, scratch, 4 * sizeof(int32_t));
  all_pairs(&pairs, x, y, kSharedBits);
}
#endif

/* Strips of eight columns. The buffer holds filter_h rows of the input; of each channel, the pairs of neighbouring
 * columns (0, 1), (2, 3), ... and then (1, 2), (3, 4), ...: whatever the column of the filter, the four pairs of its
 * eight pixels lie side by side. Distances count words of this buffer. */
#if TFLS_HAS_STRIPS
TFLS_INLINE int32_t half_strip(int32_t filter_w) { return (kPairPixels + filter_w) / 2; } /* pairs of one parity */

#if defined(TFLS_DSP)
/* The columns at both ends of a strip. Outside of the image, they are one value: the zero point. */
typedef struct {
  const int8_t *left, *right;
  int32_t left_step, right_step; /* to the next channel */
} StripEnds;

/* A row of a strip for filters of three columns; x: its second column. From right to left, a value and then the pair
 * that it starts. r5, r6, r7: 3, 5 and 7 times the channels; r3, r4, r8, r9: `ends`; r10: the end of x. */
TFLS_NAKED static void pack_three_columns(const int8_t* x TFLS_UNNAMED, int32_t channels TFLS_UNNAMED,
                                          int32_t* words TFLS_UNNAMED, const StripEnds* ends TFLS_UNNAMED) {
  __asm__ volatile(
      ".syntax unified\n push {r4-r11, lr}\n ldmia r3, {r3, r4, r8, r9}\n add r5, r1, r1, lsl #1\n"
      "add r6, r1, r1, lsl #2\n rsb r7, r1, r1, lsl #3\n add r10, r0, r1\n"
      "1:\n ldrsb r11, [r4]\n ldrsb r12, [r0, r7]\n ldrsb lr, [r0, r5, lsl #1]\n"
      "add r11, r12, r11, lsl #23\n str r11, [r2, #16]\n ldrsb r11, [r0, r6]\n"
      "add r12, lr, r12, lsl #23\n str r12, [r2, #32]\n ldrsb r12, [r0, r1, lsl #2]\n"
      "add lr, r11, lr, lsl #23\n str lr, [r2, #12]\n ldrsb lr, [r0, r5]\n"
      "add r11, r12, r11, lsl #23\n str r11, [r2, #28]\n ldrsb r11, [r0, r1, lsl #1]\n"
      "add r12, lr, r12, lsl #23\n str r12, [r2, #8]\n ldrsb r12, [r0, r1]\n"
      "add lr, r11, lr, lsl #23\n str lr, [r2, #24]\n ldrsb lr, [r0], #1\n"
      "add r11, r12, r11, lsl #23\n str r11, [r2, #4]\n ldrsb r11, [r3]\n"
      "add r12, lr, r12, lsl #23\n str r12, [r2, #20]\n add lr, r11, lr, lsl #23\n add r3, r3, r8\n"
      "add r4, r4, r9\n cmp r0, r10\n str lr, [r2], #40\n bne 1b\n pop {r4-r11, pc}\n");
}
#endif

static void pack_strip_row(const TflsOperator* op, const int8_t* image, int32_t row, int32_t column, int32_t* words) {
  const int32_t half = half_strip(op->filter_w), channels = op->in_c, zero_point = op->input_zero_point;
  const int8_t* const start = row >= 0 && row < op->in_h ? image + row * op->in_w * channels : NULL;
  const int8_t* left = column >= 0 && column < op->in_w ? start + column * channels : NULL;
  int32_t j;
  if (start == NULL) {
    for (j = 2 * half * channels; j > 0; j--) *words++ = pair_of(zero_point, zero_point);
    return;
  }
#if defined(TFLS_DSP)
  if (op->filter_w == 3 && column + 8 < op->in_w) {
    const int is_inside = column + 9 < op->in_w;
    const StripEnds ends = {left ? left : &op->input_zero_point,
                            is_inside ? start + (column + 9) * channels : &op->input_zero_point,
                            left != NULL, is_inside};
    pack_three_columns(start + (column + 1) * channels, channels, words, &ends);
    return;
  }
#endif
  /* The last pair is only read beside a weight of zero. */
  for (j = 0; j < kPairPixels + op->filter_w - 2; j++) {
    const int32_t next = column + j + 1;
    const int8_t* const right = next >= 0 && next < op->in_w ? start + next * channels : NULL;
    pack_pairs(words + (j & 1) * half + (j >> 1), 2 * half, left, right, channels, zero_point);
    left = right;
  }
}

#if !defined(TFLS_DSP)
typedef struct {
  int32_t words[4];
} FourWords;
#endif

/* The rows that stay move to the front. */
TFLS_INLINE void move_rows(int32_t* to, const int32_t* from, int32_t words) {
#if defined(TFLS_DSP)
  for (; words >= 8; words -= 8)
    __asm__ volatile("ldmia %1!, {r4-r6, r8-r10, r12, lr}\n stmia %0!, {r4-r6, r8-r10, r12, lr}\n"
                     : "+r"(to), "+r"(from)
                     :
                     : "r4", "r5", "r6", "r8", "r9", "r10", "r12", "lr", "memory");
#else
  for (; words >= 4; words -= 4, to += 4, from += 4) *(FourWords*)(void*)to = *(const FourWords*)(const void*)from;
#endif
  for (; words > 0; words--) *to++ = *from++;
}

#if TFLS_HAS(TFLS_POOLS)
#if defined(TFLS_DSP)
/* The larger ones of four bytes each. */
TFLS_INLINE uint32_t larger_bytes(uint32_t a, uint32_t b) {
  uint32_t difference;
  __asm__("ssub8 %1, %0, %2\n sel %0, %0, %2" : "+r"(a), "=&r"(difference) : "r"(b) : "cc");
  return a;
}
#endif

/* The largest of each 2x2 pixels of two rows of a strip. */
TFLS_OUTLINE void pool_rows(const int8_t* from, int32_t channels, int32_t outputs, int8_t* to) {
  const int32_t row = kPairPixels * channels;
  for (; outputs > 0; outputs--, from += channels) {
    int32_t left = channels;
#if defined(TFLS_DSP)
    for (; left >= 4; left -= 4, from += 4, to += 4) {
      const uint8_t *const upper = (const uint8_t*)from, *const lower = upper + row;
      const uint32_t most = larger_bytes(larger_bytes(word_at(upper), word_at(upper + channels)),
                                         larger_bytes(word_at(lower), word_at(lower + channels)));
      __builtin_memcpy(to, &most, 4);
    }
#endif
    for (; left > 0; left--, from++)
      *to++ = (int8_t)larger(larger(from[0], from[channels]), larger(from[row], from[row + channels]));
  }
}
#endif

/* Where the operator pools, two rows of a strip lie behind the words before they are. */
TFLS_OUTLINE void strips(const Pairs* pairs, const int8_t* x, int8_t* y, int bits) {
  const TflsOperator* const op = pairs->op;
  int32_t* const words = pairs->words;
  const int32_t row_words = 2 * half_strip(op->filter_w) * op->in_c, kept = (op->filter_h - 1) * row_words;
  const int32_t out_h = op->out_h & (pools(op) ? ~1 : ~0), out_w = op->out_w & (pools(op) ? ~1 : ~0), out_c = op->out_c;
  int32_t batch, start, row;
  for (batch = 0; batch < op->batches; batch++) {
    for (start = 0; start < out_w; start += kPairPixels) {
      const int32_t column = group_start(start, out_w), count = smaller(out_w - column, kPairPixels);
      for (row = 0; row < op->filter_h - 1; row++)
        pack_strip_row(op, x, row - op->pad_h, column - op->pad_w, words + (row + 1) * row_words);
      for (row = 0; row < out_h; row++) {
        move_rows(words, words + row_words, kept);
        pack_strip_row(op, x, row + op->filter_h - 1 - op->pad_h, column - op->pad_w, words + kept);
#if TFLS_HAS(TFLS_POOLS)
        if (op->pools) {
          int8_t* const rows = (int8_t*)(words + kept + row_words);
          pair_outputs(pairs, rows + (row & 1) * kPairPixels * out_c, count, 1, bits);
          if (row & 1) pool_rows(rows, out_c, count / 2, y + (row / 2 * (out_w / 2) + column / 2) * out_c);
          continue;
        }
#endif
        pair_outputs(pairs, y + (row * out_w + column) * out_c, count, 1, bits);
      }
    }
    x += op->in_h * op->in_w * op->in_c;
    y += out_h * out_w * out_c / (pools(op) ? 4 : 1);
  }
}
#endif
#if TFLS_HAS(TFLS_STRIP_DELTA8)
TFLS_OUTLINE void strip_delta8(const TflsOperator* op, const int8_t* x, int8_t* y, void* scratch) {
  const Pairs pairs = pairs_of(op, scratch);
  strips(&pairs, x, y, 8);
}
#endif
#if TFLS_HAS(TFLS_STRIP_DELTA4)
TFLS_OUTLINE void strip_delta4(const TflsOperator* op, const int8_t* x, int8_t* y, void* scratch) {
  const Pairs pairs = pairs_of(op, scratch);
  strips(&pairs, x, y, 4);
}
#endif

#if TFLS_HAS(TFLS_STRIP_SHARED)
/* A run is a column of the filter: its places, (row, channel), lie as far apart as channels do. */
TFLS_OUTLINE void strip_shared(const TflsOperator* op, const int8_t* x, int8_t* y, void* scratch) {
  const int32_t half = half_strip(op->filter_w);
  Pairs pairs = shared_pairs_of(op, scratch, 2 * (uint32_t)half * sizeof(int32_t));
  int32_t column;
  for (column = 1; column < op->filter_w; column++)
    pairs.starts[column] = pairs.starts[0] + (uint32_t)((column & 1) * half + (column >> 1)) * sizeof(int32_t);
  pairs.runs = op->filter_w;
  strips(&pairs, x, y, kSharedBits);
}
#endif

/* ---- Four pixels, plain multiply-adds ---- */

#if defined(TFLS_MVE)
TFLS_INLINE int32x4_t requantised_four(int32x4_t acc, int32_t multiplier, int32_t left, int32_t right,
                                       int32x4_t zero_point) {
  acc = vqrdmulhq_n_s32(vshlq_r_s32(acc, left), multiplier);
  if (right) acc = vrshlq_n_s32(vaddq_s32(acc, vshrq_n_s32(acc, 31)), -right);
  acc = vaddq_s32(acc, zero_point);
  return vminq_s32(vmaxq_s32(acc, vdupq_n_s32(-128)), vdupq_n_s32(127));
}
#endif

#if TFLS_HAS(TFLS_PIXEL_DELTA8) || TFLS_HAS(TFLS_PIXEL_SHARED)
/* The pixels of each input lie side by side. */
static void pack_pixels(int8_t* to, const Sources* sources, int32_t channels, int8_t zero_point);

/* The inputs of the pixels from number `first` on: (row of the filter, column, channel, pixel). */
TFLS_INLINE void copy_pixels(const TflsOperator* op, const int8_t* x, int32_t first, int8_t* to) {
  int32_t ky, kx;
  Windows windows;
  if (pools(op)) {
    find_pooled_windows(op, first / 4, &windows);
  } else {
    find_windows(op, first, kPixels, &windows);
  }
  for (ky = 0; ky < op->filter_h; ky++) {
    for (kx = 0; kx < op->filter_w; kx++, to += kPixels * op->in_c) {
      Sources sources;
      find_sources(op, x, &windows, kPixels, ky, kx, &sources);
      pack_pixels(to, &sources, op->in_c, op->input_zero_point);
    }
  }
}
#endif

#if (TFLS_HAS(TFLS_PIXEL_DELTA8) || TFLS_HAS(TFLS_PIXEL_SHARED)) && defined(TFLS_MVE)
/* The sixteen pixels of each input lie side by side. */
static void pack_pixels(int8_t* to, const Sources* sources, int32_t channels, int8_t zero_point) {
  const uint8x16_t apart = vmulq_n_u8(vidupq_n_u8(0, 1), kPixels);
  int32_t j;
  for (j = 0; j < kPixels; j++) {
    const int8_t* from = sources->at[j];
    int8_t* p = to + j;
    int32_t left = channels;
    if (from == NULL) {
      for (; left > 0; left -= 16, p += 16 * kPixels)
        vstrbq_scatter_offset_p_s8(p, apart, vdupq_n_s8(zero_point), vctp8q((uint32_t)left));
      continue;
    }
    for (; left >= 16; left -= 16, p += 16 * kPixels, from += 16) vstrbq_scatter_offset_s8(p, apart, vldrbq_s8(from));
    if (left > 0) {
      const mve_pred16_t some = vctp8q((uint32_t)left);
      vstrbq_scatter_offset_p_s8(p, apart, vldrbq_z_s8(from, some), some);
    }
  }
}

typedef struct {
  int32x4_t a, b, c, d;
} SixteenSums;

/* One output of up to sixteen pixels. */
TFLS_INLINE void emit_sixteen(const TflsOperator* op, int32_t o, SixteenSums sums, int32_t left, int8_t* out) {
  const int32_t channel = o * op->channel_step, multiplier = op->multiplier[channel], shift = op->shift[channel];
  const int32_t up = shift > 0 ? shift : 0, down = up - shift, out_c = op->out_c;
  const uint32x4_t apart = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)out_c);
  const int32x4_t zero_point = vdupq_n_s32(op->output_zero_point);
  const int32x4_t a = requantised_four(sums.a, multiplier, up, down, zero_point);
  const int32x4_t b = requantised_four(sums.b, multiplier, up, down, zero_point);
  const int32x4_t c = requantised_four(sums.c, multiplier, up, down, zero_point);
  const int32x4_t d = requantised_four(sums.d, multiplier, up, down, zero_point);
  if (left >= kPixels) {
    vstrbq_scatter_offset_s32(out, apart, a);
    vstrbq_scatter_offset_s32(out + 4 * out_c, apart, b);
    vstrbq_scatter_offset_s32(out + 8 * out_c, apart, c);
    vstrbq_scatter_offset_s32(out + 12 * out_c, apart, d);
  } else {
    vstrbq_scatter_offset_p_s32(out, apart, a, vctp32q((uint32_t)left));
    if (left > 4) vstrbq_scatter_offset_p_s32(out + 4 * out_c, apart, b, vctp32q((uint32_t)left - 4));
    if (left > 8) vstrbq_scatter_offset_p_s32(out + 8 * out_c, apart, c, vctp32q((uint32_t)left - 8));
    if (left > 12) vstrbq_scatter_offset_p_s32(out + 12 * out_c, apart, d, vctp32q((uint32_t)left - 12));
  }
}

/* The first of a group of sixteen pixels: the last group reaches back, so that it is whole as well. */
TFLS_INLINE int32_t sixteen_from(int32_t start, int32_t pixels) {
  return pixels >= kPixels && start > pixels - kPixels ? pixels - kPixels : start;
}
#endif

#if TFLS_HAS(TFLS_PIXEL_DELTA8) && defined(TFLS_MVE)
TFLS_OUTLINE void pixel_delta8(const TflsOperator* op, const int8_t* x, int8_t* y, void* scratch) {
  const int32_t pixels = op->batches * op->out_h * op->out_w, out_c = op->out_c;
  int32_t start;
  for (start = 0; start < pixels; start += kPixels) {
    const int32_t first = sixteen_from(start, pixels), left = pixels - first;
    const uint8_t* s = op->stream;
    int32_t o;
    copy_pixels(op, x, first, (int8_t*)scratch);
    for (o = 0; o < out_c; o++) {
      const int8_t* p = (const int8_t*)scratch;
      int8_t* out = y + first * out_c + o;
      int32x4_t a = vdupq_n_s32(op->bias[o]), b = a, c = a, d = a;
      uint32_t n = 2 * u16_at(s);
      s += 2;
      if (n) {
        int32_t w, distance;
        int32x4_t t, u, v, z;
        __asm__ volatile(
            "dls lr, %[n]\n"
            "1:\n ldrsb %[w], [%[s], #1]\n ldrb %[d], [%[s]], #2\n add %[p], %[p], %[d], lsl #4\n"
            "vldrb.s32 %q[t], [%[p]]\n vldrb.s32 %q[u], [%[p], #4]\n vmla.s32 %q[a], %q[t], %[w]\n"
            "vldrb.s32 %q[v], [%[p], #8]\n vmla.s32 %q[b], %q[u], %[w]\n"
            "vldrb.s32 %q[z], [%[p], #12]\n vmla.s32 %q[c], %q[v], %[w]\n vmla.s32 %q[e], %q[z], %[w]\n"
            "le lr, 1b\n"
            : [s] "+r"(s), [p] "+l"(p), [w] "=&r"(w), [d] "=&r"(distance), [a] "+w"(a), [b] "+w"(b), [c] "+w"(c),
              [e] "+w"(d), [t] "=&w"(t), [u] "=&w"(u), [v] "=&w"(v), [z] "=&w"(z)
            : [n] "r"(n)
            : "lr", "memory");
      }
      {
        const SixteenSums sums = {a, b, c, d};
        emit_sixteen(op, o, sums, left, out);
      }
    }
  }
}
#endif

#if TFLS_HAS(TFLS_PIXEL_SHARED) && defined(TFLS_MVE)
TFLS_OUTLINE void pixel_shared(const TflsOperator* op, const int8_t* x, int8_t* y, void* scratch) {
  const int32_t pixels = op->batches * op->out_h * op->out_w, out_c = op->out_c;
  uint32_t* rest;
  const Symbols all = read_symbols(op, kPixels, scratch, &rest);
  int8_t* const columns = (int8_t*)rest;
  int32_t start;
  for (start = 0; start < pixels; start += kPixels) {
    const int32_t first = sixteen_from(start, pixels);
    Symbols symbols = all;
    int32_t o;
    copy_pixels(op, x, first, columns);
    for (o = 0; o < out_c; o++) {
      const int32x4_t bias = vdupq_n_s32(op->bias[o]);
      SixteenSums sums = {bias, bias, bias, bias};
      int32_t at = -kPixels;
      uint32_t n = next_run(&symbols);
      for (; n > 0; n--) {
        const uint32_t step = symbols.steps[*symbols.at++];
        const int32_t w = weight_of(step);
        const int8_t* p;
        at += (int32_t)(step >> 16);
        p = columns + at;
        sums.a = vmlaq_n_s32(sums.a, vldrbq_s32(p), w);
        sums.b = vmlaq_n_s32(sums.b, vldrbq_s32(p + 4), w);
        sums.c = vmlaq_n_s32(sums.c, vldrbq_s32(p + 8), w);
        sums.d = vmlaq_n_s32(sums.d, vldrbq_s32(p + 12), w);
      }
      emit_sixteen(op, o, sums, pixels - first, y + first * out_c + o);
    }
  }
}
#endif

/* The four pixels of each input lie side by side. Stream as for pairs with 8 bits. */
#if (TFLS_HAS(TFLS_PIXEL_DELTA8) || TFLS_HAS(TFLS_PIXEL_SHARED)) && !defined(TFLS_MVE)
static void pack_pixels(int8_t* to, const Sources* sources, int32_t channels, int8_t zero_point) {
  const int8_t *a = sources->at[0], *b = sources->at[1], *c = sources->at[2], *d = sources->at[3];
  int32_t i, j;
  if (a && b && c && d) {
    for (i = 0; i < channels; i++, to += kPixels) {
      to[0] = a[i];
      to[1] = b[i];
      to[2] = c[i];
      to[3] = d[i];
    }
    return;
  }
  for (j = 0; j < kPixels; j++) {
    const int8_t* const from = sources->at[j];
    for (i = 0; i < channels; i++) to[kPixels * i + j] = from ? from[i] : zero_point;
  }
}
#endif

#if TFLS_HAS(TFLS_PIXEL_DELTA8) && !defined(TFLS_MVE)
TFLS_OUTLINE void pixel_delta8(const TflsOperator* op, const int8_t* x, int8_t* y, void* scratch) {
  const int32_t pixels = pixels_of(op), step = (pools(op) ? 1 : kPixels) * op->out_c;
  int32_t first;
  for (first = 0; first < pixels; first += kPixels, y += step) {
    const int32_t left = smaller(pixels - first, kPixels);
    const uint8_t* s = op->stream;
    int32_t o;
    copy_pixels(op, x, first, (int8_t*)scratch);
    for (o = 0; o < op->out_c; o++) {
      const int8_t* p = (const int8_t*)scratch;
      const int32_t bias = op->bias[o];
      int32_t acc[kPixels], a = bias, b = bias, c = bias, d = bias;
      uint32_t n = u16_at(s);
      for (s += 2; n > 0; n--) {
        int32_t w = (int8_t)s[1];
        p += kPixels * s[0];
        a += w * p[0];
        b += w * p[1];
        c += w * p[2];
        d += w * p[3];
        w = (int8_t)s[3];
        p += kPixels * s[2];
        a += w * p[0];
        b += w * p[1];
        c += w * p[2];
        d += w * p[3];
        s += 4;
      }
      acc[0] = a;
      acc[1] = b;
      acc[2] = c;
      acc[3] = d;
      emit_four(op, o, acc, left, y + o);
    }
  }
}
#endif

#if TFLS_HAS(TFLS_PIXEL_SHARED) && !defined(TFLS_MVE)
TFLS_OUTLINE void pixel_shared(const TflsOperator* op, const int8_t* x, int8_t* y, void* scratch) {
  const int32_t pixels = pixels_of(op), step = (pools(op) ? 1 : kPixels) * op->out_c;
  uint32_t* rest;
  const Symbols all = read_symbols(op, kPixels, scratch, &rest);
  int8_t* const columns = (int8_t*)rest;
  int32_t first;
  for (first = 0; first < pixels; first += kPixels, y += step) {
    const int32_t left = smaller(pixels - first, kPixels);
    Symbols symbols = all;
    int32_t o;
    copy_pixels(op, x, first, columns);
    for (o = 0; o < op->out_c; o++) {
      const int32_t bias = op->bias[o];
      int32_t acc[kPixels], a = bias, b = bias, c = bias, d = bias, at = -kPixels;
      uint32_t n = next_run(&symbols);
      for (; n > 0; n--) {
        const uint32_t step = symbols.steps[*symbols.at++];
        const int32_t w = weight_of(step);
        const int8_t* p;
        at += (int32_t)(step >> 16);
        p = columns + at;
        a += w * p[0];
        b += w * p[1];
        c += w * p[2];
        d += w * p[3];
      }
      acc[0] = a;
      acc[1] = b;
      acc[2] = c;
      acc[3] = d;
      emit_four(op, o, acc, left, y + o);
    }
  }
}
#endif

#if TFLS_HAS(TFLS_DIRECT_DELTA8)
TFLS_OUTLINE void direct_delta8(const TflsOperator* op, const int8_t* x, int8_t* y) {
  const int32_t pixels = op->batches * op->out_h * op->out_w, taps = op->taps;
  int32_t first, o;
  for (first = 0; first < pixels; first += kDirectPixels, x += kDirectPixels * taps, y += kDirectPixels * op->out_c) {
    const int32_t left = smaller(pixels - first, kDirectPixels);
    const int8_t *const x1 = x + (left > 1 ? taps : 0), *const x2 = x1 + (left > 2 ? taps : 0);
    const int8_t* const x3 = x2 + (left > 3 ? taps : 0);
    const uint8_t* s = op->stream;
    for (o = 0; o < op->out_c; o++) {
      const int32_t bias = op->bias[o];
      int32_t acc[kDirectPixels], a = bias, b = bias, c = bias, d = bias;
      uint32_t n = u16_at(s), i = 0;
      for (s += 2; n > 0; n--) {
        int32_t w = (int8_t)s[1];
        i += s[0];
        a += w * x[i];
        b += w * x1[i];
        c += w * x2[i];
        d += w * x3[i];
        w = (int8_t)s[3];
        i += s[2];
        a += w * x[i];
        b += w * x1[i];
        c += w * x2[i];
        d += w * x3[i];
        s += 4;
      }
      acc[0] = a;
      acc[1] = b;
      acc[2] = c;
      acc[3] = d;
      emit(op, o, acc, left, y + o);
    }
  }
}
#endif

/* ---- Four pixels, blocks of 16 inputs: the stream as for rows ---- */

#if TFLS_HAS(TFLS_PIXEL_BLOCK16)
TFLS_INLINE void copy_channels(int8_t* to, const int8_t* from, int32_t channels, int8_t zero_point) {
#if defined(TFLS_MVE)
  if (from == NULL) {
    for (; channels > 0; channels -= 16, to += 16)
      vstrbq_p_s8(to, vdupq_n_s8(zero_point), vctp8q((uint32_t)channels));
    return;
  }
  for (; channels >= 16; channels -= 16, to += 16, from += 16) vstrbq_s8(to, vldrbq_s8(from));
  if (channels > 0) {
    const mve_pred16_t some = vctp8q((uint32_t)channels);
    vstrbq_p_s8(to, vldrbq_z_s8(from, some), some);
  }
#else
  for (; channels > 0; channels--) *to++ = from ? *from++ : zero_point;
#endif
}

/* The inputs of four pixels, one pixel after the other; what lies behind the last pixel repeats it. */
static void copy_columns(const TflsOperator* op, const int8_t* x, int32_t first, int8_t* columns) {
  int32_t ky, kx, j;
  Windows windows;
  find_windows(op, first, kBlockPixels, &windows);
  for (ky = 0; ky < op->filter_h; ky++) {
    for (kx = 0; kx < op->filter_w; kx++, columns += op->in_c) {
      Sources sources;
      find_sources(op, x, &windows, kBlockPixels, ky, kx, &sources);
      for (j = 0; j < kBlockPixels; j++)
        copy_channels(columns + j * op->taps, sources.at[j], op->in_c, op->input_zero_point);
    }
  }
}

typedef struct {
  int32_t a, b, c, d;
} FourSums;

/* Add the kept blocks of a segment to the sums of the four pixels; return where its weights end. */
TFLS_INLINE const uint8_t* add_blocks(const uint8_t* place, const int8_t* columns, int32_t taps, int32_t n,
                                      FourSums* sums) {
  const uint8_t* w = place + n;
#if defined(TFLS_MVE)
  const int8_t* p;
  __asm__ volatile(
      "wls lr, %[n], 2f\n"
      "1:\n ldrb %[p], [%[place]], #1\n vldrb.u8 q0, [%[w]], #16\n add %[p], %[x], %[p], lsl #4\n"
      "vldrb.u8 q1, [%[p]]\n add %[p], %[taps]\n vmladava.s8 %[a], q0, q1\n"
      "vldrb.u8 q2, [%[p]]\n add %[p], %[taps]\n vmladava.s8 %[b], q0, q2\n"
      "vldrb.u8 q1, [%[p]]\n add %[p], %[taps]\n vmladava.s8 %[c], q0, q1\n"
      "vldrb.u8 q2, [%[p]]\n vmladava.s8 %[d], q0, q2\n le lr, 1b\n"
      "2:\n"
      : [place] "+r"(place), [w] "+r"(w), [p] "=&r"(p), [a] "+Te"(sums->a), [b] "+Te"(sums->b), [c] "+Te"(sums->c),
        [d] "+Te"(sums->d)
      : [n] "r"(n), [x] "r"(columns), [taps] "r"(taps)
      : "lr", "q0", "q1", "q2", "memory");
#else
  for (; n > 0; n--) {
    const int8_t* p = columns + 16 * *place++;
    int32_t i;
    for (i = 0; i < 16; i++, p++) {
      const int32_t weight = (int8_t)*w++;
      sums->a += weight * p[0];
      sums->b += weight * p[taps];
      sums->c += weight * p[2 * taps];
      sums->d += weight * p[3 * taps];
    }
  }
#endif
  return w;
}

TFLS_OUTLINE void pixel_block16(const TflsOperator* op, const int8_t* x, int8_t* y, void* scratch) {
  const int32_t pixels = op->batches * op->out_h * op->out_w, taps = op->taps, out_c = op->out_c;
  const int32_t count = smaller(pixels, kBlockPixels);
#if defined(TFLS_MVE)
  const uint32x4_t apart = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)out_c);
  const int32x4_t zero_point = vdupq_n_s32(op->output_zero_point);
  const mve_pred16_t some = vctp32q((uint32_t)count);
#endif
  int32_t start;
  for (start = 0; start < pixels; start += kBlockPixels) {
    const int32_t first = pixels >= kBlockPixels ? smaller(start, pixels - kBlockPixels) : 0;
    const int8_t* columns = x + first * taps;
    const uint8_t* s = op->stream;
    int8_t* out = y + first * out_c;
    int32_t o;
    if (!is_pointwise(op) || count < kBlockPixels) {
      copy_columns(op, x, first, (int8_t*)scratch);
      columns = (const int8_t*)scratch;
    }
    for (o = 0; o < out_c; o++, out++) {
      const int32_t bias = op->bias[o];
      FourSums sums = {bias, bias, bias, bias};
      int32_t segment = 0;
      do {
        s = add_blocks(s + 2, columns + segment, taps, (int32_t)u16_at(s), &sums);
        segment += 16 * kSegment;
      } while (segment < taps);
      {
#if defined(TFLS_MVE)
        const int32_t channel = o * op->channel_step, shift = op->shift[channel], up = shift > 0 ? shift : 0;
        const int32x4_t acc = {sums.a, sums.b, sums.c, sums.d};
        vstrbq_scatter_offset_p_s32(
            out, apart, requantised_four(acc, op->multiplier[channel], up, up - shift, zero_point), some);
#else
        const int32_t acc[kBlockPixels] = {sums.a, sums.b, sums.c, sums.d};
        emit(op, o, acc, count, out);
#endif
      }
    }
  }
}
#endif

/* ---- Checks ---- */

typedef struct {
  const uint8_t *at, *end;
  const uint8_t *table, *other; /* of symbols: that of the run, and NULL where there is one only */
} Reader;

static int has(const Reader* reader, uint32_t bytes) { return (size_t)(reader->end - reader->at) >= bytes; }

static int32_t magnitude(uint8_t weight) { return (int8_t)weight < 0 ? -(int8_t)weight : (int8_t)weight; }

/* The sum of the absolute weights of the next output, or -1 if the stream is damaged there. */
static int32_t sum_indexed(const TflsOperator* op, Reader* reader) {
  int32_t sum = 0, start;
  for (start = 0; start < op->taps; start += kSegment) {
    int32_t n;
    if (!has(reader, 1)) return -1;
    n = 4 * *reader->at++;
    if (!has(reader, 2u * (uint32_t)n)) return -1;
    for (; n > 0; n--, reader->at += 2) {
      if (reader->at[1] >= op->taps - start) return -1;
      sum += magnitude(reader->at[0]);
    }
  }
  return sum;
}

static int32_t sum_distances(Reader* reader, int bits, int32_t places) {
  int32_t sum = 0, place = 0;
  uint32_t n;
  if (!has(reader, 2)) return -1;
  n = u16_at(reader->at);
  reader->at += 2;
  if (!has(reader, n * (bits == 8 ? 4u : 3u))) return -1;
  for (; n > 0; n--) {
    const uint8_t* const s = reader->at;
    place += (bits == 8 ? s[0] : s[0] & 15) + (bits == 8 ? s[2] : s[0] >> 4);
    if (place >= places) return -1; /* distances are not negative, so the first of both is inside as well */
    sum += magnitude(s[1]) + magnitude(s[bits == 8 ? 3 : 2]);
    reader->at += bits == 8 ? 4 : 3;
  }
  return sum;
}

static int32_t sum_blocks(const TflsOperator* op, Reader* reader, int32_t block) {
  int32_t sum = 0, start;
  for (start = 0; start < op->taps; start += block * kSegment) {
    uint32_t n, i;
    if (!has(reader, 2)) return -1;
    n = u16_at(reader->at);
    reader->at += 2;
    if (n > kSegment || !has(reader, n * (1u + (uint32_t)block))) return -1;
    for (i = 0; i < n; i++)
      if (block * (reader->at[i] + 1) > op->taps - start) return -1;
    reader->at += n;
    for (i = 0; i < n * (uint32_t)block; i++) sum += magnitude(*reader->at++);
  }
  return sum;
}

static int32_t sum_dense(const TflsOperator* op, Reader* reader) {
  int32_t sum = 0, i;
  if (!has(reader, (uint32_t)op->taps)) return -1;
  for (i = 0; i < op->taps; i++) sum += magnitude(*reader->at++);
  return sum;
}

#if TFLS_HAS_SHARED
/* Symbol number i of n, which lie at `symbols`. */
static uint32_t symbol_at(const TflsOperator* op, const uint8_t* symbols, uint32_t n, uint32_t i) {
  const uint32_t packed = n & ~7u;
  if (op->kernel != TFLS_ROW_SHARED7) return symbols[i];
  if (i >= packed) return symbols[packed / 8 * 7 + i - packed];
  {
    const uint8_t* const p = symbols + i * 7 / 8;
    const uint32_t shift = i * 7 % 8, lower = (uint32_t)*p >> shift;
    return (shift > 1 ? lower | (uint32_t)p[1] << (8 - shift) : lower) & 127; /* the last of eight ends with a byte */
  }
}

/* Of an output with shared values, all runs: its symbols, none of which leads out of its run. */
static int32_t sum_symbols(const TflsOperator* op, Reader* reader) {
  const int32_t runs = op->kernel == TFLS_STRIP_SHARED ? op->filter_w : 1, places = op->taps / runs;
  int32_t sum = 0, run;
  for (run = 0; run < runs; run++) {
    const uint8_t *values, *reaches, *symbols;
    uint32_t n, i, first_bridge, least, bytes;
    int32_t place = -1;
    if (!has(reader, 1)) return -1;
    if (*reader->at == kOtherTable) {
      const uint8_t* const table = reader->table;
      if (reader->other == NULL) return -1;
      reader->table = reader->other;
      reader->other = table;
      reader->at++;
      if (!has(reader, 1) || *reader->at == kOtherTable) return -1;
    }
    n = *reader->at++;
    if (n >= 128) {
      if (!has(reader, 1)) return -1;
      n = (n - 128) << 8 | *reader->at++;
    }
    bytes = op->kernel == TFLS_ROW_SHARED7 ? n - n / 8 : n;
    if (!has(reader, bytes)) return -1;
    symbols = reader->at;
    reader->at += bytes;
    values = reader->table + 1;
    reaches = values + values_of(reader->table);
    least = least_reach(reader->table, &first_bridge);
    for (i = 0; i < n; i++) {
      uint32_t symbol = symbol_at(op, symbols, n, i), v = 0;
      if (symbol >= symbols_of(op)) return -1;
      if (symbol < first_bridge) {
        for (; symbol >= reaches[v]; v++) symbol -= reaches[v];
        place += (int32_t)symbol + 1;
        sum += magnitude(values[v]);
      } else {
        place += (int32_t)((symbol - first_bridge + 1) * least);
      }
      if (place >= places) return -1;
    }
  }
  return sum;
}

static int has_shared_values(int kernel) { return kernel >= TFLS_ROW_SHARED && kernel <= TFLS_ROW_SHARED7; }

/* Step over a table of so many symbols; NULL if it is damaged. */
static const uint8_t* read_table_of(Reader* reader, uint32_t symbols) {
  const uint8_t* const table = reader->at;
  uint32_t values, least, first_bridge;
  if (!has(reader, 1)) return NULL;
  values = values_of(table);
  if (values == 0 || values > kMostValues || !has(reader, 1 + 2 * values)) return NULL;
  least = least_reach(table, &first_bridge);
  if (least == 0 || first_bridge >= symbols || (symbols - first_bridge) * least > kLongestBridge) return NULL;
  reader->at = behind(table);
  return table;
}

/* The number of tables of so many symbols; 0 if they are damaged. */
static uint32_t read_tables(Reader* reader, uint32_t symbols) {
  reader->table = read_table_of(reader, symbols);
  if (reader->table == NULL) return 0;
  if (!(*reader->table & kMoreTables)) return 1;
  reader->other = read_table_of(reader, symbols);
  return reader->other == NULL || (*reader->other & kMoreTables) ? 0 : 2;
}
#endif

static int is_pair(int kernel) {
  return (kernel >= TFLS_PAIR_DELTA8 && kernel <= TFLS_STRIP_DELTA4) || kernel == TFLS_PAIR_DENSE8 ||
         kernel == TFLS_PAIR_SHARED || kernel == TFLS_STRIP_SHARED;
}

/* Words of the buffer of strips, less those behind the last place from which a kernel reads four. */
static int32_t strip_places(const TflsOperator* op) {
  const int32_t half = (kPairPixels + op->filter_w) / 2;
  return op->filter_h * op->in_c * 2 * half - 3;
}

static int32_t next_sum(const TflsOperator* op, Reader* reader) {
  switch (op->kernel) {
    case TFLS_ROW_INDEX8:
      return sum_indexed(op, reader);
    case TFLS_ROW_BLOCK4:
      return sum_blocks(op, reader, 4);
    case TFLS_ROW_BLOCK16:
    case TFLS_PIXEL_BLOCK16:
      return sum_blocks(op, reader, 16);
    case TFLS_ROW_DELTA4:
    case TFLS_PAIR_DELTA4:
      return sum_distances(reader, 4, op->taps);
    case TFLS_STRIP_DELTA8:
      return sum_distances(reader, 8, strip_places(op));
    case TFLS_STRIP_DELTA4:
      return sum_distances(reader, 4, strip_places(op));
    case TFLS_PAIR_DENSE8:
      return sum_dense(op, reader);
#if TFLS_HAS_SHARED
    case TFLS_ROW_SHARED:
    case TFLS_PAIR_SHARED:
    case TFLS_STRIP_SHARED:
    case TFLS_PIXEL_SHARED:
    case TFLS_ROW_SHARED7:
      return sum_symbols(op, reader);
#endif
    default:
      return sum_distances(reader, 8, op->taps);
  }
}

static TflsStatus check_stream(TflsOperator* op, const TflsConstants* constants) {
  Reader reader = {constants->stream, constants->stream + constants->stream_bytes, NULL, NULL};
  int32_t o;
  op->wide = 0;
  op->quick = 1;
  op->clamped = op->output_min >= op->output_zero_point;
#if TFLS_HAS_SHARED
  if (has_shared_values(op->kernel)) {
    const uint32_t tables = read_tables(&reader, symbols_of(op));
    if (tables == 0) return TFLS_BAD_STREAM;
    op->scratch_bytes += tables * (uint32_t)sizeof(uint32_t) * symbols_of(op);
  }
#endif
  for (o = 0; o < op->out_c; o++) {
    const int32_t sum = next_sum(op, &reader), bias = op->bias[o], shift = op->shift[o * op->channel_step];
    int64_t largest;
    if (sum < 0) return TFLS_BAD_STREAM;
    if (is_pair(op->kernel) && sum >= TFLS_SUM_LIMIT) return TFLS_BAD_STREAM;
    if (shift < -31 || shift > 30 || op->multiplier[o * op->channel_step] < 0) return TFLS_BAD_PARAMETERS;
    largest = (int64_t)(bias < 0 ? -(int64_t)bias : bias) + 128 * (int64_t)sum;
    if (shift > 0) largest = largest >> (31 - shift) ? INT32_MAX : largest << shift;
    if (largest >= INT32_MAX) return TFLS_BAD_PARAMETERS;
    if (largest >= 1 << 30) op->wide = 1;
    if (op->wide || shift >= 0 || shift <= -kFastestShift) op->quick = 0;
    if (largest >= kHalfLane || shift >= 0 || shift <= -kClampedShift) op->clamped = 0;
  }
  return reader.at == reader.end ? TFLS_OK : TFLS_BAD_STREAM;
}

/* Output size and padding of one dimension; 0 where the filter does not fit. */
static int32_t windows(int32_t size, int32_t filter, int32_t stride, int32_t dilation, int valid, uint16_t* pad) {
  const int32_t reach = (filter - 1) * dilation + 1;
  const int32_t count = valid ? (size < reach ? 0 : (size - reach) / stride + 1) : (size - 1) / stride + 1;
  const int32_t missing = (count - 1) * stride + reach - size;
  *pad = (uint16_t)(!valid && missing > 0 ? missing / 2 : 0);
  return count;
}

/* The sizes of tensors fit in int32 with room, so that no index overflows. */
static int fits(int64_t a, int64_t b, int64_t c, int64_t d) {
  const int64_t limit = 1 << 28;
  return a > 0 && b > 0 && c > 0 && d > 0 && a <= limit && b <= limit && c <= limit && d <= limit &&
         a * b <= limit && a * b * c <= limit && a * b * c * d <= limit;
}

static TflsStatus read_shapes(TflsOperator* op, uint8_t flags, const int* in, int in_rank, const int* out,
                              int out_rank) {
  const int valid = (flags & kFlagValid) != 0;
  if (flags & kFlagFullyConnected) {
    int64_t inputs = 1, outputs = 1;
    int i;
    for (i = 0; i < in_rank; i++)
      if (in[i] <= 0 || (inputs *= in[i]) > (1 << 28)) return TFLS_BAD_SHAPE;
    for (i = 0; i < out_rank; i++)
      if (out[i] <= 0 || (outputs *= out[i]) > (1 << 28)) return TFLS_BAD_SHAPE;
    op->batches = (int32_t)(inputs / op->in_c);
    op->in_h = op->in_w = op->out_h = op->out_w = 1;
    op->pad_h = op->pad_w = 0;
    if ((int64_t)op->batches * op->in_c != inputs || (int64_t)op->batches * op->out_c != outputs) return TFLS_BAD_SHAPE;
    return is_pointwise(op) ? TFLS_OK : TFLS_BAD_OPTIONS;
  }
  if (in_rank != 4 || out_rank != 4 || in[0] != out[0] || in[3] != op->in_c || out[3] != op->out_c)
    return TFLS_BAD_SHAPE;
  if (!fits(in[0], in[1], in[2], in[3]) || !fits(out[0], out[1], out[2], out[3])) return TFLS_BAD_SHAPE;
  if (in[1] > UINT16_MAX || in[2] > UINT16_MAX || out[1] > UINT16_MAX || out[2] > UINT16_MAX) return TFLS_BAD_SHAPE;
  op->batches = in[0];
  op->in_h = (uint16_t)in[1];
  op->in_w = (uint16_t)in[2];
  op->out_h = (uint16_t)out[1];
  op->out_w = (uint16_t)out[2];
  if (windows(in[1], op->filter_h, op->stride_h, op->dilation_h, valid, &op->pad_h) != out[1] ||
      windows(in[2], op->filter_w, op->stride_w, op->dilation_w, valid, &op->pad_w) != out[2])
    return TFLS_BAD_SHAPE;
  return TFLS_OK;
}

/* Whether the kernel is compiled and takes the operator; and the memory that it needs beside tables of symbols. */
static TflsStatus plan(TflsOperator* op) {
  const int32_t block = op->kernel == TFLS_ROW_BLOCK4 ? 4 : 16;
  if (op->kernel < TFLS_ROW_INDEX8 || op->kernel > TFLS_ROW_SHARED7 || !TFLS_HAS(op->kernel)) return TFLS_BAD_KERNEL;
  op->scratch_bytes = 0;
  switch (op->kernel) {
    case TFLS_PAIR_DELTA8:
    case TFLS_PAIR_DELTA4:
    case TFLS_PAIR_DENSE8:
    case TFLS_PAIR_SHARED:
      op->scratch_bytes += 4u * kPairPixels / 2 * (uint32_t)op->taps;
      return TFLS_OK;
    case TFLS_STRIP_DELTA8:
    case TFLS_STRIP_DELTA4:
    case TFLS_STRIP_SHARED:
      if (op->stride_h != 1 || op->stride_w != 1 || op->dilation_h != 1 || op->dilation_w != 1) return TFLS_BAD_KERNEL;
      if (op->kernel == TFLS_STRIP_SHARED && op->filter_w > kMostRuns) return TFLS_BAD_KERNEL;
      op->scratch_bytes += 4u * (uint32_t)(strip_places(op) + 3);
      return TFLS_OK;
    case TFLS_PIXEL_DELTA8:
    case TFLS_PIXEL_SHARED:
      op->scratch_bytes += TFLS_PIXELS * (uint32_t)op->taps;
      return TFLS_OK;
    case TFLS_PIXEL_BLOCK16:
      op->scratch_bytes += kBlockPixels * (uint32_t)op->taps;
      return op->taps % block == 0 ? TFLS_OK : TFLS_BAD_KERNEL;
    case TFLS_ROW_BLOCK4:
    case TFLS_ROW_BLOCK16:
      return is_pointwise(op) && op->taps % block == 0 ? TFLS_OK : TFLS_BAD_KERNEL;
    default:
      return is_pointwise(op) ? TFLS_OK : TFLS_BAD_KERNEL;
  }
}

static TflsStatus read_options(TflsOperator* op, const uint8_t* p, size_t bytes) {
  if (bytes != TFLS_OPTIONS_BYTES || p[0] != TFLS_OPTIONS_VERSION || (p[2] & ~kFlags) != 0 || p[3] != 0)
    return TFLS_BAD_OPTIONS;
  if (u32_at(p + 4) > (1 << 28) || u32_at(p + 8) > (1 << 28)) return TFLS_BAD_OPTIONS;
  op->kernel = p[1];
  op->pools = 0;
  op->channel_step = (p[2] & kFlagOneScale) ? 0 : 1;
  op->in_c = (int32_t)u32_at(p + 4);
  op->out_c = (int32_t)u32_at(p + 8);
  op->filter_h = (uint16_t)u16_at(p + 12);
  op->filter_w = (uint16_t)u16_at(p + 14);
  op->stride_h = (uint16_t)u16_at(p + 16);
  op->stride_w = (uint16_t)u16_at(p + 18);
  op->dilation_h = (uint16_t)u16_at(p + 20);
  op->dilation_w = (uint16_t)u16_at(p + 22);
  op->input_zero_point = (int8_t)p[24];
  op->output_zero_point = (int8_t)p[25];
  op->output_min = (int8_t)p[26];
  op->output_max = (int8_t)p[27];
  if (op->out_c <= 0 || op->stride_h <= 0 || op->stride_w <= 0 || op->dilation_h <= 0 || op->dilation_w <= 0 ||
      op->output_min > op->output_max || (int64_t)op->filter_h * op->dilation_h > (1 << 16) ||
      (int64_t)op->filter_w * op->dilation_w > (1 << 16))
    return TFLS_BAD_OPTIONS;
  /* the widest buffer has 12 words for an input */
  if (!fits(op->filter_h, (int64_t)op->filter_w + kPairPixels, op->in_c, 8) || op->filter_w <= 0)
    return TFLS_BAD_OPTIONS;
  op->taps = op->filter_h * op->filter_w * op->in_c;
  if (op->taps > (1 << 20)) return TFLS_BAD_OPTIONS; /* so that sums of absolute weights fit in int32 */
  return TFLS_OK;
}

static TflsStatus read_parameters(TflsOperator* op, const TflsConstants* constants) {
  const size_t outputs = (size_t)op->out_c, scales = op->channel_step ? outputs : 1;
  if (constants->parameters_bytes != 4 * outputs + 5 * scales || ((uintptr_t)constants->parameters & 3) != 0)
    return TFLS_BAD_PARAMETERS;
  op->bias = (const int32_t*)(const void*)constants->parameters;
  op->multiplier = op->bias + outputs;
  op->shift = (const int8_t*)(op->multiplier + scales);
  op->stream = constants->stream;
  return TFLS_OK;
}

TflsStatus tfls_open(TflsOperator* op, const TflsConstants* constants, const int* input_dims, int input_rank,
                     const int* output_dims, int output_rank) {
  TflsStatus status = read_options(op, constants->options, constants->options_bytes);
  if (status == TFLS_OK) status = plan(op);
  if (status == TFLS_OK)
    status = read_shapes(op, constants->options[2], input_dims, input_rank, output_dims, output_rank);
  if (status == TFLS_OK) status = read_parameters(op, constants);
  if (status == TFLS_OK) status = check_stream(op, constants);
  return status;
}

void tfls_run(const TflsOperator* op, const int8_t* input, int8_t* output, void* scratch) {
  (void)input;
  (void)scratch;
  switch (op->kernel) {
#if TFLS_HAS(TFLS_ROW_INDEX8)
    case TFLS_ROW_INDEX8:
      each_row(op, input, output, row_index8);
      break;
#endif
#if TFLS_HAS(TFLS_ROW_DELTA4)
    case TFLS_ROW_DELTA4:
      each_row(op, input, output, row_delta4);
      break;
#endif
#if TFLS_HAS(TFLS_ROW_BLOCK4)
    case TFLS_ROW_BLOCK4:
      each_row(op, input, output, row_block4);
      break;
#endif
#if TFLS_HAS(TFLS_ROW_BLOCK16)
    case TFLS_ROW_BLOCK16:
      each_row(op, input, output, row_block16);
      break;
#endif
#if TFLS_HAS(TFLS_PAIR_DELTA8)
    case TFLS_PAIR_DELTA8:
      pair_delta8(op, input, output, scratch);
      break;
#endif
#if TFLS_HAS(TFLS_PAIR_DELTA4)
    case TFLS_PAIR_DELTA4:
      pair_delta4(op, input, output, scratch);
      break;
#endif
#if TFLS_HAS(TFLS_STRIP_DELTA8)
    case TFLS_STRIP_DELTA8:
      strip_delta8(op, input, output, scratch);
      break;
#endif
#if TFLS_HAS(TFLS_STRIP_DELTA4)
    case TFLS_STRIP_DELTA4:
      strip_delta4(op, input, output, scratch);
      break;
#endif
#if TFLS_HAS(TFLS_PIXEL_DELTA8)
    case TFLS_PIXEL_DELTA8:
      pixel_delta8(op, input, output, scratch);
      break;
#endif
#if TFLS_HAS(TFLS_DIRECT_DELTA8)
    case TFLS_DIRECT_DELTA8:
      direct_delta8(op, input, output);
      break;
#endif
#if TFLS_HAS(TFLS_PIXEL_BLOCK16)
    case TFLS_PIXEL_BLOCK16:
      pixel_block16(op, input, output, scratch);
      break;
#endif
#if TFLS_HAS(TFLS_PAIR_DENSE8)
    case TFLS_PAIR_DENSE8:
      pair_dense8(op, input, output, scratch);
      break;
#endif
#if TFLS_HAS(TFLS_ROW_SHARED)
    case TFLS_ROW_SHARED:
      each_row_shared(op, input, output, scratch, row_shared);
      break;
#endif
#if TFLS_HAS(TFLS_ROW_SHARED7)
    case TFLS_ROW_SHARED7:
      each_row_shared(op, input, output, scratch, row_shared7);
      break;
#endif
#if TFLS_HAS(TFLS_PAIR_SHARED)
    case TFLS_PAIR_SHARED:
      pair_shared(op, input, output, scratch);
      break;
#endif
#if TFLS_HAS(TFLS_STRIP_SHARED)
    case TFLS_STRIP_SHARED:
      strip_shared(op, input, output, scratch);
      break;
#endif
#if TFLS_HAS(TFLS_PIXEL_SHARED)
    case TFLS_PIXEL_SHARED:
      pixel_shared(op, input, output, scratch);
      break;
#endif
    default:
      break;
  }
  if (op->output_min != -128 || op->output_max != 127) clamp(op, output);
}

const char* tfls_status_text(TflsStatus status) {
  switch (status) {
    case TFLS_OK:
      return "ok";
    case TFLS_BAD_OPTIONS:
      return "its options are damaged or of another version";
    case TFLS_BAD_KERNEL:
      return "its kernel is not compiled or does not take this operator";
    case TFLS_BAD_SHAPE:
      return "its input or output has another shape than its options say";
    case TFLS_BAD_PARAMETERS:
      return "its parameters are damaged";
    default:
      return "its stream of weights is damaged";
  }
}
