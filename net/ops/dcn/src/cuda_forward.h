// The forward pass in one kernel, for one weight group: samples are made in shared memory, where they are multiplied
// with the weights at once. No columns in global memory.
//
// The sum over channels and taps goes in the order (offset group, tap, channel of the group), in slices of kDepth. The
// input is laid out likewise, (image, offset group, pixel, channel of the group): a sample of several channels is a few
// wide loads. A piece is up to kPiece channels of one sample, whose place is computed once.
#pragma once

#include <mma.h>

#include <type_traits>

#include "cuda_sampling.h"

namespace powerqe {
namespace {

constexpr int kTileThreads = 128, kTilePixels = 64, kTileFilters = 64, kDepth = 32, kPiece = 8;

struct Tiling {
  int piece;            // channels of a piece; divides those of an offset group
  int pieces, parts;    // of a slice (even); of an offset group's channels
  int slices;
  int64_t total_pieces;
  int64_t pixel_tiles, filter_tiles;
  int64_t images, filters;

  explicit Tiling(const Geometry& g) {
    const int64_t per_group = g.channels / g.offset_groups;
    piece = kPiece;
    while (per_group % piece) --piece;
    pieces = kDepth / piece / 2 * 2;
    parts = static_cast<int>(per_group / piece);
    total_pieces = g.channels / piece * g.kernel_h * g.kernel_w;
    slices = static_cast<int>(divided_up(total_pieces, pieces));
    pixel_tiles = divided_up(g.out_h * g.out_w, kTilePixels);
    filter_tiles = divided_up(g.filters, kTileFilters);
    images = g.batch, filters = g.filters;
  }
  __host__ __device__ int64_t tiles() const { return images * pixel_tiles * filter_tiles; }
  __host__ __device__ int64_t weights() const { return filter_tiles * slices * kDepth * kTileFilters; }
};

// ------------------------------------------------------------------------------------------------ products

// A tile of sums (filters, pixels) += weights (kDepth, filters)^T columns (kDepth, pixels), both in shared memory.
// In float32; a thread has 8 filters of 4 pixels.
struct Fma {
  using Element = float;
  static constexpr int kPitch = kTilePixels + 4;
  float sum[8][4];

  static __device__ Element element(float value) { return value; }

  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < 32; ++i) sum[i / 4][i % 4] = 0;
  }

  __device__ void multiply(const Element* weights, const Element* columns) {
    weights += threadIdx.x / 16 * 8;
    columns += threadIdx.x % 16 * 4;
#pragma unroll 8
    for (int k = 0; k < kDepth; ++k) {
      const Pack<float, 4> column = load_pack<float, 4>(columns + k * kPitch);
      const Pack<float, 4> low = load_pack<float, 4>(weights + k * kPitch);
      const Pack<float, 4> high = load_pack<float, 4>(weights + k * kPitch + 4);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          sum[i][j] += low.value[i] * column.value[j];
          sum[i + 4][j] += high.value[i] * column.value[j];
        }
      }
    }
  }

  __device__ void store(float* to, int pitch) const {
    to += threadIdx.x / 16 * 8 * pitch + threadIdx.x % 16 * 4;
#pragma unroll
    for (int i = 0; i < 32; ++i) to[i / 4 * pitch + i % 4] = sum[i / 4][i % 4];
  }
};

// With the matrix units, float32 sums; a warp has 32 filters of 32 pixels.
template <class E, class Kind, int kStep>
struct Mma {
  using Element = E;
  static constexpr int kPitch = kTilePixels + 16 / sizeof(E);
  nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, kStep, float> sum[2][2];

  static __device__ Element element(float value) { return static_cast<E>(value); }

  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < 4; ++i) nvcuda::wmma::fill_fragment(sum[i / 2][i % 2], 0.0f);
  }

  __device__ void multiply(const Element* weights, const Element* columns) {
    nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, 16, 16, kStep, Kind, nvcuda::wmma::col_major> a[2];
    nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, 16, 16, kStep, Kind, nvcuda::wmma::row_major> b[2];
    weights += first_filter();
    columns += first_pixel();
#pragma unroll
    for (int k = 0; k < kDepth; k += kStep) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        nvcuda::wmma::load_matrix_sync(a[i], weights + k * kPitch + 16 * i, kPitch);
        nvcuda::wmma::load_matrix_sync(b[i], columns + k * kPitch + 16 * i, kPitch);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) nvcuda::wmma::mma_sync(sum[i / 2][i % 2], a[i / 2], b[i % 2], sum[i / 2][i % 2]);
    }
  }

  __device__ void store(float* to, int pitch) const {
    to += first_filter() * pitch + first_pixel();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float* const corner = to + i / 2 * 16 * pitch + i % 2 * 16;
      nvcuda::wmma::store_matrix_sync(corner, sum[i / 2][i % 2], pitch, nvcuda::wmma::mem_row_major);
    }
  }

  static __device__ int first_filter() { return threadIdx.x / 32 % 2 * 32; }
  static __device__ int first_pixel() { return threadIdx.x / 64 * 32; }
};

