"""A recording: its samples, its files, its statistics, how it is varied, transformed and shown."""
