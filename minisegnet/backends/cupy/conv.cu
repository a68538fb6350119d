// Convolution and transposed convolution as matrix products by tiles. linear.cu explains the tiles; read it first.
//
// Written with loops, a convolution has seven of them. Lay the filters out as the rows of a matrix and, for each pixel of y,
// the values of x under the filter as a column, and it is one product:
//
//                                         pixels of y: n, oh, ow
//                                       +-----+-------+---------+
//                                       |     |       |         |  c = 0:  taps (0, 0) (0, 1) ...
//                                  col  |     | slice |         |
//                                       +-----+-------+---------+  c = 1:  taps (0, 0) (0, 1) ...
//         taps: c, i, j                 |     |       |         |
//      +------+-----+-----+             +-----+-------+---------+
//    w |      |slice|     | filters   y |     | tile  |         |
//      +------+-----+-----+             +-----+-------+---------+
//
//      w   (K, CG KH KW)       as it lies in memory
//      col (CG KH KW, N OH OW) x[n, c, oh * stride - padding + i * dilation, ow * stride - padding + j * dilation] in row
//                              (c, i, j) and column (n, oh, ow); 0 beside the map
//
// col repeats each value of x up to KH * KW times. It is never made: when a block fetches a slice of it into shared memory, each
// thread computes where in x its numbers lie. That is all that is new here (an *implicit* matrix product).
//
// The transposed convolution gathers as well. With stride 1 it is a convolution whose taps run backwards. With stride s a row
// of x meets only every s-th tap, and which ones depends on row % s. So x's pixels are sorted into s * s phases; in each one
// all pixels meet the same taps, and a tile takes pixels of one phase only: no multiplication with a zero between.
//
//     stride 2, 3 x 3 taps, phases of x:    a b a b         a: taps (0,0) (0,2) (2,0) (2,2)     b: (0,1) (2,1)
//                                           c d c d         c: taps (1,0) (1,2)                 d: (1,1)
//                                           a b a b
//
// Names: y is the small map and x the large one, CG and KG are the channels of x and y in one group. Rows and columns are
// unsigned numbers of 32 bits that wrap around: what lies above the map becomes huge, and one comparison, row < H, asks for
// both edges. (Sizes and paddings fit in 31 bits. So a row that a tap can meet lies below 2^32 and above -(2^32 - the map's
// height), and no wrong row can wrap around into the map.)
//
// What bounds it: 2 ROWS COLUMNS operations a tap for ROWS + COLUMNS numbers fetched. A tile of 64 x 64 does 16 operations a
// byte in float32, 128 x 128 does 32, 16 x 256 does 7.5; but most fetches find their number in a cache, because neighbouring
// taps want the same pixels. From shared memory a thread reads 8 numbers for 16 products (128 x 128: 16 for 64).

struct Convolution {
  int N, C, H, W, K, OH, OW, KH, KW, sh, sw, ph, pw, dh, dw, groups;
};

// ---------------------------------------------------------------------------------------------------------
// Tiles

const int OWN = 4;  // a thread's results are blocks of 4 x 4

const int BLOCKS = sizeof(real) == 4 ? 2 : 1;  // of 256 threads that must fit into a multiprocessor's 65536 registers

struct __align__(16) Four {
  real v[OWN];
};

