"""Residual networks: layers, blocks, families."""
