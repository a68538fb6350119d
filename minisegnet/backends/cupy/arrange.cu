// Putting arrays together, adding, cropping and padding them. Each thread writes one element of the result and looks
// up where it comes from; nothing is scattered, so that all of the result is written, zeros included.

// ---------------------------------------------------------------------------------------------------------
// Concatenate: thread i takes element i of one of the arrays. Along the axis and all behind it, an array is a run of
// numbers in one piece; `run` is its length in that array, `whole` its length in the result, `start` where it begins.
//
//     y     | a a a a | b b |     one run of whole = 6; for b: run = 2, start = 4
//           | a a a a | b b |     the next

extern "C" __global__ void concat(const real* __restrict__ x, real* __restrict__ y, index total, index run,
                                  index whole, index start) {
  FOR_EACH(i, total) {
    index o = i / run;
    y[o * whole + start + (i - o * run)] = x[i];
  }
}

extern "C" __global__ void concat_backward(const real* __restrict__ dy, real* __restrict__ dx, index total,
                                           index run, index whole, index start) {
  FOR_EACH(i, total) {
    index o = i / run;
    dx[i] = dy[o * whole + start + (i - o * run)];
  }
}

// ---------------------------------------------------------------------------------------------------------
// Add: thread i takes element i.

extern "C" __global__ void add(const real* __restrict__ a, const real* __restrict__ b, real* __restrict__ y,
                               index total) {
  FOR_EACH(i, total) y[i] = a[i] + b[i];
}

// Both receive dy, which is read once and written twice.
extern "C" __global__ void add_backward(const real* __restrict__ dy, real* __restrict__ da, real* __restrict__ db,
                                        index total) {
  FOR_EACH(i, total) {
    real d = dy[i];
    da[i] = d;
    db[i] = d;
  }
}

// ---------------------------------------------------------------------------------------------------------
// Crop: a thread takes one pixel of the result.
//
//     x  . . . . .      y  a b c        y's pixel (row, column) is x's (row + top, column + left)
//        . a b c .         d e f
//        . d e f .
//        . . . . .

extern "C" __global__ void crop2d(const real* __restrict__ x, real* __restrict__ y, index lines, int H, int W,
                                  int h, int w, int top, int left) {
  FOR_EACH_PIXEL(p, lines, h, w) {
    index i = p.line * w + p.column;
    y[i] = x[(p.plane * H + p.row + top) * W + p.column + left];
  }
}

// A thread takes one pixel of the whole map: from dy where it was kept, 0 where it was cut away.
extern "C" __global__ void crop2d_backward(const real* __restrict__ dy, real* __restrict__ dx, index lines, int H,
                                           int W, int h, int w, int top, int left) {
  FOR_EACH_PIXEL(p, lines, H, W) {
    index i = p.line * W + p.column;
    int row = p.row - top, column = p.column - left;
    bool kept = 0 <= row && row < h && 0 <= column && column < w;
    dx[i] = kept ? dy[(p.plane * h + row) * w + column] : real(0);
  }
}

// ---------------------------------------------------------------------------------------------------------
// Pad: a thread takes one pixel of the larger map. With reflection, rows -1, -2 show rows 1, 2:
//
//     padded row            0  1 | 2  3  4  5 | 6  7          size 4, padding 2
//     shows the map's row   2  1 | 0  1  2  3 | 2  1

// Which row of the map the row i (counted from the map's first) shows; -1 for none.
__device__ inline int source(int i, int size, int reflect) {
  if (0 <= i && i < size) return i;
  if (!reflect) return -1;
  return i < 0 ? -i : 2 * (size - 1) - i;
}

extern "C" __global__ void pad2d(const real* __restrict__ x, real* __restrict__ y, index lines, int H, int W,
                                 int PH, int PW, int ph, int pw, int reflect) {
  FOR_EACH_PIXEL(p, lines, PH, PW) {
    index i = p.line * PW + p.column;
    int row = source(p.row - ph, H, reflect), column = source(p.column - pw, W, reflect);
    y[i] = row >= 0 && column >= 0 ? x[(p.plane * H + row) * W + column] : real(0);
  }
}

// Where the map's row r is shown in the padded map: at r + padding, and, reflected, perhaps above and below.
// Returns how many times (1 to 3), in rising order.
//
//     above: padded row padding - r                      for 1 <= r <= padding
//     below: padded row padding + 2 * (size - 1) - r     for size - 1 - padding <= r <= size - 2
__device__ inline int copies(int r, int size, int padding, int reflect, int& first, int& second, int& third) {
  bool above = reflect && 1 <= r && r <= padding;
  bool below = reflect && size - 1 - padding <= r && r <= size - 2;
  int mirrored_below = padding + 2 * (size - 1) - r;
  first = above ? padding - r : r + padding;
  second = above ? r + padding : mirrored_below;
  third = mirrored_below;
  return 1 + above + below;
}

// A thread takes one pixel of the smaller map and sums up the gradients of all places that showed it. The other way
// round, with a thread for each of those places, several would add to one pixel at once.
extern "C" __global__ void pad2d_backward(const real* __restrict__ dy, real* __restrict__ dx, index lines, int H,
                                          int W, int PH, int PW, int ph, int pw, int reflect) {
  FOR_EACH_PIXEL(p, lines, H, W) {
    index i = p.line * W + p.column;
    int row, row_2, row_3, left, middle, right;
    int rows = copies(p.row, H, ph, reflect, row, row_2, row_3);
    int columns = copies(p.column, W, pw, reflect, left, middle, right);
    double sum = 0;
    for (int k = 0; k < rows; ++k) {
      const real* line = dy + (p.plane * PH + (k == 0 ? row : k == 1 ? row_2 : row_3)) * PW;
      sum += line[left];
      if (columns > 1) sum += line[middle];
      if (columns > 2) sum += line[right];
    }
    dx[i] = sum;
  }
}
