// The dense layer: three matrix products by one kernel. Read this before conv.cu, which does the same with a matrix that
// exists nowhere in memory.
//
// Naively, thread (m, n) would walk along row m of A and column n of B, and fetch two numbers from memory for each
// multiplication. But the 64 x 64 results of a tile need only 64 rows and 64 columns: each number that is fetched serves 64
// multiplications. A block of 256 threads computes one tile of C, and goes through K in slices of 16:
//
//                       B  +----+======+-------+             shared memory: the slice of A (64 x 16) and of B (16 x 64),
//                          |    | slice|       | 16 rows       8 KiB in float32, 16 KiB in float64. All threads fetch them,
//                          +----+======+-------+               each 4 numbers of either.
//          16 columns           64 columns
//    A  +----++----+       C  +----+------+-------+          registers: each thread keeps 4 x 4 results of the tile. In step k
//       |    ||    |          |    |      |       |            of the slice it reads 4 numbers of A's column k and 4 of B's
//       +----++----+          +----+------+-------+            row k, for 16 multiplications: 2 an access to shared memory
//       |    ||sli-|          |    | tile |       |            (with 1 x 1 results it would be 1/2), and since the 4 lie side by
//       |    || ce | 64       |    |      |       |            side, one instruction reads them all.
//       +----++----+          +----+------+-------+
//              K                          tile, seen by thread (tx, ty):  rows 4 ty ... + 3, columns 4 tx ... + 3
//
// A tile takes 2 * 64 * 64 * K operations and fetches 2 * 64 * K numbers: 16 operations a byte in float32.

const int SIDE = 64;     // of a tile of C
const int DEPTH = 16;    // of a slice
const int OWN = 4;       // results of a thread along each side; and numbers that it fetches of each slice
const int BLOCKS = sizeof(real) == 4 ? 2 : 1;  // of 256 threads that must fit into a multiprocessor's 65536 registers
const int PADDED = SIDE + 4;  // a row in shared memory: see `put`

struct __align__(16) Four {
  real v[OWN];
};

// One thread's share of the slices of a matrix in memory. Element (i, k), with i along the side of the result and k the summed
// axis, lies at i * step + k * step_k. Neighbouring threads must fetch neighbours in memory, and those lie along k in one
// matrix and along i in another:
//
//     along k:  threads 0 ... 15 one row, k = 0 ... 15          along i:  threads 0 ... 63 one column, i = 0 ... 63
//               threads 16 ... 31 the next                                threads 64 ... 127 the next
//               4 numbers of a thread: 16 rows apart                      4 numbers of a thread: 4 columns apart
struct Share {
  bool along_k;
  int i, k;              // of its first number in a slice
  const real* place;     // where that lies in memory, in the next slice to be fetched
  index apart, onwards;  // in memory: to its next number, to the next slice
  index rows, left;      // inside the matrix are so many rows from i on, and so many k's from the next slice's k on
};

__device__ inline Share share(const real* matrix, index i0, index length, index K, index step, index step_k) {
  Share s;
  s.along_k = step_k == 1;
  s.i = s.along_k ? threadIdx.x / DEPTH : threadIdx.x % SIDE;
  s.k = s.along_k ? threadIdx.x % DEPTH : threadIdx.x / SIDE;
  s.place = matrix + (i0 + s.i) * step + s.k * step_k;
  s.apart = s.along_k ? SIDE / OWN * step : DEPTH / OWN * step_k;
  s.onwards = DEPTH * step_k;
  s.rows = length - i0 - s.i;
  s.left = K - s.k;
  return s;
}

__device__ inline void fetch(real (&own)[OWN], Share& s) {
  const real* place = s.place;
#pragma unroll
  for (int j = 0; j < OWN; ++j, place += s.apart) {
    bool inside = s.along_k ? j * (SIDE / OWN) < s.rows && 0 < s.left : 0 < s.rows && j * (DEPTH / OWN) < s.left;
    own[j] = inside ? *place : real(0);  // 0 beyond the edges changes no sum
  }
  s.place += s.onwards;
  s.left -= DEPTH;
}

