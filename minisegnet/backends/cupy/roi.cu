// Pooling of regions of interest (RoI). A region is a row of rois: batch index, x1, y1, x2, y2. The box may lie partly
// or wholly outside the map.
//
// Forward, a thread takes one element of y: one bin of one region in one channel. Backward, a thread takes one pixel of
// dx and asks all regions of its picture in their order: where regions overlap, a thread for each bin would add to
// the same pixel as others at the same time.
//
// On the CPU regions were checked before. On a GPU a kernel meets bad ones: it says so in its flag `problem`, and
// takes a region without a picture as one without pixels, and a corner that is no number as 0.

// Which picture a region belongs to; -1 if its batch index is none.
__device__ inline int picture_of(const real* region, int N, int* problem) {
  real n = region[0];
  bool right = n >= 0 && n < N && n == floor(n);
  if (!right && problem) *problem = BAD_BATCH_INDEX;
  return right ? int(n) : -1;
}

// A corner's coordinate on the map.
__device__ inline real corner_of(real value, real scale, int* problem) {
  real corner = rounded_product(value, scale);
  bool right = fabs(corner) < real(2147483648.0);  // false for NaN, too
  if (!right && problem) *problem = BAD_CORNER;
  return right ? corner : real(0);
}

// ---------------------------------------------------------------------------------------------------------
// RoI pooling: corners rounded to whole pixels, the maximum of each bin

// The nearest whole number, halves away from zero. Not floor(value + 0.5): that sum can itself be rounded up.
__device__ inline index nearest(real value) {
  real size = fabs(value), whole = floor(size);
  index result = (index)whole + (rounded_sum(size, -whole) >= real(0.5));
  return value >= 0 ? result : -result;
}

// Pixels of bin i on one axis, clipped to the map: first, and the one after the last.
//
//     region from pixel 1 to 5 (extent 5), 2 bins:     . 1 2 3 4 5 .
//                                                        ===== bin 0: 1 + floor(0 * 5 / 2) up to 1 + ceil(1 * 5 / 2)
//                                                            ===== bin 1; bins may share a pixel
struct Range {
  int first, stop;
};
__device__ inline Range pixels_of(int i, index corner, index other_corner, int bins, int size) {
  index extent = max(other_corner - corner + 1, 1LL);  // both corners belong to the region
  index first = corner + i * extent / bins, stop = corner + ((i + 1) * extent + bins - 1) / bins;
  return {int(min(max(first, 0LL), (index)size)), int(min(max(stop, 0LL), (index)size))};
}

// Thread e takes element e of y. The first maximum of a bin in row-major order wins; a NaN beats every number, and the
// last NaN wins. An empty bin gives 0, and -1 for its place.
extern "C" __global__ void roi_pool(const real* __restrict__ x, const real* __restrict__ rois, real* __restrict__ y,
                                    index* __restrict__ argmax, index total, int N, int C, int H, int W, int OH,
                                    int OW, real scale, int* problem) {
  FOR_EACH(e, total) {
    Pixel p = pixel_of(e, OH, OW);
    index r = p.plane / C;
    const real* region = rois + 5 * r;
    int n = picture_of(region, N, problem);
    index x1 = nearest(corner_of(region[1], scale, problem)), y1 = nearest(corner_of(region[2], scale, problem));
    index x2 = nearest(corner_of(region[3], scale, problem)), y2 = nearest(corner_of(region[4], scale, problem));
    Range rows = pixels_of(p.row, y1, y2, OH, H), columns = pixels_of(p.column, x1, x2, OW, W);
    if (n < 0) rows.stop = rows.first;
    bool empty = rows.first >= rows.stop || columns.first >= columns.stop;
    const real* map = x + ((index)max(n, 0) * C + p.plane - r * C) * H * W;
    real best = empty ? real(0) : real(-INFINITY);
    index where = empty ? -1 : (index)rows.first * W + columns.first;
    for (int row = rows.first; row < rows.stop; ++row)
      for (int column = columns.first; column < columns.stop; ++column) {
        real value = map[(index)row * W + column];
        if (value > best || is_nan(value)) best = value, where = (index)row * W + column;
      }
    y[e] = best;
    argmax[e] = where;
  }
}

// The way back has only argmax to tell which bins may have a pixel: neither scale nor sizes. So a first kernel notes,
// for each region, between which rows the maxima of each row of bins lie (in any channel), and between which columns
// those of each column of bins. `reach` has two numbers for each row of bins of region 0, then for each column, then
// for region 1: `size - first` and `last + 1`, so that the zeros with which the array begins say "none" and both
// numbers only grow. Largest of whole numbers is the same in any order, so that atomic operations are no harm.
__device__ inline void grow(int* number, int value) {
  if (*(volatile int*)number < value) atomicMax(number, value);  // mostly it has been large enough for long
}

