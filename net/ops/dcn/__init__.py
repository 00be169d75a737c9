"""Deformable convolution, versions 1 and 2, with torchvision's signature.

Dai et al., "Deformable Convolutional Networks", ICCV 2017; Zhu et al., "Deformable ConvNets v2: More Deformable,
Better Results", CVPR 2019. Three back-ends compute the same: our compiled operator, torchvision's, and plain
PyTorch (see backends.py for how one is chosen, build.sh for how ours is built).
"""

from powerqe.net.ops.dcn.backends import force_backend, forced_backend, status
from powerqe.net.ops.dcn.modules import DeformConv2d, ModulatedDeformConv2d, ModulatedDeformConv2dPack, deform_conv2d

__all__ = [
    "DeformConv2d",
    "ModulatedDeformConv2d",
    "ModulatedDeformConv2dPack",
    "deform_conv2d",
    "force_backend",
    "forced_backend",
    "status",
]
