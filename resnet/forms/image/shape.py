"""The shape of an image, in one place: 32 × 32 pixels, red, green, blue, a byte each."""

SIDE = 32
CHANNELS = 3
IMAGE = (SIDE, SIDE, CHANNELS)
