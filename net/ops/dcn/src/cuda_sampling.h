// What the CUDA kernels share: how they are launched, arrays of either of two types, and where a sample lies.
//
// The tests compile these files for the CPU, too, with an emulation of CUDA (tests/net/ops/cuda_emulation.h); it
// replaces the macros here.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "geometry.h"

#ifndef DCN_LAUNCH
#define DCN_LAUNCH(kernel, blocks, threads, stream, ...) kernel<<<blocks, threads, 0, stream>>>(__VA_ARGS__)
#define DCN_SHARED(name, bytes) __shared__ alignas(32) unsigned char name[bytes]
#define DCN_MAX_BLOCKS 32768                  // along one axis of a grid; kernels go on where it ends
#define DCN_MAX_INDEX 0x7ffe0000              // of 32 bits: loops go a little further
#define DCN_WORKSPACE (int64_t{32} << 20)     // bytes of columns at a time: they stay in a large GPU's cache
#endif

namespace powerqe {
namespace {

constexpr int kThreads = 256;

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
__host__ __device__ inline int64_t divided_up(int64_t a, int64_t by) { return (a + by - 1) / by; }

inline unsigned blocks_for(int64_t count, int64_t of) {
  return static_cast<unsigned>(most(1, least(divided_up(count, of), DCN_MAX_BLOCKS)));
}

// for (int64_t i of this thread), whatever the number of blocks
#define DCN_EACH(i, count)                                                                    \
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < (count); \
       i += static_cast<int64_t>(gridDim.x) * blockDim.x)

// The type of sums and positions.
template <class T>
struct AccumulatorOf {
  using type = float;
};
template <>
struct AccumulatorOf<double> {
  using type = double;
};
template <class T>
using Accumulator = typename AccumulatorOf<T>::type;

// V elements that are loaded at once.
template <class T, int V>
struct alignas(V * sizeof(T)) Pack {
  T value[V];
};

template <class T, int V>
__device__ Pack<T, V> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T, V>*>(from);
}

// An array of T or, with T a half type, maybe of float. No array: 1 everywhere.
template <class T>
struct Values {
  const void* data;
  bool is_float;

  __device__ Accumulator<T> operator[](int64_t i) const {
    if (!data) return 1;
    if (is_float) return static_cast<Accumulator<T>>(static_cast<const float*>(data)[i]);
    return static_cast<Accumulator<T>>(static_cast<const T*>(data)[i]);
  }
};

// The same to write into; no array: nothing happens.
template <class T>
struct Results {
  void* data;
  bool is_float;

  __device__ void set(int64_t i, Accumulator<T> value) const {
    if (!data) return;
    if (is_float) {
      static_cast<float*>(data)[i] = static_cast<float>(value);
    } else {
      static_cast<T*>(data)[i] = static_cast<T>(value);
    }
  }
};

// ------------------------------------------------------------------------------------------------ one sample

// One image. I is an integer that holds any position, and any index in the channels of one offset group.
template <class I>
struct Frame {
  I height, width, out_w, pixels;
  I kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  I groups, per_group;  // offset groups, and the channels of each
  int64_t plane;        // pixels of the input

  explicit Frame(const Geometry& g)
      : height(static_cast<I>(g.height)), width(static_cast<I>(g.width)), out_w(static_cast<I>(g.out_w)),
        pixels(static_cast<I>(g.out_h * g.out_w)), kernel_h(static_cast<I>(g.kernel_h)),
        kernel_w(static_cast<I>(g.kernel_w)), stride_h(static_cast<I>(g.stride_h)),
        stride_w(static_cast<I>(g.stride_w)), pad_h(static_cast<I>(g.pad_h)), pad_w(static_cast<I>(g.pad_w)),
        dilation_h(static_cast<I>(g.dilation_h)), dilation_w(static_cast<I>(g.dilation_w)),
        groups(static_cast<I>(g.offset_groups)), per_group(static_cast<I>(g.channels / g.offset_groups)),
        plane(g.height * g.width) {}

  __device__ I taps() const { return kernel_h * kernel_w; }
};

inline bool fits_32_bits(const Geometry& g) {
  const int64_t sizes[] = {g.height + 2 * g.pad_h, g.width + 2 * g.pad_w, g.stride_h, g.stride_w, g.dilation_h,
                           g.dilation_w, g.out_h * g.out_w, g.channels / g.offset_groups * g.height * g.width,
                           2 * g.kernel_h * g.kernel_w * g.offset_groups, g.channels * g.kernel_h * g.kernel_w};
  bool fits = true;
  for (const int64_t size : sizes) fits = fits && size <= DCN_MAX_INDEX;
  return fits;
}

// Corner 0 is above left, 1 above right, 2 below left, 3 below right.
template <class A, class I>
struct Sample {
  A down, right;  // fractions
  A weight[4];    // bilinear; 0 for a corner outside the frame
  I index[4];     // in the plane, always within it
  bool valid[4];  // is the corner inside the frame?
};

// (row, column) is the place of the tap without its offset.
template <class A, class I>
__device__ Sample<A, I> locate(const Frame<I>& frame, I row, I column, A dy, A dx) {
  const A y = static_cast<A>(row) + dy, x = static_cast<A>(column) + dx;
  // false for NaN
  const bool inside = y > -1 && y < static_cast<A>(frame.height) && x > -1 && x < static_cast<A>(frame.width);
  const A top = inside ? floor(y) : A(0), left = inside ? floor(x) : A(0);
  Sample<A, I> s;
  s.down = inside ? y - top : A(0);
  s.right = inside ? x - left : A(0);
#pragma unroll
  for (int corner = 0; corner < 4; ++corner) {
    const I r = static_cast<I>(top) + corner / 2, c = static_cast<I>(left) + corner % 2;
    s.valid[corner] = inside && r >= 0 && r < frame.height && c >= 0 && c < frame.width;
    s.index[corner] = s.valid[corner] ? r * frame.width + c : 0;
    const A weight = (corner < 2 ? 1 - s.down : s.down) * (corner % 2 ? s.right : 1 - s.right);
    s.weight[corner] = s.valid[corner] ? weight : A(0);
  }
  return s;
}

// V channels at each corner, 0 outside the frame; `stride` from pixel to pixel
template <int V, class T, class A, class I>
__device__ void corner_values(const Sample<A, I>& s, const T* plane, I stride, A (*value)[V]) {
  Pack<T, V> packs[4];
#pragma unroll
  for (int corner = 0; corner < 4; ++corner) {
    if (s.valid[corner]) packs[corner] = load_pack<T, V>(plane + s.index[corner] * stride);
  }
#pragma unroll
  for (int corner = 0; corner < 4; ++corner) {
#pragma unroll
    for (int v = 0; v < V; ++v) value[corner][v] = s.valid[corner] ? static_cast<A>(packs[corner].value[v]) : A(0);
  }
}

}  // namespace
}  // namespace powerqe