struct MmaHalf : Mma<__half, __half, 16> {};

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
// There are no units for these types, and nobody launches the kernels that would need them.
template <class E>
struct NoMma {
  using Element = E;
  static __device__ Element element(float value) { return static_cast<E>(value); }
};
struct MmaBFloat : NoMma<__nv_bfloat16> {};
struct MmaTf32 : NoMma<float> {};
#else
struct MmaBFloat : Mma<__nv_bfloat16, __nv_bfloat16, 16> {};
struct MmaTf32 : Mma<float, nvcuda::wmma::precision::tf32, 8> {
  static __device__ Element element(float value) { return nvcuda::wmma::__float_to_tf32(value); }
};
#endif

template <class Math>
constexpr bool kNeedsAmpere = std::is_same_v<Math, MmaBFloat> || std::is_same_v<Math, MmaTf32>;

// ------------------------------------------------------------------------------------------------ layouts

// (images, channels, pixels) -> (images, offset groups, pixels, channels of the group)
template <class T, int V>
__global__ void arrange_input(int64_t groups, int64_t plane, int64_t per_group, const T* input, T* arranged) {
  for (int64_t group = blockIdx.y; group < groups; group += gridDim.y) {  // those of all images
    const T* const from = input + group * per_group * plane;
    T* const to = arranged + group * per_group * plane;
    DCN_EACH(i, plane) {
      for (int64_t c = 0; c < per_group; c += V) {
        Pack<T, V> pack;
#pragma unroll
        for (int v = 0; v < V; ++v) pack.value[v] = from[(c + v) * plane + i];
        *reinterpret_cast<Pack<T, V>*>(to + i * per_group + c) = pack;
      }
    }
  }
}

// (filters, channels, taps) -> (filter tiles, slices, kDepth, kTileFilters), zeros where there is no piece or filter
template <class T, class Math>
__global__ void arrange_weight(Frame<int> frame, Tiling tiling, const T* weight, typename Math::Element* arranged) {
  const int64_t taps = frame.taps(), per_group = frame.per_group;
  DCN_EACH(i, tiling.weights()) {
    const int64_t row = i / kTileFilters, k = row % kDepth, slice = row / kDepth % tiling.slices;
    const int64_t filter = row / kDepth / tiling.slices * kTileFilters + i % kTileFilters;
    const int64_t piece = slice * tiling.pieces + k / tiling.piece;
    float value = 0;
    if (k / tiling.piece < tiling.pieces && piece < tiling.total_pieces && filter < tiling.filters) {
      const int64_t depth = piece * tiling.piece + k % tiling.piece, sample = depth / per_group;
      const int64_t channel = sample / taps * per_group + depth % per_group;
      value = static_cast<float>(weight[(filter * frame.groups * per_group + channel) * taps + sample % taps]);
    }
    arranged[i] = Math::element(value);
  }
}

// ------------------------------------------------------------------------------------------------ the kernel

// Goes through the pieces in their order without divisions.
struct Walk {
  int part = 0, tap_y = 0, tap_x = 0, group = 0;
  int64_t sample = 0;  // group * taps + tap

  __device__ void next(const Frame<int>& frame, int parts) {
    if (++part < parts) return;
    part = 0, ++sample;
    if (++tap_x < frame.kernel_w) return;
    tap_x = 0;
    if (++tap_y < frame.kernel_h) return;
    tap_y = 0, ++group;
  }
};

// One pixel of one image.
template <class T>
struct Pixel {
  bool exists;
  int row, column;             // where its sampling grid starts
  const T* input;              // the image, arranged
  int64_t offset, mask;        // index of its first value

  __device__ Pixel(const Frame<int>& frame, int64_t image, int64_t pixel, const T* all_images)
      : exists(pixel < frame.pixels) {
    const int place = exists ? static_cast<int>(pixel) : 0;
    row = place / frame.out_w * frame.stride_h - frame.pad_h;
    column = place % frame.out_w * frame.stride_w - frame.pad_w;
    input = all_images + image * frame.groups * frame.plane * frame.per_group;
    mask = image * frame.groups * frame.taps() * frame.pixels + place;
    offset = 2 * (mask - place) + place;
  }
};

