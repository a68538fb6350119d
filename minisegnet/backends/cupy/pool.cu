// Pooling and unpooling.
//
// Forward, a thread takes one output pixel and looks at its window. Backward, a thread takes one input pixel and
// collects from the windows that it belongs to. It could be the other way round: a thread for each window, that adds
// its gradient to the pixels. But where windows overlap, two threads would then add to one pixel at the same time,
// and the order of the additions, and with it the last bits of the sum, would change from run to run:
//
//     scatter (not here)                        gather (here)
//
//     window    0       1                       window    0       1
//     thread    t0      t1                                 \     / \         thread t2 reads both windows,
//                \     / \    both add          pixel  0  1  2  3  4         adds in their order and writes once
//     pixel   0  1  2  3  4   to pixel 2        thread t0 t1 t2 t3 t4
//
// Neighbouring threads take neighbouring pixels of a row, so that the 32 threads of a warp read and write memory in
// one piece. A position outside the map does not exist: it is never the maximum, and never part of a sum. Sums are kept
// in double precision and rounded once. Sizes are `int`; products of them that may need more bits are `index`.

// ---------------------------------------------------------------------------------------------------------
// Maximum

// The best pixel so far. The first maximum in row-major order wins; a NaN beats every number, and the last NaN wins.
struct Best {
  real value;
  index where;  // flat position in the plane; -1: nothing seen yet, and the first pixel counts even if it is -inf
};
__device__ inline void meet(Best& best, real value, index where) {
  if (best.where < 0 || value > best.value || is_nan(value)) best = {value, where};
}

// The pixels of a window that lie on the map, along one axis: from `first` on, in steps of the dilation d, up to but
// without `stop`. Tap t lies at start + t * d. (A sum of two sizes fits into `unsigned`, but not into `int`.)
//
//     size 5, K 3, d 2, start -2:       . . 0 1 2 3 4 . .
//     the taps lie at                   ^   ^   ^              first = 0, stop = 4
struct Taps {
  unsigned first, stop;
};
__device__ inline Taps taps_on_map(index start, int K, int d, int size) {
  index first = start;
  if (start < 0) first = d == 1 ? 0 : start + (-start + d - 1) / d * d;
  return {unsigned(first), unsigned(min(start + (index)K * d, (index)size))};
}

// A thread takes one output pixel.
extern "C" __global__ void max_pool2d(const real* __restrict__ x, real* __restrict__ y,
                                      index* __restrict__ indices, index lines, int H, int W, int OH, int OW,
                                      int KH, int KW, int sh, int sw, int ph, int pw, int dh, int dw) {
  FOR_EACH_PIXEL(p, lines, OH, OW) {
    const real* map = x + p.plane * H * W;
    Taps rows = taps_on_map((index)p.row * sh - ph, KH, dh, H);
    Taps columns = taps_on_map((index)p.column * sw - pw, KW, dw, W);
    Best best = {-INFINITY, -1};
    for (unsigned row = rows.first; row < rows.stop; row += dh)
      for (unsigned column = columns.first; column < columns.stop; column += dw)
        meet(best, map[(index)row * W + column], (index)row * W + column);
    index i = p.line * OW + p.column;
    y[i] = best.value;
    indices[i] = best.where;
  }
}

// Bin o of an adaptive pooling covers floor(o * size / bins) up to, but without, ceil((o + 1) * size / bins). Bins
// cover the map, and neighbours may share a row. (Turned round: the bins that hold row r are those of
// bin_of(r, bins, size), because o * size < (r + 1) * bins and (o + 1) * size > r * bins say the same of both.)
struct Range {
  int first, stop;
};
__device__ inline Range bin_of(int o, int size, int bins) {
  return {int((index)o * size / bins), int((((index)o + 1) * size + bins - 1) / bins)};
}

