// Convolutions without tiles: each thread walks through the taps of its own result and fetches two numbers for each product. For
// depthwise convolutions and for very few filters there is nothing to share, and this is the better way (conv.py's table
// chooses); the tiles are in conv.cu.
//
// As everywhere in these files y is the small map and x the large one, and they meet where
//
//     row of x = row of y * stride - padding + tap * dilation
//
// A convolution gathers y from x, a transposed one gathers x from y. Rows are computed as unsigned numbers of 32 bits, which
// wrap around: what lies above the map becomes huge, so that one comparison, row < H, asks for both edges.

struct Convolution {
  int N, C, H, W, K, OH, OW, KH, KW, sh, sw, ph, pw, dh, dw, groups;
};

// Where a block of 32 x 8 threads works: in one map (of all maps of all images), thread (x, y) at pixel (column, row).
//
//     a map of 40 x 20           tile 0: columns 0 ... 31    tile 1: 32 ... 39 (24 columns of threads have nothing to do)
//     is covered by 2 x 3 tiles   rows 0 ... 7
//                                tile 2 ...
struct Spot {
  unsigned map, row, column;
};

__device__ inline Spot spot_of_thread(int height, int width) {
  unsigned across = (width + 31u) / 32, down = (height + 7u) / 8, tile = blockIdx.x;
  return {tile / across / down, tile / across % down * 8 + threadIdx.y, tile % across * 32 + threadIdx.x};
}

// Thread: one pixel of y. w is (K, CG, KH, KW), with CG channels of x for each group of KG filters. In float32 x and y are
// 4 bytes a pixel, read once from memory if the cache keeps the rows under the filter; 2 CG KH KW operations.
extern "C" __global__ void __launch_bounds__(256)
conv2d_direct(const real* __restrict__ x, const real* __restrict__ w, const real* __restrict__ b, real* __restrict__ y, int N,
              int C, int H, int W, int K, int OH, int OW, int KH, int KW, int sh, int sw, int ph, int pw, int dh, int dw,
              int groups) {
  Spot p = spot_of_thread(OH, OW);
  if (p.row >= (unsigned)OH || p.column >= (unsigned)OW) return;
  int n = p.map / K, k = p.map % K, CG = C / groups, KG = K / groups;
  const real* map = x + ((index)n * C + k / KG * CG) * H * W;  // the first channel of this filter's group
  const real* tap = w + (index)k * CG * KH * KW;
  real sum = b ? b[k] : real(0);
  for (int c = 0; c < CG; ++c, map += (index)H * W)
    for (int i = 0; i < KH; ++i) {
      unsigned row = p.row * sh - ph + (unsigned)i * dh;
      for (int j = 0; j < KW; ++j, ++tap) {
        unsigned column = p.column * sw - pw + (unsigned)j * dw;
        if (row < (unsigned)H && column < (unsigned)W) sum += *tap * map[(index)row * W + column];
      }
    }
  y[((index)p.map * OH + p.row) * OW + p.column] = sum;
}

// Which taps i meet a row of the large map, and where in the small one. With a stride only some do: those for which
// row + padding - i * dilation is a multiple of it. They lie `step` taps apart, and each next one `jump` rows higher.
//
//     stride 2, 3 taps, no padding     row 0: tap 0 at y's row 0            row 1: tap 1 at row 0
//                                      row 2: tap 0 at row 1, tap 2 at row 0
struct Meeting {
  int first, taps, step;
  unsigned row, jump;  // tap number t is first + t * step and meets row - t * jump, if that lies in the map
};

__device__ inline int common_divisor(int a, int b) {
  while (b) {
    int rest = a % b;
    a = b, b = rest;
  }
  return a;
}

__device__ inline Meeting meeting(unsigned row, int taps, int stride, int padding, int dilation) {
  int common = common_divisor(stride, dilation);
  unsigned step = stride / common, jump = dilation / common;
  unsigned quotient = (row + padding) / stride, rest = (row + padding) % stride;
  for (unsigned first = 0; first < step && first < (unsigned)taps; ++first) {
    if (rest == 0) return {int(first), int((taps - 1 - first) / step + 1), int(step), quotient, jump};
    bool borrows = rest < unsigned(dilation % stride);  // (row + padding - first * dilation) / stride, with its rest
    quotient -= unsigned(dilation / stride) + borrows;
    rest += (borrows ? stride : 0u) - dilation % stride;
  }
  return {0, 0, 1, 0, 0};
}