// A tile of ROWS x COLUMNS results and the threads that make it. Square ones fetch least; where there are only a few filters a
// flat one wastes less; and where there are many, a large one fetches half as much for each product, with 4 blocks a thread.
//
//     64 x 64    thread 0   1 ... 15        16 x 256    thread 0   1   2 ... 63        128 x 128   thread 0 1 ... 15 0 1 ... 15
//                      16  17 ... 31                          64  65  66 ... 127                      16 ...       16 ...
//                      ...  (16 rows)                         ...   (4 rows)                          ... (16 rows, twice)
template <int ROWS, int COLUMNS>
struct Tile {
  static const int SIDES = ROWS * COLUMNS >= 128 * 128 ? 2 : 1;  // blocks of a thread along each side
  static const int DEPTH = 16 / SIDES;                           // taps (or pixels, in the weight gradient) in a slice
  static const int ACROSS = COLUMNS / (OWN * SIDES);
  static const int THREADS = ROWS / (OWN * SIDES) * ACROSS;
  static const int A = ROWS * DEPTH / THREADS;     // numbers that each thread fetches of a slice of the left matrix,
  static const int B = COLUMNS * DEPTH / THREADS;  // and of the right one
};
const int LARGE = sizeof(real) == 4 ? 128 : 64;  // in double the large one's results would not fit into the registers

// A slice in shared memory has DEPTH rows; 4 numbers of padding keep the rows out of each other's banks (see linear.cu).
__host__ __device__ constexpr int padded(int length) { return length + 4; }

// One slice is used up: in step k each thread reads 4 numbers of either matrix (8 where SIDES is 2) and multiplies all of the one
// with all of the other.
template <int ROWS, int COLUMNS, int COLUMNS_APART, int ALL>
__device__ inline void multiply(const real* a_slice, const real* b_slice, real (&sums)[ALL][ALL]) {
  typedef Tile<ROWS, COLUMNS> T;
  int tx = threadIdx.x % T::ACROSS, ty = threadIdx.x / T::ACROSS;
#pragma unroll
  for (int k = 0; k < T::DEPTH; ++k) {
    Four rows[T::SIDES], columns[T::SIDES];
#pragma unroll
    for (int side = 0; side < T::SIDES; ++side) {
      rows[side] = *(const Four*)&a_slice[k * padded(ROWS) + side * (ROWS / T::SIDES) + OWN * ty];
      columns[side] = *(const Four*)&b_slice[k * COLUMNS_APART + side * (COLUMNS / T::SIDES) + OWN * tx];
    }
#pragma unroll
    for (int i = 0; i < ALL; ++i)
#pragma unroll
      for (int j = 0; j < ALL; ++j) sums[i][j] += rows[i / OWN].v[i % OWN] * columns[j / OWN].v[j % OWN];
  }
}

// Where in the tile number `i` of a thread's results lies, on an axis on which the thread is number `t` of `threads`.
__device__ inline int place_of_own(int i, int t, int threads) { return (i / OWN * threads + t) * OWN + i % OWN; }

// ---------------------------------------------------------------------------------------------------------
// The product of filters and columns, for both directions

// What a block works on: one group (and, transposed, one phase). `a`, `b` count the pixels of the result, `s`, `t` the taps:
// pixel (a, b) meets with tap (s, t) the input's row  row + a * down + s * tap_down, and its column likewise.
struct Window {
  const real* in;  // the group's first channel in image 0
  index in_image;  // from one image to the next
  int channels, IH, IW;
  unsigned row, down, tap_down, column, across, tap_across;
  int taps_down, taps_across;
  const real* filters;  // row m, channel c, tap (s, t) lies at m * row_apart + c * channel_apart + s * s_apart + t * t_apart
  index row_apart, channel_apart, s_apart, t_apart;
  real* out;  // row m, image n, pixel (a, b) lies at n * out_image + m * out_plane + a * a_apart + b * b_apart
  const real* bias;
  index out_image, out_plane, a_apart, b_apart;
  int rows, N, AH, AW;
};

// A tap, and how to go on by a fixed number of them without dividing.
struct Tap {
  int c, s, t;
};

__device__ inline Tap tap_of(int number, const Window& v) {
  return {number / v.taps_across / v.taps_down, number / v.taps_across % v.taps_down, number % v.taps_across};
}

__device__ inline void go_on(Tap& tap, Tap step, const Window& v) {
  tap.c += step.c, tap.s += step.s, tap.t += step.t;
  if (tap.t >= v.taps_across) tap.t -= v.taps_across, ++tap.s;
  if (tap.s >= v.taps_down) tap.s -= v.taps_down, ++tap.c;
}

