// The backward pass, unit by unit. Everything has internal linkage (see cpu_kernels.cpp).
#pragma once

#include "window.h"

namespace powerqe {
namespace {

// A part of the work that writes what no other writes: images and tiles of one slot, channels of one offset group.
struct Unit {
  int64_t slot, first_image, last_image, first_tile, last_tile;
  int64_t group, first_channel, last_channel;

  Unit(const Geometry& g, const Plan& plan, int64_t index) {
    const int64_t strip = index % plan.strips, run = index / plan.strips / g.offset_groups / plan.bands;
    const int64_t band = index / plan.strips / g.offset_groups % plan.bands;
    const int64_t in_group = g.channels / g.offset_groups, in_strip = in_group / plan.strips;
    slot = run * plan.bands + band;
    first_image = run * g.batch / plan.runs, last_image = (run + 1) * g.batch / plan.runs;
    first_tile = band * tiles(g, plan) / plan.bands, last_tile = (band + 1) * tiles(g, plan) / plan.bands;
    group = index / plan.strips % g.offset_groups;
    first_channel = group * in_group + strip * in_strip, last_channel = first_channel + in_strip;
  }
};

template <class A>
void load_gradients(const BackwardCall& call, const Tile<A>& tile, int64_t image, A* gradients) {
  const Geometry& g = call.shape;
  for (int64_t o = 0; o < g.filters; ++o) {
    load_tile(g, tile, call.type, call.grad_output, (image * g.filters + o) * pixels(g), gradients + o * tile.pitch);
  }
}

// Writes the gradients of an offset group and a tap, from the sums over the channels. Changes these.
template <class A>
void store_shifts(const BackwardCall& call, const Tile<A>& tile, int64_t image, int64_t group, int64_t tap, A* sum_y,
                  A* sum_x, const A* sum_mask, A* room) {
  const Geometry& g = call.shape;
  const int64_t row = (image * g.offset_groups + group) * taps(g) + tap, n = pixels(g);
  if (call.grad_mask) store_tile(g, tile, sum_mask, call.mask_type, call.grad_mask, row * n);
  if (!call.grad_offset) return;
  if (call.mask) {
    const A* const modulation = tile_of(g, tile, call.mask_type, call.mask, row * n, room);
    for (int64_t p = 0; p < tile.width; ++p) sum_y[p] *= modulation[p], sum_x[p] *= modulation[p];
  }
  store_tile(g, tile, sum_y, call.offset_type, call.grad_offset, 2 * row * n);
  store_tile(g, tile, sum_x, call.offset_type, call.grad_offset, (2 * row + 1) * n);
}

inline bool wants_columns_gradient(const BackwardCall& call) {
  return call.grad_input || call.grad_offset || call.grad_mask;
}
inline bool wants_gather(const BackwardCall& call) { return call.grad_offset || call.grad_mask || call.wants_weight; }

// ------------------------------------------------------------------------------------------------ plane by plane

template <class A, class I>
struct BackwardScratch {
  Tile<A> tile;
  Shifts<A> shifts;
  Samples<A, I> samples;
  A *gradients;                 // of the outputs, (filters, pixels)
  A *columns, *grad_columns;    // (slab * taps, pixels)
  A *sum_y, *sum_x, *sum_mask;  // (taps, pixels)

  BackwardScratch(Arena arena, const Geometry& g, const Plan& plan)
      : tile(arena, plan), shifts(arena, plan), samples(arena, plan) {
    gradients = arena.take<A>(g.filters * tile.pitch);
    columns = arena.take<A>(plan.slab * taps(g) * tile.pitch);
    grad_columns = arena.take<A>(plan.slab * taps(g) * tile.pitch);
    A** const sums[] = {&sum_y, &sum_x, &sum_mask};
    for (A** sum : sums) *sum = arena.take<A>(taps(g) * tile.pitch);
    end = arena.next;
  }

  uintptr_t end;
};

template <class T, class I>
struct Backward {
  using A = typename Accumulator<T>::type;
  const BackwardCall& call;
  const Plan& plan;
  const Geometry& g;
  BackwardScratch<A, I> scratch;

  Backward(const BackwardCall& call, const Plan& plan, void* memory)
      : call(call), plan(plan), g(call.shape), scratch(Arena{reinterpret_cast<uintptr_t>(memory)}, g, plan) {}

  void run(const Unit& unit, int64_t image, int64_t index, A* grad_weight) {
    const int64_t in_group = g.channels / g.groups;
    Tile<A>& tile = scratch.tile;
    tile.move_to(g, plan, index);
    load_gradients(call, tile, image, scratch.gradients);
    A* const sums[] = {scratch.sum_y, scratch.sum_x, scratch.sum_mask};
    for (A* sum : sums) {
      for (int64_t i = 0; wants_gather(call) && i < taps(g) * tile.pitch; ++i) sum[i] = 0;
    }
    for (int64_t first = unit.first_channel; first < unit.last_channel;) {  // a slab is in one group of the weights
      const int64_t last = least(least(first + plan.slab, unit.last_channel), (first / in_group + 1) * in_group);
      slab(image, unit.group, first, last, grad_weight);
      first = last;
    }
    for (int64_t tap = 0; wants_gather(call) && tap < taps(g); ++tap) {
      const int64_t from = tap * tile.pitch;
      store_shifts(call, tile, image, unit.group, tap, scratch.sum_y + from, scratch.sum_x + from,
                   scratch.sum_mask + from, scratch.shifts.rooms[2]);
    }
  }

