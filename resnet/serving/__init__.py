"""Score images with a registered version."""
