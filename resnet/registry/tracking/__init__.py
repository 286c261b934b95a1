"""Outputs of the stages → a run and a version in MLflow."""
