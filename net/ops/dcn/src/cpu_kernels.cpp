// Deformable convolution on the CPU: the hot loops, without PyTorch.
//
// This file may be compiled several times with other instruction sets (build.py), under other names (DCN_KERNELS).
// So everything but the table at the end has internal linkage, and no function of the standard library that is a
// template or inline is called: of equal functions the linker keeps one, perhaps the one that this processor cannot
// run.
//
// The work goes in blocks of output pixels. For each offset group and kernel tap the four corners of all samples are
// located once and then used for all channels of the group; products of matrices do the rest.

#include <cstdint>

#include "cpu_kernels.h"
#include "gemm.h"
#include "half.h"
#include "sampling.h"

#ifndef DCN_KERNELS
#define DCN_KERNELS baseline
#endif
#define DCN_JOIN_(a, b) a##b
#define DCN_JOIN(a, b) DCN_JOIN_(a, b)
#define DCN_TEXT_(a) #a
#define DCN_TEXT(a) DCN_TEXT_(a)

namespace powerqe {
namespace {

// ------------------------------------------------------------------------------------------------ forward

constexpr int64_t kBlock = 256;             // output pixels
constexpr int64_t kTileBytes = 768 * 1024;  // of one tile (columns, outputs ...)

// Output pixels at a time, so that a tile of as many rows stays small.
int64_t block_for(const Geometry& g, int64_t rows, int64_t item) {
  const int64_t fitting = kTileBytes / (most(rows, 1) * item) / kTileMultiple * kTileMultiple;
  const int64_t enough = up_to_multiple(most(pixels(g), 1), kTileMultiple);
  return least(most(least(kBlock, fitting), kTileMultiple), enough);
}

int64_t slab_for(const Geometry& g, int64_t channels, int64_t block, int64_t item) {
  return most(1, least(channels, kTileBytes / (taps(g) * block * item)));
}

template <class A, class I>
struct ForwardScratch {
  Block<A> block;
  Samples<A, I> samples;
  A *columns, *outputs;

  ForwardScratch(Arena arena, const Geometry& g, const Plan& plan)
      : block(arena, plan.block), samples(arena, plan.block) {
    columns = arena.take<A>(plan.slab * taps(g) * block.pitch);
    outputs = arena.take<A>(g.filters * block.pitch);
    end = arena.next;
  }

  uintptr_t end;
};

// The columns of channels first..last of an image, all taps.
template <class T, class A, class I>
void fill_columns(const ForwardCall& call, int64_t image, int64_t first, int64_t last, ForwardScratch<A, I>& scratch) {
  const Geometry& g = call.shape;
  const int64_t per_group = g.channels / g.offset_groups, plane = g.height * g.width;
  const T* const input = static_cast<const T*>(call.input) + image * g.channels * plane;
  for (int64_t from = first; from < last;) {
    const int64_t group = from / per_group, to = least(last, (group + 1) * per_group);
    for (int64_t tap = 0; tap < taps(g); ++tap) {
      locate(call, scratch.block, image, group, tap, scratch.samples);
      for (int64_t c = from; c < to; ++c) {
        A* const column = scratch.columns + ((c - first) * taps(g) + tap) * scratch.block.pitch;
        sample(input + c * plane, scratch.samples, scratch.block.width, column);
      }
    }
    from = to;
  }
}

template <class T, class I>
void forward_units(const ForwardCall& call, const Plan& plan, int64_t first_unit, int64_t last_unit, void* memory) {
  using A = typename Accumulator<T>::type;
  const Geometry& g = call.shape;
  const int64_t per_image = blocks(g, plan.block), in_group = g.channels / g.groups, out_group = g.filters / g.groups;
  const int64_t depth = in_group * taps(g);
  const A *const weight = static_cast<const A*>(call.weight), *const bias = static_cast<const A*>(call.bias);
  ForwardScratch<A, I> scratch(Arena{reinterpret_cast<uintptr_t>(memory)}, g, plan);
  const Block<A>& block = scratch.block;

  for (int64_t unit = first_unit; unit < last_unit; ++unit) {
    const int64_t image = unit / per_image;
    scratch.block.move_to(g, unit % per_image, plan.block);
    for (int64_t o = 0; o < g.filters; ++o) {
      A* const row = scratch.outputs + o * block.pitch;
      for (int64_t p = 0; p < block.width; ++p) row[p] = bias ? bias[o] : 0;
    }
    for (int64_t group = 0; group < g.groups; ++group) {
      for (int64_t first = 0; first < in_group; first += plan.slab) {
        const int64_t last = least(first + plan.slab, in_group);
        fill_columns<T>(call, image, group * in_group + first, group * in_group + last, scratch);
        multiply_add(out_group, block.width, (last - first) * taps(g),
                     weight + group * out_group * depth + first * taps(g), depth, scratch.columns, block.pitch,
                     scratch.outputs + group * out_group * block.pitch, block.pitch);
      }
    }
    for (int64_t o = 0; o < g.filters; ++o) {
      store_row(call.type, scratch.outputs + o * block.pitch, block.count, call.output,
                (image * g.filters + o) * pixels(g) + block.start);
    }
  }
}

// ------------------------------------------------------------------------------------------------ backward

constexpr int64_t kSlotBytes = 2 * 1024 * 1024;  // of the buffers of weight gradients together
constexpr int64_t kSlots = 64;

template <class A, class I>
struct BackwardScratch {
  Block<A> block;
  Samples<A, I> samples;
  A *gradients;                  // of the outputs, (filters, block)
  A *columns, *grad_columns;     // (slab * taps, block)
  A *sum_y, *sum_x, *sum_mask;   // (taps, block)

