// Softmax, and activations that look at one element at a time.
//
// Softmax runs along one axis of an array of any rank. The axes before it are taken as one, O, those after it as
// another, I: the array is (O, A, I), and each of its O * I rows, A elements with a distance of I, is a job of its own.
//
// Two ways to share the rows out. In both, threads that stand side by side read memory that lies side by side:
//
//     a thread a row (maps N, C, H, W, axis 1)         a block a row (axis -1, or few rows that are long)
//
//     i (pixel)      0    1    2    3                  a (class)      0    1    2    3    4    5    6    7
//     a = 0         t0   t1   t2   t3   -> first       row 0         t0   t1   t2   t3   t0   t1   t2   t3   block 0
//     a = 1         t0   t1   t2   t3   -> then        row 1         t0   t1   t2   t3   t0   t1   t2   t3   block 1
//     a = 2         t0   t1   t2   t3   -> then
//
// A row is read once for its peak, once for its sum and once for the result; after the first time it comes from the
// cache. Sums are kept in double precision.

// ---------------------------------------------------------------------------------------------------------
// Softmax, a thread a row

// Where row number `row` begins.
__device__ inline index row_start(index row, int A, index I) {
  index o = row / I;
  return o * A * I + (row - o * I);
}

// The largest element; a NaN is passed over here, and makes the row NaN through its exponential.
__device__ inline real peak_of(const real* x, int A, index I) {
  real peak = -INFINITY;
  for (int a = 0; a < A; ++a) peak = max(peak, x[a * I]);
  return peak;
}

__device__ inline double sum_of_exponentials(const real* x, int A, index I, real peak) {
  double total = 0;
  for (int a = 0; a < A; ++a) total += exp(x[a * I] - peak);
  return total;
}

// y = exp(x) / sum of exp(x). Subtracting the peak changes nothing but keeps exp from overflowing.
extern "C" __global__ void softmax(const real* __restrict__ x, real* __restrict__ y, index rows, int A, index I) {
  FOR_EACH(row, rows) {
    index start = row_start(row, A, I);
    real peak = peak_of(x + start, A, I);
    real total = sum_of_exponentials(x + start, A, I, peak);
    for (int a = 0; a < A; ++a) y[start + a * I] = exp(x[start + a * I] - peak) / total;
  }
}

// dx = y * (dy - sum of dy * y)
extern "C" __global__ void softmax_backward(const real* __restrict__ dy, const real* __restrict__ y,
                                            real* __restrict__ dx, index rows, int A, index I) {
  FOR_EACH(row, rows) {
    index start = row_start(row, A, I);
    double sum = 0;
    for (int a = 0; a < A; ++a) sum += (double)dy[start + a * I] * y[start + a * I];
    real dot = sum;
    for (int a = 0; a < A; ++a) dx[start + a * I] = y[start + a * I] * (dy[start + a * I] - dot);
  }
}

// y = (x - peak) - log(sum of exp(x - peak))
extern "C" __global__ void log_softmax(const real* __restrict__ x, real* __restrict__ y, index rows, int A,
                                       index I) {
  FOR_EACH(row, rows) {
    index start = row_start(row, A, I);
    real peak = peak_of(x + start, A, I);
    real logarithm = log(real(sum_of_exponentials(x + start, A, I, peak)));
    for (int a = 0; a < A; ++a) y[start + a * I] = x[start + a * I] - peak - logarithm;
  }
}

// dx = dy - exp(y) * sum of dy
extern "C" __global__ void log_softmax_backward(const real* __restrict__ dy, const real* __restrict__ y,
                                                real* __restrict__ dx, index rows, int A, index I) {
  FOR_EACH(row, rows) {
    index start = row_start(row, A, I);
    double sum = 0;
    for (int a = 0; a < A; ++a) sum += dy[start + a * I];
    real total = sum;
    for (int a = 0; a < A; ++a) dx[start + a * I] = dy[start + a * I] - exp(y[start + a * I]) * total;
  }
}

// ---------------------------------------------------------------------------------------------------------
// Softmax, a block a row: block b takes row b; its threads take elements t, t + threads, t + 2 * threads, ... and put
// their parts together through shared memory. All threads of a block go through the same number of barriers.

// The largest of all threads' values, the same in each of them: as block_sum in the prelude.
__device__ inline real block_max(real v, real* parts) {
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  for (int apart = 16; apart > 0; apart /= 2) v = max(v, __shfl_xor_sync(0xffffffffu, v, apart));
  __syncthreads();  // whoever still reads parts[0] of an earlier call is let finish
  if (lane == 0) parts[warp] = v;
  __syncthreads();
  if (warp == 0) {
    v = lane < warps ? parts[lane] : real(-INFINITY);
    for (int apart = 16; apart > 0; apart /= 2) v = max(v, __shfl_xor_sync(0xffffffffu, v, apart));
    if (lane == 0) parts[0] = v;
  }
  __syncthreads();
  return parts[0];
}

