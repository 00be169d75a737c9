// Vectors of numbers: as many lanes as a register of the instruction set that this is compiled for. Everything has
// internal linkage (see cpu_kernels.cpp).
//
// The compilers' vector extensions do nearly all; intrinsics only where compilers do not find the instruction.
#pragma once

#include <cstdint>

#include "half.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace powerqe {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// `Register` is what the processor computes with, `Memory` the same at any address, `Integers` what a comparison gives.
template <class A, int COUNT = kVectorBytes / static_cast<int>(sizeof(A))>
struct Lanes;
template <int COUNT>
struct Lanes<float, COUNT> {
  static constexpr int count = COUNT;
  typedef int32_t Integer;
  typedef float Register __attribute__((vector_size(4 * COUNT)));
  typedef float Memory __attribute__((vector_size(4 * COUNT), aligned(4), may_alias));
  typedef int32_t Integers __attribute__((vector_size(4 * COUNT)));
};
template <int COUNT>
struct Lanes<double, COUNT> {
  static constexpr int count = COUNT;
  typedef int64_t Integer;
  typedef double Register __attribute__((vector_size(8 * COUNT)));
  typedef double Memory __attribute__((vector_size(8 * COUNT), aligned(8), may_alias));
  typedef int64_t Integers __attribute__((vector_size(8 * COUNT)));
};
template <int COUNT>
struct Lanes<int32_t, COUNT> {
  typedef int32_t Register __attribute__((vector_size(4 * COUNT)));
  typedef int32_t Memory __attribute__((vector_size(4 * COUNT), aligned(4), may_alias));
};
template <int COUNT>
struct Lanes<int64_t, COUNT> {
  typedef int64_t Register __attribute__((vector_size(8 * COUNT)));
  typedef int64_t Memory __attribute__((vector_size(8 * COUNT), aligned(8), may_alias));
};

template <class A>
constexpr int kLanes = Lanes<A>::count;

template <class A, int COUNT = Lanes<A>::count>
inline typename Lanes<A, COUNT>::Register read(const A* from) {
  return *reinterpret_cast<const typename Lanes<A, COUNT>::Memory*>(from);
}
template <class A, class Register>
inline void write(Register value, A* to) {
  *reinterpret_cast<typename Lanes<A, sizeof(Register) / sizeof(A)>::Memory*>(to) = value;
}
template <class A>
inline typename Lanes<A>::Register all(A value) {
  return typename Lanes<A>::Register{} + value;
}

// ------------------------------------------------------------------------------------------------ gathers

// plane[index[lane]] where bit `corner` of flags[lane] is set, else 0: what is not wanted is not read.
template <class T, class A, class Index, class Flags>
inline typename Lanes<A>::Register gather_any(const T* plane, Index index, Flags flags, int corner) {
  typename Lanes<A>::Register values = {};
  for (int lane = 0; lane < kLanes<A>; ++lane) {
    if (flags[lane] >> corner & 1) values[lane] = load(plane[index[lane]]);
  }
  return values;
}

// As gather_any(), with the best instructions for the types.
template <class T, class A, class Index, class Flags>
struct Gather {
  static typename Lanes<A>::Register run(const T* plane, Index index, Flags flags, int corner) {
    return gather_any<T, A>(plane, index, flags, corner);
  }
};

#if defined(__AVX2__)
using Floats = Lanes<float>::Register;
using Ints = Lanes<int32_t, Lanes<float>::count>::Register;

template <int SCALE>
inline Ints gather_ints(const void* from, Ints index, Ints flags, int corner) {
#if defined(__AVX512F__)
  const __mmask16 wanted = _mm512_test_epi32_mask((__m512i)flags, _mm512_set1_epi32(1 << corner));
  return (Ints)_mm512_mask_i32gather_epi32(_mm512_setzero_si512(), wanted, (__m512i)index, from, SCALE);
#else
  const Ints wanted = flags << (31 - corner);  // the sign counts
  return (Ints)_mm256_mask_i32gather_epi32(_mm256_setzero_si256(), static_cast<const int*>(from), (__m256i)index,
                                           (__m256i)wanted, SCALE);
#endif
}

template <>
struct Gather<float, float, Ints, Ints> {
  static Floats run(const float* plane, Ints index, Ints flags, int corner) {
    return (Floats)gather_ints<4>(plane, index, flags, corner);
  }
};

// 16 bit: the upper half of what lies at the element before; the first element of a plane has none before. (Planes of
// a single pixel are not read so, see sampling.h.)
inline Ints gather_halves(const void* plane, Ints index, Ints flags, int corner) {
  const Ints has_before = index > 0;
  const Ints pairs = gather_ints<2>(plane, index + has_before, flags, corner);
  return has_before ? (pairs >> 16 & 0xffff) : (pairs & 0xffff);
}

template <>
struct Gather<BFloat, float, Ints, Ints> {
  static Floats run(const BFloat* plane, Ints index, Ints flags, int corner) {
    return (Floats)(gather_halves(plane, index, flags, corner) << 16);
  }
};

template <>
struct Gather<Half, float, Ints, Ints> {
  static Floats run(const Half* plane, Ints index, Ints flags, int corner) {
    const Ints bits = gather_halves(plane, index, flags, corner);
#if defined(__AVX512F__)
    return (Floats)_mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)bits));
#else
    const __m128i low = _mm256_castsi256_si128((__m256i)bits), high = _mm256_extracti128_si256((__m256i)bits, 1);
    return (Floats)_mm256_cvtph_ps(_mm_packus_epi32(low, high));
#endif
  }
};
#endif

}  // namespace
}  // namespace powerqe
