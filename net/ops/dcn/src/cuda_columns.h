// Columns of samples for a block of pixels, for products of matrices of any kind, and what the backward pass makes of
// the gradients of such columns. Everything of one (image, offset group, tap, pixel) is one thread's, so all sums but
// that of the input's gradient have a fixed order. Neighboring threads have neighboring pixels.
#pragma once

#include "cuda_sampling.h"

namespace powerqe {
namespace {

// Several whole images, or some pixels of one. columns (images, channels, taps, pixels)
struct Block {
  int64_t image, images, pixel, pixels;
};

inline dim3 grid_of(const Geometry& g, const Block& block) {
  return dim3(blocks_for(block.pixels, kThreads), blocks_for(g.offset_groups * g.kernel_h * g.kernel_w, 1),
              blocks_for(block.images, 1));
}

// `body(image, sample, pixel)` for all of this thread, each counted from the start of the block; `sample` is
// offset group * taps + tap.
template <class I, class Body>
__device__ void for_samples(const Frame<I>& frame, const Block& block, const Body& body) {
  for (int64_t image = blockIdx.z; image < block.images; image += gridDim.z) {
    for (I sample = blockIdx.y; sample < frame.groups * frame.taps(); sample += gridDim.y) {
      const I first = static_cast<I>(blockIdx.x) * kThreads + threadIdx.x, step = static_cast<I>(gridDim.x) * kThreads;
      for (I pixel = first; pixel < block.pixels; pixel += step) body(image, sample, pixel);
    }
  }
}

// One sample, and where its values are.
template <class T, class I>
struct Site {
  using A = Accumulator<T>;
  int64_t offset, mask;         // index of dy (dx is `frame.pixels` further on), of the modulation
  int64_t first_channel;        // in the input: image * channels + channel
  int64_t column, column_step;  // index of the first channel's, and from channel to channel
  A modulation;
  Sample<A, I> sample;

