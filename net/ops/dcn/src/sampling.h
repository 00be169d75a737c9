// Where the samples of a tile of output pixels lie, and what happens at their four corners, plane by plane.
// Everything has internal linkage (see cpu_kernels.cpp).
#pragma once

#include <cstdint>

#include "cpu_kernels.h"
#include "gemm.h"
#include "half.h"
#include "lanes.h"

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
inline int64_t parts(int64_t value, int64_t of) { return (value + of - 1) / of; }
inline int64_t up_to_multiple(int64_t value, int64_t of) { return parts(value, of) * of; }
inline int64_t pixels(const Geometry& g) { return g.out_h * g.out_w; }
inline int64_t taps(const Geometry& g) { return g.kernel_h * g.kernel_w; }
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

// ------------------------------------------------------------------------------------------------ tiles

// A rectangle of output pixels, row by row, and where the sampling grid of each starts. The arrays of a tile are
// `width` long: its pixels, and more up to a multiple, which lie outside the frame.
template <class A>
struct Tile {
  int64_t top, left, rows, columns;
  int64_t count, width;
  int64_t pitch;  // between arrays: a little more than the width, or they would fall on the same cache lines
  A *y, *x;

  Tile(Arena& arena, const Plan& plan)
      : pitch(plan.tile + 16), y(arena.take<A>(plan.tile)), x(arena.take<A>(plan.tile)) {}

  void move_to(const Geometry& g, const Plan& plan, int64_t index) {
    const int64_t across = parts(g.out_w, plan.tile_columns);
    top = index / across * plan.tile_rows, left = index % across * plan.tile_columns;
    rows = least(plan.tile_rows, g.out_h - top), columns = least(plan.tile_columns, g.out_w - left);
    count = rows * columns, width = up_to_multiple(count, kTileMultiple);
    for (int64_t row = 0, p = 0; row < rows; ++row) {
      const A first_y = static_cast<A>((top + row) * g.stride_h - g.pad_h);
      for (int64_t column = 0; column < columns; ++column, ++p) {
        y[p] = first_y;
        x[p] = static_cast<A>((left + column) * g.stride_w - g.pad_w);
      }
    }
    for (int64_t p = count; p < width; ++p) y[p] = x[p] = static_cast<A>(-1e18);
  }

  // Calls body(first place in an array of the output's size, first place in the tile, count) for each run of pixels
  // that are neighbors in both.
  template <class Body>
  void for_runs(const Geometry& g, const Body& body) const {
    if (columns == g.out_w) return body(top * g.out_w, 0, count);
    for (int64_t row = 0; row < rows; ++row) body((top + row) * g.out_w + left, row * columns, columns);
  }
};

inline int64_t tiles(const Geometry& g, const Plan& plan) {
  return parts(g.out_h, plan.tile_rows) * parts(g.out_w, plan.tile_columns);
}

template <class T, class A>
void load_run(const void* base, int64_t start, int64_t count, A* to) {
  const T* const from = static_cast<const T*>(base) + start;
  for (int64_t p = 0; p < count; ++p) to[p] = static_cast<A>(load(from[p]));
}

// A tile of an array of any type, which starts at `base[start]`; zeros up to the tile's width.
template <class A>
void load_tile(const Geometry& g, const Tile<A>& tile, Type type, const void* base, int64_t start, A* to) {
  tile.for_runs(g, [&](int64_t place, int64_t p, int64_t count) {
    switch (type) {
      case Type::float32: load_run<float>(base, start + place, count, to + p); break;
      case Type::float64: load_run<double>(base, start + place, count, to + p); break;
      case Type::float16: load_run<Half>(base, start + place, count, to + p); break;
      case Type::bfloat16: load_run<BFloat>(base, start + place, count, to + p); break;
    }
  });
  for (int64_t p = tile.count; p < tile.width; ++p) to[p] = 0;
}

