// Where the samples of a block of output pixels lie, and what happens at their four corners. Everything has internal
// linkage (see cpu_kernels.cpp).
#pragma once

#include <cstdint>

#include "cpu_kernels.h"
#include "gemm.h"
#include "half.h"

namespace powerqe {
namespace {

// ------------------------------------------------------------------------------------------------ small helpers

template <class T>
struct Accumulator {
  using type = float;
};
template <>
struct Accumulator<double> {
  using type = double;
};

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t up_to_multiple(int64_t value, int64_t of) { return (value + of - 1) / of * of; }
inline int64_t pixels(const Geometry& g) { return g.out_h * g.out_w; }
inline int64_t taps(const Geometry& g) { return g.kernel_h * g.kernel_w; }
inline int64_t blocks(const Geometry& g, int64_t block) { return (pixels(g) + block - 1) / block; }
inline int64_t item_size(Type type) { return type == Type::float64 ? 8 : 4; }

// Hands out pieces of the scratch memory; starting from null it only counts how much there has to be.
struct Arena {
  uintptr_t next;

  template <class A>
  A* take(int64_t count) {
    const uintptr_t piece = next;
    next += static_cast<uintptr_t>(up_to_multiple(count * static_cast<int64_t>(sizeof(A)), 64));
    return reinterpret_cast<A*>(piece);
  }
};

template <class T, class A>
void load_row_of(const void* base, int64_t start, int64_t count, A* row) {
  const T* const from = static_cast<const T*>(base) + start;
  for (int64_t p = 0; p < count; ++p) row[p] = static_cast<A>(load(from[p]));
}

// row[0..count) of an array of any type, and zeros up to `width`
template <class A>
void load_row(Type type, const void* base, int64_t start, int64_t count, int64_t width, A* row) {
  switch (type) {
    case Type::float32: load_row_of<float>(base, start, count, row); break;
    case Type::float64: load_row_of<double>(base, start, count, row); break;
    case Type::float16: load_row_of<Half>(base, start, count, row); break;
    case Type::bfloat16: load_row_of<BFloat>(base, start, count, row); break;
  }
  for (int64_t p = count; p < width; ++p) row[p] = 0;
}

template <class T, class A>
void store_row_of(const A* row, int64_t count, void* base, int64_t start) {
  T* const to = static_cast<T*>(base) + start;
  for (int64_t p = 0; p < count; ++p) store(row[p], to + p);
}

template <class A>
void store_row(Type type, const A* row, int64_t count, void* base, int64_t start) {
  if constexpr (sizeof(A) == 8) {
    store_row_of<double>(row, count, base, start);
  } else {
    switch (type) {
      case Type::float32: store_row_of<float>(row, count, base, start); break;
      case Type::float16: store_row_of<Half>(row, count, base, start); break;
      case Type::bfloat16: store_row_of<BFloat>(row, count, base, start); break;
      case Type::float64: break;  // only with A = double
    }
  }
}

// ------------------------------------------------------------------------------------------------ where to sample

// A block of output pixels and where the sampling grid of each starts. The tiles are `width` pixels wide: the block,
// and more up to a multiple, which lie outside the frame.
template <class A>
struct Block {
  int64_t start, count, width;
  int64_t pitch;  // of the tiles' rows: a little more than the width, or rows would fall on the same cache lines
  A *y, *x;

  Block(Arena& arena, int64_t block) : pitch(block + 16), y(arena.take<A>(block)), x(arena.take<A>(block)) {}

  void move_to(const Geometry& g, int64_t index, int64_t block) {
    start = index * block;
    count = least(block, pixels(g) - start);
    width = up_to_multiple(count, kTileMultiple);
    int64_t row = start / g.out_w, column = start % g.out_w;
    for (int64_t p = 0; p < count; ++p) {
      y[p] = static_cast<A>(row * g.stride_h - g.pad_h);
      x[p] = static_cast<A>(column * g.stride_w - g.pad_w);
      if (++column == g.out_w) column = 0, ++row;
    }
    for (int64_t p = count; p < width; ++p) y[p] = x[p] = static_cast<A>(-1e18);
  }
};

// The samples of one tap for a block: corner 0 is above left, 1 above right, 2 below left, 3 below right.
// I is an integer wide enough for a plane of the input.
template <class A, class I>
struct Samples {
  A *dy, *dx, *modulation;
  A *fraction_y, *fraction_x;
  A* weight[4];  // bilinear, 0 for a corner outside the frame
  I* index[4];   // in the plane, always within it
  I* valid[4];   // 0 or -1: is the corner inside the frame?
  I* inside;     // 0 or -1: does the sample count at all?

