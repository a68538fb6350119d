// Resizing. Forward, a thread takes one output pixel and reads where it lies in the input. Backward, a thread takes one
// input pixel and collects from the output pixels that read it: a gather, so that no two threads add to one number.
//
// Neighbouring threads take neighbouring pixels of a row. Where the map grows, neighbours read the same input pixels,
// which come from the cache.

// ---------------------------------------------------------------------------------------------------------
// Bilinear. Rows and columns are independent: where output row o lies, between which two input rows and with which
// weights, is the same in every column and plane. So it is computed once, in double precision, into tables for the
// rows and for the columns (resize_bilinear_places), and the weights are rounded to the map's dtype.
//
//     input rows        0       1       2       3                size 4, output_size 6
//     output rows     0    1     2    3    4     5               row 1 lies between 0 and 1: weights 1/2, 1/2

// Where output position o lies in the input.
__device__ inline double source_of(int o, int size, int output_size, int align_corners) {
  if (align_corners)  // the centres of the corner pixels fall on each other
    return output_size > 1 ? rounded_quotient((double)o * (size - 1), output_size - 1) : 0;
  // The outer edges fall on each other, and a pixel's centre lies half a pixel inside.
  double source = rounded_sum(rounded_quotient(rounded_product(o + 0.5, size), output_size), -0.5);
  return max(source, 0.0);
}

// The first of its two neighbours; the second is the next one, or at the end the same.
__device__ inline int near_of(double source, int size) { return min(int(source), size - 1); }

// Tables of one axis: of output position o, its first neighbour and the weights of both.
__device__ inline void note_place(int* near, real* weights, int o, int size, int output_size, int align_corners) {
  double source = source_of(o, size, output_size, align_corners);
  double fraction = source - near_of(source, size);
  near[o] = near_of(source, size);
  weights[2 * (index)o] = 1 - fraction;
  weights[2 * (index)o + 1] = fraction;
}

// Thread i takes output row i, or, behind the last one, output column i - OH. `near` and `weights` hold first the rows'
// part, then the columns'.
extern "C" __global__ void resize_bilinear_places(int* __restrict__ near, real* __restrict__ weights, int H, int W,
                                                  int OH, int OW, int align_corners) {
  FOR_EACH(i, (index)OH + OW) {
    if (i < OH)
      note_place(near, weights, i, H, OH, align_corners);
    else
      note_place(near + OH, weights + 2 * (index)OH, i - OH, W, OW, align_corners);
  }
}

// A thread takes one output pixel.
//
//     left      right
//       a---before--after---b   top
//       |             |
//       |             o         above, below: the weights of the two rows
//       |             |
//       c-------------------d   bottom
extern "C" __global__ void resize_bilinear(const real* __restrict__ x, const int* __restrict__ near,
                                           const real* __restrict__ weights, real* __restrict__ y, index lines,
                                           int H, int W, int OH, int OW) {
  FOR_EACH_PIXEL(p, lines, OH, OW) {
    index i = p.line * OW + p.column;
    int top = near[p.row], left = near[(index)OH + p.column];
    int bottom = min(top + 1, H - 1), right = min(left + 1, W - 1);
    const real *row_weights = weights + 2 * (index)p.row, *column_weights = weights + 2 * ((index)OH + p.column);
    real above = row_weights[0], below = row_weights[1];
    real before = column_weights[0], after = column_weights[1];
    const real *upper_row = x + (p.plane * H + top) * W, *lower_row = x + (p.plane * H + bottom) * W;
    real upper = before * upper_row[left] + after * upper_row[right];
    real lower = before * lower_row[left] + after * lower_row[right];
    y[i] = above * upper + below * lower;
  }
}

