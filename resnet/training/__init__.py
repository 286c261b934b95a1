"""Train a network: the loop, its schedule, its checkpoints."""