  Samples(Arena& arena, int64_t block) {
    A** const rows[] = {&dy, &dx, &modulation, &fraction_y, &fraction_x};
    for (A** row : rows) *row = arena.take<A>(block);
    for (int corner = 0; corner < 4; ++corner) {
      weight[corner] = arena.take<A>(block);
      index[corner] = arena.take<I>(block);
      valid[corner] = arena.take<I>(block);
    }
    inside = arena.take<I>(block);
  }
};

template <class A, class I, class Call>
void locate(const Call& call, const Block<A>& block, int64_t image, int64_t group, int64_t tap, Samples<A, I>& s) {
  const Geometry& g = call.shape;
  const int64_t row = (image * g.offset_groups + group) * taps(g) + tap, n = pixels(g);
  load_row(call.offset_type, call.offset, 2 * row * n + block.start, block.count, block.width, s.dy);
  load_row(call.offset_type, call.offset, (2 * row + 1) * n + block.start, block.count, block.width, s.dx);
  if (call.mask) {
    load_row(call.mask_type, call.mask, row * n + block.start, block.count, block.width, s.modulation);
  } else {
    for (int64_t p = 0; p < block.width; ++p) s.modulation[p] = 1;
  }

  const A tap_y = static_cast<A>(tap / g.kernel_w * g.dilation_h);
  const A tap_x = static_cast<A>(tap % g.kernel_w * g.dilation_w);
  const A height = static_cast<A>(g.height), width = static_cast<A>(g.width);
  const I last_row = static_cast<I>(g.height - 1), last_column = static_cast<I>(g.width - 1);
  const I pitch = static_cast<I>(g.width);
  const A *const by = block.y, *const bx = block.x;
  for (int64_t p = 0; p < block.width; ++p) {
    A y = by[p] + tap_y + s.dy[p], x = bx[p] + tap_x + s.dx[p];
    const bool in = (y > -1) & (y < height) & (x > -1) & (x < width);  // false for NaN
    y = in ? y : 0;
    x = in ? x : 0;
    I top = static_cast<I>(y), left = static_cast<I>(x);
    top -= static_cast<A>(top) > y;
    left -= static_cast<A>(left) > x;
    const A ly = y - static_cast<A>(top), lx = x - static_cast<A>(left);
    const I in_top = -static_cast<I>(in & (top >= 0)), in_bottom = -static_cast<I>(in & (top < last_row));
    const I in_left = -static_cast<I>(left >= 0), in_right = -static_cast<I>(left < last_column);
    const A up = in_top ? 1 - ly : 0, down = in_bottom ? ly : 0;
    const A west = in_left ? 1 - lx : 0, east = in_right ? lx : 0;
    const I above = (top & in_top) * pitch, below = (top + (top < last_row)) * pitch;
    const I before = left & in_left, after = left + (left < last_column);
    s.fraction_y[p] = ly;
    s.fraction_x[p] = lx;
    s.weight[0][p] = up * west;
    s.weight[1][p] = up * east;
    s.weight[2][p] = down * west;
    s.weight[3][p] = down * east;
    s.index[0][p] = above + before;
    s.index[1][p] = above + after;
    s.index[2][p] = below + before;
    s.index[3][p] = below + after;
    s.valid[0][p] = in_top & in_left;
    s.valid[1][p] = in_top & in_right;
    s.valid[2][p] = in_bottom & in_left;
    s.valid[3][p] = in_bottom & in_right;
    s.inside[p] = -static_cast<I>(in);
  }
}

// The value at a corner; 0 outside the frame, also where the pixel that is read instead is infinite or NaN.
template <class T, class A, class I>
inline A corner_value(const T* plane, const Samples<A, I>& s, int corner, int64_t p) {
  const A value = load(plane[s.index[corner][p]]);
  return s.valid[corner][p] ? value : 0;
}

// column = modulation * bilinear sample
template <class T, class A, class I>
void sample(const T* plane, const Samples<A, I>& s, int64_t width, A* column) {
  for (int64_t p = 0; p < width; ++p) {
    const A value = s.weight[0][p] * corner_value(plane, s, 0, p) + s.weight[1][p] * corner_value(plane, s, 1, p) +
                    s.weight[2][p] * corner_value(plane, s, 2, p) + s.weight[3][p] * corner_value(plane, s, 3, p);
    column[p] = s.modulation[p] * value;
  }
}

}  // namespace
}  // namespace powerqe