// As load_tile(), but what can stay where it is does. `room` is for the rest.
template <class A>
const A* tile_of(const Geometry& g, const Tile<A>& tile, Type type, const void* base, int64_t start, A* room) {
  const bool same = type == (sizeof(A) == 8 ? Type::float64 : Type::float32);
  const bool is_run = tile.columns == g.out_w || tile.rows == 1;
  if (same && is_run && tile.width == tile.count) {
    return static_cast<const A*>(base) + start + tile.top * g.out_w + tile.left;
  }
  load_tile(g, tile, type, base, start, room);
  return room;
}

template <class T, class A>
void store_run(const A* from, int64_t count, void* base, int64_t start) {
  T* const to = static_cast<T*>(base) + start;
  for (int64_t p = 0; p < count; ++p) store(from[p], to + p);
}

template <class A>
void store_tile(const Geometry& g, const Tile<A>& tile, const A* from, Type type, void* base, int64_t start) {
  tile.for_runs(g, [&](int64_t place, int64_t p, int64_t count) {
    if constexpr (sizeof(A) == 8) {
      store_run<double>(from + p, count, base, start + place);
    } else {
      switch (type) {
        case Type::float32: store_run<float>(from + p, count, base, start + place); break;
        case Type::float16: store_run<Half>(from + p, count, base, start + place); break;
        case Type::bfloat16: store_run<BFloat>(from + p, count, base, start + place); break;
        case Type::float64: break;  // only with A = double
      }
    }
  });
}

// Where the first pixel of a tile is in an array.
template <class A>
const char* first_of(const Geometry& g, const Tile<A>& tile, Type type, const void* base, int64_t start) {
  const int64_t item = type == Type::float64 ? 8 : type == Type::float32 ? 4 : 2;
  return static_cast<const char*>(base) + (start + tile.top * g.out_w + tile.left) * item;
}

// ------------------------------------------------------------------------------------------------ where to sample

// The offsets and the mask of one offset group and one tap; a mask that is not there is 1.
template <class A>
struct Shifts {
  const A *dy, *dx, *modulation;
  A* rooms[3];
  const char* next[3];  // the same of the next tap, to be asked for in time: rows are too short to be seen coming

  Shifts(Arena& arena, const Plan& plan) {
    for (A*& room : rooms) room = arena.take<A>(plan.tile);
  }

  template <class Call>
  void load(const Call& call, const Tile<A>& tile, int64_t image, int64_t group, int64_t tap, bool needs_mask = true) {
    const Geometry& g = call.shape;
    const int64_t row = (image * g.offset_groups + group) * taps(g) + tap, n = pixels(g);
    dy = tile_of(g, tile, call.offset_type, call.offset, 2 * row * n, rooms[0]);
    dx = tile_of(g, tile, call.offset_type, call.offset, (2 * row + 1) * n, rooms[1]);
    const bool is_last = row + 1 == g.batch * g.offset_groups * taps(g);
    const int64_t ahead = is_last ? 0 : 1;
    next[0] = first_of(g, tile, call.offset_type, call.offset, 2 * (row + ahead) * n);
    next[1] = first_of(g, tile, call.offset_type, call.offset, (2 * (row + ahead) + 1) * n);
    next[2] = call.mask ? first_of(g, tile, call.mask_type, call.mask, (row + ahead) * n) : next[0];
    if (!needs_mask) return;
    if (call.mask) {
      modulation = tile_of(g, tile, call.mask_type, call.mask, row * n, rooms[2]);
    } else {
      for (int64_t p = 0; p < tile.width; ++p) rooms[2][p] = 1;
      modulation = rooms[2];
    }
  }
};

// Positions of as many samples as there are lanes: the whole numbers below, what is left, and whether they count.
template <class A>
struct Positions {
  using Register = typename Lanes<A>::Register;
  Register row, column, fraction_y, fraction_x;  // of a sample outside: 0
  typename Lanes<A>::Integers inside;
};

