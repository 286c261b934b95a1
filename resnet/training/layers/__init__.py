"""Layers that train faster: the same weights, names and outputs as Keras's own."""
