// The words of CUDA C, for g++: with this file before it, an unchanged .cu file is a C++ program for the CPU.
//
// Keywords become nothing or a C++ word; barriers, shuffles and votes hand the thread over to the scheduler in
// fibers.h; atomic operations are plain ones, because only one thread runs at a time.

#include <math.h>

#include "fibers.h"

#define CUDA_ON_CPU 1
#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __restrict__ __restrict
#define __shared__ static __attribute__((section("shared_memory"), aligned(16)))
#define DYNAMIC_SHARED(type, name) type* name = (type*)fibers::dynamic_memory

static const int warpSize = 32;

struct __align__(8) float2 { float x, y; };
struct __align__(16) float4 { float x, y, z, w; };
struct __align__(16) double2 { double x, y; };
struct __align__(8) int2 { int x, y; };
struct __align__(16) int4 { int x, y, z, w; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline double2 make_double2(double x, double y) { return {x, y}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }

// ---------------------------------------------------------------------------------------------------------
// Barriers, shuffles and votes. Each knows where it stands in the source, for the message when threads miss each other.

#define FIBERS_TEXT_(x) #x
#define FIBERS_TEXT(x) FIBERS_TEXT_(x)
#define FIBERS_SITE __FILE__ ":" FIBERS_TEXT(__LINE__)

#define __syncthreads() fibers::wait(fibers::AT_BLOCK_BARRIER, FIBERS_SITE)
#define __syncwarp(...) fibers::meet(FIBERS_SITE, fibers::Mask{__VA_ARGS__})
#define __threadfence()
#define __threadfence_block()

namespace fibers {

struct Mask {  // of lanes; all 32 where none is given
  unsigned lanes = 0xffffffffu;
};

static inline void meet(const char* site, Mask mask) {
  running->mask = mask.lanes;
  running->exchange = MEET;
  wait(AT_WARP_BARRIER, site);
}

template <typename T>
static inline T shuffle(const char* site, unsigned mask, T value, unsigned source) {
  static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
  Thread* me = running;
  me->mask = mask, me->exchange = SHUFFLE, me->source = source, me->value = 0;
  memcpy(&me->value, &value, sizeof(T));
  wait(AT_WARP_BARRIER, site);
  memcpy(&value, &me->value, sizeof(T));
  return value;
}

static inline unsigned ballot(const char* site, unsigned mask, bool vote) {
  Thread* me = running;
  me->mask = mask, me->exchange = BALLOT, me->value = vote;
  wait(AT_WARP_BARRIER, site);
  return unsigned(me->value);
}

static inline unsigned lane() { return running->lane; }

}  // namespace fibers

#define __shfl_sync(mask, value, source) fibers::shuffle(FIBERS_SITE, mask, value, source)
#define __shfl_xor_sync(mask, value, apart) fibers::shuffle(FIBERS_SITE, mask, value, fibers::lane() ^ (apart))
#define __shfl_down_sync(mask, value, apart) \
  fibers::shuffle(FIBERS_SITE, mask, value, fibers::lane() + (apart) < 32 ? fibers::lane() + (apart) : fibers::lane())
#define __shfl_up_sync(mask, value, apart) \
  fibers::shuffle(FIBERS_SITE, mask, value, fibers::lane() >= unsigned(apart) ? fibers::lane() - (apart) : fibers::lane())
#define __ballot_sync(mask, vote) fibers::ballot(FIBERS_SITE, mask, vote)
#define __any_sync(mask, vote) (fibers::ballot(FIBERS_SITE, mask, vote) != 0)
#define __all_sync(mask, vote) (fibers::ballot(FIBERS_SITE, mask, !(vote)) == 0)

// ---------------------------------------------------------------------------------------------------------
// Atomic operations: they return what was there before.

#define FIBERS_ATOMIC(name, T, after)         \
  static inline T name(T* place, T value) {   \
    T before = *place;                        \
    *place = after;                           \
    return before;                            \
  }
#define FIBERS_ATOMICS(T)                                             \
  FIBERS_ATOMIC(atomicAdd, T, before + value)                         \
  FIBERS_ATOMIC(atomicExch, T, value)                                 \
  FIBERS_ATOMIC(atomicMin, T, value < before ? value : before)        \
  FIBERS_ATOMIC(atomicMax, T, value > before ? value : before)        \
  FIBERS_ATOMIC(atomicOr, T, before | value)                          \
  FIBERS_ATOMIC(atomicAnd, T, before & value)                         \
  static inline T atomicCAS(T* place, T expected, T value) {          \
    T before = *place;                                                \
    if (before == expected) *place = value;                           \
    return before;                                                    \
  }
FIBERS_ATOMICS(int)
FIBERS_ATOMICS(unsigned)
FIBERS_ATOMICS(unsigned long long)

// ---------------------------------------------------------------------------------------------------------
// Arithmetic. `min` and `max` of floats take the other one where one is NaN, as CUDA's do.

#define FIBERS_MIN_MAX(T)                                    \
  static inline T min(T a, T b) { return b < a ? b : a; }    \
  static inline T max(T a, T b) { return a < b ? b : a; }
FIBERS_MIN_MAX(int)
FIBERS_MIN_MAX(unsigned)
FIBERS_MIN_MAX(long long)
FIBERS_MIN_MAX(unsigned long long)
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }

static inline float rsqrtf(float v) { return 1.0f / sqrtf(v); }
static inline double rsqrt(double v) { return 1.0 / sqrt(v); }
static inline float rsqrt(float v) { return 1.0f / sqrtf(v); }
#define __expf expf
#define __logf logf
static inline float __fdividef(float a, float b) { return a / b; }

// With the rounding written out: the compiler must not make one fused instruction of two of these (a test builds with
// fused ones allowed, as NVRTC does). It can't, across a call.
#define FIBERS_ROUNDED static __attribute__((noinline, unused))
FIBERS_ROUNDED float __fadd_rn(float a, float b) { return a + b; }
FIBERS_ROUNDED float __fsub_rn(float a, float b) { return a - b; }
FIBERS_ROUNDED float __fmul_rn(float a, float b) { return a * b; }
FIBERS_ROUNDED float __fdiv_rn(float a, float b) { return a / b; }
FIBERS_ROUNDED float __fsqrt_rn(float a) { return sqrtf(a); }
FIBERS_ROUNDED float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
FIBERS_ROUNDED double __dadd_rn(double a, double b) { return a + b; }
FIBERS_ROUNDED double __dsub_rn(double a, double b) { return a - b; }
FIBERS_ROUNDED double __dmul_rn(double a, double b) { return a * b; }
FIBERS_ROUNDED double __ddiv_rn(double a, double b) { return a / b; }
FIBERS_ROUNDED double __dsqrt_rn(double a) { return sqrt(a); }
FIBERS_ROUNDED double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

static inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t)a * b >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline int __popc(unsigned v) { return __builtin_popcount(v); }
static inline int __ffs(int v) { return __builtin_ffs(v); }
static inline int __clz(int v) { return v ? __builtin_clz(unsigned(v)) : 32; }

template <typename T>
static inline T __ldg(const T* place) { return *place; }

template <typename To, typename From>
static inline To fibers_bits(From v) {
  static_assert(sizeof(To) == sizeof(From), "the same bits under another type");
  To result;
  memcpy(&result, &v, sizeof(To));
  return result;
}
static inline int __float_as_int(float v) { return fibers_bits<int>(v); }
static inline unsigned __float_as_uint(float v) { return fibers_bits<unsigned>(v); }
static inline float __int_as_float(int v) { return fibers_bits<float>(v); }
static inline float __uint_as_float(unsigned v) { return fibers_bits<float>(v); }
static inline long long __double_as_longlong(double v) { return fibers_bits<long long>(v); }
static inline double __longlong_as_double(long long v) { return fibers_bits<double>(v); }
