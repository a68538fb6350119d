// Kernels that show what the CPU's run of CUDA can do and what it notices; run by test_cuda_on_cpu.py.

// Turns the order of a block's numbers round, through shared memory.
extern "C" __global__ void reverse(const real* x, real* y) {
  __shared__ real seen[1024];
  seen[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = seen[blockDim.x - 1 - threadIdx.x];
}

// Wrong: a thread may read before its neighbour has written.
extern "C" __global__ void reverse_without_barrier(const real* x, real* y) {
  __shared__ real seen[1024];
  seen[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = seen[blockDim.x - 1 - threadIdx.x];
}

// Wrong: the second round may overwrite what others still read in the first.
extern "C" __global__ void reverse_twice_without_last_barrier(const real* x, real* y) {
  __shared__ real seen[1024];
  for (int round = 0; round < 2; ++round) {
    seen[threadIdx.x] = x[round * blockDim.x + threadIdx.x];
    __syncthreads();
    y[round * blockDim.x + threadIdx.x] = seen[blockDim.x - 1 - threadIdx.x];
  }
}

extern "C" __global__ void sums(const real* x, real* y, int n) {
  __shared__ real parts[32];
  real v = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) v += x[(index)blockIdx.x * n + i];
  v = block_sum(v, parts);
  v += block_sum(v, parts) - v * blockDim.x;  // a second one right after the first: adds 0
  if (threadIdx.x == 0) y[blockIdx.x] = v;
}

extern "C" __global__ void shuffles(const int* x, int* y, int source, int apart) {
  int i = threadIdx.x, n = blockDim.x, v = x[i];
  y[0 * n + i] = __shfl_sync(0xffffffffu, v, source);
  y[1 * n + i] = __shfl_xor_sync(0xffffffffu, v, apart);
  y[2 * n + i] = __shfl_down_sync(0xffffffffu, v, apart);
  y[3 * n + i] = __shfl_up_sync(0xffffffffu, v, apart);
  y[4 * n + i] = int(__ballot_sync(0xffffffffu, v % 2));
  y[5 * n + i] = __any_sync(0xffffffffu, v > 100) * 2 + __all_sync(0xffffffffu, v < 90);
}

// The halves of a warp go different ways, each under its own mask.
extern "C" __global__ void half_warps(const double* x, double* y) {
  int lane = threadIdx.x;
  if (lane < 16) {
    double v = x[lane];
    for (int apart = 8; apart > 0; apart /= 2) v += __shfl_xor_sync(0x0000ffffu, v, apart);
    y[lane] = v;
  } else {
    y[lane] = __shfl_xor_sync(0xffff0000u, x[lane], 1);
  }
  __syncwarp();
  y[32 + lane] = y[lane ^ 16];
}

extern "C" __global__ void miss_each_other(int* y, int how) {
  if (how == 0 && threadIdx.x < 40) __syncthreads();
  if (how == 1) {
    if (threadIdx.x < 40)
      __syncthreads();
    else
      __syncthreads();
  }
  if (how == 2 && threadIdx.x != 45) __syncwarp();
  if (how == 3 && threadIdx.x % 2) __shfl_sync(0xffffffffu, 1, 0);
  y[threadIdx.x] = 1;
}

extern "C" __global__ void read_before_write(real* y, int n) {
  __shared__ real fixed[8];
  DYNAMIC_SHARED(real, given);
  y[blockIdx.x * 2] = fixed[3];
  y[blockIdx.x * 2 + 1] = given[n - 1];
  fixed[3] = given[n - 1] = 1;  // the next block must not see it
}

extern "C" __global__ void write_behind(int n) {
  DYNAMIC_SHARED(real, given);
  given[n] = 1;
}

extern "C" __global__ void atomics(int* y) {
  atomicAdd(&y[0], 1);
  atomicMax(&y[1], int(threadIdx.x));
  atomicMin(&y[2], int(threadIdx.x));
  atomicOr(&y[3], 1 << (threadIdx.x % 32));
  if (atomicExch(&y[4], 1) == 0) atomicAdd(&y[5], 1);
  if (atomicCAS(&y[6], 0, int(threadIdx.x) + 1) == 0) y[7] = int(threadIdx.x) + 1;
}

extern "C" __global__ void numbers(const real* x, real* y, unsigned* z) {
  y[0] = min(x[0], x[1]);
  y[1] = max(x[0], x[1]);
  y[2] = rsqrt(x[2]);
  y[3] = fma(x[2], x[2], x[3]);
  y[4] = __int_as_float(__float_as_int(1.5f));
  z[0] = __umulhi(0xfedcba98u, 0x12345678u);
  z[1] = unsigned(__popc(0xf0f0u)) + 100u * unsigned(__ffs(8)) + 10000u * unsigned(__clz(255));
}

extern "C" __global__ void count_visits(int* visits, index total) {
  FOR_EACH(i, total) visits[i] += 1;
}

extern "C" __global__ void places(int* y, int sizes) {
  index thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  index block = blockIdx.x + gridDim.x * (blockIdx.y + (index)gridDim.y * blockIdx.z);
  y[block * sizes + thread] = int(10000 * block + thread);
}

extern "C" __global__ void every_type(unsigned char a, bool b, int c, unsigned d, index e, float f, double g, real h,
                                      const unsigned char* none, const bool* flags, double* y) {
  y[0] = a, y[1] = b, y[2] = c, y[3] = d, y[4] = double(e), y[5] = f, y[6] = g, y[7] = h, y[8] = !none, y[9] = flags[1];
}
