"""Score a published model: metrics, curves, pictures."""