// A thread takes one output pixel.
extern "C" __global__ void adaptive_max_pool2d(const real* __restrict__ x, real* __restrict__ y,
                                               index* __restrict__ indices, index lines, int H, int W, int OH,
                                               int OW) {
  FOR_EACH_PIXEL(p, lines, OH, OW) {
    index i = p.line * OW + p.column;
    const real* map = x + p.plane * H * W;
    Range rows = bin_of(p.row, H, OH), columns = bin_of(p.column, W, OW);
    Best best = {-INFINITY, -1};
    for (int row = rows.first; row < rows.stop; ++row)
      for (int column = columns.first; column < columns.stop; ++column) {
        index where = (index)row * W + column;
        meet(best, map[where], where);
      }
    y[i] = best.value;
    indices[i] = best.where;
  }
}

// Large bins are too much for one thread, and threads that read one pixel each from bins far apart waste most of what
// memory delivers. So a whole warp takes output pixel i: lane k reads the pixels k, k + 32, ... of its bin, counted
// in row-major order, and the lanes then put together what they have.
//
//     a bin of 5 columns    0   1   2   3   4
//                           5   6   7  ...
//                          ...     31 | 0   1          pixel 32 is lane 0's again: 32 / 5 rows down, 32 % 5 to the right
struct Walk {
  int row, column;
};
__device__ inline Walk walk_from(Range rows, Range columns, int lane) {
  int width = columns.stop - columns.first;
  return {rows.first + lane / width, columns.first + lane % width};
}
__device__ inline void walk_on(Walk& at, Range columns) {
  int width = columns.stop - columns.first;
  at.row += 32 / width;
  at.column += 32 % width;
  if (at.column >= columns.stop) at.column -= width, ++at.row;
}

// Of two bests, from any two parts of a bin, the one that a single thread would have kept.
__device__ inline Best better(Best a, Best b) {
  if (a.where < 0 || b.where < 0) return a.where < 0 ? b : a;
  if (is_nan(a.value) || is_nan(b.value)) {
    if (is_nan(a.value) && is_nan(b.value)) return a.where > b.where ? a : b;
    return is_nan(a.value) ? a : b;
  }
  if (a.value == b.value) return a.where < b.where ? a : b;
  return a.value > b.value ? a : b;
}

extern "C" __global__ void adaptive_max_pool2d_large(const real* __restrict__ x, real* __restrict__ y,
                                                     index* __restrict__ indices, index total, int H, int W,
                                                     int OH, int OW) {
  FOR_EACH(thread, 32 * total) {  // all lanes of a warp have the same i
    index i = thread / 32;
    int lane = thread % 32;
    Pixel p = pixel_of(i, OH, OW);
    const real* map = x + p.plane * H * W;
    Range rows = bin_of(p.row, H, OH), columns = bin_of(p.column, W, OW);
    Best best = {-INFINITY, -1};
    for (Walk at = walk_from(rows, columns, lane); at.row < rows.stop; walk_on(at, columns)) {
      index where = (index)at.row * W + at.column;
      meet(best, map[where], where);
    }
    for (int apart = 16; apart > 0; apart /= 2) {
      Best other = {__shfl_xor_sync(0xffffffffu, best.value, apart), __shfl_xor_sync(0xffffffffu, best.where, apart)};
      best = better(best, other);
    }
    if (lane == 0) y[i] = best.value, indices[i] = best.where;
  }
}

