// Dropout, with random numbers that are a function of their place: a thread draws what it needs and no generator has a
// state that threads would have to share.
//
// Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011) scrambles a counter of four 32-bit
// words with a key of two words, in ten rounds. Thread b takes block b of four elements, the counter is b:
//
//     element      0    1    2    3 |  4    5    6    7 |  8    9
//     word         0    1    2    3 |  0    1    2    3 |  0    1
//     thread             0          |         1         |    2

struct Words {
  unsigned a, b, c, d;
};

// One round multiplies two of the words by constants; the halves of the two products are mixed with the other words.
// Unsigned numbers of 32 bits wrap around, as the steps of the key must.
__device__ inline Words philox(Words counter, unsigned key_0, unsigned key_1) {
  for (int round = 0; round < 10; ++round) {
    unsigned high_0 = __umulhi(0xD2511F53u, counter.a), low_0 = 0xD2511F53u * counter.a;
    unsigned high_1 = __umulhi(0xCD9E8D57u, counter.c), low_1 = 0xCD9E8D57u * counter.c;
    counter = {high_1 ^ counter.b ^ key_0, low_1, high_0 ^ counter.d ^ key_1, low_0};
    key_0 += 0x9E3779B9u;
    key_1 += 0xBB67AE85u;
  }
  return counter;
}

// Keep an element where its word reaches the threshold. It is p * 2^32 and needs 33 bits: for p = 1 no word reaches it.
__device__ inline void decide(const real* x, real* y, unsigned char* mask, index i, index total, unsigned word,
                              unsigned long long threshold, real scale) {
  if (i >= total) return;
  bool kept = word >= threshold;
  mask[i] = kept;
  y[i] = kept ? x[i] * scale : real(0);
}

extern "C" __global__ void dropout(const real* __restrict__ x, real* __restrict__ y,
                                   unsigned char* __restrict__ mask, index total, unsigned long long threshold,
                                   real scale, unsigned step, unsigned layer, unsigned key_0, unsigned key_1) {
  FOR_EACH(block, (total + 3) / 4) {
    Words words = philox({unsigned(block), unsigned(block >> 32), step, layer}, key_0, key_1);
    decide(x, y, mask, 4 * block, total, words.a, threshold, scale);
    decide(x, y, mask, 4 * block + 1, total, words.b, threshold, scale);
    decide(x, y, mask, 4 * block + 2, total, words.c, threshold, scale);
    decide(x, y, mask, 4 * block + 3, total, words.d, threshold, scale);
  }
}

// Thread i takes element i.
extern "C" __global__ void dropout_backward(const real* __restrict__ dy, const unsigned char* __restrict__ mask,
                                            real scale, real* __restrict__ dx, index total) {
  FOR_EACH(i, total) dx[i] = mask[i] ? dy[i] * scale : real(0);
}
