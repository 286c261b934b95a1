"""Everything that talks to MLflow. The only importer of mlflow, which `store` prepares."""
