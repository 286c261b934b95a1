"""What all tests share: an environment without the user's own servers and folders."""

import os

# The tests make their own.
THE_USERS = ("PREFECT_", "MLFLOW_", "RESNET_", "DVC_", "MPLCONFIGDIR")

for name in [name for name in os.environ if name.startswith(THE_USERS)]:
    del os.environ[name]