// To shared memory, as 16 rows of 64. Memory is made of 32 banks, one float wide, and serves one place of each bank at a time.
// Threads that fetched along k write below each other. If rows were 64 long, all of a column would lie in one bank, and
// 16 threads would wait for each other; with 68 only threads k and k + 8 share one. (68 is a multiple of 4, so that `Four`s
// stay aligned.)
__device__ inline void put(real* slice, const real (&own)[OWN], const Share& s) {
  real* place = slice + s.k * PADDED + s.i;
  int apart = s.along_k ? SIDE / OWN : DEPTH / OWN * PADDED;
#pragma unroll
  for (int j = 0; j < OWN; ++j) place[j * apart] = own[j];
}

// C (M, N) = bias + A (M, K) times B (K, N); a bias for each column of C, or null. Block: one tile; they are numbered along the
// rows of C's tiles, in one long row of blocks, because only that (blockIdx.x) may be longer than 65535.
extern "C" __global__ void __launch_bounds__(256, BLOCKS)
linear(const real* __restrict__ a, const real* __restrict__ b, const real* __restrict__ bias, real* __restrict__ c, index M,
       index N, index K, index a_step, index a_step_k, index b_step, index b_step_k) {
  __shared__ __align__(16) real a_slice[DEPTH * PADDED], b_slice[DEPTH * PADDED];
  index tiles = (N + SIDE - 1) / SIDE, m0 = blockIdx.x / tiles * SIDE, n0 = blockIdx.x % tiles * SIDE;
  Share of_a = share(a, m0, M, K, a_step, a_step_k), of_b = share(b, n0, N, K, b_step, b_step_k);
  int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  real own_a[OWN], own_b[OWN], sums[OWN][OWN] = {};

  fetch(own_a, of_a);
  fetch(own_b, of_b);
  for (index k0 = 0; k0 < K; k0 += DEPTH) {
    put(a_slice, own_a, of_a);
    put(b_slice, own_b, of_b);
    __syncthreads();  // the slices are complete
    fetch(own_a, of_a);  // the next ones are on their way while these are used
    fetch(own_b, of_b);
#pragma unroll
    for (int k = 0; k < DEPTH; ++k) {
      Four rows = *(const Four*)&a_slice[k * PADDED + OWN * ty], columns = *(const Four*)&b_slice[k * PADDED + OWN * tx];
#pragma unroll
      for (int i = 0; i < OWN; ++i)
#pragma unroll
        for (int j = 0; j < OWN; ++j) sums[i][j] += rows.v[i] * columns.v[j];
    }
    __syncthreads();  // nobody still reads what the next round overwrites
  }

#pragma unroll
  for (int i = 0; i < OWN; ++i)
#pragma unroll
    for (int j = 0; j < OWN; ++j) {
      index m = m0 + OWN * ty + i, n = n0 + OWN * tx + j;
      if (m < M && n < N) c[m * N + n] = bias ? sums[i][j] + bias[n] : sums[i][j];
    }
}

// db[o] = the sum of column o of dy. Block: 32 columns, thread (x, y) sums the rows y, y + 8, ... of column x, in double; then
// the 8 threads of a column put their sums together through shared memory.
extern "C" __global__ void __launch_bounds__(256)
linear_bias_gradient(const real* __restrict__ dy, real* __restrict__ db, index M, index N) {
  __shared__ double parts[8][32];
  index n = blockIdx.x * (index)32 + threadIdx.x;
  double sum = 0;
  if (n < N)
    for (index m = threadIdx.y; m < M; m += 8) sum += dy[m * N + n];
  parts[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y || n >= N) return;
  for (int y = 1; y < 8; ++y) sum += parts[y][threadIdx.x];
  db[n] = real(sum);
}
