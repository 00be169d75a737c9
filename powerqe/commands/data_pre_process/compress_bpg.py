"""Compress images with BPG (4:2:0), by the programs of libbpg; the decoded images are saved as PNG files."""

from powerqe.arguments.image_codec import ImageCodec

CODEC = ImageCodec("BPG", "qp", 0, 51, (("folder", "folder of the programs bpgenc and bpgdec (libbpg)"),))
EXAMPLES = CODEC.examples
add_arguments, run = CODEC.add_arguments, CODEC.run