// ---------------------------------------------------------------------------------------------------------
// The way back from a maximum, and unpooling: element m of a small map (a window) belongs to pixel indices[m] of a
// large one. The indices alone say so; how large windows were, and how far apart, nobody tells. A gather must know
// which windows may point at a pixel, and finds it out from the indices, in two steps.
//
// Step 1 (..._reach) notes, for each row of the large map, the first and the last row of windows that points there,
// in any plane; and for each column the same. Step 2 (..._gather) is then the gather: a thread a pixel, which asks those
// few windows whether they mean it.
//
//     2 x 2 pooling                  row of the map        0  1  2  3  4  5
//                                    rows of windows       0  0  1  1  2  2          one window to ask
//     3 x 3, stride 2, padding 1     row of the map        0  1  2  3  4  5
//                                    rows of windows       0 01  1 12  2  2          one or two, by one or two
//
// Smallest and largest of whole numbers are the same in any order, so that atomic operations are no harm here.
// `reach` has two numbers for each row, then two for each column: `windows - first` and `last + 1`, so that zeros,
// which the array begins with, say "none" (first = windows, last = -1), and both numbers only grow.
//
// Indices that come from no pooling (shuffled ones, say) point from everywhere to everywhere, and the gather would ask
// nearly all windows for each pixel. A thread that finds more than MOST_TO_ASK stops and notes it in `crowded`; step
// 3 (..._in_order), which does nothing otherwise, then does all again: a thread takes a whole plane, and goes through
// its windows one by one. That is slow too, but not hopelessly.

#define MOST_TO_ASK 1024

__device__ inline void grow(int* number, int value) {
  if (*(volatile int*)number < value) atomicMax(number, value);  // mostly it has been large enough for long
}

// A block of 32 x 8 threads takes one row of windows, oh, in some planes. It goes through the row in steps of 32
// columns, its threads' x; and each eighth of those planes is for threads of one y. What they find they put together in
// shared memory first, so that one thread for each column is left to write.
#define ACROSS 32
#define DOWN 8

__device__ inline void note_reach(const index* __restrict__ indices, int* __restrict__ reach, index planes,
                                  int planes_a_block, int OH, int OW, int H, int W, int* problem) {
  __shared__ int top, bottom;                  // the rows of the map that this row of windows points at
  __shared__ int left[ACROSS], right[ACROSS];  // the columns that each of the 32 columns of windows points at
  int x = threadIdx.x, y = threadIdx.y;
  if (x == 0 && y == 0) top = H, bottom = -1;
  int oh = blockIdx.x % OH;
  index first_plane = (index)(blockIdx.x / OH) * planes_a_block;
  index stop_plane = min(planes, first_plane + planes_a_block);
  int highest = H, lowest = -1;
  for (int tile = 0; tile < OW; tile += ACROSS) {
    if (y == 0) left[x] = W, right[x] = -1;
    __syncthreads();  // shared memory is ready
    int ow = tile + x, leftmost = W, rightmost = -1;
    NOT_UNROLLED
    for (index plane = first_plane + y; plane < stop_plane && ow < OW; plane += DOWN) {
      index where = indices[(plane * OH + oh) * OW + ow];
      if (where < 0 || where >= (index)H * W) {
        if (problem) *problem = BAD_INDEX;
        continue;  // it points nowhere
      }
      int row = where / W, column = where - (index)row * W;
      highest = min(highest, row), lowest = max(lowest, row);
      leftmost = min(leftmost, column), rightmost = max(rightmost, column);
    }
    atomicMin(&left[x], leftmost);
    atomicMax(&right[x], rightmost);
    __syncthreads();  // all planes have been looked at
    if (y > 0) continue;
    for (int column = left[x]; column <= right[x]; ++column) {
      grow(reach + 2 * ((index)H + column), OW - ow);
      grow(reach + 2 * ((index)H + column) + 1, ow + 1);
    }
  }
  atomicMin(&top, highest);
  atomicMax(&bottom, lowest);
  __syncthreads();
  for (int row = top + y * ACROSS + x; row <= bottom; row += ACROSS * DOWN) {
    grow(reach + 2 * (index)row, OH - oh);
    grow(reach + 2 * (index)row + 1, oh + 1);
  }
}

// The windows to ask, of row or column r.
__device__ inline Range windows_of(const int* reach, index r, int windows) {
  return {windows - reach[2 * r], reach[2 * r + 1]};
}

