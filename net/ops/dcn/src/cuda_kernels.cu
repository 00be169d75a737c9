// Deformable convolution on the GPU: columns of samples and products of matrices, one image at a time.
//
// Simple and right; one thread per sample. With `deterministic` the gradient of the input is summed by one thread per
// plane, in a fixed order, instead of atomically.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <array>
#include <optional>
#include <tuple>
#include <vector>

#include <torch/csrc/stable/accelerator.h>

#include "arguments.h"

namespace powerqe {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMaxBlocks = 65535;

inline int blocks_for(int64_t count) {
  const int64_t blocks = (count + kThreads - 1) / kThreads;
  return static_cast<int>(blocks < kMaxBlocks ? (blocks < 1 ? 1 : blocks) : kMaxBlocks);
}

// for (int64_t i of this thread) with any number of blocks
#define DCN_EACH(i, count)                                                                        \
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < (count); \
       i += static_cast<int64_t>(gridDim.x) * blockDim.x)

// ------------------------------------------------------------------------------------------------ one sample

// A corner outside the frame has valid == false, and an index within the plane all the same.
template <class A>
struct Sample {
  A ly, lx;
  int64_t index[4];
  bool valid[4];
  bool inside;

  __device__ A weight(int corner) const {
    if (!valid[corner]) return 0;
    return (corner < 2 ? 1 - ly : ly) * (corner % 2 ? lx : 1 - lx);
  }
};

template <class A>
__device__ Sample<A> locate(const Geometry& g, const A* offset, int64_t group, int64_t tap, int64_t pixel) {
  const int64_t n = g.out_h * g.out_w, taps = g.kernel_h * g.kernel_w, row = 2 * (group * taps + tap);
  const A y = static_cast<A>(pixel / g.out_w * g.stride_h - g.pad_h + tap / g.kernel_w * g.dilation_h) + offset[row * n + pixel];
  const A x = static_cast<A>(pixel % g.out_w * g.stride_w - g.pad_w + tap % g.kernel_w * g.dilation_w) + offset[(row + 1) * n + pixel];
  Sample<A> s;
  s.inside = y > -1 && y < static_cast<A>(g.height) && x > -1 && x < static_cast<A>(g.width);  // false for NaN
  const A top = s.inside ? floor(y) : 0, left = s.inside ? floor(x) : 0;
  s.ly = s.inside ? y - top : 0;
  s.lx = s.inside ? x - left : 0;
  for (int corner = 0; corner < 4; ++corner) {
    const int64_t r = static_cast<int64_t>(top) + corner / 2, c = static_cast<int64_t>(left) + corner % 2;
    s.valid[corner] = s.inside && r >= 0 && r < g.height && c >= 0 && c < g.width;
    s.index[corner] = s.valid[corner] ? r * g.width + c : 0;
  }
  return s;
}

template <class A, class T>
__device__ void corners(const Sample<A>& s, const T* plane, A* value) {
  for (int corner = 0; corner < 4; ++corner) {
    value[corner] = s.valid[corner] ? static_cast<A>(plane[s.index[corner]]) : A(0);
  }
}

// ------------------------------------------------------------------------------------------------ kernels

// One image. columns (channels, taps, pixels)
template <class T, class A>
__global__ void fill_columns(Geometry g, const T* input, const A* offset, const A* mask, A* columns) {
  const int64_t n = g.out_h * g.out_w, taps = g.kernel_h * g.kernel_w, per_group = g.channels / g.offset_groups;
  DCN_EACH(i, g.channels * taps * n) {
    const int64_t pixel = i % n, tap = i / n % taps, channel = i / n / taps, group = channel / per_group;
    const Sample<A> s = locate(g, offset, group, tap, pixel);
    A value[4], sum = 0;
    corners(s, input + channel * g.height * g.width, value);
    for (int corner = 0; corner < 4; ++corner) sum += s.weight(corner) * value[corner];
    columns[i] = mask ? mask[(group * taps + tap) * n + pixel] * sum : sum;
  }
}

