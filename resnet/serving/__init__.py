"""Score images with a registered version, and look whether they are what it knows."""
