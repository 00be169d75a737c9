// Small matrix products on tiles that lie in the cache. Everything has internal linkage (see cpu_kernels.cpp).
//
// PyTorch's own product is not used: it may share its work among threads in another way, and then round otherwise,
// when the number of threads changes.
#pragma once

#include <cstdint>

#include "lanes.h"

namespace powerqe {
namespace {

// Rows and vectors of a result that the registers can hold.
#if defined(__AVX512F__)
constexpr int kRows = 6, kVectors = 4, kDotRows = 4, kDotColumns = 4;
#elif defined(__AVX2__)
constexpr int kRows = 6, kVectors = 2, kDotRows = 3, kDotColumns = 4;
#else
constexpr int kRows = 4, kVectors = 2, kDotRows = 2, kDotColumns = 4;
#endif

// The width of all tiles is a multiple of this: the widest vector.
constexpr int64_t kTileMultiple = 16;

// Of a matrix by its first element: how far it is to the next row and to the next column.
template <class A>
struct Factor {
  const A* data;
  int64_t row, column;
};

template <int ROWS, int VECTORS, class A>
inline void multiply_piece(int64_t depth, Factor<A> a, const A* b, int64_t pitch_b, A* c, int64_t pitch_c, bool adds) {
  using Register = typename Lanes<A>::Register;
  constexpr int L = kLanes<A>;
  Register sums[ROWS][VECTORS] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Register right[VECTORS];
    for (int j = 0; j < VECTORS; ++j) right[j] = read(b + k * pitch_b + j * L);
    for (int i = 0; i < ROWS; ++i) {
      const A left = a.data[i * a.row + k * a.column];
      for (int j = 0; j < VECTORS; ++j) sums[i][j] += left * right[j];
    }
  }
  for (int i = 0; i < ROWS; ++i) {
    for (int j = 0; j < VECTORS; ++j) {
      A* const to = c + i * pitch_c + j * L;
      write(adds ? read(to) + sums[i][j] : sums[i][j], to);
    }
  }
}

template <int ROWS, int VECTORS, class A>
inline void multiply_rows(int64_t rows, int64_t depth, Factor<A> a, const A* b, int64_t pitch_b, A* c, int64_t pitch_c,
                          bool adds) {
  if (rows == ROWS) {
    multiply_piece<ROWS, VECTORS>(depth, a, b, pitch_b, c, pitch_c, adds);
  } else if constexpr (ROWS > 1) {
    multiply_rows<ROWS - 1, VECTORS>(rows, depth, a, b, pitch_b, c, pitch_c, adds);
  }
}

// A panel of b, a few vectors wide, stays in the nearest cache while all rows pass.
template <int VECTORS, class A>
void multiply_panels(int64_t rows, int64_t columns, int64_t depth, Factor<A> a, const A* b, int64_t pitch_b, A* c,
                     int64_t pitch_c, bool adds) {
  constexpr int64_t width = VECTORS * kLanes<A>;
  int64_t j = 0;
  for (; j + width <= columns; j += width) {
    for (int64_t i = 0; i < rows; i += kRows) {
      const Factor<A> some = {a.data + i * a.row, a.row, a.column};
      multiply_rows<kRows, VECTORS>(rows - i < kRows ? rows - i : kRows, depth, some, b + j, pitch_b,
                                    c + i * pitch_c + j, pitch_c, adds);
    }
  }
  if constexpr (VECTORS > 1) {
    if (j < columns) multiply_panels<VECTORS - 1>(rows, columns - j, depth, a, b + j, pitch_b, c + j, pitch_c, adds);
  }
}

// c (rows, columns) = a (rows, depth) * b (depth, columns), or c += that; columns % kTileMultiple == 0.
template <class A>
void multiply(int64_t rows, int64_t columns, int64_t depth, Factor<A> a, const A* b, int64_t pitch_b, A* c,
              int64_t pitch_c, bool adds) {
  constexpr int64_t deep = 128;
  for (int64_t k = 0; k < depth; k += deep) {
    const Factor<A> some = {a.data + k * a.column, a.row, a.column};
    multiply_panels<kVectors>(rows, columns, depth - k < deep ? depth - k : deep, some, b + k * pitch_b, pitch_b, c,
                              pitch_c, adds || k > 0);
  }
}

// The sum of all lanes, by halves.
template <class A, int COUNT>
inline A sum_of_lanes(typename Lanes<A, COUNT>::Register value) {
  if constexpr (COUNT == 1) {
    return value[0];
  } else {
    A lanes[COUNT];
    write(value, lanes);
    return sum_of_lanes<A, COUNT / 2>(read<A, COUNT / 2>(lanes) + read<A, COUNT / 2>(lanes + COUNT / 2));
  }
}

template <int ROWS, int COLUMNS, class A>
void dot_tile(int64_t depth, const A* a, int64_t pitch_a, const A* b, int64_t pitch_b, A* c, int64_t pitch_c) {
  using Register = typename Lanes<A>::Register;
  constexpr int L = kLanes<A>;
  Register sums[ROWS][COLUMNS] = {};
  for (int64_t k = 0; k < depth; k += L) {
    Register right[COLUMNS];
    for (int j = 0; j < COLUMNS; ++j) right[j] = read(b + j * pitch_b + k);
    for (int i = 0; i < ROWS; ++i) {
      const Register left = read(a + i * pitch_a + k);
      for (int j = 0; j < COLUMNS; ++j) sums[i][j] += left * right[j];
    }
  }
  for (int i = 0; i < ROWS; ++i) {
    for (int j = 0; j < COLUMNS; ++j) {
      c[i * pitch_c + j] += sum_of_lanes<A, L>(sums[i][j]);
    }
  }
}

template <int ROWS, int COLUMNS, class A>
void dot_some(int64_t rows, int64_t columns, int64_t depth, const A* a, int64_t pitch_a, const A* b, int64_t pitch_b,
              A* c, int64_t pitch_c) {
  if (rows < ROWS) {
    if constexpr (ROWS > 1) dot_some<ROWS - 1, COLUMNS>(rows, columns, depth, a, pitch_a, b, pitch_b, c, pitch_c);
  } else if (columns < COLUMNS) {
    if constexpr (COLUMNS > 1) dot_some<ROWS, COLUMNS - 1>(rows, columns, depth, a, pitch_a, b, pitch_b, c, pitch_c);
  } else {
    dot_tile<ROWS, COLUMNS>(depth, a, pitch_a, b, pitch_b, c, pitch_c);
  }
}

// c (rows, columns) += a (rows, depth) * transpose of b (columns, depth); depth % kTileMultiple == 0.
template <class A>
void multiply_add_transposed(int64_t rows, int64_t columns, int64_t depth, const A* a, int64_t pitch_a, const A* b,
                             int64_t pitch_b, A* c, int64_t pitch_c) {
  for (int64_t j = 0; j < columns; j += kDotColumns) {
    for (int64_t i = 0; i < rows; i += kDotRows) {
      const int64_t some_rows = rows - i < kDotRows ? rows - i : kDotRows;
      const int64_t some_columns = columns - j < kDotColumns ? columns - j : kDotColumns;
      dot_some<kDotRows, kDotColumns>(some_rows, some_columns, depth, a + i * pitch_a, pitch_a, b + j * pitch_b,
                                      pitch_b, c + i * pitch_c + j, pitch_c);
    }
  }
}

}  // namespace
}  // namespace powerqe
