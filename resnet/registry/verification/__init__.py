"""Rebuild a version from what the registry says of it, and check each claim."""
