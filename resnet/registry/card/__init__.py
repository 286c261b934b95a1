"""The model card: what the registry says of a version, as one page."""
