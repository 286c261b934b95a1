"""Predictions with a known number of images right."""

from tests.support.registry import chosen, predictions  # noqa: F401
