// Two small matrix products on tiles that lie in the cache. Everything has internal linkage (see cpu_kernels.cpp).
//
// PyTorch's own product is not used: it may share its work among threads in another way, and then round otherwise,
// when the number of threads changes.
#pragma once

#include <cstdint>

namespace powerqe {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kRows = 8, kDotRows = 4, kDotColumns = 4;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kRows = 6, kDotRows = 3, kDotColumns = 4;
#else
constexpr int kVectorBytes = 16, kRows = 4, kDotRows = 2, kDotColumns = 4;
#endif

// `Register` is what the processor computes with, `Memory` the same at any address.
template <class A>
struct Lanes;
template <>
struct Lanes<float> {
  static constexpr int count = kVectorBytes / 4;
  typedef float Register __attribute__((vector_size(kVectorBytes)));
  typedef float Memory __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
};
template <>
struct Lanes<double> {
  static constexpr int count = kVectorBytes / 8;
  typedef double Register __attribute__((vector_size(kVectorBytes)));
  typedef double Memory __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
};

template <class A>
inline typename Lanes<A>::Register read(const A* from) {
  return *reinterpret_cast<const typename Lanes<A>::Memory*>(from);
}
template <class A>
inline void write(typename Lanes<A>::Register value, A* to) {
  *reinterpret_cast<typename Lanes<A>::Memory*>(to) = value;
}

// The width of all tiles is a multiple of this (two vectors of the widest kind).
constexpr int64_t kTileMultiple = 32;

template <int ROWS, class A>
void multiply_rows(int64_t columns, int64_t depth, const A* a, int64_t pitch_a, const A* b, int64_t pitch_b, A* c,
                   int64_t pitch_c) {
  using Register = typename Lanes<A>::Register;
  constexpr int L = Lanes<A>::count;
  for (int64_t j = 0; j < columns; j += 2 * L) {
    Register left[ROWS], right[ROWS];
    for (int i = 0; i < ROWS; ++i) {
      left[i] = read(c + i * pitch_c + j);
      right[i] = read(c + i * pitch_c + j + L);
    }
    for (int64_t k = 0; k < depth; ++k) {
      const Register b0 = read(b + k * pitch_b + j), b1 = read(b + k * pitch_b + j + L);
      for (int i = 0; i < ROWS; ++i) {
        const A factor = a[i * pitch_a + k];
        left[i] += factor * b0;
        right[i] += factor * b1;
      }
    }
    for (int i = 0; i < ROWS; ++i) {
      write(left[i], c + i * pitch_c + j);
      write(right[i], c + i * pitch_c + j + L);
    }
  }
}

template <int ROWS, class A>
void multiply_some_rows(int64_t rows, int64_t columns, int64_t depth, const A* a, int64_t pitch_a, const A* b,
                        int64_t pitch_b, A* c, int64_t pitch_c) {
  if (rows == ROWS) {
    multiply_rows<ROWS>(columns, depth, a, pitch_a, b, pitch_b, c, pitch_c);
  } else if constexpr (ROWS > 1) {
    multiply_some_rows<ROWS - 1>(rows, columns, depth, a, pitch_a, b, pitch_b, c, pitch_c);
  }
}

// c (rows, columns) += a (rows, depth) * b (depth, columns), row by row in memory; columns % kTileMultiple == 0.
template <class A>
void multiply_add(int64_t rows, int64_t columns, int64_t depth, const A* a, int64_t pitch_a, const A* b,
                  int64_t pitch_b, A* c, int64_t pitch_c) {
  for (int64_t i = 0; i < rows; i += kRows) {
    const int64_t some = rows - i < kRows ? rows - i : kRows;
    multiply_some_rows<kRows>(some, columns, depth, a + i * pitch_a, pitch_a, b, pitch_b, c + i * pitch_c, pitch_c);
  }
}

template <int ROWS, int COLUMNS, class A>
void dot_tile(int64_t depth, const A* a, int64_t pitch_a, const A* b, int64_t pitch_b, A* c, int64_t pitch_c) {
  using Register = typename Lanes<A>::Register;
  constexpr int L = Lanes<A>::count;
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
      A sum = 0;
      for (int lane = 0; lane < L; ++lane) sum += sums[i][j][lane];
      c[i * pitch_c + j] += sum;
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