  void slab(int64_t image, int64_t group, int64_t first, int64_t last, A* grad_weight) {
    const Tile<A>& tile = scratch.tile;
    const int64_t in_group = g.channels / g.groups, out_group = g.filters / g.groups, plane = g.height * g.width;
    const int64_t weight_group = first / in_group, in_first = first - weight_group * in_group;
    const int64_t rows = (last - first) * taps(g), depth = in_group * taps(g);
    const A* const gradients = scratch.gradients + weight_group * out_group * tile.pitch;

    if (wants_columns_gradient(call)) {
      const A* const weight = static_cast<const A*>(call.weight) + weight_group * out_group * depth;
      multiply(rows, tile.width, out_group, Factor<A>{weight + in_first * taps(g), 1, depth}, gradients, tile.pitch,
               scratch.grad_columns, tile.pitch, false);
    } else {  // gather() reads them
      for (int64_t i = 0; i < rows * tile.pitch; ++i) scratch.grad_columns[i] = 0;
    }
    for (int64_t tap = 0; tap < taps(g); ++tap) {
      scratch.shifts.load(call, tile, image, group, tap);
      scratch.samples.locate(g, tile, scratch.shifts, tap);
      for (int64_t c = first; c < last; ++c) {
        const int64_t row = ((c - first) * taps(g) + tap) * tile.pitch, to = tap * tile.pitch;
        const int64_t start = (image * g.channels + c) * plane;
        if (wants_gather(call)) {
          gather(static_cast<const T*>(call.input) + start, g, scratch.samples, scratch.shifts.modulation,
                 scratch.grad_columns + row, tile.width, scratch.columns + row, scratch.sum_y + to, scratch.sum_x + to,
                 scratch.sum_mask + to);
        }
        if (call.grad_input) {
          scatter(scratch.grad_columns + row, g, scratch.samples, scratch.shifts.modulation, tile.width,
                  static_cast<A*>(call.grad_input) + start);
        }
      }
    }
    if (grad_weight) {
      multiply_add_transposed(out_group, rows, tile.width, gradients, tile.pitch, scratch.columns, tile.pitch,
                              grad_weight + weight_group * out_group * depth + in_first * taps(g), depth);
    }
  }
};

template <class T, class I>
void backward_planes(const BackwardCall& call, const Plan& plan, int64_t first_unit, int64_t last_unit, void* memory) {
  using A = typename Accumulator<T>::type;
  const Geometry& g = call.shape;
  const int64_t weights = g.filters * (g.channels / g.groups) * taps(g);
  Backward<T, I> backward(call, plan, memory);
  for (int64_t index = first_unit; index < last_unit; ++index) {
    const Unit unit(g, plan, index);
    A* const grad_weight = call.grad_weight ? static_cast<A*>(call.grad_weight) + unit.slot * weights : nullptr;
    for (int64_t image = unit.first_image; image < unit.last_image; ++image) {
      for (int64_t tile = unit.first_tile; tile < unit.last_tile; ++tile) backward.run(unit, image, tile, grad_weight);
    }
  }
}

// ------------------------------------------------------------------------------------------------ with windows

struct WindowedBackward {
  const BackwardCall& call;
  const Plan& plan;
  const Geometry& g;
  Tile<float> tile;
  Shifts<float> shifts;
  Window window;
  float *gradients;               // of the outputs, (filters, pixels)
  float *columns, *grad_columns;  // (pixels, taps * 8)
  float *sums, *sum[3];           // (taps, pixels, 4), and (pixels) of one tap
  float *grad_chunk;              // of the weights, (filters of a group, taps * 8)
  uintptr_t end;

  WindowedBackward(const BackwardCall& call, const Plan& plan, Arena arena)
      : call(call), plan(plan), g(call.shape), tile(arena, plan), shifts(arena, plan), window(arena, plan, true) {
    gradients = arena.take<float>(g.filters * tile.pitch);
    columns = arena.take<float>(plan.tile * chunk_pitch(g));
    grad_columns = arena.take<float>(plan.tile * chunk_pitch(g));
    sums = arena.take<float>(taps(g) * plan.tile * 4);
    for (float*& one : sum) one = arena.take<float>(plan.tile);
    grad_chunk = arena.take<float>(g.filters / g.groups * chunk_pitch(g));
    end = arena.next;
  }

