"""The working tree: git, DVC and its stages, and what a model was made from."""
