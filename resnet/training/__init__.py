"""Train a network: step engines, schedules, augmentation."""
