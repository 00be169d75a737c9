"""Compress images with lossy WebP; the decoded images are saved as PNG files."""

from powerqe.arguments.image_codec import ImageCodec

CODEC = ImageCodec("WebP", "qf", 0, 100)
EXAMPLES = CODEC.examples
add_arguments, run = CODEC.add_arguments, CODEC.run