  BackwardScratch(Arena arena, const Geometry& g, const Plan& plan)
      : block(arena, plan.block), samples(arena, plan.block) {
    gradients = arena.take<A>(g.filters * block.pitch);
    columns = arena.take<A>(plan.slab * taps(g) * block.pitch);
    grad_columns = arena.take<A>(plan.slab * taps(g) * block.pitch);
    A** const sums[] = {&sum_y, &sum_x, &sum_mask};
    for (A** sum : sums) *sum = arena.take<A>(taps(g) * block.pitch);
    end = arena.next;
  }

  uintptr_t end;
};

// What the corners of one channel and one tap give: the column, and the sums over the channels that become the
// gradients of offset and mask. Differences before products: neighbouring pixels are nearly equal.
template <class T, class A, class I>
void gather(const T* plane, const Samples<A, I>& s, const A* grad_column, int64_t width, A* column, A* sum_y, A* sum_x,
            A* sum_mask) {
  for (int64_t p = 0; p < width; ++p) {
    const A v0 = corner_value(plane, s, 0, p), v1 = corner_value(plane, s, 1, p);
    const A v2 = corner_value(plane, s, 2, p), v3 = corner_value(plane, s, 3, p);
    const A ly = s.fraction_y[p], lx = s.fraction_x[p], gradient = grad_column[p];
    const A above = v0 + lx * (v1 - v0), below = v2 + lx * (v3 - v2);
    const A value = above + ly * (below - above);
    sum_y[p] += gradient * ((1 - lx) * (v2 - v0) + lx * (v3 - v1));
    sum_x[p] += gradient * ((1 - ly) * (v1 - v0) + ly * (v3 - v2));
    sum_mask[p] += gradient * value;
    column[p] = s.modulation[p] * value;
  }
}

// Adds what the samples of one channel and one tap give to the gradient of its plane.
template <class A, class I>
void scatter(const A* grad_column, const Samples<A, I>& s, int64_t count, A* plane) {
  for (int64_t p = 0; p < count; ++p) {
    if (!s.inside[p]) continue;
    const A gradient = grad_column[p] * s.modulation[p];
    plane[s.index[0][p]] += gradient * s.weight[0][p];
    plane[s.index[1][p]] += gradient * s.weight[1][p];
    plane[s.index[2][p]] += gradient * s.weight[2][p];
    plane[s.index[3][p]] += gradient * s.weight[3][p];
  }
}

template <class T, class I>
struct Backward {
  using A = typename Accumulator<T>::type;
  const BackwardCall& call;
  const Geometry& g;
  BackwardScratch<A, I> scratch;
  const bool wants_columns_gradient, wants_gather;

  Backward(const BackwardCall& call, const Plan& plan, void* memory)
      : call(call),
        g(call.shape),
        scratch(Arena{reinterpret_cast<uintptr_t>(memory)}, call.shape, plan),
        wants_columns_gradient(call.grad_input || call.grad_offset || call.grad_mask),
        wants_gather(call.grad_offset || call.grad_mask || call.grad_weight) {}

  // One image, one offset group.
  void run(const Plan& plan, int64_t image, int64_t group, A* grad_weight) {
    const int64_t per_group = g.channels / g.offset_groups, in_group = g.channels / g.groups;
    const int64_t begin = group * per_group, end = begin + per_group;
    for (int64_t index = 0; index < blocks(g, plan.block); ++index) {
      start_block(plan, image, index);
      for (int64_t first = begin; first < end;) {  // a slab lies in one group of the weights
        const int64_t last = least(least(first + plan.slab, end), (first / in_group + 1) * in_group);
        slab(image, group, first, last, grad_weight);
        first = last;
      }
      finish_block(image, group);
    }
  }

