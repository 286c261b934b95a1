"""A Keras model as an artifact: its backend, its file, its forward pass."""
