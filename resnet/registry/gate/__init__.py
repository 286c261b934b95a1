"""Whether a version is good enough for production: facts in, a verdict out."""