// The first output position whose first neighbour is at least r, found by halving: neighbours rise with the position.
__device__ inline int first_at(int r, int size, int output_size, int align_corners) {
  int low = 0, high = output_size;
  while (low < high) {
    int middle = low + (high - low) / 2;
    if (near_of(source_of(middle, size, output_size, align_corners), size) < r)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// Thread i takes input row i, or, behind the last one, input column i - H, and notes which output positions read it:
// those with a first neighbour r - 1 or r, one piece, from reach[2 * i] up to, but without, reach[2 * i + 1].
extern "C" __global__ void resize_bilinear_backward_reach(int* __restrict__ reach, int H, int W, int OH, int OW,
                                                          int align_corners) {
  FOR_EACH(i, (index)H + W) {
    bool is_row = i < H;
    int r = is_row ? i : i - H, size = is_row ? H : W, output_size = is_row ? OH : OW;
    reach[2 * i] = first_at(r - 1, size, output_size, align_corners);
    reach[2 * i + 1] = first_at(r + 1, size, output_size, align_corners);
  }
}

// A thread takes one pixel of dx: the gradients of all output pixels that read it, with the weights with which they did.
extern "C" __global__ void resize_bilinear_backward(const real* __restrict__ dy, const int* __restrict__ near,
                                                    const real* __restrict__ weights,
                                                    const int* __restrict__ reach, real* __restrict__ dx,
                                                    index lines, int H, int W, int OH, int OW) {
  const int* near_columns = near + OH;
  const real* column_weights = weights + 2 * (index)OH;
  FOR_EACH_PIXEL(p, lines, H, W) {
    index i = p.line * W + p.column;
    const int *rows = reach + 2 * (index)p.row, *columns = reach + 2 * ((index)H + p.column);
    double sum = 0;
    for (int oh = rows[0]; oh < rows[1]; ++oh) {
      bool is_top = near[oh] == p.row, is_bottom = min(near[oh] + 1, H - 1) == p.row;  // at the end it is both
      const real* line = dy + (p.plane * OH + oh) * OW;
      double line_sum = 0;
      for (int ow = columns[0]; ow < columns[1]; ++ow) {
        real d = line[ow];
        if (near_columns[ow] == p.column) line_sum += column_weights[2 * (index)ow] * d;
        if (min(near_columns[ow] + 1, W - 1) == p.column) line_sum += column_weights[2 * (index)ow + 1] * d;
      }
      if (is_top) sum += weights[2 * (index)oh] * line_sum;
      if (is_bottom) sum += weights[2 * (index)oh + 1] * line_sum;
    }
    dx[i] = sum;
  }
}

// ---------------------------------------------------------------------------------------------------------
// Nearest: output position o copies input position floor(o * size / output_size), in whole numbers.
//
//     size 3, output_size 5      output  0  1  2  3  4
//                                input   0  0  1  1  2
__device__ inline int copied(int o, int size, int output_size) { return (index)o * size / output_size; }

// The first output position that copies r or what lies behind it: the first o with o * size >= r * output_size.
__device__ inline int first_copy(int r, int size, int output_size) {
  return ((index)r * output_size + size - 1) / size;
}

// A thread takes one output pixel.
extern "C" __global__ void resize_nearest(const real* __restrict__ x, real* __restrict__ y, index lines, int H,
                                          int W, int OH, int OW) {
  FOR_EACH_PIXEL(p, lines, OH, OW) {
    index i = p.line * OW + p.column;
    y[i] = x[(p.plane * H + copied(p.row, H, OH)) * W + copied(p.column, W, OW)];
  }
}

// A thread takes one pixel of dx: the gradients of all its copies, which are one rectangle.
extern "C" __global__ void resize_nearest_backward(const real* __restrict__ dy, real* __restrict__ dx, index lines,
                                                   int H, int W, int OH, int OW) {
  FOR_EACH_PIXEL(p, lines, H, W) {
    index i = p.line * W + p.column;
    int bottom = first_copy(p.row + 1, H, OH), left = first_copy(p.column, W, OW);
    int right = first_copy(p.column + 1, W, OW);
    double sum = 0;
    for (int oh = first_copy(p.row, H, OH); oh < bottom; ++oh)
      for (int ow = left; ow < right; ++ow) sum += dy[(p.plane * OH + oh) * OW + ow];
    dx[i] = sum;
  }
}