__device__ inline bool too_many(Range rows, Range columns, int* crowded) {
  bool many = rows.first < rows.stop && (index)(rows.stop - rows.first) * (columns.stop - columns.first) > MOST_TO_ASK;
  if (many) *crowded = 1;
  return many;
}

extern "C" __global__ void __launch_bounds__(256)
    max_pool2d_backward_reach(const index* __restrict__ indices, int* __restrict__ reach, index planes,
                              int planes_a_block, int OH, int OW, int H, int W, int* problem) {
  note_reach(indices, reach, planes, planes_a_block, OH, OW, H, W, problem);
}

// A thread takes one pixel of dx and sums up the gradients of the windows that it won, in row-major order.
extern "C" __global__ void max_pool2d_backward_gather(const real* __restrict__ dy,
                                                      const index* __restrict__ indices,
                                                      const int* __restrict__ reach, real* __restrict__ dx,
                                                      index lines, int H, int W, int OH, int OW, int* crowded) {
  FOR_EACH_PIXEL(p, lines, H, W) {
    index i = p.line * W + p.column;
    Range rows = windows_of(reach, p.row, OH), columns = windows_of(reach, (index)H + p.column, OW);
    if (too_many(rows, columns, crowded)) continue;
    index me = (index)p.row * W + p.column;
    double sum = 0;
    NOT_UNROLLED  // few windows and few registers, so that many threads fit in at once and wait together
    for (int oh = rows.first; oh < rows.stop; ++oh)
      NOT_UNROLLED
      for (int ow = columns.first; ow < columns.stop; ++ow) {
        index window = (p.plane * OH + oh) * OW + ow;
        real d = dy[window];  // read at once with the index, not after it: to wait for both takes as long as for one
        if (indices[window] == me) sum += d;
      }
    dx[i] = sum;
  }
}

// Thread p takes plane p of dx, but only where step 2 gave up.
extern "C" __global__ void max_pool2d_backward_in_order(const real* __restrict__ dy,
                                                        const index* __restrict__ indices,
                                                        real* __restrict__ dx, index planes, index pixels,
                                                        index windows, const int* crowded) {
  if (!*crowded) return;
  FOR_EACH(p, planes) {
    for (index i = 0; i < pixels; ++i) dx[p * pixels + i] = 0;
    for (index m = p * windows; m < (p + 1) * windows; ++m)
      if (0 <= indices[m] && indices[m] < pixels) dx[p * pixels + indices[m]] += dy[m];
  }
}

extern "C" __global__ void __launch_bounds__(256)
    max_unpool2d_reach(const index* __restrict__ indices, int* __restrict__ reach, index planes,
                       int planes_a_block, int H, int W, int OH, int OW, int* problem) {
  note_reach(indices, reach, planes, planes_a_block, H, W, OH, OW, problem);
}

// A thread takes one pixel of the large map y. The last element that points at it stays: we look for it from behind.
extern "C" __global__ void max_unpool2d_gather(const real* __restrict__ x, const index* __restrict__ indices,
                                               const int* __restrict__ reach, real* __restrict__ y, index lines,
                                               int OH, int OW, int H, int W, int* crowded) {
  FOR_EACH_PIXEL(p, lines, OH, OW) {
    index i = p.line * OW + p.column;
    Range rows = windows_of(reach, p.row, H), columns = windows_of(reach, (index)OH + p.column, W);
    if (too_many(rows, columns, crowded)) continue;
    index me = (index)p.row * OW + p.column;
    bool found = false;
    real value = 0;
    for (int h = rows.stop - 1; h >= rows.first && !found; --h)
      for (int w = columns.stop - 1; w >= columns.first && !found; --w) {
        index element = (p.plane * H + h) * W + w;
        real candidate = x[element];
        if (indices[element] == me) value = candidate, found = true;
      }
    y[i] = value;
  }
}