// column[0, pitch, 2 pitch ...] = one piece of the samples of a pixel
template <class Math, int V, class T>
__device__ void gather(const Frame<int>& frame, const Tiling& tiling, const Walk& at, const Pixel<T>& pixel,
                       const Values<T>& offset, const Values<T>& mask, typename Math::Element* column) {
  const int64_t n = frame.pixels, place = pixel.offset + 2 * at.sample * n;
  const float modulation = mask[pixel.mask + at.sample * n];
  const Sample<float, int> s =
      locate<float, int>(frame, pixel.row + at.tap_y * frame.dilation_h, pixel.column + at.tap_x * frame.dilation_w,
                         offset[place], offset[place + n]);
  const T* const channels = pixel.input + at.group * frame.plane * frame.per_group + at.part * tiling.piece;
  for (int c = 0; c < tiling.piece; c += V) {
    float value[4][V];
    corner_values<V>(s, channels + c, frame.per_group, value);
#pragma unroll
    for (int v = 0; v < V; ++v) {
      float sum = 0;
#pragma unroll
      for (int corner = 0; corner < 4; ++corner) sum += s.weight[corner] * value[corner][v];
      column[(c + v) * Math::kPitch] = Math::element(modulation * sum);
    }
  }
}

// input and weight arranged, output (images, filters, pixels)
template <class T, class Math, int V>
__global__ void __launch_bounds__(kTileThreads)
    forward_tiles(Frame<int> frame, Tiling tiling, const T* input, Values<T> offset, Values<T> mask,
                  const typename Math::Element* weight, const T* bias, T* output) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  if constexpr (!kNeedsAmpere<Math>)  // the others are not launched there
#endif
  {
    using Element = typename Math::Element;
    constexpr int kBatch = 16 / sizeof(Element), kSums = kTilePixels + 4;
    constexpr int kSlice = 2 * kDepth * Math::kPitch * sizeof(Element), kOutput = kTileFilters * kSums * sizeof(float);
    DCN_SHARED(memory, (kSlice > kOutput ? kSlice : kOutput));
    Element* const weights = reinterpret_cast<Element*>(memory);
    Element* const columns = weights + kDepth * Math::kPitch;
    float* const sums = reinterpret_cast<float*>(memory);
    const int thread = threadIdx.x, x = thread % kTilePixels, first = thread / kTilePixels;
    constexpr int kStep = kTileThreads / kTilePixels;

    for (int64_t tile = blockIdx.x; tile < tiling.tiles(); tile += gridDim.x) {
      const int64_t filter_tile = tile % tiling.filter_tiles, rest = tile / tiling.filter_tiles;
      const int64_t image = rest / tiling.pixel_tiles, place = rest % tiling.pixel_tiles * kTilePixels + x;
      const Pixel<T> pixel(frame, image, place, input);
      const Element* slice_weights = weight + filter_tile * tiling.slices * kDepth * kTileFilters;
      Walk at;
      for (int i = 0; i < first; ++i) at.next(frame, tiling.parts);
      Math math;
      math.clear();
      for (int slice = 0; slice < tiling.slices; ++slice) {
        __syncthreads();  // everybody has read what was in the shared memory
        for (int i = thread; i < kDepth * kTileFilters / kBatch; i += kTileThreads) {
          const int k = i / (kTileFilters / kBatch), filter = i % (kTileFilters / kBatch) * kBatch;
          *reinterpret_cast<Pack<Element, kBatch>*>(weights + k * Math::kPitch + filter) =
              load_pack<Element, kBatch>(slice_weights + i * kBatch);
        }
        slice_weights += kDepth * kTileFilters;
        for (int i = first; i < tiling.pieces; i += kStep) {
          Element* const column = columns + i * tiling.piece * Math::kPitch + x;
          if (pixel.exists && at.group < frame.groups) {
            gather<Math, V>(frame, tiling, at, pixel, offset, mask, column);
          } else {
            for (int c = 0; c < tiling.piece; ++c) column[c * Math::kPitch] = Math::element(0);
          }
          for (int j = 0; j < kStep; ++j) at.next(frame, tiling.parts);
        }
        for (int k = tiling.pieces * tiling.piece + first; k < kDepth; k += kStep) {
          columns[k * Math::kPitch + x] = Math::element(0);
        }
        __syncthreads();
        math.multiply(weights, columns);
      }
      __syncthreads();
      math.store(sums, kSums);
      __syncthreads();
      const int64_t first_filter = filter_tile * kTileFilters;
      for (int i = first; i < kTileFilters && first_filter + i < tiling.filters && pixel.exists; i += kStep) {
        const int64_t filter = first_filter + i;
        const float shift = bias ? static_cast<float>(bias[filter]) : 0.0f;
        output[(image * tiling.filters + filter) * frame.pixels + place] = static_cast<T>(sums[i * kSums + x] + shift);
      }
    }
  }
}

}  // namespace
}  // namespace powerqe
