"""Everything that talks to MLflow. The only importer of mlflow, which this prepares."""

import os

# MLflow starts its telemetry when it is imported, which a flow does before it enters the checkout,
# and with it `project.environment`. Every module that imports MLflow lies in this room.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