// Left matrix, (row, tap): neighbouring threads fetch neighbouring taps of one filter, as they lie in memory.
template <int ROWS, int COLUMNS>
struct Filters {
  typedef Tile<ROWS, COLUMNS> T;
  static const int APART = T::THREADS / T::DEPTH;  // rows from one number of a thread to its next
  const real* mine;
  int left;  // rows from mine on
  Tap tap, step;

  __device__ Filters(const Window& v, int m0) {
    int m = m0 + threadIdx.x / T::DEPTH;
    mine = v.filters + m * v.row_apart;
    left = v.rows - m;
    tap = tap_of(threadIdx.x % T::DEPTH, v);
    step = tap_of(T::DEPTH, v);
  }

  __device__ void fetch(real (&own)[T::A], const Window& v) {
    const real* place = mine + tap.c * v.channel_apart + tap.s * v.s_apart + tap.t * v.t_apart;
#pragma unroll
    for (int j = 0; j < T::A; ++j, place += APART * v.row_apart)
      own[j] = j * APART < left && tap.c < v.channels ? *place : real(0);
    go_on(tap, step, v);
  }

  __device__ void put(real* slice, const real (&own)[T::A]) {
#pragma unroll
    for (int j = 0; j < T::A; ++j)
      slice[threadIdx.x % T::DEPTH * padded(ROWS) + threadIdx.x / T::DEPTH + j * APART] = own[j];
  }
};

// Right matrix, (tap, pixel): neighbouring threads fetch neighbouring pixels for one tap. A thread stays with its pixel all the
// time, so that it divides to find n, a and b only once.
template <int ROWS, int COLUMNS>
struct Columns {
  typedef Tile<ROWS, COLUMNS> T;
  static const int APART = T::THREADS / COLUMNS;  // taps from one number of a thread to its next
  const real* image;
  unsigned row, column;  // what tap (0, 0) meets
  bool inside;
  Tap tap, step;

  __device__ Columns(const Window& v, index p0) {
    index p = p0 + threadIdx.x % COLUMNS, plane = (index)v.AH * v.AW, rest = p % plane;
    inside = p < v.N * plane;
    image = v.in + p / plane * v.in_image;
    row = v.row + unsigned(rest / v.AW) * v.down;
    column = v.column + unsigned(rest % v.AW) * v.across;
    tap = tap_of(threadIdx.x / COLUMNS, v);
    step = tap_of(APART, v);
  }

  __device__ void fetch(real (&own)[T::B], const Window& v) {
#pragma unroll
    for (int j = 0; j < T::B; ++j) {
      unsigned r = row + tap.s * v.tap_down, c = column + tap.t * v.tap_across;
      bool met = inside && tap.c < v.channels && r < (unsigned)v.IH && c < (unsigned)v.IW;
      own[j] = met ? image[((index)tap.c * v.IH + r) * v.IW + c] : real(0);
      go_on(tap, step, v);
    }
  }

  __device__ void put(real* slice, const real (&own)[T::B]) {
#pragma unroll
    for (int j = 0; j < T::B; ++j)
      slice[(threadIdx.x / COLUMNS + j * APART) * COLUMNS + threadIdx.x % COLUMNS] = own[j];
  }
};

