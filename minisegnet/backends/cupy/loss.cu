// Losses, forward and backward. One thread a pixel (softmax) or an element (binary).
//
// Neighbouring threads take neighbouring pixels. The classes of a pixel lie P apart, those of its neighbour right beside:
//
//     logits (N, C, P)      class 0   p0 p1 p2 p3 ...     in each step of the loop over classes
//                           class 1   p0 p1 p2 p3 ...     the threads of a warp read 32 neighbours
//                           class 2   p0 p1 p2 p3 ...
//     thread                           0  1  2  3
//
// The loss of all pixels is summed without atomic operations, in an order that depends on the shape alone: each thread sums its
// own pixels, each block its threads (one number a block), and one last block the blocks' numbers. Sums are double.
//
// Values that the host can't look at without waiting for the GPU are checked here. A bad label or target is reported in `problem`
// (where that is given) and counts as ignored, so that nothing is read outside the arrays; a bad weight is reported.

__device__ inline void report(int* problem, int code) {
  if (problem) *problem = code;
}

__device__ inline bool right_weight(double weight) { return weight >= 0 && weight < INFINITY; }

// How much a pixel counts. Ignored ones (and, with a report, bad ones) don't, and are said to be out.
struct Label {
  bool counts;
  index label;
  double weight;
};

__device__ inline Label label_at(index i, const index* target, const real* weight, const real* pixel_weight, int C,
                                 bool has_ignored, index ignored, int* problem) {
  index label = target[i];
  if (has_ignored && label == ignored) return {false, 0, 0};
  if (label < 0 || label >= C) {
    report(problem, BAD_LABEL);
    return {false, 0, 0};
  }
  double class_weight = weight ? (double)weight[label] : 1.0, own_weight = pixel_weight ? (double)pixel_weight[i] : 1.0;
  if (!right_weight(class_weight) || !right_weight(own_weight)) report(problem, BAD_WEIGHT);
  return {true, label, class_weight * own_weight};
}

// A block's two sums go to parts[2 * block] and parts[2 * block + 1]: the losses, and what they are divided by for a mean.
__device__ inline void write_parts(double loss, double counted, double* parts) {
  __shared__ double sums[32];
  loss = block_sum(loss, sums);
  counted = block_sum(counted, sums);
  if (threadIdx.x == 0) parts[2 * (index)blockIdx.x] = loss, parts[2 * (index)blockIdx.x + 1] = counted;
}

// One block: adds up the blocks' sums, thread t those of the blocks t, t + 256, ... What counts nothing has the mean 0.
// `loss` may be null (a backward needs only what the losses were divided by).
extern "C" __global__ void __launch_bounds__(256, 3)
loss_of_parts(const double* __restrict__ parts, int blocks, bool mean, real* __restrict__ loss, double* __restrict__ counted) {
  __shared__ double sums[32];
  double loss_sum = 0, counted_sum = 0;
  for (int i = threadIdx.x; i < blocks; i += blockDim.x) {
    loss_sum += parts[2 * (index)i];
    counted_sum += parts[2 * (index)i + 1];
  }
  loss_sum = block_sum(loss_sum, sums);
  counted_sum = block_sum(counted_sum, sums);
  if (threadIdx.x) return;
  if (mean) loss_sum = counted_sum == 0 ? 0 : loss_sum / counted_sum;
  if (loss) *loss = real(loss_sum);
  *counted = counted_sum;
}

// ---------------------------------------------------------------------------------------------------------
// Softmax cross-entropy

// Thread (pixel): three passes over its C logits. The first comes from memory, the others mostly from the cache (256 pixels
// of 21 classes are 21 KiB in float32).
//     pass 1  peak = the largest          pass 2  total = sum of exp(z - peak)         pass 3  probs = exp(z - peak) / total
// `losses` (one a pixel) or `parts` (two sums a block) is given, the other null. From memory and back: 8 bytes a logit in
// float32, and 8 a label.
extern "C" __global__ void __launch_bounds__(256, 3)
softmax_cross_entropy(const real* __restrict__ logits, const index* __restrict__ target, const real* __restrict__ weight,
                      const real* __restrict__ pixel_weight, real* __restrict__ probs, real* __restrict__ losses,
                      double* __restrict__ parts, index total_pixels, int C, index P, bool has_ignored, index ignored,
                      int* problem) {
  double loss_sum = 0, counted = 0;
  FOR_EACH(i, total_pixels) {
    index first = i / P * C * P + i % P;  // the pixel's logit of class 0
    real peak = logits[first], total = 0;
    for (int c = 1; c < C; ++c) peak = max(peak, logits[first + c * P]);
    for (int c = 0; c < C; ++c) total += exp(logits[first + c * P] - peak);
    for (int c = 0; c < C; ++c) probs[first + c * P] = exp(logits[first + c * P] - peak) / total;

    Label label = label_at(i, target, weight, pixel_weight, C, has_ignored, ignored, problem);
    // -log p, but from the logits: p itself may have been rounded to 0
    double loss = 0;
    if (label.counts) loss = label.weight * (double)(log(total) - (logits[first + label.label * P] - peak));
    if (losses) losses[i] = real(loss);
    loss_sum += loss;
    counted += label.weight;
  }
  if (parts) write_parts(loss_sum, counted, parts);
}

