"""Score images with a model or a registered version."""
