// How a CPU runs a GPU program: one fiber for each CUDA thread, one block after the other.
//
// A kernel is written for one thread, and some hundred of them, a block, run it at the same time. They talk through
// shared memory, and at a barrier, __syncthreads(), each waits until all are there. A CPU core runs one thing at a
// time. It can still play all threads of a block if each can be put aside at a barrier and taken up again later:
// a *fiber* is a stack of its own and a place in the program, and to switch from one to another means to save a few
// registers on the one stack and load them from the other.
//
//     scheduler   --+      +--+      +--+      +------------- all wait at the barrier: let all go on -----+      +--
//     thread 0      +-run--+  |      |  |      |                                                          +-run--+
//     thread 1                +-run--+  |      |            ...
//     thread 2                          +-run--+
//
// A GPU runs the 32 threads of a *warp* together, and the warps of a block in any order. A program that is right gives
// the same result in each order; one that lacks a barrier mostly does not. So there are three orders (`Order`), and the
// tests run each kernel in all of them and compare.

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

struct dim3 {
  unsigned x, y, z;
};
typedef dim3 uint3;

static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;

namespace fibers {

enum Order { ROUND_ROBIN, LAST_FIRST, RANDOM };
const unsigned MOST_THREADS = 1024, WARP = 32, MOST_WARPS = MOST_THREADS / WARP;
const size_t STACK = 64 << 10, STAGGER = 192;  // not all tops at the same place modulo 64 KiB: they'd share cache lines
const size_t CANARY = 256;  // bytes behind the dynamic shared memory that nobody may change

struct Launch {  // mirrored in module.py
  dim3 grid, block;
  uint64_t shared, first, count, seed;  // bytes of dynamic shared memory; which blocks to run
  int order;
  char* message;  // what went wrong
  uint64_t message_size;
};

// ---------------------------------------------------------------------------------------------------------
// Switching between stacks

struct Context {
#ifdef __x86_64__
  void* stack_pointer;
#else
  ucontext_t registers;
#endif
};

#ifdef __x86_64__
// Save the registers that a function must leave as they were, swap stacks, load them. The jump goes on where the
// other fiber called this function, or at `first_entry` if it is new. (It is a `ret` in two steps: processors guess where
// a real one goes from the calls before it, and here they would always guess wrong.)
__asm__(R"(
.text
.local fibers_switch
.type fibers_switch, @function
fibers_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp, (%rdi)
  movq (%rsi), %rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  popq %rcx
  jmp *%rcx
)");
extern "C" __attribute__((visibility("hidden"))) void fibers_switch(Context* from, Context* to);

static void prepare(Context& context, char* stack, void (*first_entry)()) {
  void** top = (void**)(((uintptr_t)stack + STACK - 64) & ~(uintptr_t)15);
  *--top = nullptr;              // where first_entry would return to; it never does
  *--top = (void*)first_entry;
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  context.stack_pointer = top;
}
static void change(Context& from, Context& to) { fibers_switch(&from, &to); }
#else
static void prepare(Context& context, char* stack, void (*first_entry)()) {
  getcontext(&context.registers);
  context.registers.uc_stack.ss_sp = stack;
  context.registers.uc_stack.ss_size = STACK;
  context.registers.uc_link = nullptr;
  makecontext(&context.registers, first_entry, 0);
}
static void change(Context& from, Context& to) { swapcontext(&from.registers, &to.registers); }
#endif

// ---------------------------------------------------------------------------------------------------------
// Threads and the fibers that run them

enum State { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };
enum Exchange { MEET, SHUFFLE, BALLOT };

struct Fiber {  // a stack, and where it stopped
  Context context;
};

struct Thread {  // a CUDA thread
  State state;
  Fiber* fiber;  // none before it starts and after it ends
  uint3 place;
  unsigned lane, warp;
  const char* site;   // the barrier at which it waits: file and line
  unsigned mask;      // the lanes that must come there
  Exchange exchange;  // what is done when all have come, ...
  uint64_t value;     // ... what this lane gives, and gets
  unsigned source;    // the lane whose value it wants
};

static Thread threads[MOST_THREADS];
static Fiber pool[MOST_THREADS];    // fibers are used again: a thread that ends hands its fiber back
static Fiber* idle[MOST_THREADS];
static unsigned fibers_made, fibers_idle;
static char* stacks;
static Context scheduler;
static Thread* running;
static void (*kernel)(void**);
static void** arguments;
static char* dynamic_memory;
static const Launch* launch;
static uint64_t random_state;

static unsigned random_below(unsigned n) {
  random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  return unsigned((random_state >> 33) % n);
}

static void live() {  // what each fiber does: run one thread, then the next that it is given
  for (;;) {
    Thread* me = running;
    kernel(arguments);
    Fiber* fiber = me->fiber;
    me->state = DONE;
    me->fiber = nullptr;
    idle[fibers_idle++] = fiber;
    change(fiber->context, scheduler);
  }
}

static Fiber* take_fiber() {
  if (fibers_idle) return idle[--fibers_idle];
  Fiber* fiber = &pool[fibers_made];
  prepare(fiber->context, stacks + (STACK + STAGGER) * fibers_made++, live);
  return fiber;
}

static void resume(Thread& thread) {
  running = &thread;
  threadIdx = thread.place;
  if (!thread.fiber) thread.fiber = take_fiber();
  change(scheduler, thread.fiber->context);
}

static void wait(State state, const char* site) {
  running->state = state;
  running->site = site;
  change(running->fiber->context, scheduler);
}

// ---------------------------------------------------------------------------------------------------------
// Barriers

static unsigned threads_of_block() { return launch->block.x * launch->block.y * launch->block.z; }

static unsigned lanes_of_warp(unsigned warp) {  // the lanes that exist, as bits: the last warp may be short
  unsigned left = threads_of_block() - warp * WARP;
  return left >= WARP ? 0xffffffffu : (1u << left) - 1;
}

static bool same_site(const char* a, const char* b) { return a == b || !strcmp(a, b); }

static void exchange_values(Thread* warp, unsigned group) {
  uint64_t given[WARP];
  unsigned votes = 0;
  for (unsigned lane = 0; lane < WARP; ++lane) {
    bool here = group >> lane & 1;
    given[lane] = here ? warp[lane].value : ~0ull;  // a lane that isn't there gives garbage: NaN
    if (here && warp[lane].value) votes |= 1u << lane;
  }
  for (unsigned lane = 0; lane < WARP; ++lane)
    if (group >> lane & 1) {
      Thread& t = warp[lane];
      if (t.exchange == SHUFFLE) t.value = given[t.source % WARP];
      if (t.exchange == BALLOT) t.value = votes;
    }
}

// Let go whoever waits in this warp for lanes that have all come to the same place.
static unsigned release_warp(unsigned w) {
  Thread* warp = threads + w * WARP;
  unsigned here = lanes_of_warp(w), released = 0;
  for (unsigned lane = 0; lane < WARP; ++lane) {
    if (!(here >> lane & 1) || warp[lane].state != AT_WARP_BARRIER) continue;
    unsigned group = warp[lane].mask & here;
    bool all = true;
    for (unsigned k = 0; k < WARP; ++k)
      if (group >> k & 1)
        all &= warp[k].state == AT_WARP_BARRIER && warp[k].mask == warp[lane].mask && same_site(warp[k].site, warp[lane].site);
    if (!all) continue;
    exchange_values(warp, group);
    for (unsigned k = 0; k < WARP; ++k)
      if (group >> k & 1) warp[k].state = READY, ++released;
  }
  return released;
}

static void describe(const Thread& t, char* text, size_t size) {
  const char* what = t.state == DONE ? "has ended" : t.state == AT_WARP_BARRIER ? "waits for its warp at " : "waits at ";
  snprintf(text, size, "thread (%u, %u, %u) %s%s", t.place.x, t.place.y, t.place.z, what, t.state == DONE ? "" : t.site);
}

// Nobody can go on. Either all wait at the same __syncthreads(), and go on together, or the kernel is wrong: then the
// message names one thread that waits, and one that does something else.
static bool release_block() {
  unsigned n = threads_of_block(), waits = 0, other = 0;
  while (threads[waits].state == DONE) ++waits;
  const Thread& first = threads[waits];
  while (other < n && threads[other].state == first.state && same_site(threads[other].site, first.site)) ++other;
  if (other == n && first.state == AT_BLOCK_BARRIER) {
    for (unsigned i = 0; i < n; ++i) threads[i].state = READY;
    return true;
  }
  char one[256], two[256];
  describe(first, one, sizeof one);
  describe(threads[other < n ? other : waits], two, sizeof two);
  snprintf(launch->message, launch->message_size,
           "in block (%u, %u, %u) the threads don't meet at the same barrier: %s, but %s", blockIdx.x, blockIdx.y,
           blockIdx.z, one, two);
  return false;
}

// ---------------------------------------------------------------------------------------------------------
// The scheduler

static bool warp_is_ready(unsigned w) {
  unsigned end = threads_of_block() < (w + 1) * WARP ? threads_of_block() : (w + 1) * WARP;
  for (unsigned i = w * WARP; i < end; ++i)
    if (threads[i].state == READY) return true;
  return false;
}

// Which warp runs next: the next one in the round; or the last one, as far as it can go; or any one.
static unsigned choose_warp(unsigned warps, unsigned& turn) {
  unsigned start = launch->order == RANDOM ? random_below(warps) : launch->order == ROUND_ROBIN ? turn++ : 0;
  for (unsigned k = 0; k < warps; ++k) {
    unsigned w = launch->order == LAST_FIRST ? warps - 1 - k : (start + k) % warps;
    if (warp_is_ready(w)) return w;
  }
  return warps;  // none
}

static void run_warp(unsigned w) {
  unsigned first = w * WARP, lanes = threads_of_block() - first < WARP ? threads_of_block() - first : WARP;
  unsigned start = launch->order == RANDOM ? random_below(lanes) : 0;
  for (unsigned k = 0; k < lanes; ++k) {
    unsigned lane = launch->order == LAST_FIRST ? lanes - 1 - k : (start + k) % lanes;
    if (threads[first + lane].state == READY) resume(threads[first + lane]);
  }
}

static bool run_block() {
  unsigned n = threads_of_block(), warps = (n + WARP - 1) / WARP, turn = 0;
  for (unsigned i = 0; i < n; ++i) {
    Thread& t = threads[i];
    t.state = READY;
    t.fiber = nullptr;
    t.lane = i % WARP;
    t.warp = i / WARP;
    t.place = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
  }
  for (;;) {
    unsigned w = choose_warp(warps, turn);
    if (w < warps) {
      run_warp(w);
      release_warp(w);
      continue;
    }
    unsigned done = 0;
    for (unsigned i = 0; i < n; ++i) done += threads[i].state == DONE;
    if (done == n) return true;
    if (!release_block()) return false;
  }
}

// ---------------------------------------------------------------------------------------------------------
// A launch: all blocks, one after the other

// The linker puts all `__shared__` arrays into one section and gives its ends these names.
extern "C" __attribute__((weak, visibility("hidden"))) char __start_shared_memory[], __stop_shared_memory[];

// On a GPU shared memory holds whatever the block before left there. Here it holds NaN (all bits set), so that a read
// before the first write shows.
static void poison_shared_memory() {
  if (__start_shared_memory) memset(__start_shared_memory, 0xff, __stop_shared_memory - __start_shared_memory);
  memset(dynamic_memory, 0xff, launch->shared + CANARY);
}

static bool canary_lives() {
  for (size_t i = 0; i < CANARY; ++i)
    if (dynamic_memory[launch->shared + i] != (char)0xff) {
      snprintf(launch->message, launch->message_size,
               "block (%u, %u, %u) wrote behind its %llu bytes of dynamic shared memory", blockIdx.x, blockIdx.y,
               blockIdx.z, (unsigned long long)launch->shared);
      return false;
    }
  return true;
}

static void forget_fibers() {  // after a failure some are in the middle of a kernel: start anew with fresh ones
  fibers_made = fibers_idle = 0;
}

static int run(const Launch& given, void (*body)(void**), void** values) {
  static uint64_t room;
  launch = &given, kernel = body, arguments = values;
  gridDim = given.grid, blockDim = given.block, random_state = given.seed * 2 + 1;
  if (!stacks) {
    void* memory = mmap(nullptr, (STACK + STAGGER) * MOST_THREADS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return snprintf(given.message, given.message_size, "no memory for the stacks"), 1;
    stacks = (char*)memory;
  }
  if (room < given.shared + CANARY) {
    delete[] dynamic_memory;
    room = given.shared + CANARY;
    dynamic_memory = new char[room];
  }
  uint64_t all = (uint64_t)given.grid.x * given.grid.y * given.grid.z, end = all;
  if (given.count && given.first + given.count < all) end = given.first + given.count;
  for (uint64_t i = given.first; i < end; ++i) {
    uint64_t b = given.order == LAST_FIRST ? end - 1 - (i - given.first) : i;
    blockIdx = {unsigned(b % given.grid.x), unsigned(b / given.grid.x % given.grid.y),
                unsigned(b / ((uint64_t)given.grid.x * given.grid.y))};
    poison_shared_memory();
    if (!run_block() || !canary_lives()) return forget_fibers(), 1;
  }
  return 0;
}

}  // namespace fibers