// The block's tile: rows m0 ... of the window's, pixels p0 ... of all its images. All threads of the block come here.
template <int ROWS, int COLUMNS>
__device__ inline void convolve(const Window& v, int m0, index p0, real* a_slice, real* b_slice) {
  typedef Tile<ROWS, COLUMNS> T;
  Filters<ROWS, COLUMNS> filters(v, m0);
  Columns<ROWS, COLUMNS> columns(v, p0);
  const int ALL = OWN * T::SIDES;
  real own_a[T::A], own_b[T::B], sums[ALL][ALL] = {};
  index taps = (index)v.channels * v.taps_down * v.taps_across;

  filters.fetch(own_a, v);
  columns.fetch(own_b, v);
  for (index k0 = 0; k0 < taps; k0 += T::DEPTH) {
    filters.put(a_slice, own_a);
    columns.put(b_slice, own_b);
    __syncthreads();  // the slices are complete
    filters.fetch(own_a, v);  // the next ones are on their way while these are used
    columns.fetch(own_b, v);
    multiply<ROWS, COLUMNS, COLUMNS>(a_slice, b_slice, sums);
    __syncthreads();  // nobody still reads what the next round overwrites
  }

  int tx = threadIdx.x % T::ACROSS, ty = threadIdx.x / T::ACROSS;
  index pixels = (index)v.N * v.AH * v.AW;
#pragma unroll
  for (int side = 0; side < T::SIDES; ++side) {
    index p = p0 + place_of_own(side * OWN, tx, T::ACROSS), n = p / v.AW / v.AH;
    int a = int(p / v.AW % v.AH), b = int(p % v.AW);
#pragma unroll
    for (int j = 0; j < OWN && p < pixels; ++j, ++p) {  // 4 pixels in a row, so that there is only one to divide for
      real* place = v.out + n * v.out_image + a * v.a_apart + b * v.b_apart;
#pragma unroll
      for (int i = 0; i < ALL; ++i) {
        int m = m0 + place_of_own(i, ty, T::THREADS / T::ACROSS);
        real sum = sums[i][side * OWN + j];
        if (m < v.rows) place[m * v.out_plane] = v.bias ? sum + v.bias[m] : sum;
      }
      if (++b == v.AW) b = 0, ++a;
      if (a == v.AH) a = 0, ++n;
    }
  }
}

// Blocks are numbered in one row, because only blockIdx.x may go beyond 65535. Neighbours take the same pixels with other
// filters, so that they find them in the cache:  group, (phase,) tile of pixels, tile of filters.
__device__ inline unsigned next_digit(unsigned& number, unsigned base) {
  unsigned digit = number % base;
  number /= base;
  return digit;
}

// y from x.
template <int ROWS, int COLUMNS>
__device__ inline void gather(const real* x, const real* w, const real* b, real* y, const Convolution& s, real* a_slice,
                              real* b_slice) {
  int CG = s.C / s.groups, KG = s.K / s.groups;
  index pixels = (index)s.N * s.OH * s.OW;
  unsigned block = blockIdx.x;
  int m0 = next_digit(block, (KG + ROWS - 1) / ROWS) * ROWS;
  index p0 = (index)next_digit(block, unsigned((pixels + COLUMNS - 1) / COLUMNS)) * COLUMNS;
  index g = block, taps = (index)s.KH * s.KW;
  Window v;
  v.in = x + g * CG * s.H * s.W, v.in_image = (index)s.C * s.H * s.W;
  v.channels = CG, v.IH = s.H, v.IW = s.W;
  v.row = -unsigned(s.ph), v.down = s.sh, v.tap_down = s.dh, v.column = -unsigned(s.pw), v.across = s.sw, v.tap_across = s.dw;
  v.taps_down = s.KH, v.taps_across = s.KW;
  v.filters = w + g * KG * CG * taps, v.row_apart = CG * taps, v.channel_apart = taps, v.s_apart = s.KW, v.t_apart = 1;
  v.out = y + g * KG * s.OH * s.OW, v.out_image = (index)s.K * s.OH * s.OW, v.out_plane = (index)s.OH * s.OW;
  v.a_apart = s.OW, v.b_apart = 1, v.bias = b ? b + g * KG : b;
  v.rows = KG, v.N = s.N, v.AH = s.OH, v.AW = s.OW;
  convolve<ROWS, COLUMNS>(v, m0, p0, a_slice, b_slice);
}

