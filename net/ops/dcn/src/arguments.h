// From the tensors of a call to the geometry of the kernels. arguments.py has the messages for people; what is
// checked again here keeps any caller of the operators from reading or writing out of bounds.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include "geometry.h"

namespace powerqe {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline Type type_of(const Tensor& tensor, const char* name) {
  switch (tensor.scalar_type()) {
    case ScalarType::Float: return Type::float32;
    case ScalarType::Double: return Type::float64;
    case ScalarType::Half: return Type::float16;
    case ScalarType::BFloat16: return Type::bfloat16;
    default: STD_TORCH_CHECK(false, "deform_conv2d: ", name, " has to be float32, float64, float16 or bfloat16");
  }
}

inline ScalarType accumulator_of(const Tensor& tensor) {
  return tensor.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

inline void check_sizes(const Tensor& tensor, const char* name, const std::vector<int64_t>& sizes) {
  bool same = tensor.dim() == static_cast<int64_t>(sizes.size());
  for (size_t i = 0; same && i < sizes.size(); ++i) same = tensor.size(static_cast<int64_t>(i)) == sizes[i];
  STD_TORCH_CHECK(same, "deform_conv2d: the sizes of ", name, " do not fit those of the other arguments");
}

inline void check_like(const Tensor& tensor, const char* name, const Tensor& input, bool may_be_float32) {
  STD_TORCH_CHECK(tensor.device() == input.device(), "deform_conv2d: ", name, " and input are on different devices");
  const ScalarType type = tensor.scalar_type();
  const bool wider = may_be_float32 && type == ScalarType::Float && input.scalar_type() != ScalarType::Double;
  STD_TORCH_CHECK(type == input.scalar_type() || wider, "deform_conv2d: ", name, " has another dtype than input");
}

struct Steps {
  const std::vector<int64_t>&stride, &padding, &dilation;
  int64_t groups, offset_groups;
};

inline Geometry check_arguments(const Tensor& input, const Tensor& offset, const std::optional<Tensor>& mask,
                                const Tensor& weight, const std::optional<Tensor>& bias, const Steps& steps) {
  type_of(input, "input");
  STD_TORCH_CHECK(input.dim() == 4 && weight.dim() == 4 && offset.dim() == 4,
                  "deform_conv2d: input, offset and weight have to have four dimensions");
  STD_TORCH_CHECK(steps.stride.size() == 2 && steps.padding.size() == 2 && steps.dilation.size() == 2,
                  "deform_conv2d: stride, padding and dilation have to have two values each");
  Geometry g{};
  g.batch = input.size(0), g.channels = input.size(1), g.height = input.size(2), g.width = input.size(3);
  g.filters = weight.size(0), g.kernel_h = weight.size(2), g.kernel_w = weight.size(3);
  g.stride_h = steps.stride[0], g.stride_w = steps.stride[1];
  g.pad_h = steps.padding[0], g.pad_w = steps.padding[1];
  g.dilation_h = steps.dilation[0], g.dilation_w = steps.dilation[1];
  g.groups = steps.groups, g.offset_groups = steps.offset_groups;
  STD_TORCH_CHECK(g.stride_h > 0 && g.stride_w > 0 && g.dilation_h > 0 && g.dilation_w > 0 && g.pad_h >= 0 &&
                      g.pad_w >= 0 && g.groups > 0 && g.offset_groups > 0,
                  "deform_conv2d: stride, dilation and groups have to be positive, padding not negative");
  STD_TORCH_CHECK(g.channels > 0 && g.height > 0 && g.width > 0 && g.filters > 0 && g.kernel_h > 0 && g.kernel_w > 0,
                  "deform_conv2d: input and weight must not be empty (but for the batch)");
  STD_TORCH_CHECK(g.channels % g.groups == 0 && g.filters % g.groups == 0 && g.channels % g.offset_groups == 0,
                  "deform_conv2d: groups have to divide the channels");
  const int64_t span_h = g.height + 2 * g.pad_h - g.dilation_h * (g.kernel_h - 1) - 1;
  const int64_t span_w = g.width + 2 * g.pad_w - g.dilation_w * (g.kernel_w - 1) - 1;
  STD_TORCH_CHECK(span_h >= 0 && span_w >= 0, "deform_conv2d: the kernel is larger than the padded input");
  g.out_h = span_h / g.stride_h + 1, g.out_w = span_w / g.stride_w + 1;

  const int64_t taps = g.kernel_h * g.kernel_w;
  check_sizes(weight, "weight", {g.filters, g.channels / g.groups, g.kernel_h, g.kernel_w});
  check_sizes(offset, "offset", {g.batch, 2 * taps * g.offset_groups, g.out_h, g.out_w});
  check_like(weight, "weight", input, false);
  check_like(offset, "offset", input, true);
  if (mask) {
    check_sizes(*mask, "mask", {g.batch, taps * g.offset_groups, g.out_h, g.out_w});
    check_like(*mask, "mask", input, true);
  }
  if (bias) {
    check_sizes(*bias, "bias", {g.filters});
    check_like(*bias, "bias", input, false);
  }
  return g;
}

inline void check_gradient(const Tensor& grad, const Tensor& input, const Geometry& g) {
  check_sizes(grad, "grad", {g.batch, g.filters, g.out_h, g.out_w});
  check_like(grad, "grad", input, false);
}

// Place of each gradient in what the backward operator returns, and in `wanted`.
enum Gradient { kInput, kOffset, kMask, kWeight, kBias, kGradients };

inline std::vector<bool> check_wanted(const std::vector<bool>& wanted, const std::optional<Tensor>& mask) {
  STD_TORCH_CHECK(wanted.size() == kGradients, "deform_conv2d: `wanted` has to have five values");
  STD_TORCH_CHECK(mask || !wanted[kMask], "deform_conv2d: there is no mask whose gradient could be wanted");
  return wanted;
}

}  // namespace powerqe