template <class A>
inline typename Lanes<A>::Register floor_of(typename Lanes<A>::Register value) {
  using Register = typename Lanes<A>::Register;
  const auto whole = __builtin_convertvector(__builtin_convertvector(value, typename Lanes<A>::Integers), Register);
  return whole > value ? whole - 1 : whole;
}

template <class A>
inline Positions<A> positions(const Geometry& g, const Tile<A>& tile, const Shifts<A>& shifts, int64_t tap, int64_t p) {
  using Register = typename Lanes<A>::Register;
  const A tap_y = static_cast<A>(tap / g.kernel_w * g.dilation_h);
  const A tap_x = static_cast<A>(tap % g.kernel_w * g.dilation_w);
  Register y = read(tile.y + p) + tap_y + read(shifts.dy + p), x = read(tile.x + p) + tap_x + read(shifts.dx + p);
  Positions<A> found;
  found.inside = (y > -1) & (y < static_cast<A>(g.height)) & (x > -1) & (x < static_cast<A>(g.width));  // not NaN
  y = found.inside ? y : Register{};
  x = found.inside ? x : Register{};
  found.row = floor_of<A>(y);
  found.column = floor_of<A>(x);
  found.fraction_y = y - found.row;
  found.fraction_x = x - found.column;
  return found;
}

// The samples of one tap for a tile: corner 0 is above left, 1 above right, 2 below left, 3 below right.
// I is an integer wide enough for a plane of the input.
template <class A, class I>
struct Samples {
  using Flags = typename Lanes<A>::Integers;
  using Flag = typename Lanes<A>::Integer;
  A *fraction_y, *fraction_x;
  I* index;     // of corner 0 in the plane, also where that is outside the frame
  Flag* flags;  // bit `corner`: it is inside the frame, and the sample counts

  Samples(Arena& arena, const Plan& plan)
      : fraction_y(arena.take<A>(plan.tile)),
        fraction_x(arena.take<A>(plan.tile)),
        index(arena.take<I>(plan.tile)),
        flags(arena.take<Flag>(plan.tile)) {}

  void locate(const Geometry& g, const Tile<A>& tile, const Shifts<A>& shifts, int64_t tap) {
    using Index = typename Lanes<I, kLanes<A>>::Register;
    const A last_row = static_cast<A>(g.height - 1), last_column = static_cast<A>(g.width - 1);
    const I pitch = static_cast<I>(g.width);
    for (int64_t p = 0; p < tile.width; p += kLanes<A>) {
      for (const char* row : shifts.next) __builtin_prefetch(row + p * static_cast<int64_t>(sizeof(A)));
      const Positions<A> at = positions(g, tile, shifts, tap, p);
      const Flags above = at.inside & (at.row >= 0), below = at.inside & (at.row < last_row);
      const Flags before = at.column >= 0, after = at.column < last_column;
      write((above & before & 1) | (above & after & 2) | (below & before & 4) | (below & after & 8), flags + p);
      write(__builtin_convertvector(at.row, Index) * pitch + __builtin_convertvector(at.column, Index), index + p);
      write(at.fraction_y, fraction_y + p);
      write(at.fraction_x, fraction_x + p);
    }
  }
};

// The values at the four corners of as many samples as there are lanes.
template <class A>
struct Corners {
  typename Lanes<A>::Register v0, v1, v2, v3;
};