  void start_block(const Plan& plan, int64_t image, int64_t index) {
    Block<A>& block = scratch.block;
    block.move_to(g, index, plan.block);
    for (int64_t o = 0; o < g.filters; ++o) {
      load_row(call.type, call.grad_output, (image * g.filters + o) * pixels(g) + block.start, block.count, block.width,
               scratch.gradients + o * block.pitch);
    }
    A* const sums[] = {scratch.sum_y, scratch.sum_x, scratch.sum_mask};
    for (A* sum : sums) {
      for (int64_t i = 0; i < taps(g) * block.pitch; ++i) sum[i] = 0;
    }
  }

  void slab(int64_t image, int64_t group, int64_t first, int64_t last, A* grad_weight) {
    const Block<A>& block = scratch.block;
    const int64_t in_group = g.channels / g.groups, out_group = g.filters / g.groups, plane = g.height * g.width;
    const int64_t weight_group = first / in_group, in_first = first - weight_group * in_group;
    const int64_t rows = (last - first) * taps(g), depth = in_group * taps(g);
    const A* const gradients = scratch.gradients + weight_group * out_group * block.pitch;

    // Zeros also where nothing is added: gather() reads them.
    for (int64_t i = 0; i < rows * block.pitch; ++i) scratch.grad_columns[i] = 0;
    if (wants_columns_gradient) {
      const A* const weight =
          static_cast<const A*>(call.weight_by_tap) + (weight_group * depth + in_first * taps(g)) * out_group;
      multiply_add(rows, block.width, out_group, weight, out_group, gradients, block.pitch, scratch.grad_columns,
                   block.pitch);
    }
    for (int64_t tap = 0; tap < taps(g); ++tap) {
      locate(call, block, image, group, tap, scratch.samples);
      for (int64_t c = first; c < last; ++c) {
        const int64_t row = ((c - first) * taps(g) + tap) * block.pitch, to = tap * block.pitch;
        const int64_t start = (image * g.channels + c) * plane;
        if (wants_gather) {
          gather(static_cast<const T*>(call.input) + start, scratch.samples, scratch.grad_columns + row, block.width,
                 scratch.columns + row, scratch.sum_y + to, scratch.sum_x + to, scratch.sum_mask + to);
        }
        if (call.grad_input) {
          scatter(scratch.grad_columns + row, scratch.samples, block.count, static_cast<A*>(call.grad_input) + start);
        }
      }
    }
    if (grad_weight) {
      multiply_add_transposed(out_group, rows, block.width, gradients, block.pitch, scratch.columns, block.pitch,
                              grad_weight + weight_group * out_group * depth + in_first * taps(g), depth);
    }
  }

