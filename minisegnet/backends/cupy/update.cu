// The end of a training step: how long the gradients are, whether the step is sound, and the new weights.
//
// All that decides about it lies on the device, so that the host needn't wait, and so that a recorded step (a CUDA
// graph) can be repeated: the learning rate, how often each weight was updated, the factor that cuts the gradients
// down, and `halted`. Once a step is found to be unsound, `halted` is 1, and every kernel here leaves things as they
// are until the host has looked. So weights are never spoilt by a NaN that the host sees some steps later.

// Each block sums the squares of every (blocks * 256)th element, and leaves one number. The order is always the same.
//
//     element   0 ... 255 | 256 ... 511 | 512 ... 767 | 768 ...
//     block         0     |      1      |      0      |    1         with 2 blocks
extern "C" __global__ void sum_squares(const real* __restrict__ x, double* __restrict__ sums, index total) {
  __shared__ double parts[32];
  double sum = 0;
  FOR_EACH(i, total) sum += double(x[i]) * double(x[i]);
  sum = block_sum(sum, parts);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// One block of 256 threads. row = (loss, length of all gradients, halted); factor is what the gradients are to be
// multiplied by, so that they are no longer than `limit`.
extern "C" __global__ void judge(const double* __restrict__ sums, int count, const real* __restrict__ loss,
                                 const int* __restrict__ problems, int flags, double limit,
                                 double* __restrict__ row, double* __restrict__ factor, int* __restrict__ halted) {
  __shared__ double parts[32];
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
  sum = block_sum(sum, parts);
  double bad = 0;
  for (int i = threadIdx.x; i < flags; i += blockDim.x) bad += problems[i] != 0;
  bad = block_sum(bad, parts);
  if (threadIdx.x != 0) return;
  double length = sqrt(sum), found = double(*loss);
  // x - x is 0 for every number but NaN and infinity.
  if (bad > 0 || length - length != 0 || found - found != 0) *halted = 1;
  double wanted = limit / (length + 1e-6);
  *factor = wanted >= 1 ? 1.0 : wanted;
  row[0] = found;
  row[1] = length;
  row[2] = *halted;
}

// Adam and AdamW, one thread a weight. `count` tells how often the weights were updated before this step.
extern "C" __global__ void adam_update(real* __restrict__ data, const real* __restrict__ grad, real* __restrict__ mean,
                                       real* __restrict__ square, index total, const double* __restrict__ rate,
                                       const index* __restrict__ count, const double* __restrict__ factor,
                                       const int* __restrict__ halted, double beta1, double beta2, double eps,
                                       double weight_decay, int decoupled) {
  __shared__ double step_size, spread;
  if (threadIdx.x == 0) {  // what is the same for all weights
    double t = double(*count + 1);
    step_size = *rate / (1 - pow(beta1, t));
    spread = sqrt(1 - pow(beta2, t));
  }
  __syncthreads();
  if (*halted) return;
  real scale = real(*factor), decay = real(weight_decay);
  real shrink = decoupled ? real(1 - *rate * weight_decay) : real(1);
  FOR_EACH(i, total) {
    real g = grad[i] * scale, w = data[i] * shrink;
    if (!decoupled && decay != 0) g += decay * w;
    real m = mean[i] * real(beta1) + real(1 - beta1) * g;
    real v = square[i] * real(beta2) + real(1 - beta2) * g * g;
    mean[i] = m;
    square[i] = v;
    data[i] = w - real(step_size) * m / (sqrt(v) / real(spread) + real(eps));
  }
}

// Gradient descent with momentum, one thread a weight; `buffer` is null where there is no momentum.
extern "C" __global__ void sgd_update(real* __restrict__ data, const real* __restrict__ grad, real* __restrict__ buffer,
                                      index total, const double* __restrict__ rate, const index* __restrict__ count,
                                      const double* __restrict__ factor, const int* __restrict__ halted,
                                      double momentum, double dampening, double weight_decay, int nesterov) {
  if (*halted) return;
  real scale = real(*factor), decay = real(weight_decay), step_size = real(*rate);
  real enters = *count == 0 ? real(1) : real(1 - dampening);  // the first gradient enters whole
  FOR_EACH(i, total) {
    real g = grad[i] * scale, w = data[i];
    if (decay != 0) g += decay * w;
    if (buffer) {
      real b = buffer[i] * real(momentum) + enters * g;
      buffer[i] = b;
      g = nesterov ? g + real(momentum) * b : b;
    }
    data[i] = w - step_size * g;
  }
}

// One thread a weight array: one more update for those that have a gradient.
extern "C" __global__ void count_updates(index* __restrict__ counts, const unsigned char* __restrict__ updated,
                                         int total, const int* __restrict__ halted) {
  FOR_EACH(i, total) if (!*halted) counts[i] += updated[i];
}

// One thread an element: what a step has made of a buffer (running statistics) takes the old one's place.
extern "C" __global__ void take_over(real* __restrict__ old, const real* __restrict__ made, index total,
                                     const int* __restrict__ halted) {
  FOR_EACH(i, total) if (!*halted) old[i] = made[i];
}
