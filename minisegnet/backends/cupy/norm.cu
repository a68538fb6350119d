// Batch normalisation. A channel's values lie in N pieces of L, one in each image:
//
//     x (N, C, L)     image 0 [ channel 0 | channel 1 | channel 2 ]   image 1 [ channel 0 | channel 1 | ...
//                               0 ... L-1   0 ... L-1
//     channel 1, its values counted through:    0 ... L-1 in image 0, L ... 2L-1 in image 1, ...
//
// A sum over a channel is made in three steps, always in the same order, so that it comes out the same each time:
// a thread sums every 256th value of a part, the block adds up its threads (block_sum), one warp adds up the parts.
//
// All of this waits for memory: per value there are some ten operations and 4 to 12 bytes. The forward reads x from
// memory twice and writes y once (12 bytes a value in float32), the backward reads x and dy twice and writes dx (20).

// A value of one channel: number `i` in the image `n`. To go on by a fixed number of values needs no division: what
// there is of whole images and of rest in such a step is computed once.
struct Value {
  index n, i;
};

__device__ inline Value value_at(index place, index L) { return {place / L, place % L}; }

__device__ inline void go_on(Value& value, Value step, index L) {
  value.n += step.n;
  value.i += step.i;
  if (value.i >= L) value.i -= L, ++value.n;
}

__device__ inline index place_in(Value value, int c, int C, index L) { return (value.n * C + c) * L + value.i; }

// Part `part` of a channel's M values is part_start(part) up to part_start(part + 1): all parts but the last are equally long.
__device__ inline index part_start(int part, int parts, index M) { return min((M + parts - 1) / parts * part, M); }

// ---------------------------------------------------------------------------------------------------------
// Forward

// Statistics are computed of the distances from the channel's first value, which all blocks know. The variance is the same, and
// where a channel lies far from 0 its numbers become small before any of them is rounded.
__device__ inline double origin(const real* x, int c, index L) {
  double first = x[c * L];
  return first - first == 0 ? first : 0;  // not if it is infinite or NaN
}

// Block (channel c, part): the mean of its values (from the origin), and the sum of their squared distances from that mean.
//
//     channel c   | part 0          | part 1          | part 2   |
//                   block c*parts     c*parts + 1       c*parts + 2
//     pass 1        sum -> mean of this part
//     pass 2        sum of (value - mean)^2: the part is so short that it is still in the cache
//
// (The short cut, mean(x^2) - mean(x)^2, would subtract two large numbers of which only the last digits differ.)
extern "C" __global__ void __launch_bounds__(256)
batch_norm_statistics(const real* __restrict__ x, double* __restrict__ part_means, double* __restrict__ part_squares,
                      int N, int C, index L, int parts) {
  __shared__ double sums[32];
  int c = blockIdx.x / parts, part = blockIdx.x % parts;
  index M = N * L, start = part_start(part, parts, M), end = part_start(part + 1, parts, M);
  Value first = value_at(start + threadIdx.x, L), step = value_at(blockDim.x, L), v = first;
  double from = origin(x, c, L), sum = 0, squares = 0;
  for (index i = start + threadIdx.x; i < end; i += blockDim.x, go_on(v, step, L)) sum += x[place_in(v, c, C, L)] - from;
  double mean = block_sum(sum, sums) / (double)max(end - start, 1LL);
  v = first;
  for (index i = start + threadIdx.x; i < end; i += blockDim.x, go_on(v, step, L)) {
    double distance = x[place_in(v, c, C, L)] - from - mean;
    squares += distance * distance;
  }
  squares = block_sum(squares, sums);
  if (threadIdx.x == 0) part_means[blockIdx.x] = mean, part_squares[blockIdx.x] = squares;
}

// Warp (channel c): puts the parts together. Values far from their own part's mean, and means far from the common mean:
//
//     sum of (value - mean)^2  =  sum over parts of (squares of the part + length * (mean of the part - mean)^2)
extern "C" __global__ void __launch_bounds__(32)
batch_norm_parts(const real* __restrict__ x, const double* __restrict__ part_means, const double* __restrict__ part_squares,
                 const real* __restrict__ running_mean, const real* __restrict__ running_var, real* __restrict__ mean,
                 real* __restrict__ inv_std, real* __restrict__ new_mean, real* __restrict__ new_var, index M, index L,
                 int parts, double momentum, double eps) {
  int c = blockIdx.x;
  double sum = 0, squares = 0;
  for (int part = threadIdx.x; part < parts; part += 32)
    sum += part_means[(index)c * parts + part] * (double)(part_start(part + 1, parts, M) - part_start(part, parts, M));
  double channel_mean = warp_sum(sum) / (double)M;
  for (int part = threadIdx.x; part < parts; part += 32) {
    double length = (double)(part_start(part + 1, parts, M) - part_start(part, parts, M));
    double distance = part_means[(index)c * parts + part] - channel_mean;
    squares += part_squares[(index)c * parts + part] + length * distance * distance;
  }
  squares = warp_sum(squares);
  if (threadIdx.x) return;
  channel_mean += origin(x, c, L);
  mean[c] = real(channel_mean);
  inv_std[c] = real(1 / sqrt(squares / (double)M + eps));
  if (!new_mean) return;
  new_mean[c] = real((1 - momentum) * running_mean[c] + momentum * channel_mean);
  new_var[c] = real((1 - momentum) * running_var[c] + momentum * (squares / (double)(M - 1)));  // of few values: M - 1
}

