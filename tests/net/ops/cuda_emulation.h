// Enough of CUDA to run the kernels of net/ops/dcn on the CPU: test_dcn_emulated.py compiles the very same sources with
// this file in front of them. The operators become `powerqe_emulated::...` for tensors on the CPU.
//
// The threads of a block are fibers that change places at __syncthreads(). They run in ascending order from one barrier
// to the next or, with EMULATED_ORDER=descending, the other way round: a missing barrier gives wrong numbers in one of
// the two.
// Shared memory is new for every block, as large as asked for (so that a sanitizer sees what goes beyond), and full of
// NaN. Matrix units: one thread of a warp holds and does everything, in plain loops.
// Not covered: memory order between blocks, other devices and streams, how a GPU rounds.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)

// ------------------------------------------------------------------------------------------------ blocks and threads

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "emulation of CUDA: %s\n", what);
  std::abort();
}

inline std::string wish(const char* variable, const char* otherwise) {
  const char* const value = std::getenv(variable);
  return value ? value : otherwise;
}

constexpr size_t kStack = 128 * 1024;

struct Fiber {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(kStack);
  bool is_done = false;
};

static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static unsigned current;
static std::function<void()> work;
static unsigned char* shared_memory;

inline void leave(Fiber& fiber) { swapcontext(&fiber.context, &scheduler); }

inline void run_fiber() {
  work();
  fibers[current].is_done = true;
  leave(fibers[current]);
}

// Lets one thread go on to its next barrier, or to its end.
inline void resume(unsigned thread) {
  Fiber& fiber = fibers[current = thread];
  threadIdx = dim3(thread);
  swapcontext(&scheduler, &fiber.context);
}

inline void run_block() {
  const unsigned count = blockDim.x;
  if (fibers.size() < count) fibers = std::vector<Fiber>(count);
  for (unsigned i = 0; i < count; ++i) {
    Fiber& fiber = fibers[i];
    fiber.is_done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, run_fiber, 0);
  }
  for (bool all_done = false; !all_done;) {
    unsigned done = 0;
    for (unsigned i = 0; i < count; ++i) {
      const unsigned thread = wish("EMULATED_ORDER", "ascending") == "descending" ? count - 1 - i : i;
      resume(thread);
      done += fibers[thread].is_done;
    }
    all_done = done == count;
    require(all_done || done == 0, "a thread ended while others wait at a barrier");
  }
  std::free(shared_memory);
  shared_memory = nullptr;
}

inline unsigned char* shared(size_t bytes) {
  if (!shared_memory) {
    require(bytes <= 48 * 1024, "more shared memory than a block has");
    require(posix_memalign(reinterpret_cast<void**>(&shared_memory), 32, bytes) == 0, "no memory");
    std::memset(shared_memory, 0xff, bytes);
  }
  return shared_memory;
}

template <class Kernel, class... Arguments>
void launch(Kernel kernel, dim3 blocks, dim3 threads, const Arguments&... arguments) {
  require(blocks.x > 0 && blocks.y > 0 && blocks.z > 0 && blocks.y < 65536 && blocks.z < 65536, "impossible grid");
  require(threads.x > 0 && threads.x <= 1024 && threads.y == 1 && threads.z == 1, "impossible block");
  gridDim = blocks, blockDim = threads;
  work = [&] { kernel(arguments...); };
  for (blockIdx.z = 0; blockIdx.z < blocks.z; ++blockIdx.z) {
    for (blockIdx.y = 0; blockIdx.y < blocks.y; ++blockIdx.y) {
      for (blockIdx.x = 0; blockIdx.x < blocks.x; ++blockIdx.x) run_block();
    }
  }
}

}  // namespace emulation

inline void __syncthreads() { emulation::leave(emulation::fibers[emulation::current]); }

#define DCN_LAUNCH(kernel, blocks, threads, stream, ...) \
  ((void)(stream), emulation::launch(kernel, blocks, threads, __VA_ARGS__))
#define DCN_SHARED(name, bytes) unsigned char* const name = emulation::shared(bytes)
// So small that small cases go beyond.
#define DCN_MAX_BLOCKS 3
#define DCN_MAX_INDEX 4000
#define DCN_WORKSPACE 12000