// Gradients of offset and mask: one thread for each, which goes through the channels of its group.
template <class T, class A>
__global__ void position_gradients(Geometry g, const T* input, const A* offset, const A* mask, const A* grad_columns,
                                   A* grad_offset, A* grad_mask) {
  const int64_t n = g.out_h * g.out_w, taps = g.kernel_h * g.kernel_w, per_group = g.channels / g.offset_groups;
  DCN_EACH(i, g.offset_groups * taps * n) {
    const int64_t pixel = i % n, tap = i / n % taps, group = i / n / taps;
    const Sample<A> s = locate(g, offset, group, tap, pixel);
    A sum_y = 0, sum_x = 0, sum_mask = 0;
    for (int64_t channel = group * per_group; channel < (group + 1) * per_group; ++channel) {
      const A gradient = grad_columns[(channel * taps + tap) * n + pixel];
      A v[4];
      corners(s, input + channel * g.height * g.width, v);
      sum_y += gradient * ((1 - s.lx) * (v[2] - v[0]) + s.lx * (v[3] - v[1]));
      sum_x += gradient * ((1 - s.ly) * (v[1] - v[0]) + s.ly * (v[3] - v[2]));
      for (int corner = 0; corner < 4; ++corner) sum_mask += gradient * s.weight(corner) * v[corner];
    }
    const A modulation = mask ? mask[i] : A(1);
    const int64_t row = i / n * 2;
    if (grad_offset) {
      grad_offset[row * n + pixel] = modulation * sum_y;
      grad_offset[(row + 1) * n + pixel] = modulation * sum_x;
    }
    if (grad_mask) grad_mask[i] = sum_mask;
  }
}

template <class A>
__device__ void scatter_one(const Geometry& g, const A* offset, const A* mask, const A* grad_columns, A* grad_input,
                            int64_t i, bool alone) {
  const int64_t n = g.out_h * g.out_w, taps = g.kernel_h * g.kernel_w, per_group = g.channels / g.offset_groups;
  const int64_t pixel = i % n, tap = i / n % taps, channel = i / n / taps, group = channel / per_group;
  const Sample<A> s = locate(g, offset, group, tap, pixel);
  const A gradient = grad_columns[i] * (mask ? mask[(group * taps + tap) * n + pixel] : A(1));
  A* const plane = grad_input + channel * g.height * g.width;
  for (int corner = 0; corner < 4; ++corner) {
    if (!s.valid[corner]) continue;
    if (alone) {
      plane[s.index[corner]] += gradient * s.weight(corner);
    } else {
      atomicAdd(plane + s.index[corner], gradient * s.weight(corner));
    }
  }
}

template <class A>
__global__ void scatter_atomically(Geometry g, const A* offset, const A* mask, const A* grad_columns, A* grad_input) {
  DCN_EACH(i, g.channels * g.kernel_h * g.kernel_w * g.out_h * g.out_w) {
    scatter_one(g, offset, mask, grad_columns, grad_input, i, false);
  }
}

template <class A>
__global__ void scatter_in_order(Geometry g, const A* offset, const A* mask, const A* grad_columns, A* grad_input) {
  const int64_t of_channel = g.kernel_h * g.kernel_w * g.out_h * g.out_w;
  DCN_EACH(channel, g.channels) {
    for (int64_t i = channel * of_channel; i < (channel + 1) * of_channel; ++i) {
      scatter_one(g, offset, mask, grad_columns, grad_input, i, true);
    }
  }
}

// ------------------------------------------------------------------------------------------------ PyTorch

using torch::stable::contiguous;
using torch::stable::new_empty;
using torch::stable::new_zeros;
using torch::stable::to;

Tensor dispatch(const char* name, std::initializer_list<StableIValue> arguments) {
  std::array<StableIValue, 8> stack{};
  size_t count = 0;
  for (StableIValue argument : arguments) stack[count++] = argument;
  STABLE_TORCH_ERROR_CODE_CHECK(torch_call_dispatcher(name, "", stack.data(), TORCH_ABI_VERSION));
  return torch::stable::detail::to<Tensor>(stack[0]);
}

Tensor bmm(const Tensor& a, const Tensor& b) {
  return dispatch("aten::bmm", {torch::stable::detail::from(a), torch::stable::detail::from(b)});
}

Tensor transposed(const Tensor& a) { return torch::stable::transpose(a, 1, 2); }

Tensor image_of(const Tensor& batch, int64_t image) { return torch::stable::select(batch, 0, image); }