  __device__ Site(const Frame<I>& frame, const Block& block, int64_t image, I sample_index, I pixel_index,
                  const Values<T>& offsets, const Values<T>& masks) {
    const I taps = frame.taps(), group = sample_index / taps, tap = sample_index % taps;
    const I pixel = static_cast<I>(block.pixel) + pixel_index;
    const int64_t row = ((block.image + image) * frame.groups + group) * taps + tap;
    mask = row * frame.pixels + pixel;
    offset = 2 * row * frame.pixels + pixel;
    first_channel = ((block.image + image) * frame.groups + group) * frame.per_group;
    column_step = taps * block.pixels;
    column = (image * frame.groups + group) * frame.per_group * column_step + tap * block.pixels + pixel_index;
    modulation = masks[mask];
    const I y = pixel / frame.out_w * frame.stride_h - frame.pad_h + tap / frame.kernel_w * frame.dilation_h;
    const I x = pixel % frame.out_w * frame.stride_w - frame.pad_w + tap % frame.kernel_w * frame.dilation_w;
    sample = locate<A, I>(frame, y, x, offsets[offset], offsets[offset + frame.pixels]);
  }
};

template <class T, class I>
__global__ void __launch_bounds__(kThreads)
    sample_columns(Frame<I> frame, Block block, const T* input, Values<T> offset, Values<T> mask, T* columns) {
  for_samples(frame, block, [&](int64_t image, I index, I pixel) {
    using A = Accumulator<T>;
    const Site<T, I> site(frame, block, image, index, pixel, offset, mask);
    for (I channel = 0; channel < frame.per_group; ++channel) {
      A value[4][1], sum = 0;
      corner_values<1>(site.sample, input + (site.first_channel + channel) * frame.plane, I{1}, value);
#pragma unroll
      for (int corner = 0; corner < 4; ++corner) sum += site.sample.weight[corner] * value[corner][0];
      columns[site.column + channel * site.column_step] = static_cast<T>(site.modulation * sum);
    }
  });
}

// ------------------------------------------------------------------------------------------------ sums in any order

// Where the gradient of the input is summed: as floating point numbers, or so that the order does not matter, as
// integers: multiples of 1 / scale, where scale is a power of two so large that the sum just does not overflow. For
// float64 a second integer has the next kLowBits bits of each addend.
template <class A>
struct Sums {
  A* values;                        // null: none are wanted, or they are integers
  unsigned long long *high, *low;
  int* overflow;                    // set if an addend is not finite, or larger than the bound promised
  const double* bound;              // no addend is larger
  int64_t addends;                  // at most so many for each sum
};

constexpr int kLowBits = 30;

template <class A>
__device__ double scale_of(const Sums<A>& sums) {
  const double bound = *sums.bound;
  if (!(bound > 0) || isinf(bound)) return 1;
  const int bits = ilogb(bound) + 1 + ilogb(static_cast<double>(sums.addends)) + 1;  // of the largest sum
  const int shift = 61 - bits;
  return ldexp(1.0, shift < -1020 ? -1020 : shift > 1000 ? 1000 : shift);
}

template <class A>
__device__ void add_integer(const Sums<A>& sums, int64_t i, A value, double scale) {
  const double scaled = static_cast<double>(value) * scale;
  if (!(fabs(scaled) < 0x1p61)) {
    *sums.overflow = 1;  // all who write here write the same
    return;
  }
  const double high = rint(scaled);
  atomicAdd(sums.high + i, static_cast<unsigned long long>(static_cast<long long>(high)));
  if constexpr (sizeof(A) == 8) {
    const double low = rint((scaled - high) * static_cast<double>(int64_t{1} << kLowBits));
    atomicAdd(sums.low + i, static_cast<unsigned long long>(static_cast<long long>(low)));
  }
}

// The integers as numbers; all NaN if there was an addend that no integer could hold.
template <class T>
__global__ void finish_sums(Sums<Accumulator<T>> sums, int64_t count, T* result) {
  const double scale = scale_of(sums), bound = *sums.bound;
  const bool is_finite = !*sums.overflow && bound >= 0 && !isinf(bound);
  DCN_EACH(i, count) {
    double value = static_cast<double>(static_cast<long long>(sums.high[i]));
    if constexpr (sizeof(T) == 8) {
      value += static_cast<double>(static_cast<long long>(sums.low[i])) / static_cast<double>(int64_t{1} << kLowBits);
    }
    result[i] = static_cast<T>(static_cast<Accumulator<T>>(is_finite ? value / scale : nan("")));
  }
}

// ------------------------------------------------------------------------------------------------ backward

// From the gradients of the columns: gradients of offset, mask and input, and in place of the gradients, with
// `wants_columns`, the columns themselves.
template <class T, class I>
__global__ void __launch_bounds__(kThreads)
    differentiate_columns(Frame<I> frame, Block block, const T* input, Values<T> offset, Values<T> mask, T* columns,
                          bool wants_columns, Results<T> grad_offset, Results<T> grad_mask,
                          Sums<Accumulator<T>> grad_input) {
  using A = Accumulator<T>;
  const double scale = grad_input.high ? scale_of(grad_input) : 1;
  for_samples(frame, block, [&](int64_t image, I index, I pixel) {
    const Site<T, I> site(frame, block, image, index, pixel, offset, mask);
    const Sample<A, I>& s = site.sample;
    A along_y = 0, along_x = 0, of_mask = 0;
    for (I channel = 0; channel < frame.per_group; ++channel) {
      const int64_t plane = (site.first_channel + channel) * frame.plane;
      T* const cell = columns + site.column + channel * site.column_step;
      const A gradient = static_cast<A>(*cell);
      A value[4][1], sum = 0;
      corner_values<1>(s, input + plane, I{1}, value);
#pragma unroll
      for (int corner = 0; corner < 4; ++corner) {
        sum += s.weight[corner] * value[corner][0];
        const A addend = gradient * site.modulation * s.weight[corner];
        if (grad_input.values && s.valid[corner]) atomicAdd(grad_input.values + plane + s.index[corner], addend);
        if (grad_input.high && s.valid[corner]) add_integer(grad_input, plane + s.index[corner], addend, scale);
      }
      along_y += gradient * ((1 - s.right) * (value[2][0] - value[0][0]) + s.right * (value[3][0] - value[1][0]));
      along_x += gradient * ((1 - s.down) * (value[1][0] - value[0][0]) + s.down * (value[3][0] - value[2][0]));
      of_mask += gradient * sum;
      if (wants_columns) *cell = static_cast<T>(site.modulation * sum);
    }
    grad_offset.set(site.offset, site.modulation * along_y);
    grad_offset.set(site.offset + frame.pixels, site.modulation * along_x);
    grad_mask.set(site.mask, of_mask);
  });
}

}  // namespace
}  // namespace powerqe