// One axis of a phase: the rows of x are phase, phase + stride, ...; they meet the taps first, first + step, ... In number a of
// these rows, tap number s meets row  start + a - s * jump  of y.
struct Phase {
  int first, taps, step;
  unsigned start, jump;
};

__device__ inline int common_divisor(int a, int b) {
  while (b) {
    int rest = a % b;
    a = b, b = rest;
  }
  return a;
}

__device__ inline Phase phase_of(int phase, int taps, int stride, int padding, int dilation) {
  int common = common_divisor(stride, dilation);
  int step = stride / common, jump = dilation / common;
  for (int first = 0; first < min(step, taps); ++first) {
    index met = (index)phase + padding - (index)first * dilation;  // y's row times the stride
    if (met % stride == 0) return {first, (taps - 1 - first) / step + 1, step, unsigned(met / stride), unsigned(jump)};
  }
  return {0, 0, 1, 0, 0};
}

// x from y. With a phase that meets no tap at all, x is the bias.
template <int ROWS, int COLUMNS>
__device__ inline void scatter(const real* y, const real* w, const real* b, real* x, const Convolution& s, real* a_slice,
                               real* b_slice) {
  int CG = s.C / s.groups, KG = s.K / s.groups, phases_down = min(s.sh, s.H), phases_across = min(s.sw, s.W);
  index most = (index)s.N * ((s.H - 1) / s.sh + 1) * ((s.W - 1) / s.sw + 1);  // pixels of phase (0, 0); others may have fewer
  unsigned block = blockIdx.x;
  int m0 = next_digit(block, (CG + ROWS - 1) / ROWS) * ROWS;
  index p0 = (index)next_digit(block, unsigned((most + COLUMNS - 1) / COLUMNS)) * COLUMNS;
  int right = next_digit(block, phases_across), below = next_digit(block, phases_down);
  index g = block, taps = (index)s.KH * s.KW;
  Phase rows = phase_of(below, s.KH, s.sh, s.ph, s.dh), columns = phase_of(right, s.KW, s.sw, s.pw, s.dw);
  bool meets = rows.taps && columns.taps;
  Window v;
  v.in = y + g * KG * s.OH * s.OW, v.in_image = (index)s.K * s.OH * s.OW;
  v.channels = meets ? KG : 0, v.IH = s.OH, v.IW = s.OW;
  v.row = rows.start, v.down = 1, v.tap_down = -rows.jump, v.column = columns.start, v.across = 1, v.tap_across = -columns.jump;
  v.taps_down = meets ? rows.taps : 1, v.taps_across = meets ? columns.taps : 1;
  v.filters = w + g * KG * CG * taps + (index)rows.first * s.KW + columns.first, v.row_apart = taps, v.channel_apart = CG * taps;
  v.s_apart = (index)rows.step * s.KW, v.t_apart = columns.step;
  v.out = x + (g * CG * s.H + below) * s.W + right, v.out_image = (index)s.C * s.H * s.W, v.out_plane = (index)s.H * s.W;
  v.a_apart = (index)s.sh * s.W, v.b_apart = s.sw, v.bias = b ? b + g * CG : b;
  v.rows = CG, v.N = s.N, v.AH = (s.H - 1 - below) / s.sh + 1, v.AW = (s.W - 1 - right) / s.sw + 1;
  convolve<ROWS, COLUMNS>(v, m0, p0, a_slice, b_slice);
}

// Block: 64 filters x 64 pixels of y.
extern "C" __global__ void __launch_bounds__(256, BLOCKS)
conv2d(const real* __restrict__ x, const real* __restrict__ w, const real* __restrict__ b, real* __restrict__ y, int N, int C,
       int H, int W, int K, int OH, int OW, int KH, int KW, int sh, int sw, int ph, int pw, int dh, int dw, int groups) {
  __shared__ __align__(16) real a_slice[16 * padded(64)], b_slice[16 * 64];
  Convolution s = {N, C, H, W, K, OH, OW, KH, KW, sh, sw, ph, pw, dh, dw, groups};
  gather<64, 64>(x, w, b, y, s, a_slice, b_slice);
}

