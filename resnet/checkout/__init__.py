"""The working tree: git, DVC and its stages, what a model was made from."""