  template <class T>
  void run(const Unit& unit, int64_t image, int64_t index, float* grad_weight) {
    tile.move_to(g, plan, index);
    load_gradients(call, tile, image, gradients);
    for (int64_t i = 0; wants_gather(call) && i < taps(g) * plan.tile * 4; ++i) sums[i] = 0;
    window.choose(reach_of(call, tile, image, unit.group, shifts));
    for (int64_t c = unit.first_channel; c < unit.last_channel; c += kEight) chunk<T>(image, unit.group, c, grad_weight);
    for (int64_t tap = 0; wants_gather(call) && tap < taps(g); ++tap) store_sums(image, unit.group, tap);
  }

  // Eight channels.
  template <class T>
  void chunk(int64_t image, int64_t group, int64_t channel, float* grad_weight) {
    const int64_t plane = g.height * g.width, start = (image * g.channels + channel) * plane;
    const int64_t out_group = g.filters / g.groups, weight_group = channel / (g.channels / g.groups);
    const float* const grads = gradients + weight_group * out_group * tile.pitch;
    const T* const planes = static_cast<const T*>(call.input) + start;
    float* const grad_planes = call.grad_input ? static_cast<float*>(call.grad_input) + start : nullptr;

    const float* const weight = static_cast<const float*>(call.weight) + channel / kEight * out_group * chunk_pitch(g);
    multiply(tile.count, chunk_pitch(g), out_group, Factor<float>{grads, 1, tile.pitch}, weight, chunk_pitch(g),
             grad_columns, chunk_pitch(g), false);
    if (window.is_shared) {
      if (wants_gather(call)) fill(g, planes, window);
      if (grad_planes) clear(window.gradients, window.reach.pixels() + window.reach.columns + 2);
    }
    for (int64_t tap = 0; tap < taps(g); ++tap) this->tap(image, group, tap, planes, grad_planes);
    if (window.is_shared && grad_planes) flush(g, window, grad_planes);
    if (grad_weight) {
      multiply(out_group, chunk_pitch(g), tile.count, Factor<float>{grads, tile.pitch, 1}, columns, chunk_pitch(g),
               grad_chunk, chunk_pitch(g), false);
      add_chunk(channel, grad_weight);
    }
  }

  template <class T>
  void tap(int64_t image, int64_t group, int64_t tap, const T* planes, float* grad_planes) {
    shifts.load(call, tile, image, group, tap);
    window.locate(g, tile, shifts, tap);
    float* const grad_column = grad_columns + tap * kEight;
    if (wants_gather(call)) {
      if (!window.is_shared) collect(g, planes, window, tile.count);
      gather8(window, shifts.modulation, grad_column, tile.count, columns + tap * kEight, chunk_pitch(g),
              sums + tap * plan.tile * 4);
    }
    if (grad_planes) {
      if (!window.is_shared) clear(window.gradients, tile.count * 4);
      scatter8(window, shifts.modulation, grad_column, chunk_pitch(g), tile.count);
      if (!window.is_shared) release(g, window, tile.count, grad_planes);
    }
  }

  void add_chunk(int64_t channel, float* grad_weight) {
    const int64_t in_group = g.channels / g.groups, out_group = g.filters / g.groups;
    const int64_t first = channel / in_group * out_group, in_first = channel % in_group;
    for (int64_t o = 0; o < out_group; ++o) {
      float* const to = grad_weight + ((first + o) * in_group + in_first) * taps(g);
      const float* const from = grad_chunk + o * chunk_pitch(g);
      for (int64_t c = 0; c < kEight; ++c) {
        for (int64_t tap = 0; tap < taps(g); ++tap) to[c * taps(g) + tap] += from[tap * kEight + c];
      }
    }
  }

  void store_sums(int64_t image, int64_t group, int64_t tap) {
    const float* const from = sums + tap * plan.tile * 4;
    for (int64_t p = 0; p < tile.width; ++p) {
      for (int i = 0; i < 3; ++i) sum[i][p] = from[4 * p + i];
    }
    store_shifts(call, tile, image, group, tap, sum[0], sum[1], sum[2], shifts.rooms[2]);
  }
};

template <class T>
void backward_windows(const BackwardCall& call, const Plan& plan, int64_t first_unit, int64_t last_unit, void* memory) {
  const Geometry& g = call.shape;
  const int64_t weights = g.filters * (g.channels / g.groups) * taps(g);
  WindowedBackward backward(call, plan, Arena{reinterpret_cast<uintptr_t>(memory)});
  for (int64_t index = first_unit; index < last_unit; ++index) {
    const Unit unit(g, plan, index);
    float* const grad_weight = call.grad_weight ? static_cast<float*>(call.grad_weight) + unit.slot * weights : nullptr;
    for (int64_t image = unit.first_image; image < unit.last_image; ++image) {
      for (int64_t tile = unit.first_tile; tile < unit.last_tile; ++tile) {
        backward.run<T>(unit, image, tile, grad_weight);
      }
    }
  }
}

// ------------------------------------------------------------------------------------------------ bias

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

}  // namespace
}  // namespace powerqe
