// Non-maximum suppression in three kernels: put the boxes in order, find out who would suppress whom, and go through
// them from the best to the worst.
//
//     1  nms_order   a thread a box           n x n comparisons of scores
//     2  nms_mask    a thread a box and 64    n x n overlaps, one bit each
//     3  nms_keep    one block                n steps, one after the other: a box that is suppressed suppresses nobody

// A score that is not a finite number can't be put in order; it comes last. On the CPU it was refused before.
__device__ inline real sortable(real score, int* problem) {
  bool finite = fabs(score) < INFINITY;  // false for NaN, too
  if (!finite && problem) *problem = BAD_BOX;
  return finite ? score : real(-INFINITY);
}

// Thread i takes box i. Its place is the number of boxes that come before it: those with a higher score, and of equal
// ones those with a lower index. No two boxes get the same place. The box's corners go to that place.
extern "C" __global__ void nms_order(const real* __restrict__ boxes, const real* __restrict__ scores,
                                     index* __restrict__ order, real* __restrict__ sorted, index total,
                                     int* problem) {
  FOR_EACH(i, total) {
    real mine = sortable(scores[i], problem);
    index place = 0;
    for (index j = 0; j < total; ++j) {
      real other = sortable(scores[j], nullptr);
      place += other > mine || (other == mine && j < i);
    }
    order[place] = i;
    for (int corner = 0; corner < 4; ++corner) {
      real value = boxes[4 * i + corner];
      if (!(fabs(value) < INFINITY) && problem) *problem = BAD_BOX;
      sorted[4 * place + corner] = value;
    }
  }
}

struct Box {
  real x1, y1, x2, y2;
};
__device__ inline real area_of(Box a) {
  return rounded_product(rounded_sum(a.x2, -a.x1), rounded_sum(a.y2, -a.y1));
}

// The area that two boxes share, over the area that they cover together. Each operation is rounded, in the boxes' own
// dtype, as in the definition: a threshold turns the last bit into a yes or a no.
__device__ inline real overlap(Box a, Box b) {
  real width = max(real(0), rounded_sum(min(a.x2, b.x2), -max(a.x1, b.x1)));
  real height = max(real(0), rounded_sum(min(a.y2, b.y2), -max(a.y1, b.y1)));
  real shared = rounded_product(width, height);
  return rounded_quotient(shared, rounded_sum(rounded_sum(area_of(a), area_of(b)), -shared));
}

// Block (w, g) of 64 threads: thread t takes box 64 * g + t and compares it with the boxes from 64 * w on, which
// all threads of the block need and load together. Bit k of mask[box][w]: the box would suppress box 64 * w + k.
//
//              boxes   0..63     64..127   128..191
//     box 0           .1.11...  ....1...  ........     Only later boxes are suppressed: words to the left of the
//     box 1           ..1.....  1.......  ......1.     diagonal are 0.
//     ...
#define BITS 64
extern "C" __global__ void __launch_bounds__(BITS) nms_mask(const real* __restrict__ sorted,
                                                            unsigned long long* __restrict__ mask, int R,
                                                            int words, double iou_threshold) {
  __shared__ Box others[BITS];
  int w = blockIdx.x % words, g = blockIdx.x / words, t = threadIdx.x;
  int i = g * BITS + t, first = w * BITS, count = min(BITS, R - first);
  const Box* box = (const Box*)sorted;
  if (t < count) others[t] = box[first + t];
  __syncthreads();
  if (i >= R) return;
  unsigned long long bits = 0;
  Box mine = box[i];
  for (int k = max(0, i + 1 - first); k < count; ++k)
    if ((double)overlap(mine, others[k]) > iou_threshold) bits |= 1ull << k;
  mask[(index)i * words + w] = bits;
}

// One block. Box i stays if its bit in `suppressed` is still 0 when its turn comes; then all threads add its row of the
// mask to `suppressed`, a word each.
extern "C" __global__ void nms_keep(const unsigned long long* __restrict__ mask, const index* __restrict__ order,
                                    unsigned long long* __restrict__ suppressed, index* __restrict__ kept,
                                    int* __restrict__ count, int R, int words) {
  int stay = 0;  // each thread counts them: it costs nothing
  for (int w = threadIdx.x; w < words; w += blockDim.x) suppressed[w] = 0;
  for (int i = 0; i < R; ++i) {
    __syncthreads();  // the row of the box before has been added
    if (suppressed[i / BITS] >> i % BITS & 1) continue;  // all threads read the same bit and take the same way
    if (threadIdx.x == 0) kept[stay] = order[i];
    ++stay;
    __syncthreads();  // all have read the bit before anyone changes the word
    for (int w = threadIdx.x; w < words; w += blockDim.x) suppressed[w] |= mask[(index)i * words + w];
  }
  if (threadIdx.x == 0) *count = stay;
}
