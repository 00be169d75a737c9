// The operators' schemas and their implementation on the CPU, in the stable ABI of libtorch: one library works with
// every PyTorch from TORCH_TARGET_VERSION (build.py) on.

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "arguments.h"
#include "cpu_kernels.h"

namespace powerqe {
namespace {

const CpuKernels& kernels() { return cpu_kernels_baseline; }

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Scratch = std::unique_ptr<void, Free>;

// `body(first, last, scratch)` for all units, on PyTorch's threads.
template <class Body>
void for_units(const Plan& plan, const Body& body) {
  // An exception must not leave a thread of the pool.
  bool has_memory = true;
  torch::stable::parallel_for(0, plan.units, 1, [&](int64_t first, int64_t last) {
    const Scratch scratch(std::aligned_alloc(64, static_cast<size_t>(plan.scratch + 63) / 64 * 64));
    if (scratch) {
      body(first, last, scratch.get());
    } else {
      __atomic_store_n(&has_memory, false, __ATOMIC_RELAXED);
    }
  });
  STD_TORCH_CHECK(has_memory, "deform_conv2d: no memory for ", plan.scratch, " bytes of scratch");
}

Tensor accumulating(const Tensor& tensor) {
  return torch::stable::contiguous(torch::stable::to(tensor, accumulator_of(tensor)));
}

const void* pointer(const std::optional<Tensor>& tensor) { return tensor ? tensor->const_data_ptr() : nullptr; }

std::optional<Tensor> contiguous(const std::optional<Tensor>& tensor) {
  return tensor ? std::make_optional(torch::stable::contiguous(*tensor)) : std::nullopt;
}

// ------------------------------------------------------------------------------------------------ forward

Tensor forward(const Tensor& input, const Tensor& offset, const std::optional<Tensor>& mask, const Tensor& weight,
               const std::optional<Tensor>& bias, const std::vector<int64_t>& stride,
               const std::vector<int64_t>& padding, const std::vector<int64_t>& dilation, int64_t groups,
               int64_t offset_groups, bool /*allow_tf32*/) {
  const Geometry g =
      check_arguments(input, offset, mask, weight, bias, {stride, padding, dilation, groups, offset_groups});
  const Tensor output = torch::stable::new_empty(input, {g.batch, g.filters, g.out_h, g.out_w});

  const Tensor x = torch::stable::contiguous(input), offsets = torch::stable::contiguous(offset);
  const std::optional<Tensor> masks = contiguous(mask);
  const Tensor weights = accumulating(weight);
  const std::optional<Tensor> biases = bias ? std::make_optional(accumulating(*bias)) : std::nullopt;
  ForwardCall call{};
  call.shape = g;
  call.type = type_of(input, "input");
  call.offset_type = type_of(offset, "offset");
  call.mask_type = mask ? type_of(*mask, "mask") : call.offset_type;
  call.input = x.const_data_ptr();
  call.offset = offsets.const_data_ptr();
  call.mask = pointer(masks);
  call.weight = weights.const_data_ptr();
  call.bias = pointer(biases);
  call.output = output.mutable_data_ptr();

  const CpuKernels& cpu = kernels();
  const Plan plan = cpu.plan_forward(call);
  for_units(plan, [&](int64_t first, int64_t last, void* scratch) { cpu.forward(call, plan, first, last, scratch); });
  return output;
}

// ------------------------------------------------------------------------------------------------ backward

// (filters, channels / groups, kernel_h, kernel_w) -> (groups, channels / groups, kernel_h, kernel_w, filters / groups)
template <class A>
void order_by_tap(const Geometry& g, const Tensor& weight, const Tensor& by_tap) {
  const int64_t depth = g.channels / g.groups * g.kernel_h * g.kernel_w, in_group = g.filters / g.groups;
  const A* const from = static_cast<const A*>(weight.const_data_ptr());
  A* const to = static_cast<A*>(by_tap.mutable_data_ptr());
  for (int64_t o = 0; o < g.filters; ++o) {
    A* const column = to + o / in_group * depth * in_group + o % in_group;
    for (int64_t k = 0; k < depth; ++k) column[k * in_group] = from[o * depth + k];
  }
}

Tensor weight_by_tap(const Geometry& g, const Tensor& weight) {
  const Tensor ordered = accumulating(weight);
  const Tensor by_tap = torch::stable::new_empty(ordered, {ordered.numel()});
  if (ordered.scalar_type() == ScalarType::Double) {
    order_by_tap<double>(g, ordered, by_tap);
  } else {
    order_by_tap<float>(g, ordered, by_tap);
  }
  return by_tap;
}

// Adds the slots in their order.
template <class A>
void add_slots(const Tensor& slots, const Tensor& sum) {
  const A* const from = static_cast<const A*>(slots.const_data_ptr());
  A* const to = static_cast<A*>(sum.mutable_data_ptr());
  const int64_t count = sum.numel();
  for (int64_t start = 0; start < slots.numel(); start += count) {
    for (int64_t i = 0; i < count; ++i) to[i] += from[start + i];
  }
}

Tensor sum_of_slots(const Tensor& slots, const Tensor& weight) {
  const Tensor sum = torch::stable::new_zeros(weight, weight.sizes(), slots.scalar_type());
  if (slots.scalar_type() == ScalarType::Double) {
    add_slots<double>(slots, sum);
  } else {
    add_slots<float>(slots, sum);
  }
  return torch::stable::to(sum, weight.scalar_type());
}

using Gradients = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;

// A gradient that is not wanted is an empty tensor.
Gradients backward(const Tensor& grad, const Tensor& input, const Tensor& offset, const std::optional<Tensor>& mask,
                   const Tensor& weight, const std::vector<int64_t>& stride, const std::vector<int64_t>& padding,
                   const std::vector<int64_t>& dilation, int64_t groups, int64_t offset_groups,
                   const std::vector<bool>& output_mask, bool /*deterministic: always*/, bool /*allow_tf32*/) {
  const Geometry g = check_arguments(input, offset, mask, weight, std::nullopt,
                                     {stride, padding, dilation, groups, offset_groups});
  check_gradient(grad, input, g);
  const std::vector<bool> wanted = check_wanted(output_mask, mask);
  const ScalarType accumulator = accumulator_of(input);
  const auto gradient = [&](Gradient which, const Tensor& of, ScalarType type) {
    return wanted[which] ? torch::stable::new_zeros(of, of.sizes(), type) : torch::stable::new_empty(of, {0});
  };
  Tensor grad_input = gradient(kInput, input, accumulator), grad_offset = gradient(kOffset, offset, offset.scalar_type());
  Tensor grad_mask = gradient(kMask, mask ? *mask : offset, mask ? mask->scalar_type() : offset.scalar_type());
  Tensor grad_weight = gradient(kWeight, weight, weight.scalar_type());
  Tensor grad_bias = wanted[kBias] ? torch::stable::new_zeros(weight, {g.filters}, accumulator)
                                   : torch::stable::new_empty(weight, {0});
  const auto finish = [&] {
    const ScalarType type = input.scalar_type();
    return Gradients(torch::stable::to(grad_input, type), grad_offset, grad_mask, grad_weight,
                     torch::stable::to(grad_bias, type));
  };

  const Tensor gradients = torch::stable::contiguous(grad), x = torch::stable::contiguous(input);
  const Tensor offsets = torch::stable::contiguous(offset), weights = weight_by_tap(g, weight);
  const std::optional<Tensor> masks = contiguous(mask);
  BackwardCall call{};
  call.shape = g;
  call.type = type_of(input, "input");
  call.offset_type = type_of(offset, "offset");
  call.mask_type = mask ? type_of(*mask, "mask") : call.offset_type;
  call.grad_output = gradients.const_data_ptr();
  call.input = x.const_data_ptr();
  call.offset = offsets.const_data_ptr();
  call.mask = pointer(masks);
  call.weight_by_tap = weights.const_data_ptr();
  call.grad_input = wanted[kInput] ? grad_input.mutable_data_ptr() : nullptr;
  call.grad_offset = wanted[kOffset] ? grad_offset.mutable_data_ptr() : nullptr;
  call.grad_mask = wanted[kMask] ? grad_mask.mutable_data_ptr() : nullptr;

  const CpuKernels& cpu = kernels();
  if (wanted[kBias]) {
    torch::stable::parallel_for(0, g.filters, 1, [&](int64_t first, int64_t last) {
      cpu.bias_gradient(call, first, last, grad_bias.mutable_data_ptr());
    });
  }
  if (wanted[kInput] || wanted[kOffset] || wanted[kMask] || wanted[kWeight]) {
    const Plan plan = cpu.plan_backward(call);
    std::optional<Tensor> slots;
    if (wanted[kWeight]) {
      slots = torch::stable::new_zeros(weight, {plan.slots, weight.numel()}, accumulator);
      call.grad_weight = slots->mutable_data_ptr();
    }
    for_units(plan,
              [&](int64_t first, int64_t last, void* scratch) { cpu.backward(call, plan, first, last, scratch); });
    if (slots) grad_weight = sum_of_slots(*slots, weight);
  }
  return finish();
}

std::string cpu_kernels_name() { return kernels().name; }

}  // namespace
}  // namespace powerqe

