// Deformable convolution on the CPU: the hot loops, without PyTorch.
//
// This file is compiled several times with other instruction sets (build.py), under other names (DCN_KERNELS).
// So everything but the table at the end has internal linkage, and no function of the standard library that is a
// template or inline is called: of equal functions the linker keeps one, perhaps the one that this processor cannot
// run.
//
// The work goes in tiles of output pixels. For each offset group and kernel tap the four corners of all samples are
// located once and then used for all channels of the group; products of matrices do the rest. Where a group has many
// channels, eight of them go side by side (window.h), else each plane by itself (sampling.h).

#include <cstdint>

#include "backward.h"
#include "cpu_kernels.h"
#include "forward.h"

#ifndef DCN_KERNELS
#define DCN_KERNELS baseline
#endif
#define DCN_JOIN_(a, b) a##b
#define DCN_JOIN(a, b) DCN_JOIN_(a, b)
#define DCN_TEXT_(a) #a
#define DCN_TEXT(a) DCN_TEXT_(a)

namespace powerqe {
namespace {

// ------------------------------------------------------------------------------------------------ plans

constexpr int64_t kTile = 512;                   // output pixels, plane by plane
constexpr int64_t kWindowedColumns = 32;         // of a tile: windows are small if tiles are nearly square
constexpr int64_t kTileBytes = 768 * 1024;       // of one array of a tile (columns, outputs ...)
constexpr int64_t kSlotBytes = 2 * 1024 * 1024;  // of the buffers of weight gradients together
constexpr int64_t kSlots = 64;
constexpr int64_t kEnoughUnits = 16;  // so that a few threads have equal parts

// Output pixels at a time, so that an array of as many rows stays small.
int64_t fitting(int64_t most_pixels, int64_t rows, int64_t item) {
  const int64_t pixels = kTileBytes / (most(rows, 1) * item) / kTileMultiple * kTileMultiple;
  return most(least(most_pixels, pixels), kTileMultiple);
}

void plan_tiles(const Geometry& g, int64_t pixels, int64_t columns, Plan& plan) {
  plan.tile_columns = parts(g.out_w, parts(g.out_w, least(columns, pixels)));
  plan.tile_rows = most(1, least(g.out_h, pixels / plan.tile_columns));
  plan.tile_rows = parts(g.out_h, parts(g.out_h, plan.tile_rows));
  plan.tile = up_to_multiple(plan.tile_rows * plan.tile_columns, kTileMultiple);
}

int64_t slab_for(const Geometry& g, int64_t channels, const Plan& plan, int64_t item) {
  return most(1, least(channels, kTileBytes / (taps(g) * plan.tile * item)));
}

int64_t count_of_weights(const Geometry& g) { return g.filters * (g.channels / g.groups) * taps(g); }

bool uses_windows(const Geometry& g, Type type) {
  return has_windows(g, type) && g.filters / g.groups * chunk_pitch(g) * 4 <= kTileBytes;
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
  plan.has_windows = uses_windows(g, call.type);
  plan.weights = count_of_weights(g);
  if (plan.has_windows) {
    const int64_t out_pitch = up_to_multiple(g.filters / g.groups, kTileMultiple);
    plan_tiles(g, fitting(kWindowedTile, most(g.groups * out_pitch, chunk_pitch(g)), item), kWindowedColumns, plan);
    plan.weights = g.channels / kEight * chunk_depth(g) * out_pitch;
    plan.scratch = static_cast<int64_t>(WindowedForward(call, plan, Arena{0}).end);
  } else {
    const int64_t pixels = fitting(kTile, most(g.filters, taps(g)), item);
    plan_tiles(g, pixels, pixels, plan);
    plan.slab = slab_for(g, g.channels / g.groups, plan, item);
    plan.scratch = scratch_bytes<ForwardScratch>(g, call.type, plan);
  }
  plan.units = g.batch * tiles(g, plan);
  return plan;
}

void plan_units(const BackwardCall& call, Plan& plan) {
  const Geometry& g = call.shape;
  const int64_t most_slots = most(1, least(kSlots, kSlotBytes / (count_of_weights(g) * item_size(call.type))));
  plan.runs = most(1, least(g.batch, most_slots)), plan.bands = plan.strips = 1;  // one run of no images, too
  const int64_t units = plan.runs * g.offset_groups;
  if (units < kEnoughUnits && !call.grad_input) {  // no tile writes where another does
    plan.bands = least(least(most_slots / plan.runs, tiles(g, plan)), parts(kEnoughUnits, units));
  }
  if (units < kEnoughUnits && !wants_gather(call)) {  // no channel writes where another does
    plan.strips = g.channels / g.offset_groups / (plan.has_windows ? kEight : 1);
  }
  plan.slots = plan.runs * plan.bands;
  plan.units = plan.slots * g.offset_groups * plan.strips;
}

Plan plan_backward(const BackwardCall& call) {
  const Geometry& g = call.shape;
  const int64_t item = item_size(call.type);
  Plan plan{};
  plan.has_windows = uses_windows(g, call.type);
  plan.weights = count_of_weights(g);
  if (plan.has_windows) {
    plan_tiles(g, fitting(kWindowedTile, most(g.filters, chunk_pitch(g)), item), kWindowedColumns, plan);
    plan.weights = g.channels / kEight * g.filters / g.groups * chunk_pitch(g);
    plan.scratch = static_cast<int64_t>(WindowedBackward(call, plan, Arena{0}).end);
  } else {
    const int64_t pixels = fitting(kTile, most(g.filters, 3 * taps(g)), item);
    plan_tiles(g, pixels, pixels, plan);
    plan.slab = slab_for(g, g.channels / g.offset_groups, plan, item);
    plan.scratch = scratch_bytes<BackwardScratch>(g, call.type, plan);
  }
  plan_units(call, plan);
  return plan;
}

// ------------------------------------------------------------------------------------------------ weights

// Forward: (chunks of eight channels, taps, eight, filters of the group), backward: (chunks, filters, taps, eight);
// rows are filled up with zeros to a multiple.
void arrange_for_windows(const Geometry& g, bool is_forward, const float* from, float* to) {
  const int64_t in_group = g.channels / g.groups, out_group = g.filters / g.groups;
  const int64_t out_pitch = up_to_multiple(out_group, kTileMultiple);
  const int64_t chunk = is_forward ? chunk_depth(g) * out_pitch : out_group * chunk_pitch(g);
  for (int64_t i = 0; i < g.channels / kEight * chunk; ++i) to[i] = 0;
  for (int64_t c = 0; c < g.channels; ++c) {
    const int64_t first = c / in_group * out_group;
    for (int64_t o = 0; o < out_group; ++o) {
      for (int64_t tap = 0; tap < taps(g); ++tap) {
        const int64_t place = tap * kEight + c % kEight;
        to[c / kEight * chunk + (is_forward ? place * out_pitch + o : o * chunk_pitch(g) + place)] =
            from[((first + o) * in_group + c % in_group) * taps(g) + tap];
      }
    }
  }
}

void arrange_weight(const Geometry& g, Type type, const Plan& plan, bool is_forward, const void* from, void* to) {
  if (plan.has_windows) {
    return arrange_for_windows(g, is_forward, static_cast<const float*>(from), static_cast<float*>(to));
  }
  const auto copy = [&](auto* target, const auto* source) {
    for (int64_t i = 0; i < plan.weights; ++i) target[i] = source[i];
  };
  if (type == Type::float64) return copy(static_cast<double*>(to), static_cast<const double*>(from));
  copy(static_cast<float*>(to), static_cast<const float*>(from));
}

// ------------------------------------------------------------------------------------------------ the table

inline bool is_wide(const Geometry& g) { return g.height > INT32_MAX / g.width; }

// Calls `name<T, I>(...)` for the element type T of the call and an index type I that is wide enough.
#define DCN_CASE(type, T, wide, name, ...) \
  case type: return wide ? name<T, int64_t>(__VA_ARGS__) : name<T, int32_t>(__VA_ARGS__);
#define DCN_DISPATCH(call, name, ...)                                          \
  switch ((call).type) {                                                       \
    DCN_CASE(Type::float32, float, is_wide((call).shape), name, __VA_ARGS__)   \
    DCN_CASE(Type::float64, double, true, name, __VA_ARGS__)                   \
    DCN_CASE(Type::float16, Half, is_wide((call).shape), name, __VA_ARGS__)    \
    DCN_CASE(Type::bfloat16, BFloat, is_wide((call).shape), name, __VA_ARGS__) \
  }
// Calls `name<T>(...)`.
#define DCN_DISPATCH_FLOATS(call, name, ...)                  \
  switch ((call).type) {                                      \
    case Type::float32: return name<float>(__VA_ARGS__);      \
    case Type::float16: return name<Half>(__VA_ARGS__);       \
    case Type::bfloat16: return name<BFloat>(__VA_ARGS__);    \
    case Type::float64: return; /* never, see has_windows() */ \
  }

void forward(const ForwardCall& call, const Plan& plan, int64_t first, int64_t last, void* scratch) {
  if (plan.has_windows) DCN_DISPATCH_FLOATS(call, forward_windows, call, plan, first, last, scratch)
  DCN_DISPATCH(call, forward_planes, call, plan, first, last, scratch)
}

void backward(const BackwardCall& call, const Plan& plan, int64_t first, int64_t last, void* scratch) {
  if (plan.has_windows) DCN_DISPATCH_FLOATS(call, backward_windows, call, plan, first, last, scratch)
  DCN_DISPATCH(call, backward_planes, call, plan, first, last, scratch)
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
    DCN_TEXT(DCN_KERNELS), arrange_weight, plan_forward, forward, plan_backward, backward, bias_gradient,
};

}  // namespace powerqe