  void finish_block(int64_t image, int64_t group) {
    const Block<A>& block = scratch.block;
    const int64_t n = pixels(g);
    for (int64_t tap = 0; tap < taps(g); ++tap) {
      const int64_t row = (image * g.offset_groups + group) * taps(g) + tap, from = tap * block.pitch;
      if (call.grad_mask) {
        store_row(call.mask_type, scratch.sum_mask + from, block.count, call.grad_mask, row * n + block.start);
      }
      if (!call.grad_offset) continue;
      A *const sum_y = scratch.sum_y + from, *const sum_x = scratch.sum_x + from;
      if (call.mask) {
        A* const modulation = scratch.samples.modulation;
        load_row(call.mask_type, call.mask, row * n + block.start, block.count, block.width, modulation);
        for (int64_t p = 0; p < block.width; ++p) sum_y[p] *= modulation[p], sum_x[p] *= modulation[p];
      }
      store_row(call.offset_type, sum_y, block.count, call.grad_offset, 2 * row * n + block.start);
      store_row(call.offset_type, sum_x, block.count, call.grad_offset, (2 * row + 1) * n + block.start);
    }
  }
};

template <class T, class I>
void backward_units(const BackwardCall& call, const Plan& plan, int64_t first_unit, int64_t last_unit, void* memory) {
  using A = typename Accumulator<T>::type;
  const Geometry& g = call.shape;
  const int64_t weights = g.filters * (g.channels / g.groups) * taps(g);
  Backward<T, I> backward(call, plan, memory);
  for (int64_t unit = first_unit; unit < last_unit; ++unit) {
    const int64_t slot = unit / g.offset_groups, group = unit % g.offset_groups;
    A* const grad_weight = call.grad_weight ? static_cast<A*>(call.grad_weight) + slot * weights : nullptr;
    const int64_t first = slot * g.batch / plan.slots, last = (slot + 1) * g.batch / plan.slots;
    for (int64_t image = first; image < last; ++image) backward.run(plan, image, group, grad_weight);
  }
}

// Rows are summed in as many lanes as a tile has, and the rows' sums in float64.
template <class T>
void bias_gradient_of(const BackwardCall& call, int64_t first, int64_t last, void* grad_bias) {
  using A = typename Accumulator<T>::type;
  const Geometry& g = call.shape;
  for (int64_t o = first; o < last; ++o) {
    double total = 0;
    for (int64_t image = 0; image < g.batch; ++image) {
      const T* const row = static_cast<const T*>(call.grad_output) + (image * g.filters + o) * pixels(g);
      for (int64_t start = 0; start < pixels(g); start += 1024) {
        A lanes[kTileMultiple] = {};
        const int64_t end = least(start + 1024, pixels(g));
        for (int64_t p = start; p < end; ++p) lanes[p % kTileMultiple] += load(row[p]);
        for (A lane : lanes) total += lane;
      }
    }
    static_cast<A*>(grad_bias)[o] = static_cast<A>(total);
  }
}

// ------------------------------------------------------------------------------------------------ the table

inline bool is_wide(const Geometry& g) { return g.height > INT32_MAX / g.width; }

// Calls `name<T, I>(...)` for the element type T of the call and an index type I that is wide enough.
#define DCN_CASE(type, T, wide, name, ...) \
  case type: return wide ? name<T, int64_t>(__VA_ARGS__) : name<T, int32_t>(__VA_ARGS__);
#define DCN_DISPATCH(call, name, ...)                                         \
  switch ((call).type) {                                                      \
    DCN_CASE(Type::float32, float, is_wide((call).shape), name, __VA_ARGS__)  \
    DCN_CASE(Type::float64, double, is_wide((call).shape), name, __VA_ARGS__) \
    DCN_CASE(Type::float16, Half, is_wide((call).shape), name, __VA_ARGS__)   \
    DCN_CASE(Type::bfloat16, BFloat, is_wide((call).shape), name, __VA_ARGS__) \
  }

template <template <class, class> class Scratch>
int64_t scratch_bytes(const Geometry& g, Type type, const Plan& plan) {
  const Arena counter{0};
  const uintptr_t end = type == Type::float64 ? Scratch<double, int64_t>(counter, g, plan).end
                                              : Scratch<float, int64_t>(counter, g, plan).end;
  return static_cast<int64_t>(end);
}

Plan plan_forward(const ForwardCall& call) {
  const Geometry& g = call.shape;
  const int64_t item = item_size(call.type);
  Plan plan{};
  plan.block = block_for(g, most(g.filters, taps(g)), item);
  plan.slab = slab_for(g, g.channels / g.groups, plan.block, item);
  plan.units = g.batch * blocks(g, plan.block);
  plan.scratch = scratch_bytes<ForwardScratch>(g, call.type, plan);
  return plan;
}

Plan plan_backward(const BackwardCall& call) {
  const Geometry& g = call.shape;
  const int64_t item = item_size(call.type), weights = g.filters * (g.channels / g.groups) * taps(g);
  Plan plan{};
  plan.block = block_for(g, most(g.filters, 3 * taps(g)), item);
  plan.slab = slab_for(g, g.channels / g.offset_groups, plan.block, item);
  plan.slots = most(1, least(least(g.batch, kSlots), kSlotBytes / (most(weights, 1) * item)));
  plan.units = plan.slots * g.offset_groups;
  plan.scratch = scratch_bytes<BackwardScratch>(g, call.type, plan);
  return plan;
}

void forward(const ForwardCall& call, const Plan& plan, int64_t first, int64_t last, void* scratch) {
  DCN_DISPATCH(call, forward_units, call, plan, first, last, scratch)
}

void backward(const BackwardCall& call, const Plan& plan, int64_t first, int64_t last, void* scratch) {
  DCN_DISPATCH(call, backward_units, call, plan, first, last, scratch)
}

void bias_gradient(const BackwardCall& call, int64_t first, int64_t last, void* grad_bias) {
  switch (call.type) {
    case Type::float32: return bias_gradient_of<float>(call, first, last, grad_bias);
    case Type::float64: return bias_gradient_of<double>(call, first, last, grad_bias);
    case Type::float16: return bias_gradient_of<Half>(call, first, last, grad_bias);
    case Type::bfloat16: return bias_gradient_of<BFloat>(call, first, last, grad_bias);
  }
}

}  // namespace

const CpuKernels DCN_JOIN(cpu_kernels_, DCN_KERNELS) = {
    DCN_TEXT(DCN_KERNELS), plan_forward, forward, plan_backward, backward, bias_gradient,
};

}  // namespace powerqe