// Thread e takes element e of argmax.
extern "C" __global__ void roi_pool_backward_reach(const index* __restrict__ argmax, int* __restrict__ reach,
                                                   index total, int C, int H, int W, int OH, int OW,
                                                   int* problem) {
  FOR_EACH(e, total) {
    index where = argmax[e];
    if (where < 0 || where >= (index)H * W) {
      if (where != -1 && problem) *problem = BAD_INDEX;
      continue;
    }
    Pixel p = pixel_of(e, OH, OW);
    int* row_reach = reach + 2 * (p.plane / C * (OH + OW) + p.row);
    int* column_reach = reach + 2 * (p.plane / C * (OH + OW) + OH + p.column);
    int row = where / W, column = where - (index)row * W;
    grow(row_reach, H - row);
    grow(row_reach + 1, row + 1);
    grow(column_reach, W - column);
    grow(column_reach + 1, column + 1);
  }
}

__device__ inline bool reaches(const int* reach, int place, int size) {
  return size - reach[0] <= place && place < reach[1];
}

// Thread i takes pixel i of dx and sums up the gradients of the bins that it won: in the order of regions and, in each,
// in row-major order.
extern "C" __global__ void roi_pool_backward(const real* __restrict__ dy, const index* __restrict__ argmax,
                                             const real* __restrict__ rois, const int* __restrict__ reach,
                                             real* __restrict__ dx, index total, int R, int N, int C, int H, int W,
                                             int OH, int OW, int* problem) {
  FOR_EACH(i, total) {
    Pixel p = pixel_of(i, H, W);
    int n = p.plane / C, c = p.plane - (index)n * C;
    index me = (index)p.row * W + p.column;
    double sum = 0;
    for (int r = 0; r < R; ++r) {
      if (picture_of(rois + 5 * (index)r, N, problem) != n) continue;
      const int *rows = reach + 2 * (index)r * (OH + OW), *columns = rows + 2 * OH;
      index first = ((index)r * C + c) * OH * OW;
      for (int oh = 0; oh < OH; ++oh) {
        if (!reaches(rows + 2 * (index)oh, p.row, H)) continue;
        for (int ow = 0; ow < OW; ++ow) {
          index bin = first + (index)oh * OW + ow;
          if (reaches(columns + 2 * (index)ow, p.column, W) && argmax[bin] == me) sum += dy[bin];
        }
      }
    }
    dx[i] = sum;
  }
}

// ---------------------------------------------------------------------------------------------------------
// RoI align: nothing is rounded, the mean of bilinear samples in each bin. Rows and columns are independent: a sample is
// a place on the rows' axis and one on the columns'.
//
// Coordinates are computed in the arrays' own dtype, each operation rounded: floor() shows the last bit.

// One axis of a region: where it starts, how long its bins are, and how many samples each has by rights.
//
//     start    length        2 bins of 3 samples
//       |--*--*--*--|--*--*--*--|
struct Axis {
  real start, length;
  index count;
};
__device__ inline Axis axis_of(real begin, real end, int bins, int sampling_ratio, int aligned) {
  real offset = aligned ? real(0.5) : real(0);
  real start = rounded_sum(begin, -offset), extent = rounded_sum(rounded_sum(end, -offset), -start);
  if (!aligned) extent = max(extent, real(1));
  real length = rounded_quotient(extent, bins);
  return {start, length, sampling_ratio > 0 ? (index)sampling_ratio : (index)ceil(length)};
}

// The axes of a region, rows and columns.
struct Region {
  Axis rows, columns;
  double share;  // 1 / samples in a bin, those outside of the map included
};
__device__ inline Region region_of(const real* region, int OH, int OW, real scale, int sampling_ratio, int aligned,
                                   int* problem) {
  real x1 = corner_of(region[1], scale, problem), y1 = corner_of(region[2], scale, problem);
  real x2 = corner_of(region[3], scale, problem), y2 = corner_of(region[4], scale, problem);
  if (aligned && (x2 < x1 || y2 < y1) && problem) *problem = BAD_ORDER;
  Axis rows = axis_of(y1, y2, OH, sampling_ratio, aligned), columns = axis_of(x1, x2, OW, sampling_ratio, aligned);
  double samples = (double)max(rows.count, 0LL) * max(columns.count, 0LL);  // may not fit into 64 bits
  return {rows, columns, 1 / max(samples, 1.0)};
}

// The coordinate of sample t in bin i.
__device__ inline real position_of(Axis axis, int i, index t) {
  real bin = rounded_sum(axis.start, rounded_product(real(i), axis.length));
  real part = rounded_product(rounded_sum(real(t), real(0.5)), axis.length);
  return rounded_sum(bin, rounded_quotient(part, real(axis.count)));
}

