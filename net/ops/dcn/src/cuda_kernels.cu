// The operators on the GPU, in the stable ABI of libtorch.
//
// Forward: one fused kernel (cuda_forward.h). For weight groups, float64, bfloat16 on GPUs without matrix units for it,
// and tensors that need indices of 64 bit: columns of a block of pixels, and products of matrices (PyTorch's matmul).
// Backward: the same with blocks (cuda_columns.h). The gradient of the input is summed atomically, with `deterministic`
// as integers, which gives the same bits every time.

#include "cuda_columns.h"
#include "cuda_forward.h"

#include <array>
#include <initializer_list>
#include <optional>
#include <tuple>
#include <vector>

#include <torch/csrc/stable/accelerator.h>

#include "arguments.h"

namespace powerqe {
namespace {

using torch::stable::contiguous;
using torch::stable::matmul;
using torch::stable::narrow;
using torch::stable::new_empty;
using torch::stable::new_zeros;
using torch::stable::subtract;
using torch::stable::to;
using torch::stable::transpose;
using torch::stable::view;
using MaybeTensor = std::optional<Tensor>;

// ------------------------------------------------------------------------------------------------ PyTorch

Tensor dispatch(const char* name, const char* overload, std::initializer_list<StableIValue> arguments) {
  std::array<StableIValue, 8> stack{};
  size_t count = 0;
  for (StableIValue argument : arguments) stack[count++] = argument;
  STABLE_TORCH_ERROR_CODE_CHECK(torch_call_dispatcher(name, overload, stack.data(), TORCH_ABI_VERSION));
  return torch::stable::detail::to<Tensor>(stack[0]);
}

Tensor sum_over(const Tensor& tensor, std::initializer_list<int64_t> dimensions) {
  return torch::stable::sum(tensor, torch::headeronly::IntHeaderOnlyArrayRef(dimensions.begin(), dimensions.size()));
}

Tensor plus(const Tensor& a, const Tensor& b) { return subtract(a, b, -1.0); }

// The largest magnitude, float64 (1).
Tensor largest(const Tensor& tensor) {
  const Tensor magnitudes = dispatch("aten::abs", "", {torch::stable::detail::from(tensor)});
  return to(torch::stable::amax(view(magnitudes, {1, tensor.numel()}), 1), ScalarType::Double);
}

Tensor times(const Tensor& a, const Tensor& b) {
  return dispatch("aten::mul", "Tensor", {torch::stable::detail::from(a), torch::stable::detail::from(b)});
}

cudaStream_t current_stream(const Tensor& tensor) {
  void* stream = nullptr;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

bool is_ampere(const Tensor& tensor) {
  int major = 0;
  STD_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, tensor.get_device_index()));
  return major >= 8;
}

template <class T>
T* pointer(const MaybeTensor& tensor) {
  return tensor ? static_cast<T*>(tensor->mutable_data_ptr()) : nullptr;
}

bool is_float(const MaybeTensor& tensor) { return tensor && tensor->scalar_type() == ScalarType::Float; }

template <class T>
Values<T> values(const MaybeTensor& tensor) {
  return {pointer<void>(tensor), is_float(tensor)};
}

template <class T>
Results<T> results(const MaybeTensor& tensor) {
  return {pointer<void>(tensor), is_float(tensor)};
}

MaybeTensor contiguous_if(const MaybeTensor& tensor) {
  return tensor ? std::make_optional(contiguous(*tensor)) : std::nullopt;
}

// Calls `body(T())` with the element type of the input.
template <class Body>
void with_type(Type type, const Body& body) {
  switch (type) {
    case Type::float32: return body(float());
    case Type::float64: return body(double());
    case Type::float16: return body(__half());
    case Type::bfloat16: return body(__nv_bfloat16());
  }
}

// A call; all tensors contiguous.
struct Call {
  Geometry g;
  Type type;
  Tensor input, offset, weight;
  MaybeTensor mask;
  cudaStream_t stream;

  Call(const Geometry& geometry, const Tensor& x, const Tensor& offsets, const MaybeTensor& masks,
       const Tensor& weights)
      : g(geometry), type(type_of(x, "input")), input(contiguous(x)), offset(contiguous(offsets)),
        weight(contiguous(weights)), mask(contiguous_if(masks)), stream(current_stream(x)) {}

  int64_t depth() const { return g.channels * g.kernel_h * g.kernel_w; }
  int64_t pixels() const { return g.out_h * g.out_w; }

