"""Compress images with BPG (4:2:0, libbpg); the decoded images are saved as PNG files."""

from powerqe.arguments.image_codec import ImageCodec

CODEC = ImageCodec("BPG", "qp", 0, 51, (("folder", "folder of the programs bpgenc and bpgdec"),))
EXAMPLES = CODEC.examples
add_arguments, run = CODEC.add_arguments, CODEC.run