// The first sample of bin i at or behind a place (`beyond`: behind it), found by halving: positions rise with t. So a box
// of a thousand million pixels is as quick as a small one.
__device__ inline index first_sample(Axis axis, int i, real place, bool beyond) {
  index low = 0, high = max(axis.count, 0LL);
  while (low < high) {
    index middle = (low + high) / 2;
    real position = position_of(axis, i, middle);
    if (beyond ? position > place : position >= place)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

// The two pixels that a position lies between, and their weights.
struct Between {
  int low, high;
  real low_weight, high_weight;
};
__device__ inline Between between(real position, int size) {
  position = max(position, real(0));
  int low = min((index)position, (index)size - 1);
  if (low == size - 1) return {low, low, 1, 0};
  real fraction = rounded_sum(position, -real(low));
  return {low, low + 1, rounded_sum(1, -fraction), fraction};
}

// Thread e takes element e of y. A sample that is more than a pixel outside the map counts as 0: it is left out.
extern "C" __global__ void roi_align(const real* __restrict__ x, const real* __restrict__ rois,
                                     real* __restrict__ y, index total, int N, int C, int H, int W, int OH, int OW,
                                     real scale, int sampling_ratio, int aligned, int* problem) {
  FOR_EACH(e, total) {
    Pixel p = pixel_of(e, OH, OW);
    index r = p.plane / C;
    int n = picture_of(rois + 5 * r, N, problem);
    Region region = region_of(rois + 5 * r, OH, OW, scale, sampling_ratio, aligned, problem);
    const real* map = x + ((index)max(n, 0) * C + p.plane - r * C) * H * W;
    index stop_row = n < 0 ? 0 : first_sample(region.rows, p.row, H, true);
    index first_column = first_sample(region.columns, p.column, -1, false);
    index stop_column = first_sample(region.columns, p.column, W, true);
    double sum = 0;
    for (index s = first_sample(region.rows, p.row, -1, false); s < stop_row; ++s) {
      Between rows = between(position_of(region.rows, p.row, s), H);
      const real *top = map + (index)rows.low * W, *bottom = map + (index)rows.high * W;
      for (index t = first_column; t < stop_column; ++t) {
        Between columns = between(position_of(region.columns, p.column, t), W);
        double upper = (double)columns.low_weight * top[columns.low] + (double)columns.high_weight * top[columns.high];
        double lower =
            (double)columns.low_weight * bottom[columns.low] + (double)columns.high_weight * bottom[columns.high];
        sum += rows.low_weight * upper + rows.high_weight * lower;
      }
    }
    y[e] = sum * region.share;
  }
}

// With which weight the samples of bin i read pixel `place` of an axis, all together; `touched` says whether any does
// (a weight can be 0 and still spread a NaN). Samples that read it lie less than a pixel before or behind it; at the
// ends of the map, up to a pixel outside.
//
//     place - 1       place      place + 1
//         |-----*-------|----*-------|           both stars read `place`
__device__ inline double weight_of(Axis axis, int i, int place, int size, bool& touched) {
  index first = first_sample(axis, i, place - 1, false);
  index stop = place == size - 1 ? first_sample(axis, i, size, true) : first_sample(axis, i, place + 1, false);
  double weight = 0;
  for (index t = first; t < stop; ++t) {
    Between sample = between(position_of(axis, i, t), size);
    if (sample.low == place) weight += sample.low_weight;
    if (sample.high == place) weight += sample.high_weight;
  }
  touched = first < stop;
  return weight;
}

// Whether bins of a region come near a pixel at all. Some pixels too many on each side are no harm; coordinates of very
// large boxes are rounded to many pixels.
__device__ inline bool is_near(Axis axis, int bins, int place) {
  double length = (double)bins * axis.length, slack = 2 + 1e-6 * (fabs((double)axis.start) + length);
  return axis.start - slack <= place && place <= axis.start + length + slack;
}

// Thread i takes pixel i of dx: the gradients of all bins, times the weights with which they read it.
extern "C" __global__ void roi_align_backward(const real* __restrict__ dy, const real* __restrict__ rois,
                                              real* __restrict__ dx, index total, int R, int N, int C, int H, int W,
                                              int OH, int OW, real scale, int sampling_ratio, int aligned,
                                              int* problem) {
  FOR_EACH(i, total) {
    Pixel p = pixel_of(i, H, W);
    int n = p.plane / C, c = p.plane - (index)n * C;
    double sum = 0;
    for (int r = 0; r < R; ++r) {
      if (picture_of(rois + 5 * (index)r, N, problem) != n) continue;
      Region region = region_of(rois + 5 * (index)r, OH, OW, scale, sampling_ratio, aligned, problem);
      if (!is_near(region.rows, OH, p.row) || !is_near(region.columns, OW, p.column)) continue;
      const real* gradients = dy + ((index)r * C + c) * OH * OW;
      for (int oh = 0; oh < OH; ++oh) {
        bool touched;
        double row_weight = weight_of(region.rows, oh, p.row, H, touched);
        if (!touched) continue;
        for (int ow = 0; ow < OW; ++ow) {
          double column_weight = weight_of(region.columns, ow, p.column, W, touched);
          if (touched) sum += row_weight * column_weight * (gradients[(index)oh * OW + ow] * region.share);
        }
      }
    }
    dx[i] = sum;
  }
}