// Block: 128 filters x 128 pixels of y (in double 64 x 64).
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_large(const real* __restrict__ x, const real* __restrict__ w, const real* __restrict__ b, real* __restrict__ y, int N,
             int C, int H, int W, int K, int OH, int OW, int KH, int KW, int sh, int sw, int ph, int pw, int dh, int dw,
             int groups) {
  __shared__ __align__(16) real a_slice[Tile<LARGE, LARGE>::DEPTH * padded(LARGE)], b_slice[Tile<LARGE, LARGE>::DEPTH * LARGE];
  Convolution s = {N, C, H, W, K, OH, OW, KH, KW, sh, sw, ph, pw, dh, dw, groups};
  gather<LARGE, LARGE>(x, w, b, y, s, a_slice, b_slice);
}

// Block: 16 filters x 256 pixels of y.
extern "C" __global__ void __launch_bounds__(256, BLOCKS)
conv2d_flat(const real* __restrict__ x, const real* __restrict__ w, const real* __restrict__ b, real* __restrict__ y, int N,
            int C, int H, int W, int K, int OH, int OW, int KH, int KW, int sh, int sw, int ph, int pw, int dh, int dw,
            int groups) {
  __shared__ __align__(16) real a_slice[16 * padded(16)], b_slice[16 * 256];
  Convolution s = {N, C, H, W, K, OH, OW, KH, KW, sh, sw, ph, pw, dh, dw, groups};
  gather<16, 256>(x, w, b, y, s, a_slice, b_slice);
}

// Block: 64 channels x 64 pixels of one phase of x.
extern "C" __global__ void __launch_bounds__(256, BLOCKS)
conv_transpose2d(const real* __restrict__ y, const real* __restrict__ w, const real* __restrict__ b, real* __restrict__ x, int N,
                 int C, int H, int W, int K, int OH, int OW, int KH, int KW, int sh, int sw, int ph, int pw, int dh, int dw,
                 int groups) {
  __shared__ __align__(16) real a_slice[16 * padded(64)], b_slice[16 * 64];
  Convolution s = {N, C, H, W, K, OH, OW, KH, KW, sh, sw, ph, pw, dh, dw, groups};
  scatter<64, 64>(y, w, b, x, s, a_slice, b_slice);
}

// Block: 128 channels x 128 pixels of one phase of x (in double 64 x 64).
extern "C" __global__ void __launch_bounds__(256, 1)
conv_transpose2d_large(const real* __restrict__ y, const real* __restrict__ w, const real* __restrict__ b,
                       real* __restrict__ x, int N, int C, int H, int W, int K, int OH, int OW, int KH, int KW, int sh,
                       int sw, int ph, int pw, int dh, int dw, int groups) {
  __shared__ __align__(16) real a_slice[Tile<LARGE, LARGE>::DEPTH * padded(LARGE)], b_slice[Tile<LARGE, LARGE>::DEPTH * LARGE];
  Convolution s = {N, C, H, W, K, OH, OW, KH, KW, sh, sw, ph, pw, dh, dw, groups};
  scatter<LARGE, LARGE>(y, w, b, x, s, a_slice, b_slice);
}

// Block: 16 channels x 256 pixels of one phase of x.
extern "C" __global__ void __launch_bounds__(256, BLOCKS)
conv_transpose2d_flat(const real* __restrict__ y, const real* __restrict__ w, const real* __restrict__ b, real* __restrict__ x,
                      int N, int C, int H, int W, int K, int OH, int OW, int KH, int KW, int sh, int sw, int ph, int pw, int dh,
                      int dw, int groups) {
  __shared__ __align__(16) real a_slice[16 * padded(16)], b_slice[16 * 256];
  Convolution s = {N, C, H, W, K, OH, OW, KH, KW, sh, sw, ph, pw, dh, dw, groups};
  scatter<16, 256>(y, w, b, x, s, a_slice, b_slice);
}

