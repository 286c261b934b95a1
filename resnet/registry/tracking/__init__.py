"""What the stages made → a run and a version in MLflow."""
