// The forward pass, tile by tile. Everything has internal linkage (see cpu_kernels.cpp).
#pragma once

#include "window.h"

namespace powerqe {
namespace {

template <class A, class I>
struct ForwardScratch {
  Tile<A> tile;
  Shifts<A> shifts;
  Samples<A, I> samples;
  A *columns, *outputs;

  ForwardScratch(Arena arena, const Geometry& g, const Plan& plan)
      : tile(arena, plan), shifts(arena, plan), samples(arena, plan) {
    columns = arena.take<A>(plan.slab * taps(g) * tile.pitch);
    outputs = arena.take<A>(g.filters * tile.pitch);
    end = arena.next;
  }

  uintptr_t end;
};

// The columns of channels first..last of an image, all taps.
template <class T, class A, class I>
void fill_columns(const ForwardCall& call, int64_t image, int64_t first, int64_t last, ForwardScratch<A, I>& scratch) {
  const Geometry& g = call.shape;
  const Tile<A>& tile = scratch.tile;
  const int64_t per_group = g.channels / g.offset_groups, plane = g.height * g.width;
  const T* const input = static_cast<const T*>(call.input) + image * g.channels * plane;
  for (int64_t from = first; from < last;) {
    const int64_t group = from / per_group, to = least(last, (group + 1) * per_group);
    for (int64_t tap = 0; tap < taps(g); ++tap) {
      scratch.shifts.load(call, tile, image, group, tap);
      scratch.samples.locate(g, tile, scratch.shifts, tap);
      for (int64_t c = from; c < to; ++c) {
        A* const column = scratch.columns + ((c - first) * taps(g) + tap) * tile.pitch;
        sample(input + c * plane, g, scratch.samples, scratch.shifts.modulation, tile.width, column);
      }
    }
    from = to;
  }
}

// Plane by plane: columns (channels * taps, pixels), outputs (filters, pixels).
template <class T, class I>
void forward_planes(const ForwardCall& call, const Plan& plan, int64_t first_unit, int64_t last_unit, void* memory) {
  using A = typename Accumulator<T>::type;
  const Geometry& g = call.shape;
  const int64_t per_image = tiles(g, plan), in_group = g.channels / g.groups, out_group = g.filters / g.groups;
  const int64_t depth = in_group * taps(g);
  const A *const weight = static_cast<const A*>(call.weight), *const bias = static_cast<const A*>(call.bias);
  ForwardScratch<A, I> scratch(Arena{reinterpret_cast<uintptr_t>(memory)}, g, plan);
  const Tile<A>& tile = scratch.tile;

  for (int64_t unit = first_unit; unit < last_unit; ++unit) {
    const int64_t image = unit / per_image;
    scratch.tile.move_to(g, plan, unit % per_image);
    for (int64_t o = 0; o < g.filters; ++o) {
      A* const row = scratch.outputs + o * tile.pitch;
      for (int64_t p = 0; p < tile.width; ++p) row[p] = bias ? bias[o] : 0;
    }
    for (int64_t group = 0; group < g.groups; ++group) {
      for (int64_t first = 0; first < in_group; first += plan.slab) {
        const int64_t last = least(first + plan.slab, in_group);
        fill_columns<T>(call, image, group * in_group + first, group * in_group + last, scratch);
        const Factor<A> factor = {weight + group * out_group * depth + first * taps(g), depth, 1};
        multiply(out_group, tile.width, (last - first) * taps(g), factor, scratch.columns, tile.pitch,
                 scratch.outputs + group * out_group * tile.pitch, tile.pitch, true);
      }
    }
    for (int64_t o = 0; o < g.filters; ++o) {
      store_tile(g, tile, scratch.outputs + o * tile.pitch, call.type, call.output,
                 (image * g.filters + o) * pixels(g));
    }
  }
}

// ------------------------------------------------------------------------------------------------ with windows

struct WindowedForward {
  const ForwardCall& call;
  const Plan& plan;
  const Geometry& g;
  Tile<float> tile;
  Shifts<float> shifts;
  Window window;
  const int64_t out_pitch;
  float *columns, *outputs, *turned;  // (pixels, taps * 8), (groups, pixels, filters of the group), (8, pixels)
  uintptr_t end;

  WindowedForward(const ForwardCall& call, const Plan& plan, Arena arena)
      : call(call), plan(plan), g(call.shape), tile(arena, plan), shifts(arena, plan), window(arena, plan, false),
        out_pitch(up_to_multiple(g.filters / g.groups, kTileMultiple)) {
    columns = arena.take<float>(plan.tile * chunk_pitch(g));
    outputs = arena.take<float>(g.groups * plan.tile * out_pitch);
    turned = arena.take<float>(kEight * tile.pitch);
    end = arena.next;
  }

  template <class T>
  void run(int64_t image, int64_t index) {
    tile.move_to(g, plan, index);
    const int64_t per_group = g.channels / g.offset_groups, plane = g.height * g.width;
    for (int64_t group = 0; group < g.offset_groups; ++group) {
      window.choose(reach_of(call, tile, image, group, shifts));
      for (int64_t c = group * per_group; c < (group + 1) * per_group; c += kEight) {
        fill_columns(static_cast<const T*>(call.input) + (image * g.channels + c) * plane, image, group);
        multiply_chunk(c);
      }
    }
    for (int64_t group = 0; group < g.groups; ++group) store_group(image, group);
  }

  template <class T>
  void fill_columns(const T* planes, int64_t image, int64_t group) {
    if (window.is_shared) fill(g, planes, window);
    for (int64_t tap = 0; tap < taps(g); ++tap) {
      shifts.load(call, tile, image, group, tap);
      window.locate(g, tile, shifts, tap);
      if (!window.is_shared) collect(g, planes, window, tile.count);
      sample8(window, shifts.modulation, tile.count, columns + tap * kEight, chunk_pitch(g));
    }
  }

  void multiply_chunk(int64_t channel) {
    const int64_t group = channel / (g.channels / g.groups);
    const float* const weight = static_cast<const float*>(call.weight) + channel / kEight * chunk_depth(g) * out_pitch;
    multiply(tile.count, out_pitch, chunk_depth(g), Factor<float>{columns, chunk_pitch(g), 1}, weight, out_pitch,
             outputs + group * plan.tile * out_pitch, out_pitch, channel % (g.channels / g.groups) != 0);
  }

  void store_group(int64_t image, int64_t group) {
    const float* const bias = static_cast<const float*>(call.bias);
    const int64_t out_group = g.filters / g.groups;
    for (int64_t first = 0; first < out_group; first += kEight) {
      pixels_to_planes(outputs + group * plan.tile * out_pitch + first, out_pitch, tile.count, turned, tile.pitch, false);
      for (int64_t i = 0; i < least(kEight, out_group - first); ++i) {
        const int64_t filter = group * out_group + first + i;
        float* const row = turned + i * tile.pitch;
        for (int64_t p = 0; bias && p < tile.count; ++p) row[p] += bias[filter];
        store_tile(g, tile, row, call.type, call.output, (image * g.filters + filter) * pixels(g));
      }
    }
  }
};

template <class T>
void forward_windows(const ForwardCall& call, const Plan& plan, int64_t first_unit, int64_t last_unit, void* memory) {
  WindowedForward forward(call, plan, Arena{reinterpret_cast<uintptr_t>(memory)});
  const int64_t per_image = tiles(call.shape, plan);
  for (int64_t unit = first_unit; unit < last_unit; ++unit) forward.run<T>(unit / per_image, unit % per_image);
}

}  // namespace
}  // namespace powerqe