// ---------------------------------------------------------------------------------------------------------
// The gradient of the filters: dw (KG, CG KH KW) = dy (KG, pixels) times col turned around (pixels, CG KH KW)
//
// Now the pixels are what is summed over, and there are many of them for few results. So they are cut into parts: a block sums
// one tile of dw over one part, and `conv2d_add_parts` (conv_direct.cu) adds up the parts in their order. How many parts there
// are depends on the shapes alone (conv.py), so that the result is the same bits on each device and in each run.

// Walks through the pixels of y in steps of DEPTH without dividing.
struct Place {
  int n, row, column;
};

__device__ inline Place place_of(index pixel, const Convolution& s) {
  return {int(pixel / s.OW / s.OH), int(pixel / s.OW % s.OH), int(pixel % s.OW)};
}

__device__ inline void go_on(Place& p, Place step, const Convolution& s) {
  p.n += step.n, p.row += step.row, p.column += step.column;
  if (p.column >= s.OW) p.column -= s.OW, ++p.row;
  if (p.row >= s.OH) p.row -= s.OH, ++p.n;
}

// In both matrices neighbouring threads fetch neighbouring pixels: thread t the pixel t % 16 of a slice, of the rows
// t / 16, t / 16 + THREADS / 16, ... of the tile (filters of dy; of col the taps, whose places are computed once).
template <int ROWS, int COLUMNS>
__device__ inline void weight_gradient(const real* dy, const real* x, real* dw, const Convolution& s, int parts,
                                       index part_length, real* a_slice, real* b_slice) {
  typedef Tile<ROWS, COLUMNS> T;
  const int DEPTH = T::DEPTH, APART = T::THREADS / DEPTH, ALL = OWN * T::SIDES;
  int CG = s.C / s.groups, KG = s.K / s.groups, Q = CG * s.KH * s.KW;
  unsigned block = blockIdx.x;
  int m0 = next_digit(block, (KG + ROWS - 1) / ROWS) * ROWS, q0 = next_digit(block, (Q + COLUMNS - 1) / COLUMNS) * COLUMNS;
  index g = next_digit(block, s.groups), part = block;
  index start = part * part_length, end = min(start + part_length, (index)s.N * s.OH * s.OW);

  index pixel = start + threadIdx.x % DEPTH;
  Place p = place_of(pixel, s), step = place_of(DEPTH, s);
  int first = threadIdx.x / DEPTH;
  index channel[T::B];
  unsigned row[T::B], column[T::B];
#pragma unroll
  for (int j = 0; j < T::B; ++j) {
    int q = q0 + first + j * APART;
    channel[j] = q < Q ? (g * CG + q / s.KW / s.KH) * s.H * s.W : -1;
    row[j] = unsigned(q / s.KW % s.KH) * s.dh - s.ph;
    column[j] = unsigned(q % s.KW) * s.dw - s.pw;
  }
  real own_a[T::A], own_b[T::B], sums[ALL][ALL] = {};

  auto fetch = [&]() {
    index y_place = ((p.n * (index)s.K + g * KG + m0 + first) * s.OH + p.row) * s.OW + p.column;
#pragma unroll
    for (int j = 0; j < T::A; ++j)
      own_a[j] = pixel < end && m0 + first + j * APART < KG ? dy[y_place + j * APART * (index)s.OH * s.OW] : real(0);
    const real* image = x + p.n * (index)s.C * s.H * s.W;
#pragma unroll
    for (int j = 0; j < T::B; ++j) {
      unsigned r = row[j] + (unsigned)p.row * s.sh, c = column[j] + (unsigned)p.column * s.sw;
      bool met = pixel < end && channel[j] >= 0 && r < (unsigned)s.H && c < (unsigned)s.W;
      own_b[j] = met ? image[channel[j] + (index)r * s.W + c] : real(0);
    }
    pixel += DEPTH;
    go_on(p, step, s);
  };
  auto put = [&]() {
    int k = threadIdx.x % DEPTH;
#pragma unroll
    for (int j = 0; j < T::A; ++j) a_slice[k * padded(ROWS) + first + j * APART] = own_a[j];
#pragma unroll
    for (int j = 0; j < T::B; ++j) b_slice[k * padded(COLUMNS) + first + j * APART] = own_b[j];
  };

  fetch();
  for (index k0 = start; k0 < end; k0 += DEPTH) {
    put();
    __syncthreads();  // the slices are complete
    fetch();          // the next ones are on their way while these are used
    multiply<ROWS, COLUMNS, padded(COLUMNS)>(a_slice, b_slice, sums);
    __syncthreads();  // nobody still reads what the next round overwrites
  }

  int tx = threadIdx.x % T::ACROSS, ty = threadIdx.x / T::ACROSS;
  real* place = dw + (part * s.K + g * KG) * Q;
#pragma unroll
  for (int i = 0; i < ALL; ++i)
#pragma unroll
    for (int j = 0; j < ALL; ++j) {
      int m = m0 + place_of_own(i, ty, T::THREADS / T::ACROSS), q = q0 + place_of_own(j, tx, T::ACROSS);
      if (m < KG && q < Q) place[(index)m * Q + q] = sums[i][j];
    }
}