__device__ inline real block_peak_of(const real* x, int A, index I, real* parts) {
  real peak = -INFINITY;
  for (int a = threadIdx.x; a < A; a += blockDim.x) peak = max(peak, x[a * I]);
  return block_max(peak, parts);
}

__device__ inline real block_sum_of_exponentials(const real* x, int A, index I, real peak, double* parts) {
  double total = 0;
  for (int a = threadIdx.x; a < A; a += blockDim.x) total += exp(x[a * I] - peak);
  return block_sum(total, parts);
}

extern "C" __global__ void softmax_long(const real* __restrict__ x, real* __restrict__ y, int A, index I) {
  __shared__ real peaks[32];
  __shared__ double sums[32];
  index start = row_start(blockIdx.x, A, I);
  real peak = block_peak_of(x + start, A, I, peaks);
  real total = block_sum_of_exponentials(x + start, A, I, peak, sums);
  for (int a = threadIdx.x; a < A; a += blockDim.x) y[start + a * I] = exp(x[start + a * I] - peak) / total;
}

extern "C" __global__ void softmax_backward_long(const real* __restrict__ dy, const real* __restrict__ y,
                                                 real* __restrict__ dx, int A, index I) {
  __shared__ double sums[32];
  index start = row_start(blockIdx.x, A, I);
  double sum = 0;
  for (int a = threadIdx.x; a < A; a += blockDim.x) sum += (double)dy[start + a * I] * y[start + a * I];
  real dot = block_sum(sum, sums);
  for (int a = threadIdx.x; a < A; a += blockDim.x)
    dx[start + a * I] = y[start + a * I] * (dy[start + a * I] - dot);
}

extern "C" __global__ void log_softmax_long(const real* __restrict__ x, real* __restrict__ y, int A, index I) {
  __shared__ real peaks[32];
  __shared__ double sums[32];
  index start = row_start(blockIdx.x, A, I);
  real peak = block_peak_of(x + start, A, I, peaks);
  real logarithm = log(block_sum_of_exponentials(x + start, A, I, peak, sums));
  for (int a = threadIdx.x; a < A; a += blockDim.x) y[start + a * I] = x[start + a * I] - peak - logarithm;
}

extern "C" __global__ void log_softmax_backward_long(const real* __restrict__ dy, const real* __restrict__ y,
                                                     real* __restrict__ dx, int A, index I) {
  __shared__ double sums[32];
  index start = row_start(blockIdx.x, A, I);
  double sum = 0;
  for (int a = threadIdx.x; a < A; a += blockDim.x) sum += dy[start + a * I];
  real total = block_sum(sum, sums);
  for (int a = threadIdx.x; a < A; a += blockDim.x)
    dx[start + a * I] = dy[start + a * I] - exp(y[start + a * I]) * total;
}

// ---------------------------------------------------------------------------------------------------------
// Elementwise: thread i takes element i. Nothing is computed that takes longer than reading and writing it.

// Asked this way round, NaN stays NaN.
extern "C" __global__ void relu(const real* __restrict__ x, real* __restrict__ y, index total) {
  FOR_EACH(i, total) y[i] = x[i] <= 0 ? real(0) : x[i];
}

extern "C" __global__ void relu_backward(const real* __restrict__ dy, const real* __restrict__ y,
                                         real* __restrict__ dx, index total) {
  FOR_EACH(i, total) dx[i] = y[i] <= 0 ? real(0) : dy[i];
}

extern "C" __global__ void leaky_relu(const real* __restrict__ x, real slope, real* __restrict__ y, index total) {
  FOR_EACH(i, total) y[i] = x[i] > 0 ? x[i] : slope * x[i];
}

extern "C" __global__ void leaky_relu_backward(const real* __restrict__ dy, const real* __restrict__ y, real slope,
                                               real* __restrict__ dx, index total) {
  FOR_EACH(i, total) dx[i] = y[i] > 0 ? dy[i] : slope * dy[i];
}

// 1 / (1 + exp(-x)), written so that exp never sees a positive number and cannot overflow.
extern "C" __global__ void sigmoid(const real* __restrict__ x, real* __restrict__ y, index total) {
  FOR_EACH(i, total) {
    real e = exp(-fabs(x[i]));
    y[i] = (x[i] >= 0 ? real(1) : e) / (1 + e);
  }
}

extern "C" __global__ void sigmoid_backward(const real* __restrict__ dy, const real* __restrict__ y,
                                            real* __restrict__ dx, index total) {
  FOR_EACH(i, total) dx[i] = dy[i] * y[i] * (1 - y[i]);
}