// Thread: one pixel of x, the transposed convolution (and so the gradient of a convolution's input). w is (K, CG, KH, KW).
// Neighbours in a row meet other taps if the stride isn't 1, but as many to within one, in the same rows of y.
extern "C" __global__ void __launch_bounds__(256)
conv_transpose2d_direct(const real* __restrict__ y, const real* __restrict__ w, const real* __restrict__ b,
                        real* __restrict__ x, int N, int C, int H, int W, int K, int OH, int OW, int KH, int KW, int sh, int sw,
                        int ph, int pw, int dh, int dw, int groups) {
  Spot p = spot_of_thread(H, W);
  if (p.row >= (unsigned)H || p.column >= (unsigned)W) return;
  int n = p.map / C, c = p.map % C, CG = C / groups, KG = K / groups, first_filter = c / CG * KG;
  Meeting rows = meeting(p.row, KH, sh, ph, dh), columns = meeting(p.column, KW, sw, pw, dw);
  const real* map = y + ((index)n * K + first_filter) * OH * OW;
  const real* filter = w + ((index)first_filter * CG + c % CG) * KH * KW;
  real sum = b ? b[c] : real(0);
  for (int k = 0; k < KG; ++k, map += (index)OH * OW, filter += (index)CG * KH * KW)
    for (int s = 0; s < rows.taps; ++s)
      for (int t = 0; t < columns.taps; ++t) {
        unsigned row = rows.row - s * rows.jump, column = columns.row - t * columns.jump;
        if (row < (unsigned)OH && column < (unsigned)OW)
          sum += filter[(index)(rows.first + s * rows.step) * KW + columns.first + t * columns.step] *
                 map[(index)row * OW + column];
      }
  x[((index)p.map * H + p.row) * W + p.column] = sum;
}

// ---------------------------------------------------------------------------------------------------------
// Gradients of filters and biases: sums over all pixels. First a block sums one part of them in double, then
// `conv2d_..._parts` adds up the parts, always in the same order.
//
//     all N * OH * OW pixels   | part 0            | part 1            | part 2     |
//                                256 threads, each takes every 256th pixel

// Walks through the pixels of y in steps of `step` without dividing.
struct Place {
  int n, row, column;
};

__device__ inline Place place_of(index pixel, int OH, int OW) {
  return {int(pixel / OW / OH), int(pixel / OW % OH), int(pixel % OW)};
}

__device__ inline void go_on(Place& p, Place step, int OH, int OW) {
  p.column += step.column;
  p.row += step.row;
  p.n += step.n;
  if (p.column >= OW) p.column -= OW, ++p.row;
  if (p.row >= OH) p.row -= OH, ++p.n;
}

// Block (weight, part): sums dy * x over the part's pixels, for one weight. 8 bytes are read for 2 operations in float32:
// it waits for memory, or for the cache where several weights read the same maps.
extern "C" __global__ void __launch_bounds__(256)
conv2d_weight_gradient_direct(const real* __restrict__ dy, const real* __restrict__ x, real* __restrict__ parts_of_dw, int N,
                              int C, int H, int W, int K, int OH, int OW, int KH, int KW, int sh, int sw, int ph, int pw, int dh,
                              int dw, int groups, int parts, index part_length) {
  __shared__ double sums[32];
  int CG = C / groups, KG = K / groups;
  unsigned part = blockIdx.x % parts, weight = blockIdx.x / parts, rest = weight;
  int j = rest % KW, i = (rest /= KW) % KH, c = (rest /= KH) % CG, k = rest / CG;
  int channel = k / KG * CG + c;
  index pixels = (index)N * OH * OW, start = part * part_length, end = min(start + part_length, pixels);
  Place p = place_of(start + threadIdx.x, OH, OW), step = place_of(blockDim.x, OH, OW);
  double sum = 0;
  for (index pixel = start + threadIdx.x; pixel < end; pixel += blockDim.x, go_on(p, step, OH, OW)) {
    unsigned row = (unsigned)p.row * sh - ph + (unsigned)i * dh, column = (unsigned)p.column * sw - pw + (unsigned)j * dw;
    if (row < (unsigned)H && column < (unsigned)W)
      sum += (double)dy[(((index)p.n * K + k) * OH + p.row) * OW + p.column] *
             x[(((index)p.n * C + channel) * H + row) * W + column];
  }
  sum = block_sum(sum, sums);
  if (threadIdx.x == 0) parts_of_dw[(index)part * K * CG * KH * KW + weight] = real(sum);
}

// Block (channel, part): sums dy, 4 bytes a pixel in float32, read once.
extern "C" __global__ void __launch_bounds__(256)
conv2d_bias_gradient(const real* __restrict__ dy, real* __restrict__ parts_of_db, int N, int K, index L, int parts,
                     index part_length) {
  __shared__ double sums[32];
  int part = blockIdx.x % parts, k = blockIdx.x / parts;
  index start = part * part_length, end = min(start + part_length, (index)N * L);
  index n = (start + threadIdx.x) / L, i = (start + threadIdx.x) % L, step_n = blockDim.x / L, step_i = blockDim.x % L;
  double sum = 0;
  for (index pixel = start + threadIdx.x; pixel < end; pixel += blockDim.x) {
    sum += dy[(n * K + k) * L + i];
    n += step_n, i += step_i;
    if (i >= L) i -= L, ++n;
  }
  sum = block_sum(sum, sums);
  if (threadIdx.x == 0) parts_of_db[(index)part * K + k] = real(sum);
}

// Thread: one weight (or bias). Adds up its parts.
extern "C" __global__ void conv2d_add_parts(const real* __restrict__ parts_of, real* __restrict__ sums, index total, int parts) {
  FOR_EACH(i, total) {
    double sum = 0;
    for (int part = 0; part < parts; ++part) sum += parts_of[part * total + i];
    sums[i] = real(sum);
  }
}