template <class T, class V>
void atomicAdd(T* to, V value) {
  *to += value;
}

using std::isinf;

// ------------------------------------------------------------------------------------------------ types, matrix units

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

using __half = torch::headeronly::Half;
using __nv_bfloat16 = torch::headeronly::BFloat16;

namespace nvcuda::wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
struct layout_t {};
constexpr layout_t mem_row_major;
namespace precision {
struct tf32 {};
}  // namespace precision

inline float __float_to_tf32(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  bits = (bits + 0x1000u) & ~0x1fffu;
  std::memcpy(&value, &bits, 4);
  return value;
}

// (rows, columns) of what it holds: M x K, K x N, M x N
template <class Use, int M, int N, int K, class Type, class Layout = void>
struct fragment {
  static constexpr int rows = std::is_same_v<Use, matrix_b> ? K : M, columns = std::is_same_v<Use, matrix_a> ? K : N;
  float value[rows][columns];
};

inline bool holds_all() { return threadIdx.x % 32 == 0; }

template <class T>
void require_aligned(const T* place, unsigned pitch) {
  emulation::require(reinterpret_cast<uintptr_t>(place) % 32 == 0, "matrix not aligned to 32 bytes");
  emulation::require(pitch * sizeof(T) % 16 == 0, "rows of a matrix not aligned to 16 bytes");
}

template <class Use, int M, int N, int K, class Type, class Layout, class T>
void load_matrix_sync(fragment<Use, M, N, K, Type, Layout>& f, const T* from, unsigned pitch) {
  require_aligned(from, pitch);
  for (int r = 0; r < f.rows && holds_all(); ++r) {
    for (int c = 0; c < f.columns; ++c) {
      f.value[r][c] = static_cast<float>(std::is_same_v<Layout, row_major> ? from[r * pitch + c] : from[c * pitch + r]);
      if constexpr (std::is_same_v<Type, precision::tf32>) {
        const float value = f.value[r][c];
        emulation::require(std::isnan(value) || value == __float_to_tf32(value), "a value is none of TF32");
      }
    }
  }
}

template <class Fragment>
void fill_fragment(Fragment& f, float value) {
  for (auto& row : f.value) std::fill(std::begin(row), std::end(row), value);
}

template <class D, class A, class B>
void mma_sync(D& d, const A& a, const B& b, const D& c) {
  for (int i = 0; i < d.rows && holds_all(); ++i) {
    for (int j = 0; j < d.columns; ++j) {
      float sum = c.value[i][j];
      for (int k = 0; k < a.columns; ++k) sum += a.value[i][k] * b.value[k][j];
      d.value[i][j] = sum;
    }
  }
}

template <class Fragment>
void store_matrix_sync(float* to, const Fragment& f, unsigned pitch, layout_t) {
  require_aligned(to, pitch);
  for (int i = 0; i < f.rows && holds_all(); ++i) std::copy_n(f.value[i], f.columns, to + i * pitch);
}

}  // namespace nvcuda::wmma

// ------------------------------------------------------------------------------------------------ CUDA, PyTorch

#define aoti_torch_create_device_guard emulated_device_guard
#define aoti_torch_get_current_cuda_stream emulated_stream

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

extern "C" inline AOTITorchError emulated_device_guard(int32_t, DeviceGuardHandle* guard) {
  *guard = nullptr;
  return AOTI_TORCH_SUCCESS;
}

using cudaStream_t = void*;
inline AOTITorchError emulated_stream(int32_t, void** stream) {
  *stream = nullptr;
  return AOTI_TORCH_SUCCESS;
}

enum { cudaDevAttrComputeCapabilityMajor };
inline int cudaDeviceGetAttribute(int* value, int, int) {
  *value = std::stoi(emulation::wish("EMULATED_CAPABILITY", "9"));
  return 0;
}
inline int cudaGetLastError() { return 0; }

#undef STD_CUDA_CHECK
#define STD_CUDA_CHECK(call) emulation::require((call) == 0, #call)

#undef STABLE_TORCH_LIBRARY_IMPL
#define STABLE_TORCH_LIBRARY_IMPL(name, key, library) \
  _STABLE_TORCH_LIBRARY_IMPL(powerqe_emulated, CPU, library, C10_UID)