  // (1, groups, filters of each, depth of each)
  Tensor weight_matrices() const { return view(weight, {1, g.groups, g.filters / g.groups, depth() / g.groups}); }
};

// ------------------------------------------------------------------------------------------------ block by block

// (images, groups, depth of each, pixels)
Tensor new_columns(const Call& call, const Block& block) {
  return new_empty(call.input, {block.images, call.g.groups, call.depth() / call.g.groups, block.pixels});
}

// `body(block)` until all pixels of all images had their turn; the columns of a block fit into DCN_WORKSPACE.
template <class Body>
void for_blocks(const Call& call, const Body& body) {
  const int64_t n = call.pixels(), item = call.type == Type::float64 ? 8 : call.type == Type::float32 ? 4 : 2;
  const int64_t fitting = DCN_WORKSPACE / (call.depth() * item);
  const int64_t pixels = least(n, most(32, fitting / 32 * 32)), images = most(1, least(call.g.batch, fitting / n));
  for (int64_t image = 0; image < call.g.batch; image += images) {
    for (int64_t pixel = 0; pixel < n; pixel += pixels) {
      body(Block{image, least(images, call.g.batch - image), pixel, least(pixels, n - pixel)});
    }
  }
}

// That part of (batch, groups, filters of each, pixels) which belongs to a block.
Tensor part_of(Tensor batch, const Block& block) {
  Tensor images = narrow(batch, 0, block.image, block.images);
  return narrow(images, 3, block.pixel, block.pixels);
}

// Calls `body(T(), I())`: the element type, and the integer for indices.
template <class Body>
void with_types(const Call& call, const Body& body) {
  const bool is_small = fits_32_bits(call.g);
  with_type(call.type, [&](auto t) {
    if (is_small) {
      body(t, int());
    } else {
      body(t, int64_t());
    }
  });
}

void sample(const Call& call, const Block& block, const Tensor& columns) {
  with_types(call, [&](auto t, auto i) {
    using T = decltype(t);
    using I = decltype(i);
    const auto kernel = &sample_columns<T, I>;
    DCN_LAUNCH(kernel, grid_of(call.g, block), kThreads, call.stream, Frame<I>(call.g), block, pointer<T>(call.input),
               values<T>(call.offset), values<T>(call.mask), pointer<T>(columns));
  });
  STD_CUDA_KERNEL_LAUNCH_CHECK();
}

void forward_by_blocks(const Call& call, const MaybeTensor& bias, const Tensor& output) {
  const int64_t in_group = call.g.filters / call.g.groups;
  const Tensor by_group = view(output, {call.g.batch, call.g.groups, in_group, call.pixels()});
  for_blocks(call, [&](const Block& block) {
    const Tensor columns = new_columns(call, block);
    sample(call, block, columns);
    Tensor result = matmul(call.weight_matrices(), columns);
    if (bias) result = plus(result, view(contiguous(*bias), {1, call.g.groups, in_group, 1}));
    Tensor place = part_of(by_group, block);
    torch::stable::copy_(place, result);
  });
}

// ------------------------------------------------------------------------------------------------ fused

template <class T, class Math, int V>
void launch_fused(const Call& call, const MaybeTensor& bias, const Tensor& output) {
  const Geometry& g = call.g;
  const Frame<int> frame(g);
  const Tiling tiling(g);
  Tensor input = call.input;
  if (frame.per_group > 1) {
    input = new_empty(call.input, {call.input.numel()});
    const auto kernel = &arrange_input<T, V>;
    const int64_t planes = g.batch * g.offset_groups;
    DCN_LAUNCH(kernel, dim3(blocks_for(frame.plane, kThreads), blocks_for(planes, 1)), kThreads, call.stream, planes,
               frame.plane, int64_t{frame.per_group}, pointer<T>(call.input), pointer<T>(input));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  }
  using Element = typename Math::Element;
  const Tensor weight = new_empty(call.weight, {tiling.weights()});
  const auto arrange = &arrange_weight<T, Math>;
  DCN_LAUNCH(arrange, blocks_for(tiling.weights(), kThreads), kThreads, call.stream, frame, tiling,
             pointer<T>(call.weight), pointer<Element>(weight));
  STD_CUDA_KERNEL_LAUNCH_CHECK();
  const auto kernel = &forward_tiles<T, Math, V>;
  DCN_LAUNCH(kernel, blocks_for(tiling.tiles(), 1), kTileThreads, call.stream, frame, tiling, pointer<T>(input),
             values<T>(call.offset), values<T>(call.mask), pointer<Element>(weight), pointer<T>(bias),
             pointer<T>(output));
  STD_CUDA_KERNEL_LAUNCH_CHECK();
}

// With loads as wide as the channels allow.
template <class T, class Math>
void launch_fused(const Call& call, const MaybeTensor& bias, const Tensor& output) {
  constexpr int kWide = 16 / sizeof(T);
  const int piece = Tiling(call.g).piece;
  if (piece % kWide == 0) {
    launch_fused<T, Math, kWide>(call, bias, output);
  } else if (piece % 4 == 0) {
    launch_fused<T, Math, 4>(call, bias, output);
  } else {
    launch_fused<T, Math, 1>(call, bias, output);
  }
}

bool can_fuse(const Call& call) {
  const bool has_units = call.type != Type::bfloat16 || is_ampere(call.input);
  return call.g.groups == 1 && call.type != Type::float64 && has_units && fits_32_bits(call.g);
}

void forward_fused(const Call& call, const MaybeTensor& bias, const Tensor& output, bool allow_tf32) {
  switch (call.type) {
    case Type::float16: return launch_fused<__half, MmaHalf>(call, bias, output);
    case Type::bfloat16: return launch_fused<__nv_bfloat16, MmaBFloat>(call, bias, output);
    case Type::float64: return;
    case Type::float32:
      if (allow_tf32 && is_ampere(call.input)) return launch_fused<float, MmaTf32>(call, bias, output);
      return launch_fused<float, Fma>(call, bias, output);
  }
}

Tensor forward(const Tensor& input, const Tensor& offset, const MaybeTensor& mask, const Tensor& weight,
               const MaybeTensor& bias, const std::vector<int64_t>& stride, const std::vector<int64_t>& padding,
               const std::vector<int64_t>& dilation, int64_t groups, int64_t offset_groups, bool allow_tf32) {
  const Geometry g =
      check_arguments(input, offset, mask, weight, bias, {stride, padding, dilation, groups, offset_groups});
  const torch::stable::accelerator::DeviceGuard guard(input.get_device_index());
  Tensor output = new_empty(input, {g.batch, g.filters, g.out_h, g.out_w});
  if (g.batch == 0) return output;
  const Call call(g, input, offset, mask, weight);
  const MaybeTensor shift = contiguous_if(bias);
  if (can_fuse(call)) {
    forward_fused(call, shift, output, allow_tf32);
  } else {
    forward_by_blocks(call, shift, output);
  }
  return output;
}

// ------------------------------------------------------------------------------------------------ backward

// The gradient of the input while it is summed.
struct InputGradient {
  MaybeTensor values, integers, overflow, bound;  // integers (1 or 2, elements of the input)
  int64_t addends = 0;