// Thread p takes plane p of y, but only where step 2 gave up.
extern "C" __global__ void max_unpool2d_in_order(const real* __restrict__ x, const index* __restrict__ indices,
                                                 real* __restrict__ y, index planes, index pixels,
                                                 index elements, const int* crowded) {
  if (!*crowded) return;
  FOR_EACH(p, planes) {
    for (index i = 0; i < pixels; ++i) y[p * pixels + i] = 0;
    for (index m = p * elements; m < (p + 1) * elements; ++m)
      if (0 <= indices[m] && indices[m] < pixels) y[p * pixels + indices[m]] = x[m];
  }
}

// Thread i takes element i of the small map and reads the gradient at the place that it was sent to.
extern "C" __global__ void max_unpool2d_backward(const real* __restrict__ dy, const index* __restrict__ indices,
                                                 real* __restrict__ dx, index total, index elements, index pixels,
                                                 int* problem) {
  FOR_EACH(i, total) {
    index where = indices[i];
    bool bad = where < 0 || where >= pixels;
    if (bad && problem) *problem = BAD_INDEX;
    dx[i] = bad ? real(0) : dy[i / elements * pixels + where];
  }
}

// ---------------------------------------------------------------------------------------------------------
// Mean

// Where window o starts and stops on the map, and its length before what is padding was cut off. What hangs over the
// padding (ceil_mode) never counts.
struct Window {
  int start, stop;
  index length;
};
__device__ inline Window window_of(int o, int k, int s, int p, int size) {
  index start = (index)o * s - p, stop = min(start + k, (index)size + p);
  return {int(max(start, 0LL)), int(min(stop, (index)size)), stop - start};
}

// What the sum over a window is divided by.
__device__ inline double count_of(Window rows, Window columns, int with_padding) {
  return with_padding ? (double)rows.length * columns.length
                      : double(rows.stop - rows.start) * (columns.stop - columns.start);
}

// A thread takes one output pixel.
extern "C" __global__ void avg_pool2d(const real* __restrict__ x, real* __restrict__ y, index lines, int H, int W,
                                      int OH, int OW, int KH, int KW, int sh, int sw, int ph, int pw,
                                      int count_include_pad) {
  FOR_EACH_PIXEL(p, lines, OH, OW) {
    index i = p.line * OW + p.column;
    const real* map = x + p.plane * H * W;
    Window rows = window_of(p.row, KH, sh, ph, H), columns = window_of(p.column, KW, sw, pw, W);
    double sum = 0;
    for (int row = rows.start; row < rows.stop; ++row)
      for (int column = columns.start; column < columns.stop; ++column) sum += map[(index)row * W + column];
    y[i] = sum / count_of(rows, columns, count_include_pad);
  }
}

// The windows that hold row r: o * s - p <= r < o * s - p + k.
//
//     k 3, s 2, p 1     row r           0  1  2  3  4  5
//                       window 0       ====
//                       window 1          =======
//                       window 2                =======        row 3 lies in windows 1 and 2
__device__ inline Range windows_with(int r, int k, int s, int p, int windows) {
  index padded = (index)r + p;
  index first = padded < k ? 0 : (padded - k) / s + 1, stop = padded / s + 1;
  return {int(first), int(min(stop, (index)windows))};
}

// A thread takes one pixel of dx: its share of the gradients of all windows that hold it.
extern "C" __global__ void avg_pool2d_backward(const real* __restrict__ dy, real* __restrict__ dx, index lines,
                                               int H, int W, int OH, int OW, int KH, int KW, int sh, int sw,
                                               int ph, int pw, int count_include_pad) {
  FOR_EACH_PIXEL(p, lines, H, W) {
    index i = p.line * W + p.column;
    const real* gradients = dy + p.plane * OH * OW;
    Range rows = windows_with(p.row, KH, sh, ph, OH), columns = windows_with(p.column, KW, sw, pw, OW);
    double sum = 0;
    for (int oh = rows.first; oh < rows.stop; ++oh) {
      Window height = window_of(oh, KH, sh, ph, H);
      for (int ow = columns.first; ow < columns.stop; ++ow) {
        Window width = window_of(ow, KW, sw, pw, W);
        sum += gradients[(index)oh * OW + ow] / real(count_of(height, width, count_include_pad));
      }
    }
    dx[i] = sum;
  }
}

