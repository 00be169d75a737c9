// float16 and bfloat16 as storage: to and from float32, rounding to nearest even. Everything has internal linkage
// (see cpu_kernels.cpp for why).
#pragma once

#include <cstdint>
#include <cstring>

namespace powerqe {
namespace {

struct Half {
  uint16_t bits;
};
struct BFloat {
  uint16_t bits;
};

inline float as_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint32_t as_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float load(float value) { return value; }
inline double load(double value) { return value; }
inline float load(BFloat value) { return as_float(uint32_t{value.bits} << 16); }

// No multiplication of subnormal floats: torch.set_flush_denormal would make them 0.
inline float load(Half value) {
  const uint32_t sign = (value.bits & 0x8000u) << 16;
  const uint32_t magnitude = value.bits & 0x7fffu;
  const uint32_t normal = (magnitude << 13) + (112u << 23);
  const uint32_t special = (magnitude << 13) + (224u << 23);  // infinity and NaN
  const uint32_t subnormal = as_bits(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
  const uint32_t large = magnitude >= 0x7c00u ? special : normal;
  return as_float(sign | (magnitude < 0x400u ? subnormal : large));
}

inline void store(float value, float* to) { *to = value; }
inline void store(double value, double* to) { *to = value; }

inline void store(float value, BFloat* to) {
  const uint32_t bits = as_bits(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  to->bits = static_cast<uint16_t>(value != value ? 0x7fc0u : rounded);
}

inline void store(float value, Half* to) {
  const uint32_t sign = (as_bits(value) >> 16) & 0x8000u;
  const uint32_t magnitude = as_bits(value) & 0x7fffffffu;
  const uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
  const uint32_t subnormal = as_bits(as_float(magnitude) + 0.5f) - as_bits(0.5f);  // 0.5f has steps of 2^-24
  uint32_t bits = magnitude < (113u << 23) ? subnormal : normal;
  bits = magnitude >= 0x477ff000u ? 0x7c00u : bits;  // 65520 and more
  bits = magnitude > 0x7f800000u ? 0x7e00u : bits;   // NaN
  to->bits = static_cast<uint16_t>(sign | bits);
}

}  // namespace
}  // namespace powerqe
