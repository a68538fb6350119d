// Activations. One thread an element.

// y[i] = x[i], but 0 where x[i] <= 0. Asked this way round, NaN stays NaN.
extern "C" __global__ void relu(const real* __restrict__ x, real* __restrict__ y, index total) {
  FOR_EACH(i, total) y[i] = x[i] <= 0 ? real(0) : x[i];
}

extern "C" __global__ void relu_backward(const real* __restrict__ dy, const real* __restrict__ y,
                                         real* __restrict__ dx, index total) {
  FOR_EACH(i, total) dx[i] = y[i] <= 0 ? real(0) : dy[i];
}
