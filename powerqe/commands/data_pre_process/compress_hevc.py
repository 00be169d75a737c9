"""Compress images with HEVC intra coding (x265, 4:2:0); the decoded images are saved as PNG files."""

from powerqe.arguments.image_codec import ImageCodec

CODEC = ImageCodec("HEVC", "qp", 0, 51)
EXAMPLES = CODEC.examples
add_arguments, run = CODEC.add_arguments, CODEC.run
