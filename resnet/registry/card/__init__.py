"""The model card: what the registry holds of a version, as one page."""
