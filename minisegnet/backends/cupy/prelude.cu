// What stands before every .cu file of this folder: the names of types, and small helpers.
//
// Each file is compiled twice, with REAL defined as float and as double. No #include: the compiler in CuPy (NVRTC)
// then needs no header files. CUDA_ON_CPU is defined where the same text is built for the CPU (backends/cuda_on_cpu/).

typedef REAL real;
typedef long long index;  // a place in an array: always 64 bits, because 2^31 floats are only 8 GiB

// Each thread takes the elements i, i + all threads, i + 2 * all threads ... so that any number of blocks does all
// the work. (blockIdx.x * blockDim.x alone is a product of 32 bits and would wrap around in silence.)
//
//     3 blocks of 4 threads, total = 20       element   0  1  2  3 | 4  5  6  7 | 8  9 10 11 | 12 13 ...
//                                             thread    0  1  2  3 | 0  1  2  3 | 0  1  2  3 |  0  1 ...
//                                             block        0       |     1      |     2      |  0
//
// A thread mostly goes round once. So the compiler is told not to unroll the loop: to find out how often it goes round,
// it would divide, which takes longer than many a kernel's own work.
#ifdef CUDA_ON_CPU
#define NOT_UNROLLED
#else
#define NOT_UNROLLED _Pragma("unroll 1")
#endif
#define FOR_EACH(i, total)                                                        \
  NOT_UNROLLED                                                                    \
  for (index i = blockIdx.x * (index)blockDim.x + threadIdx.x; i < (index)(total); \
       i += (index)gridDim.x * blockDim.x)

// Shared memory whose size the launch gives (`shared=` in bytes); one such array a kernel.
#ifndef CUDA_ON_CPU
#define DYNAMIC_SHARED(type, name)                                    \
  extern __shared__ __align__(16) unsigned char dynamic_shared_memory[]; \
  type* name = (type*)dynamic_shared_memory
#endif

// What a kernel writes into its flag `problem` where a value is bad (problems.py has the words).
#define BAD_LABEL 1
#define BAD_INDEX 2
#define BAD_BATCH_INDEX 3
#define BAD_CORNER 4
#define BAD_ORDER 5
#define BAD_TARGET 6
#define BAD_WEIGHT 7
#define BAD_BOX 8
#define BAD_VARIANCE 9

#ifndef INFINITY  // which stands in a header elsewhere
#define INFINITY __int_as_float(0x7f800000)
#endif

__device__ inline bool is_nan(float v) { return v != v; }
__device__ inline bool is_nan(double v) { return v != v; }

// A pixel of maps (N, C, H, W): in which of the N * C planes, in which row and column of it. All rows of all planes, one
// under the other, are the lines: line = plane * H + row, and the pixel is element line * W + column of the array.
struct Pixel {
  index line, plane;
  int row, column;
};

// Each row of threads of a block (they are 32 or fewer, 8 or more such rows) takes a line and walks along it, each
// thread from pixel to pixel. What belongs to the line, divisions above all, is then computed once, not for each pixel;
// and neighbouring threads read and write neighbouring pixels. `launch.rows` makes the grid; its second dimension
// shares out columns, where lines are few.
//
//     W = 10, 4 threads a row       line 0     t0 t1 t2 t3 | t0 t1 t2 t3 | t0 t1
//                                   line 1     u0 u1 u2 u3 | u0 u1 u2 u3 | u0 u1
#define FOR_EACH_PIXEL(p, lines, H, W)                                                                         \
  NOT_UNROLLED                                                                                                 \
  for (index line_ = blockIdx.x * (index)blockDim.y + threadIdx.y; line_ < (lines);                            \
       line_ += (index)gridDim.x * blockDim.y)                                                                 \
    NOT_UNROLLED                                                                                               \
    for (Pixel p = {line_, line_ / (H), int(line_ % (H)), int(blockIdx.y * blockDim.x + threadIdx.x)};         \
         (unsigned)p.column < (unsigned)(W); p.column = int(p.column + gridDim.y * blockDim.x))

// Where element i of an array (N, C, H, W) lies, for kernels that give each element a thread of its own.
__device__ inline Pixel pixel_of(index i, int H, int W) {
  index line = i / W, plane = line / H;
  return {line, plane, int(line - plane * H), int(i - line * W)};
}

// One operation, rounded once. The compiler makes a * b + c one instruction with one rounding, which is mostly welcome,
// but not where the last bit decides which pixel is read, or whether a box stays.
__device__ inline float rounded_sum(float a, float b) { return __fadd_rn(a, b); }
__device__ inline double rounded_sum(double a, double b) { return __dadd_rn(a, b); }
__device__ inline float rounded_product(float a, float b) { return __fmul_rn(a, b); }
__device__ inline double rounded_product(double a, double b) { return __dmul_rn(a, b); }
__device__ inline float rounded_quotient(float a, float b) { return __fdiv_rn(a, b); }
__device__ inline double rounded_quotient(double a, double b) { return __ddiv_rn(a, b); }

// The sum over the 32 threads of a warp, the same in each of them. In step 1 thread t adds what thread t^16 has, then
// t^8, ... : a tree, always in the same order. All 32 threads must call it.
template <typename T>
__device__ inline T warp_sum(T v) {
  for (int apart = 16; apart > 0; apart /= 2) v += __shfl_xor_sync(0xffffffffu, v, apart);
  return v;
}

// The sum over all threads of a block (of a multiple of 32 threads, in one dimension), the same in each of them.
// `parts` is shared memory for 32 numbers. All threads of the block must call it.
//
//     warps    0 ... 31 | 32 ... 63 | ...      each sums its own values       -> parts[0], parts[1], ...
//     warp 0 of those sums up the parts, with 0 where there is no warp         -> parts[0]
template <typename T>
__device__ inline T block_sum(T v, T* parts) {
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  v = warp_sum(v);
  __syncthreads();  // whoever still reads parts[0] of an earlier sum is let finish
  if (lane == 0) parts[warp] = v;
  __syncthreads();
  if (warp == 0) {
    v = warp_sum(lane < warps ? parts[lane] : T(0));
    if (lane == 0) parts[0] = v;
  }
  __syncthreads();
  return parts[0];
}
