"""Predictions with a known number of correct images."""

from tests.support.registry import chosen, predictions  # noqa: F401
