"""What all tests share: an environment without the user's own servers, folders and deafness."""

import os
import signal

# The tests make their own.
THE_USERS = ("PREFECT_", "MLFLOW_", "RESNET_", "DVC_", "KERAS_", "MPLCONFIGDIR")

for name in [name for name in os.environ if name.startswith(THE_USERS)]:
    del os.environ[name]

os.environ["KERAS_HOME"] = os.devnull  # Keras reads no settings there, and leaves none

# A shell starts its background jobs deaf to Ctrl-C, and all that they start inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=40, help="how many trainings `make soak` ends")
    parser.addoption("--seed", type=int, default=0, help="decides which and when")