cudaStream_t current_stream(const Tensor& tensor) {
  void* stream = nullptr;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

template <class A>
A* data(const std::optional<Tensor>& tensor) {
  return tensor ? static_cast<A*>(tensor->mutable_data_ptr()) : nullptr;
}

// Calls `body(T(), A())`: T is the element type of the input, A that of sums and positions.
template <class Body>
void with_types(Type type, const Body& body) {
  switch (type) {
    case Type::float32: return body(float(), float());
    case Type::float64: return body(double(), double());
    case Type::float16: return body(__half(), float());
    case Type::bfloat16: return body(__nv_bfloat16(), float());
  }
}

// What both directions need, all contiguous; all but the input in the accumulators' type.
struct Prepared {
  Tensor input, offset, weight;
  std::optional<Tensor> mask;
  ScalarType accumulator;

  Prepared(const Geometry& g, const Tensor& x, const Tensor& offsets, const std::optional<Tensor>& masks,
           const Tensor& weights)
      : accumulator(accumulator_of(x)) {
    input = contiguous(x);
    offset = contiguous(to(offsets, accumulator));
    if (masks) mask = contiguous(to(*masks, accumulator));
    weight = torch::stable::view(contiguous(to(weights, accumulator)),
                                 {g.groups, g.filters / g.groups, weights.numel() / g.filters});
  }
};

template <class T, class A>
void fill(const Geometry& g, const Prepared& p, int64_t image, const Tensor& columns, cudaStream_t stream) {
  const Tensor x = image_of(p.input, image), offset = image_of(p.offset, image);
  const std::optional<Tensor> mask = p.mask ? std::make_optional(image_of(*p.mask, image)) : std::nullopt;
  fill_columns<T, A><<<blocks_for(columns.numel()), kThreads, 0, stream>>>(
      g, static_cast<const T*>(x.const_data_ptr()), static_cast<const A*>(offset.const_data_ptr()), data<A>(mask),
      static_cast<A*>(columns.mutable_data_ptr()));
  STD_CUDA_KERNEL_LAUNCH_CHECK();
}

Tensor forward(const Tensor& input, const Tensor& offset, const std::optional<Tensor>& mask, const Tensor& weight,
               const std::optional<Tensor>& bias, const std::vector<int64_t>& stride,
               const std::vector<int64_t>& padding, const std::vector<int64_t>& dilation, int64_t groups,
               int64_t offset_groups, bool /*allow_tf32: bmm asks PyTorch*/) {
  const Geometry g =
      check_arguments(input, offset, mask, weight, bias, {stride, padding, dilation, groups, offset_groups});
  const torch::stable::accelerator::DeviceGuard guard(input.get_device_index());
  Tensor output = new_empty(input, {g.batch, g.filters, g.out_h, g.out_w});
  if (g.batch == 0) return output;
  const Prepared p(g, input, offset, mask, weight);
  const int64_t n = g.out_h * g.out_w;
  const Tensor columns = new_empty(p.weight, {g.groups, p.weight.size(2), n});
  const cudaStream_t stream = current_stream(input);
  for (int64_t image = 0; image < g.batch; ++image) {
    with_types(type_of(input, "input"),
               [&](auto t, auto a) { fill<decltype(t), decltype(a)>(g, p, image, columns, stream); });
    Tensor result = torch::stable::view(bmm(p.weight, columns), {g.filters, g.out_h, g.out_w});
    if (bias) {
      const Tensor shift = torch::stable::view(contiguous(to(*bias, p.accumulator)), {g.filters, 1, 1});
      result = torch::stable::subtract(result, shift, -1.0);
    }
    Tensor place = image_of(output, image);
    torch::stable::copy_(place, result);
  }
  return output;
}

using Gradients = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;

// The gradients being summed; absent where not wanted.
struct Sums {
  std::optional<Tensor> input, offset, mask, weight;
};

template <class T, class A>
void backward_image(const Geometry& g, const Prepared& p, int64_t image, const Tensor& grad_columns, const Sums& sums,
                    bool deterministic, cudaStream_t stream) {
  const auto of_image = [&](const std::optional<Tensor>& batch) {
    return batch ? std::make_optional(image_of(*batch, image)) : std::nullopt;
  };
  const std::optional<Tensor> x = of_image(p.input), offset = of_image(p.offset), mask = of_image(p.mask);
  const std::optional<Tensor> to_input = of_image(sums.input), to_offset = of_image(sums.offset), to_mask = of_image(sums.mask);
  const A* const columns = static_cast<const A*>(grad_columns.const_data_ptr());
  if (to_offset || to_mask) {
    const int64_t count = g.offset_groups * g.kernel_h * g.kernel_w * g.out_h * g.out_w;
    position_gradients<T, A><<<blocks_for(count), kThreads, 0, stream>>>(
        g, data<T>(x), data<A>(offset), data<A>(mask), columns, data<A>(to_offset), data<A>(to_mask));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  }
  if (to_input && deterministic) {
    scatter_in_order<A><<<blocks_for(g.channels), kThreads, 0, stream>>>(g, data<A>(offset), data<A>(mask), columns,
                                                                        data<A>(to_input));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  } else if (to_input) {
    scatter_atomically<A><<<blocks_for(grad_columns.numel()), kThreads, 0, stream>>>(
        g, data<A>(offset), data<A>(mask), columns, data<A>(to_input));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  }
}

// A gradient that is not wanted is an empty tensor.
Gradients backward(const Tensor& grad, const Tensor& input, const Tensor& offset, const std::optional<Tensor>& mask,
                   const Tensor& weight, const std::vector<int64_t>& stride, const std::vector<int64_t>& padding,
                   const std::vector<int64_t>& dilation, int64_t groups, int64_t offset_groups,
                   const std::vector<bool>& output_mask, bool deterministic, bool /*allow_tf32*/) {
  const Geometry g = check_arguments(input, offset, mask, weight, std::nullopt,
                                     {stride, padding, dilation, groups, offset_groups});
  check_gradient(grad, input, g);
  const std::vector<bool> wanted = check_wanted(output_mask, mask);
  const torch::stable::accelerator::DeviceGuard guard(input.get_device_index());
  const Prepared p(g, input, offset, mask, weight);
  const auto zeros = [&](Gradient which, const Tensor& like) {
    return wanted[which] ? std::make_optional(new_zeros(like, like.sizes(), p.accumulator)) : std::nullopt;
  };
  Sums sums{zeros(kInput, input), zeros(kOffset, offset), mask ? zeros(kMask, *mask) : std::nullopt,
            zeros(kWeight, p.weight)};
  const int64_t n = g.out_h * g.out_w;
  const Tensor gradients = torch::stable::view(contiguous(to(grad, p.accumulator)),
                                               {g.batch, g.groups, g.filters / g.groups, n});
  const Tensor columns = new_empty(p.weight, {g.groups, p.weight.size(2), n});
  const cudaStream_t stream = current_stream(input);
  for (int64_t image = 0; image < g.batch; ++image) {
    const Tensor gradient = image_of(gradients, image);
    if (sums.input || sums.offset || sums.mask) {
      const Tensor grad_columns = bmm(transposed(p.weight), gradient);
      with_types(type_of(input, "input"), [&](auto t, auto a) {
        backward_image<decltype(t), decltype(a)>(g, p, image, grad_columns, sums, deterministic, stream);
      });
    }
    if (sums.weight) {
      with_types(type_of(input, "input"),
                 [&](auto t, auto a) { fill<decltype(t), decltype(a)>(g, p, image, columns, stream); });
      sums.weight = torch::stable::subtract(*sums.weight, bmm(gradient, transposed(columns)), -1.0);
    }
  }
  const auto finish = [&](const std::optional<Tensor>& sum, const Tensor& like) {
    return sum ? torch::stable::reshape(to(*sum, like.scalar_type()), like.sizes()) : new_empty(like, {0});
  };
  Tensor grad_bias = new_empty(weight, {0});
  if (wanted[kBias]) {
    const Tensor by_filter = torch::stable::view(gradients, {g.batch, g.filters, n});
    const std::array<int64_t, 2> dimensions{0, 2};
    grad_bias = to(torch::stable::sum(by_filter, torch::headeronly::IntHeaderOnlyArrayRef(dimensions.data(), 2)),
                   weight.scalar_type());
  }
  return Gradients(finish(sums.input, input), finish(sums.offset, offset), finish(sums.mask, mask ? *mask : offset),
                   finish(sums.weight, weight), grad_bias);
}

}  // namespace
}  // namespace powerqe

STABLE_TORCH_LIBRARY_IMPL(powerqe, CUDA, library) {
  library.impl("deform_conv2d", TORCH_BOX(&powerqe::forward));
  library.impl("deform_conv2d_backward", TORCH_BOX(&powerqe::backward));
}