STABLE_TORCH_LIBRARY(powerqe, library) {
  library.def(
      "deform_conv2d(Tensor input, Tensor offset, Tensor? mask, Tensor weight, Tensor? bias, SymInt[2] stride, "
      "SymInt[2] padding, SymInt[2] dilation, SymInt groups, SymInt offset_groups, bool allow_tf32) -> Tensor");
  library.def(
      "deform_conv2d_backward(Tensor grad, Tensor input, Tensor offset, Tensor? mask, Tensor weight, "
      "SymInt[2] stride, SymInt[2] padding, SymInt[2] dilation, SymInt groups, SymInt offset_groups, "
      "bool[5] output_mask, bool deterministic, bool allow_tf32) -> (Tensor, Tensor, Tensor, Tensor, Tensor)");
  library.def("deform_conv2d_cpu_kernels() -> str");
}

STABLE_TORCH_LIBRARY_IMPL(powerqe, CPU, library) {
  library.impl("deform_conv2d", TORCH_BOX(&powerqe::forward));
  library.impl("deform_conv2d_backward", TORCH_BOX(&powerqe::backward));
}

STABLE_TORCH_LIBRARY_IMPL(powerqe, CompositeExplicitAutograd, library) {
  library.impl("deform_conv2d_cpu_kernels", TORCH_BOX(&powerqe::cpu_kernels_name));
}