// Thread (pixel): only what it counts, for the backward of a mean.
extern "C" __global__ void __launch_bounds__(256, 3)
softmax_cross_entropy_counted(const index* __restrict__ target, const real* __restrict__ weight,
                              const real* __restrict__ pixel_weight, double* __restrict__ parts, index total_pixels, int C,
                              bool has_ignored, index ignored, int* problem) {
  double counted = 0;
  FOR_EACH(i, total_pixels)
    counted += label_at(i, target, weight, pixel_weight, C, has_ignored, ignored, problem).weight;
  write_parts(0, counted, parts);
}

// Thread (pixel): its C gradients, (p - 1 at the label, 0 elsewhere) * weight / counted * dloss. `dloss` is one number
// (step 0) or one a pixel (step 1); `counted` is null where the loss is no mean.
extern "C" __global__ void __launch_bounds__(256, 3)
softmax_cross_entropy_backward(const real* __restrict__ dloss, const real* __restrict__ probs, const index* __restrict__ target,
                               const real* __restrict__ weight, const real* __restrict__ pixel_weight,
                               const double* __restrict__ counted, real* __restrict__ dlogits, index total_pixels, int C,
                               index P, int dloss_step, bool has_ignored, index ignored, int* problem) {
  FOR_EACH(i, total_pixels) {
    index first = i / P * C * P + i % P;
    Label label = label_at(i, target, weight, pixel_weight, C, has_ignored, ignored, problem);
    double denominator = counted ? *counted : 1;
    if (!label.counts || denominator == 0) {  // 0 even where a probability is NaN
      for (int c = 0; c < C; ++c) dlogits[first + c * P] = 0;
      continue;
    }
    real scale = real(label.weight / denominator * dloss[i * dloss_step]);
    for (int c = 0; c < C; ++c) {
      real one_hot = c == label.label ? real(1) : real(0);
      dlogits[first + c * P] = (probs[first + c * P] - one_hot) * scale;
    }
  }
}

// ---------------------------------------------------------------------------------------------------------
// Binary cross-entropy

__device__ inline bool target_counts(real target, bool has_ignored, real ignored, int* problem) {
  if (has_ignored && target == ignored) return false;
  if (target >= 0 && target <= 1) return true;
  report(problem, BAD_TARGET);  // NaN, too
  return false;
}

__device__ inline double element_weight(index i, const real* weight, const real* pixel_weight, int* problem) {
  double a = weight ? (double)weight[i] : 1.0, b = pixel_weight ? (double)pixel_weight[i] : 1.0;
  if (!right_weight(a) || !right_weight(b)) report(problem, BAD_WEIGHT);
  return a * b;
}

// Thread (element): (1 - t) max(z, 0) - t min(z, 0) + log(1 + exp(-|z|)), in which exp never sees a positive number,
// nothing overflows and nothing cancels. `losses` or `parts` is given, the other null. 8 bytes an element in float32.
extern "C" __global__ void __launch_bounds__(256, 3)
bce_with_logits(const real* __restrict__ logits, const real* __restrict__ target, const real* __restrict__ weight,
                const real* __restrict__ pixel_weight, real* __restrict__ losses, double* __restrict__ parts, index total,
                bool has_ignored, real ignored, int* problem) {
  double loss_sum = 0, counted = 0;
  FOR_EACH(i, total) {
    double loss = 0;
    real z = logits[i], t = target[i], zero = 0;
    if (target_counts(t, has_ignored, ignored, problem)) {
      real value = (1 - t) * max(z, zero) - t * min(z, zero) + log1p(exp(-fabs(z)));
      loss = value * element_weight(i, weight, pixel_weight, problem);
      counted += 1;
    }
    if (losses) losses[i] = real(loss);
    loss_sum += loss;
  }
  if (parts) write_parts(loss_sum, counted, parts);
}

// Thread (element): only whether it counts, for the backward of a mean.
extern "C" __global__ void __launch_bounds__(256, 3)
bce_with_logits_counted(const real* __restrict__ target, double* __restrict__ parts, index total, bool has_ignored,
                        real ignored, int* problem) {
  double counted = 0;
  FOR_EACH(i, total) counted += target_counts(target[i], has_ignored, ignored, problem);
  write_parts(0, counted, parts);
}

// Thread (element): (sigmoid(z) - t) * weight / counted * dloss. 12 bytes an element in float32.
extern "C" __global__ void __launch_bounds__(256, 3)
bce_with_logits_backward(const real* __restrict__ dloss, const real* __restrict__ logits, const real* __restrict__ target,
                         const real* __restrict__ weight, const real* __restrict__ pixel_weight,
                         const double* __restrict__ counted, real* __restrict__ dlogits, index total, int dloss_step,
                         bool has_ignored, real ignored, int* problem) {
  FOR_EACH(i, total) {
    real z = logits[i], t = target[i];
    if (!target_counts(t, has_ignored, ignored, problem)) {
      dlogits[i] = 0;
      continue;
    }
    real e = exp(-fabs(z)), sigmoid = (z >= 0 ? real(1) : e) / (1 + e);
    double denominator = counted ? *counted : 1;  // at least 1: this element counts
    double scale = element_weight(i, weight, pixel_weight, problem) / denominator;
    dlogits[i] = real((sigmoid - t) * scale * dloss[i * dloss_step]);
  }
}
