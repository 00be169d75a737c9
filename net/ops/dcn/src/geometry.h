// What all kernels know of one call: sizes, steps and element types. Plain data; no PyTorch.
#pragma once

#include <cstdint>

namespace powerqe {

enum class Type : int { float32, float64, float16, bfloat16 };

// Everything is 64 bit: tensors may have more than 2^31 elements.
struct Geometry {
  int64_t batch, channels, height, width;
  int64_t filters;  // output channels
  int64_t kernel_h, kernel_w, out_h, out_w;
  int64_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  int64_t groups, offset_groups;
};

}  // namespace powerqe