// Block: 64 filters x 64 taps, one part of the pixels.
extern "C" __global__ void __launch_bounds__(256, BLOCKS)
conv2d_weight_gradient(const real* __restrict__ dy, const real* __restrict__ x, real* __restrict__ parts_of_dw, int N, int C,
                       int H, int W, int K, int OH, int OW, int KH, int KW, int sh, int sw, int ph, int pw, int dh, int dw,
                       int groups, int parts, index part_length) {
  __shared__ __align__(16) real a_slice[16 * padded(64)], b_slice[16 * padded(64)];
  Convolution s = {N, C, H, W, K, OH, OW, KH, KW, sh, sw, ph, pw, dh, dw, groups};
  weight_gradient<64, 64>(dy, x, parts_of_dw, s, parts, part_length, a_slice, b_slice);
}

// Block: 128 filters x 128 taps, one part of the pixels (in double 64 x 64).
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_weight_gradient_large(const real* __restrict__ dy, const real* __restrict__ x, real* __restrict__ parts_of_dw, int N,
                             int C, int H, int W, int K, int OH, int OW, int KH, int KW, int sh, int sw, int ph, int pw,
                             int dh, int dw, int groups, int parts, index part_length) {
  __shared__ __align__(16) real a_slice[Tile<LARGE, LARGE>::DEPTH * padded(LARGE)];
  __shared__ __align__(16) real b_slice[Tile<LARGE, LARGE>::DEPTH * padded(LARGE)];
  Convolution s = {N, C, H, W, K, OH, OW, KH, KW, sh, sw, ph, pw, dh, dw, groups};
  weight_gradient<LARGE, LARGE>(dy, x, parts_of_dw, s, parts, part_length, a_slice, b_slice);
}

// Block (of 64 threads): 32 filters x 32 taps, one part of the pixels.
extern "C" __global__ void __launch_bounds__(64, 4 * BLOCKS)
conv2d_weight_gradient_small(const real* __restrict__ dy, const real* __restrict__ x, real* __restrict__ parts_of_dw, int N,
                             int C, int H, int W, int K, int OH, int OW, int KH, int KW, int sh, int sw, int ph, int pw, int dh,
                             int dw, int groups, int parts, index part_length) {
  __shared__ __align__(16) real a_slice[16 * padded(32)], b_slice[16 * padded(32)];
  Convolution s = {N, C, H, W, K, OH, OW, KH, KW, sh, sw, ph, pw, dh, dw, groups};
  weight_gradient<32, 32>(dy, x, parts_of_dw, s, parts, part_length, a_slice, b_slice);
}