// Thread c, in evaluation: the statistics are the running ones. A negative variance is reported.
extern "C" __global__ void batch_norm_running(const real* __restrict__ running_mean, const real* __restrict__ running_var,
                                              real* __restrict__ mean, real* __restrict__ inv_std, int C, double eps,
                                              int* problem) {
  FOR_EACH(c, C) {
    if (running_var[c] < 0 && problem) *problem = BAD_VARIANCE;
    mean[c] = running_mean[c];
    inv_std[c] = real(1 / sqrt((double)running_var[c] + eps));
  }
}

// Where an element of (N, C, L) lies: value i of channel c. It goes on like `Value`, without dividing.
struct Element {
  index i;
  int c;
};

__device__ inline Element element_at(index place, int C, index L) { return {place % L, int(place / L % C)}; }

__device__ inline void go_on(Element& element, Element step, int C, index L) {
  element.i += step.i;
  element.c += step.c;
  if (element.i >= L) element.i -= L, ++element.c;
  if (element.c >= C) element.c -= C;
}

// Each thread takes every (number of threads)th element: y = gamma * (x - mean) * inv_std + beta.
extern "C" __global__ void batch_norm(const real* __restrict__ x, const real* __restrict__ gamma, const real* __restrict__ beta,
                                      const real* __restrict__ mean, const real* __restrict__ inv_std, real* __restrict__ y,
                                      index total, int C, index L) {
  Element e = element_at(blockIdx.x * (index)blockDim.x + threadIdx.x, C, L);
  Element step = element_at((index)gridDim.x * blockDim.x, C, L);
  FOR_EACH(t, total) {
    real normalised = (x[t] - mean[e.c]) * inv_std[e.c];
    real scaled = gamma ? gamma[e.c] * normalised : normalised;
    y[t] = beta ? scaled + beta[e.c] : scaled;
    go_on(e, step, C, L);
  }
}

// ---------------------------------------------------------------------------------------------------------
// Backward

// Block (channel c, part), as in the statistics: the sums of dy, and of dy times the normalised value.
extern "C" __global__ void __launch_bounds__(256)
batch_norm_backward_sums(const real* __restrict__ dy, const real* __restrict__ x, const real* __restrict__ mean,
                         const real* __restrict__ inv_std, double* __restrict__ part_dgamma, double* __restrict__ part_dbeta,
                         int N, int C, index L, int parts) {
  __shared__ double sums[32];
  int c = blockIdx.x / parts, part = blockIdx.x % parts;
  index M = N * L, start = part_start(part, parts, M), end = part_start(part + 1, parts, M);
  Value v = value_at(start + threadIdx.x, L), step = value_at(blockDim.x, L);
  real center = mean[c], scale = inv_std[c];
  double dgamma = 0, dbeta = 0;
  for (index i = start + threadIdx.x; i < end; i += blockDim.x, go_on(v, step, L)) {
    index place = place_in(v, c, C, L);
    real normalised = (x[place] - center) * scale;
    dgamma += (double)dy[place] * normalised;
    dbeta += dy[place];
  }
  dgamma = block_sum(dgamma, sums);
  dbeta = block_sum(dbeta, sums);
  if (threadIdx.x == 0) part_dgamma[blockIdx.x] = dgamma, part_dbeta[blockIdx.x] = dbeta;
}

// Warp (channel c): adds up the parts. The means, sum / M, are what the last kernel subtracts.
extern "C" __global__ void __launch_bounds__(32)
batch_norm_backward_parts(const double* __restrict__ part_dgamma, const double* __restrict__ part_dbeta,
                          real* __restrict__ dgamma, real* __restrict__ dbeta, real* __restrict__ mean_dgamma,
                          real* __restrict__ mean_dbeta, index M, int parts) {
  int c = blockIdx.x;
  double gamma_sum = 0, beta_sum = 0;
  for (int part = threadIdx.x; part < parts; part += 32) {
    gamma_sum += part_dgamma[(index)c * parts + part];
    beta_sum += part_dbeta[(index)c * parts + part];
  }
  gamma_sum = warp_sum(gamma_sum);
  beta_sum = warp_sum(beta_sum);
  if (threadIdx.x) return;
  dgamma[c] = real(gamma_sum);
  dbeta[c] = real(beta_sum);
  mean_dgamma[c] = real(gamma_sum / (double)M);
  mean_dbeta[c] = real(beta_sum / (double)M);
}

// Each thread takes every (number of threads)th element. In training (mean_dgamma given) dy loses its mean and its part
// along the normalised value; in evaluation the statistics are constants and dy is only scaled.
extern "C" __global__ void batch_norm_backward(const real* __restrict__ dy, const real* __restrict__ x,
                                               const real* __restrict__ gamma, const real* __restrict__ mean,
                                               const real* __restrict__ inv_std, const real* __restrict__ mean_dgamma,
                                               const real* __restrict__ mean_dbeta, real* __restrict__ dx, index total, int C,
                                               index L) {
  Element e = element_at(blockIdx.x * (index)blockDim.x + threadIdx.x, C, L);
  Element step = element_at((index)gridDim.x * blockDim.x, C, L);
  FOR_EACH(t, total) {
    real gradient = dy[t];
    if (mean_dgamma) {
      real normalised = (x[t] - mean[e.c]) * inv_std[e.c];
      gradient -= mean_dbeta[e.c] + normalised * mean_dgamma[e.c];
    }
    dx[t] = (gamma ? gamma[e.c] * inv_std[e.c] : inv_std[e.c]) * gradient;
    go_on(e, step, C, L);
  }
}
