// The CPU kernels as the operators see them: plain functions on plain pointers, behind a table, so that
// cpu_kernels.cpp can be compiled several times for different instruction sets and one be chosen at run time.
#pragma once

#include "geometry.h"

namespace powerqe {

// All arrays are contiguous in the layouts of PyTorch's deformable convolution. `Accumulator` in the comments is
// double where `type` is float64, else float.
struct ForwardCall {
  Geometry shape;
  Type type;         // of input and output
  Type offset_type;  // `type` or float32
  Type mask_type;    // `type` or float32
  const void* input;
  const void* offset;
  const void* mask;    // may be null
  const void* weight;  // Accumulator, as arrange_weight() has put it
  const void* bias;    // Accumulator (filters), may be null
  void* output;
};

// A gradient that is null is not wanted.
struct BackwardCall {
  Geometry shape;
  Type type;  // of grad_output and input
  Type offset_type, mask_type;
  const void* grad_output;
  const void* input;
  const void* offset;
  const void* mask;    // may be null
  const void* weight;  // Accumulator, as arrange_weight() has put it
  void* grad_input;    // Accumulator, holds zeros
  void* grad_offset;   // offset_type
  void* grad_mask;     // mask_type
  bool wants_weight;   // grad_weight comes when the plan is known
  void* grad_weight;   // Accumulator (slots, filters, channels / groups, kernel_h, kernel_w), holds zeros
};

// How a call is cut into units of work. It depends on the shapes only, never on the number of threads: every unit
// writes what no other unit writes and goes through its part in a fixed order, so the results do not depend on the
// number of threads either.
struct Plan {
  bool has_windows;                         // eight channels at a time, see window.h
  int64_t tile, tile_rows, tile_columns;    // output pixels at a time; `tile` is a little more than rows * columns
  int64_t slab;                             // without windows: input channels at a time
  int64_t runs, bands;                      // backward: parts of the batch, and of the tiles of an image
  int64_t strips;                           // backward: parts of the channels of an offset group
  int64_t slots;                            // backward: runs * bands, each with its buffer of weight gradients
  int64_t units;                            // forward: (image, tile); backward: (run, band, offset group, strip)
  int64_t weights;                          // numbers that arrange_weight() writes
  int64_t scratch;                          // bytes that one unit at a time needs, 64-byte aligned
};

struct CpuKernels {
  const char* name;
  // From Accumulator (filters, channels / groups, kernel_h, kernel_w) to the order that the kernels want.
  void (*arrange_weight)(const Geometry&, Type, const Plan&, bool is_forward, const void* from, void* to);
  Plan (*plan_forward)(const ForwardCall&);
  void (*forward)(const ForwardCall&, const Plan&, int64_t first_unit, int64_t last_unit, void* scratch);
  // If the gradient of the input is wanted alone, or not at all, a call can be cut into more units.
  Plan (*plan_backward)(const BackwardCall&);
  void (*backward)(const BackwardCall&, const Plan&, int64_t first_unit, int64_t last_unit, void* scratch);
  // grad_bias (Accumulator) of output channels first..last
  void (*bias_gradient)(const BackwardCall&, int64_t first, int64_t last, void* grad_bias);
};

// One line for each time that cpu_kernels.cpp is compiled (see build.py).
extern const CpuKernels cpu_kernels_baseline;
#if defined(__x86_64__)
extern const CpuKernels cpu_kernels_avx2, cpu_kernels_avx512;
#endif

}  // namespace powerqe
