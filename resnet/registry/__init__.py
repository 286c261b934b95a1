"""Files into MLflow runs and versions; aliases and promotion. The only importer of mlflow."""