// A block takes a whole plane: its threads take every so-many-th pixel, and put their sums together.
extern "C" __global__ void global_avg_pool2d(const real* __restrict__ x, real* __restrict__ y, index pixels) {
  __shared__ double parts[32];
  const real* map = x + blockIdx.x * pixels;
  double sum = 0;
  for (index i = threadIdx.x; i < pixels; i += blockDim.x) sum += map[i];
  sum = block_sum(sum, parts);
  if (threadIdx.x == 0) y[blockIdx.x] = sum / pixels;
}

// A thread takes one pixel of dx.
extern "C" __global__ void global_avg_pool2d_backward(const real* __restrict__ dy, real* __restrict__ dx,
                                                      index lines, int H, int W) {
  FOR_EACH_PIXEL(p, lines, H, W) dx[p.line * W + p.column] = dy[p.plane] / ((index)H * W);
}

// A thread takes one output pixel.
extern "C" __global__ void adaptive_avg_pool2d(const real* __restrict__ x, real* __restrict__ y, index lines,
                                               int H, int W, int OH, int OW) {
  FOR_EACH_PIXEL(p, lines, OH, OW) {
    index i = p.line * OW + p.column;
    const real* map = x + p.plane * H * W;
    Range rows = bin_of(p.row, H, OH), columns = bin_of(p.column, W, OW);
    double sum = 0;
    for (int row = rows.first; row < rows.stop; ++row)
      for (int column = columns.first; column < columns.stop; ++column) sum += map[(index)row * W + column];
    y[i] = sum / ((double)(rows.stop - rows.first) * (columns.stop - columns.first));
  }
}

// A warp takes output pixel i, as in adaptive_max_pool2d_large.
extern "C" __global__ void adaptive_avg_pool2d_large(const real* __restrict__ x, real* __restrict__ y, index total,
                                                     int H, int W, int OH, int OW) {
  FOR_EACH(thread, 32 * total) {
    index i = thread / 32;
    int lane = thread % 32;
    Pixel p = pixel_of(i, OH, OW);
    const real* map = x + p.plane * H * W;
    Range rows = bin_of(p.row, H, OH), columns = bin_of(p.column, W, OW);
    double sum = 0;
    for (Walk at = walk_from(rows, columns, lane); at.row < rows.stop; walk_on(at, columns))
      sum += map[(index)at.row * W + at.column];
    sum = warp_sum(sum);
    if (lane == 0) y[i] = sum / ((double)(rows.stop - rows.first) * (columns.stop - columns.first));
  }
}

// A thread takes one pixel of dx: its share of the gradients of all bins that hold it (see bin_of).
extern "C" __global__ void adaptive_avg_pool2d_backward(const real* __restrict__ dy, real* __restrict__ dx,
                                                        index lines, int H, int W, int OH, int OW) {
  FOR_EACH_PIXEL(p, lines, H, W) {
    index i = p.line * W + p.column;
    const real* gradients = dy + p.plane * OH * OW;
    Range rows = bin_of(p.row, OH, H), columns = bin_of(p.column, OW, W);
    double sum = 0;
    for (int oh = rows.first; oh < rows.stop; ++oh) {
      Range height = bin_of(oh, H, OH);
      for (int ow = columns.first; ow < columns.stop; ++ow) {
        Range width = bin_of(ow, W, OW);
        real count = (real)(height.stop - height.first) * (width.stop - width.first);
        sum += gradients[(index)oh * OW + ow] / count;
      }
    }
    dx[i] = sum;
  }
}
