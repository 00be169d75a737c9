// The way for offset groups of many channels: eight at a time lie side by side in memory, so that a corner is one
// load. Everything has internal linkage (see cpu_kernels.cpp).
//
// The input is not turned around as a whole, which would need memory of its size, but the window of it that the
// samples of a tile see, with zeros around the frame. If the offsets are so large that the window would be, too, each
// sample gets a window of its own, of its four corners.
#pragma once

#include <cstdint>

#include "sampling.h"

namespace powerqe {
namespace {

constexpr int64_t kEight = 8;
using Eight = Lanes<float, 8>::Register;
using Four = Lanes<float, 4>::Register;
constexpr int64_t kWindow = 8192;        // pixels
constexpr int64_t kWindowedTile = 512;  // pixels; four of the input for each fit into a window

inline Eight read8(const float* from) { return read<float, 8>(from); }

inline bool has_windows(const Geometry& g, Type type) {
  return type != Type::float64 && g.channels / g.offset_groups % kEight == 0 && g.channels / g.groups % kEight == 0 &&
         g.height <= INT32_MAX && g.width <= INT32_MAX;
}

// Of a chunk of eight channels, row of the products: taps after taps, eight channels each.
inline int64_t chunk_depth(const Geometry& g) { return taps(g) * kEight; }
inline int64_t chunk_pitch(const Geometry& g) { return up_to_multiple(chunk_depth(g), kTileMultiple); }

// Lanes of both in the order of the numbers, those of b behind those of a.
template <int... LANES, class Register>
inline auto shuffle(Register a, Register b) {
#if defined(__has_builtin) && __has_builtin(__builtin_shufflevector)
  return __builtin_shufflevector(a, b, LANES...);
#else  // g++ 11
  constexpr int count = sizeof(Register) / sizeof(float), order[] = {LANES...};
  typename Lanes<float, sizeof...(LANES)>::Register mixed;
  for (int i = 0; i < static_cast<int>(sizeof...(LANES)); ++i) {
    mixed[i] = order[i] < count ? a[order[i]] : b[order[i] - count];
  }
  return mixed;
#endif
}

// rows[i][j] <-> rows[j][i]
inline void transpose8(Eight rows[8]) {
  Eight a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = shuffle<0, 8, 1, 9, 4, 12, 5, 13>(rows[i], rows[i + 1]);
    a[i + 1] = shuffle<2, 10, 3, 11, 6, 14, 7, 15>(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    b[i] = shuffle<0, 1, 8, 9, 4, 5, 12, 13>(a[i], a[i + 2]);
    b[i + 1] = shuffle<2, 3, 10, 11, 6, 7, 14, 15>(a[i], a[i + 2]);
    b[i + 2] = shuffle<0, 1, 8, 9, 4, 5, 12, 13>(a[i + 1], a[i + 3]);
    b[i + 3] = shuffle<2, 3, 10, 11, 6, 7, 14, 15>(a[i + 1], a[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    rows[i] = shuffle<0, 1, 2, 3, 8, 9, 10, 11>(b[i], b[i + 4]);
    rows[i + 4] = shuffle<4, 5, 6, 7, 12, 13, 14, 15>(b[i], b[i + 4]);
  }
}

template <class T>
inline Eight load8(const T* from) {
  if constexpr (sizeof(T) == 4) return read8(from);
  float values[8];
  for (int i = 0; i < 8; ++i) values[i] = load(from[i]);
  return read8(values);
}

// to[pixel][channel] = plane `channel` [pixel]
template <class T>
void planes_to_pixels(const T* from, int64_t plane, int64_t count, float* to) {
  int64_t x = 0;
  for (; x + 8 <= count; x += 8) {
    Eight rows[8];
    for (int c = 0; c < 8; ++c) rows[c] = load8(from + c * plane + x);
    transpose8(rows);
    for (int i = 0; i < 8; ++i) write(rows[i], to + (x + i) * kEight);
  }
  for (; x < count; ++x) {
    for (int c = 0; c < 8; ++c) to[x * kEight + c] = load(from[c * plane + x]);
  }
}

// plane `channel` [pixel] = from[pixel][channel], or += that
inline void pixels_to_planes(const float* from, int64_t pitch, int64_t count, float* to, int64_t plane, bool adds) {
  int64_t x = 0;
  for (; x + 8 <= count; x += 8) {
    Eight rows[8];
    for (int i = 0; i < 8; ++i) rows[i] = read8(from + (x + i) * pitch);
    transpose8(rows);
    for (int c = 0; c < 8; ++c) {
      float* const row = to + c * plane + x;
      write(adds ? read8(row) + rows[c] : rows[c], row);
    }
  }
  for (; x < count; ++x) {
    for (int c = 0; c < 8; ++c) to[c * plane + x] = (adds ? to[c * plane + x] : 0) + from[x * pitch + c];
  }
}

// ------------------------------------------------------------------------------------------------ windows

// Which pixels the samples of a tile see, as far as one above, left, below and right of the frame.
struct Reach {
  int64_t top, left, rows, columns;

  int64_t pixels() const { return rows * columns; }
};

inline float least_lane(Lanes<float>::Register values) {
  float found = values[0];
  for (int lane = 1; lane < kLanes<float>; ++lane) found = values[lane] < found ? values[lane] : found;
  return found;
}

template <class Call>
Reach reach_of(const Call& call, const Tile<float>& tile, int64_t image, int64_t group, Shifts<float>& shifts) {
  using Register = Lanes<float>::Register;
  const Register far = all<float>(3e9f);
  Register top = far, left = far, bottom = far, right = far;  // the last two negative
  for (int64_t tap = 0; tap < taps(call.shape); ++tap) {
    shifts.load(call, tile, image, group, tap, false);
    for (int64_t p = 0; p < tile.width; p += kLanes<float>) {
      const Positions<float> at = positions(call.shape, tile, shifts, tap, p);
      const Register y = at.inside ? at.row : far, x = at.inside ? at.column : far;
      const Register up = at.inside ? -at.row : far, back = at.inside ? -at.column : far;
      top = y < top ? y : top;
      left = x < left ? x : left;
      bottom = up < bottom ? up : bottom;
      right = back < right ? back : right;
    }
  }
  if (least_lane(top) == 3e9f) return {0, 0, 0, 0};
  const int64_t first = static_cast<int64_t>(least_lane(top)), before = static_cast<int64_t>(least_lane(left));
  return {first, before, -static_cast<int64_t>(least_lane(bottom)) - first + 2,
          -static_cast<int64_t>(least_lane(right)) - before + 2};
}

// Samples of one tap as places in windows: corner 0 is at `index`, the others one pixel to the right, `pitch` floats
// below, and both.
struct Window {
  float *values, *gradients;  // of kWindow pixels; behind the window zeros, which a sample outside sees
  int64_t pitch;
  bool is_shared;             // by all samples; else four pixels each
  Reach reach;
  int32_t *index, *row, *column;
  float *fraction_y, *fraction_x;

  Window(Arena& arena, const Plan& plan, bool has_gradients) {
    const int64_t room = kWindow * kEight;
    values = arena.take<float>(room);
    gradients = has_gradients ? arena.take<float>(room) : nullptr;
    int32_t** const places[] = {&index, &row, &column};
    for (int32_t** place : places) *place = arena.take<int32_t>(plan.tile);
    fraction_y = arena.take<float>(plan.tile);
    fraction_x = arena.take<float>(plan.tile);
  }

  // How large the windows are, for all taps and channels of an offset group.
  void choose(const Reach& seen) {
    reach = seen;
    is_shared = seen.pixels() + seen.columns + 2 <= kWindow;
    if (!is_shared) reach = {0, 0, 0, 2};
    pitch = reach.columns * kEight;
  }

  void locate(const Geometry& g, const Tile<float>& tile, const Shifts<float>& shifts, int64_t tap) {
    using Index = Lanes<int32_t>::Register;
    const int32_t zeros = static_cast<int32_t>(reach.pixels()), across = static_cast<int32_t>(reach.columns);
    const int32_t top = static_cast<int32_t>(reach.top), left = static_cast<int32_t>(reach.left);
    for (int64_t p = 0; p < tile.width; p += kLanes<float>) {
      const Positions<float> at = positions(g, tile, shifts, tap, p);
      const Index y = __builtin_convertvector(at.row, Index), x = __builtin_convertvector(at.column, Index);
      const Index place = (y - top) * across + (x - left);
      write((at.inside ? place : Index{} + zeros) * static_cast<int32_t>(kEight), index + p);
      write(at.inside ? y : Index{} - 2, row + p);
      write(x, column + p);
      write(at.fraction_y, fraction_y + p);
      write(at.fraction_x, fraction_x + p);
    }
    if (is_shared) return;
    for (int64_t p = 0; p < tile.width; ++p) index[p] = static_cast<int32_t>(p * 4 * kEight);
  }
};

// The first and the last column of a window that are in the frame, and where the first is in the window.
struct Span {
  int64_t first, count, place;
};

inline Span span_of(const Geometry& g, const Reach& reach) {
  const int64_t first = most(reach.left, 0);
  return {first, least(reach.left + reach.columns, g.width) - first, first - reach.left};
}

inline void clear(float* pixels, int64_t count) {
  for (int64_t i = 0; i < count * kEight; ++i) pixels[i] = 0;
}

// Copies what eight planes have in the shared window, and zeros around the frame.
template <class T>
void fill(const Geometry& g, const T* planes, const Window& window) {
  const Reach& reach = window.reach;
  const Span span = span_of(g, reach);
  for (int64_t row = 0; row < reach.rows; ++row) {
    float* const to = window.values + row * window.pitch;
    const int64_t y = reach.top + row;
    if (y < 0 || y >= g.height) {
      clear(to, reach.columns);
      continue;
    }
    clear(to, span.place);
    planes_to_pixels(planes + y * g.width + span.first, g.height * g.width, span.count, to + span.place * kEight);
    clear(to + (span.place + span.count) * kEight, reach.columns - span.place - span.count);
  }
  clear(window.values + reach.pixels() * kEight, reach.columns + 2);
}

// Adds the gradient of the shared window to eight planes.
inline void flush(const Geometry& g, const Window& window, float* planes) {
  const Span span = span_of(g, window.reach);
  for (int64_t row = 0; row < window.reach.rows; ++row) {
    const int64_t y = window.reach.top + row;
    if (y < 0 || y >= g.height) continue;
    pixels_to_planes(window.gradients + row * window.pitch + span.place * kEight, kEight, span.count,
                     planes + y * g.width + span.first, g.height * g.width, true);
  }
}

// Calls body(place in a plane, floats in the windows) for the corners of all samples that are in the frame.
template <class Body>
void for_corners(const Geometry& g, const Window& window, int64_t count, const Body& body) {
  for (int64_t p = 0; p < count; ++p) {
    for (int corner = 0; corner < 4; ++corner) {
      const int64_t y = window.row[p] + corner / 2, x = window.column[p] + corner % 2;
      if (y < 0 || y >= g.height || x < 0 || x >= g.width) continue;
      body(y * g.width + x, (p * 4 + corner) * kEight);
    }
  }
}

// Copies the corners of one tap's samples into windows of their own.
template <class T>
void collect(const Geometry& g, const T* planes, const Window& window, int64_t count) {
  clear(window.values, count * 4);
  for_corners(g, window, count, [&](int64_t place, int64_t to) {
    for (int64_t c = 0; c < kEight; ++c) window.values[to + c] = load(planes[c * g.height * g.width + place]);
  });
}

inline void release(const Geometry& g, const Window& window, int64_t count, float* planes) {
  for_corners(g, window, count, [&](int64_t place, int64_t from) {
    for (int64_t c = 0; c < kEight; ++c) planes[c * g.height * g.width + place] += window.gradients[from + c];
  });
}

// ------------------------------------------------------------------------------------------------ samples

// column[pixel] = modulation * bilinear sample, for eight channels and one tap
inline void sample8(const Window& window, const float* modulation, int64_t count, float* column, int64_t pitch) {
  constexpr int L = kLanes<float>;
  float weights[4][L];
  for (int64_t first = 0; first < count; first += L) {
    const auto ly = read(window.fraction_y + first), lx = read(window.fraction_x + first);
    const auto below = read(modulation + first) * ly, above = read(modulation + first) * (1 - ly);
    write(above * (1 - lx), weights[0]);
    write(above * lx, weights[1]);
    write(below * (1 - lx), weights[2]);
    write(below * lx, weights[3]);
    const int64_t some = least(L, count - first);
    for (int64_t i = 0; i < some; ++i) {
      const float* const corner = window.values + window.index[first + i];
      const Eight value = weights[0][i] * read8(corner) + weights[1][i] * read8(corner + kEight) +
                          weights[2][i] * read8(corner + window.pitch) +
                          weights[3][i] * read8(corner + window.pitch + kEight);
      write(value, column + (first + i) * pitch);
    }
  }
}

// (sum of a, sum of b, sum of c, 0)
inline Four sums_of(Eight a, Eight b, Eight c) {
  const auto halves = [](Eight v) {
    return shuffle<0, 1, 2, 3>(v, v) + shuffle<4, 5, 6, 7>(v, v);
  };
  const Four x = halves(a), y = halves(b), z = halves(c), none = {};
  const Four xy = shuffle<0, 4, 1, 5>(x, y) + shuffle<2, 6, 3, 7>(x, y);
  const Four zn = shuffle<0, 4, 1, 5>(z, none) + shuffle<2, 6, 3, 7>(z, none);
  return shuffle<0, 1, 4, 5>(xy, zn) + shuffle<2, 3, 6, 7>(xy, zn);
}

// What the corners of one tap give: the columns, and what is to be added to the gradients of offset and mask, four
// numbers a pixel: y, x, mask, nothing. Differences before products: neighboring pixels are nearly equal.
inline void gather8(const Window& window, const float* modulation, const float* grad_column, int64_t count,
                    float* column, int64_t pitch, float* sums) {
  for (int64_t p = 0; p < count; ++p) {
    const float* const corner = window.values + window.index[p];
    const Eight v0 = read8(corner), v1 = read8(corner + kEight);
    const Eight v2 = read8(corner + window.pitch), v3 = read8(corner + window.pitch + kEight);
    const float ly = window.fraction_y[p], lx = window.fraction_x[p];
    const Eight left = v2 - v0, top = v1 - v0, both = (v3 - v1) - left;
    const Eight by_y = left + lx * both, by_x = top + ly * both;
    const Eight value = v0 + lx * top + ly * by_y, gradient = read8(grad_column + p * pitch);
    write(modulation[p] * value, column + p * pitch);
    write(read<float, 4>(sums + 4 * p) + sums_of(gradient * by_y, gradient * by_x, gradient * value), sums + 4 * p);
  }
}

inline void add8(Eight value, float* to) { write(read8(to) + value, to); }

// Adds what the samples of one tap give to the gradient of their windows.
inline void scatter8(const Window& window, const float* modulation, const float* grad_column, int64_t pitch,
                     int64_t count) {
  for (int64_t p = 0; p < count; ++p) {
    float* const corner = window.gradients + window.index[p];
    const float ly = window.fraction_y[p], lx = window.fraction_x[p];
    const Eight gradient = modulation[p] * read8(grad_column + p * pitch);
    const Eight below = gradient * ly, above = gradient - below;
    const Eight below_right = below * lx, above_right = above * lx;
    add8(above - above_right, corner);
    add8(above_right, corner + kEight);
    add8(below - below_right, corner + window.pitch);
    add8(below_right, corner + window.pitch + kEight);
  }
}

}  // namespace
}  // namespace powerqe
