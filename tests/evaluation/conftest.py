"""Predictions with a known number of correct images."""

from tests.support.registry import parameters, predictions  # noqa: F401