  InputGradient(const Call& call, const Tensor& grad, bool deterministic) {
    const Geometry& g = call.g;
    if (!deterministic) {
      values = new_zeros(call.input, call.input.sizes(), accumulator_of(call.input));
      return;
    }
    integers = new_zeros(call.input, {call.type == Type::float64 ? 2 : 1, call.input.numel()}, ScalarType::Long);
    overflow = new_zeros(call.input, {1}, ScalarType::Int);
    bound = times(largest(grad), largest(call.weight));
    if (call.mask) bound = times(*bound, largest(*call.mask));
    addends = call.pixels() * g.kernel_h * g.kernel_w * (g.filters / g.groups);  // of products
  }

  template <class A>
  Sums<A> sums() const {
    auto* const high = pointer<unsigned long long>(integers);
    auto* const low = integers && integers->size(0) == 2 ? high + integers->size(1) : nullptr;
    return {pointer<A>(values), high, low, pointer<int>(overflow), pointer<const double>(bound), addends};
  }

  // In the type of the input.
  Tensor finish(const Call& call) const {
    if (values) return to(*values, call.input.scalar_type());
    const Tensor result = new_empty(call.input, call.input.sizes());
    with_type(call.type, [&](auto t) {
      using T = decltype(t);
      const auto kernel = &finish_sums<T>;
      DCN_LAUNCH(kernel, blocks_for(result.numel(), kThreads), kThreads, call.stream, sums<Accumulator<T>>(),
                 result.numel(), pointer<T>(result));
    });
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    return result;
  }
};

struct Wanted {
  std::optional<InputGradient> input;
  MaybeTensor offset, mask;
  MaybeTensor weight;  // (groups, filters of each, depth of each), in the accumulator's type
};

// In place of `columns`, which are gradients, the columns themselves, where those are needed for the weights.
void differentiate(const Call& call, const Block& block, const Tensor& columns, const Wanted& wanted) {
  with_types(call, [&](auto t, auto i) {
    using T = decltype(t);
    using I = decltype(i);
    using A = Accumulator<T>;
    const auto kernel = &differentiate_columns<T, I>;
    DCN_LAUNCH(kernel, grid_of(call.g, block), kThreads, call.stream, Frame<I>(call.g), block, pointer<T>(call.input),
               values<T>(call.offset), values<T>(call.mask), pointer<T>(columns), wanted.weight.has_value(),
               results<T>(wanted.offset), results<T>(wanted.mask), wanted.input ? wanted.input->sums<A>() : Sums<A>{});
  });
  STD_CUDA_KERNEL_LAUNCH_CHECK();
}

void backward_block(const Call& call, const Block& block, const Tensor& grads, Wanted& wanted) {
  const Tensor grad = part_of(grads, block);
  Tensor columns = new_empty(call.input, {0});
  if (wanted.input || wanted.offset || wanted.mask) {
    columns = contiguous(matmul(transpose(call.weight_matrices(), 2, 3), grad));
    differentiate(call, block, columns, wanted);
  } else {
    columns = new_columns(call, block);
    sample(call, block, columns);
  }
  if (wanted.weight) wanted.weight = plus(*wanted.weight, sum_over(matmul(grad, transpose(columns, 2, 3)), {0}));
}

using Gradients = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;

// A gradient that is not wanted is an empty tensor.
Gradients backward(const Tensor& grad, const Tensor& input, const Tensor& offset, const MaybeTensor& mask,
                   const Tensor& weight, const std::vector<int64_t>& stride, const std::vector<int64_t>& padding,
                   const std::vector<int64_t>& dilation, int64_t groups, int64_t offset_groups,
                   const std::vector<bool>& output_mask, bool deterministic, bool /*allow_tf32: matmul asks PyTorch*/) {
  const Geometry g = check_arguments(input, offset, mask, weight, std::nullopt,
                                     {stride, padding, dilation, groups, offset_groups});
  check_gradient(grad, input, g);
  const std::vector<bool> is_wanted = check_wanted(output_mask, mask);
  const torch::stable::accelerator::DeviceGuard guard(input.get_device_index());
  const auto nothing = [](const Tensor& like) { return new_empty(like, {0}); };
  if (g.batch == 0) {
    const auto zeros = [&](Gradient which, const Tensor& like) {
      return is_wanted[which] ? new_zeros(like, like.sizes()) : nothing(like);
    };
    return Gradients(zeros(kInput, input), zeros(kOffset, offset), zeros(kMask, mask ? *mask : offset),
                     zeros(kWeight, weight), is_wanted[kBias] ? new_zeros(weight, {g.filters}) : nothing(weight));
  }
  const Call call(g, input, offset, mask, weight);
  const Tensor gradients = contiguous(grad);
  const Tensor by_group = view(gradients, {g.batch, g.groups, g.filters / g.groups, call.pixels()});
  Wanted wanted;
  if (is_wanted[kInput]) wanted.input.emplace(call, gradients, deterministic);
  if (is_wanted[kOffset]) wanted.offset = new_empty(call.offset, call.offset.sizes());
  if (is_wanted[kMask]) wanted.mask = new_empty(*call.mask, call.mask->sizes());
  if (is_wanted[kWeight]) {
    wanted.weight = new_zeros(weight, {g.groups, g.filters / g.groups, call.depth() / g.groups}, accumulator_of(input));
  }
  if (wanted.input || wanted.offset || wanted.mask || wanted.weight) {
    for_blocks(call, [&](const Block& block) { backward_block(call, block, by_group, wanted); });
  }
  const Tensor grad_weight =
      wanted.weight ? view(to(*wanted.weight, weight.scalar_type()), weight.sizes()) : nothing(weight);
  return Gradients(wanted.input ? wanted.input->finish(call) : nothing(input), wanted.offset.value_or(nothing(offset)),
                   wanted.mask.value_or(nothing(mask ? *mask : offset)), grad_weight,
                   is_wanted[kBias] ? sum_over(gradients, {0, 2, 3}) : nothing(weight));
}

}  // namespace
}  // namespace powerqe

STABLE_TORCH_LIBRARY_IMPL(powerqe, CUDA, library) {
  library.impl("deform_conv2d", TORCH_BOX(&powerqe::forward));
  library.impl("deform_conv2d_backward", TORCH_BOX(&powerqe::backward));
}