template <class T, class A, class I>
inline Corners<A> corners(const T* plane, const Geometry& g, const Samples<A, I>& s, int64_t p) {
  using Index = typename Lanes<I, kLanes<A>>::Register;
  using Flags = typename Lanes<A>::Integers;
  const Index index = read<I, kLanes<A>>(s.index + p), below = index + static_cast<I>(g.width);
  const Flags flags = read<typename Samples<A, I>::Flag, kLanes<A>>(s.flags + p);
  if (sizeof(T) == 2 && g.height * g.width == 1) {  // see gather_halves()
    return {gather_any<T, A>(plane, index, flags, 0), gather_any<T, A>(plane, index + 1, flags, 1),
            gather_any<T, A>(plane, below, flags, 2), gather_any<T, A>(plane, below + 1, flags, 3)};
  }
  using From = Gather<T, A, Index, Flags>;
  return {From::run(plane, index, flags, 0), From::run(plane, index + 1, flags, 1), From::run(plane, below, flags, 2),
          From::run(plane, below + 1, flags, 3)};
}

// column = modulation * bilinear sample. With products of weights: differences would turn infinite values to NaN.
template <class T, class A, class I>
void sample(const T* plane, const Geometry& g, const Samples<A, I>& s, const A* modulation, int64_t width, A* column) {
  for (int64_t p = 0; p < width; p += kLanes<A>) {
    const Corners<A> v = corners(plane, g, s, p);
    const auto ly = read(s.fraction_y + p), lx = read(s.fraction_x + p);
    const auto above = (1 - lx) * v.v0 + lx * v.v1, below = (1 - lx) * v.v2 + lx * v.v3;
    write(read(modulation + p) * ((1 - ly) * above + ly * below), column + p);
  }
}

// What the corners of one channel and one tap give: the column, and the sums over the channels that become the
// gradients of offset and mask. Differences before products: neighboring pixels are nearly equal.
template <class T, class A, class I>
void gather(const T* plane, const Geometry& g, const Samples<A, I>& s, const A* modulation, const A* grad_column,
            int64_t width, A* column, A* sum_y, A* sum_x, A* sum_mask) {
  for (int64_t p = 0; p < width; p += kLanes<A>) {
    const Corners<A> v = corners(plane, g, s, p);
    const auto ly = read(s.fraction_y + p), lx = read(s.fraction_x + p), gradient = read(grad_column + p);
    const auto left = v.v2 - v.v0, right = v.v3 - v.v1, top = v.v1 - v.v0, both = right - left;
    const auto by_y = left + lx * both, by_x = top + ly * both;
    const auto value = v.v0 + lx * top + ly * by_y;
    write(read(sum_y + p) + gradient * by_y, sum_y + p);
    write(read(sum_x + p) + gradient * by_x, sum_x + p);
    write(read(sum_mask + p) + gradient * value, sum_mask + p);
    write(read(modulation + p) * value, column + p);
  }
}

// Adds what the samples of one channel and one tap give to the gradient of its plane.
template <class A, class I>
void scatter(const A* grad_column, const Geometry& g, const Samples<A, I>& s, const A* modulation, int64_t width,
             A* plane) {
  A parts[4][kLanes<A>];
  for (int64_t p = 0; p < width; p += kLanes<A>) {
    const auto ly = read(s.fraction_y + p), lx = read(s.fraction_x + p);
    const auto gradient = read(grad_column + p) * read(modulation + p);
    const auto below = gradient * ly, above = gradient - below;
    const auto below_right = below * lx, above_right = above * lx;
    write(above - above_right, parts[0]);
    write(above_right, parts[1]);
    write(below - below_right, parts[2]);
    write(below_right, parts[3]);
    for (int lane = 0; lane < kLanes<A>; ++lane) {
      A* const to = plane + s.index[p + lane];
      const auto flags = s.flags[p + lane];
      if (flags == 15) {
        to[0] += parts[0][lane];
        to[1] += parts[1][lane];
        to[g.width] += parts[2][lane];
        to[g.width + 1] += parts[3][lane];
      } else {
        if (flags & 1) to[0] += parts[0][lane];
        if (flags & 2) to[1] += parts[1][lane];
        if (flags & 4) to[g.width] += parts[2][lane];
        if (flags & 8) to[g.width + 1] += parts[3][lane];
      }
    }
  }
}

}  // namespace
}  // namespace powerqe
