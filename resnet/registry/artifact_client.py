"""MLflow's client, which reads a run's artifacts quickly, and writes none into another checkout's.

Importing this opens nothing.
"""

from functools import cached_property
from pathlib import Path

from resnet.registry import artifact_home, sqlite_file

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository


class ArtifactClient(MlflowClient):
    """A client of the store at an address.

    `state` is the checkout's folder for what is known of the store outside of it. Only the
    checkout's own store has to keep its artifacts beside it: whoever names another one may have put
    them anywhere.
    """

    def __init__(self, uri: str, state: Path) -> None:
        super().__init__(tracking_uri=uri, registry_uri=uri)
        self.state = state
        database = sqlite_file.path_of(uri)
        own = sqlite_file.in_state(state)
        self._home = sqlite_file.artifacts(own) if database == own else None

    def fetch_artifact(self, run_id: str, path: str, into: Path) -> Path:
        """Download a run's artifact into the folder `into`. Returns the copy's path.

        `download_artifacts` would look for logged models at `path` too, which takes twice as long
        with a SQLite file. Raises MlflowException if there is no such artifact.
        """
        location = self._location(run_id)
        try:
            repository = get_artifact_repository(location, self.tracking_uri)
            return Path(repository.download_artifacts(path, str(into)))
        except Exception as error:  # each kind of artifact store raises its own
            self.get_run(run_id)  # raises UnreachableError if the whole store went away
            raise MlflowException(f"{error}", error_code=RESOURCE_DOES_NOT_EXIST) from error

    def log_artifact(self, run_id: str, local_path: str, artifact_path: str | None = None) -> None:
        """As MLflow's, which others call; raises PipelineError as `require_inside` does."""
        self.require_inside(self._location(run_id))
        super().log_artifact(run_id, local_path, artifact_path)

    def log_artifacts(self, run_id: str, local_dir: str, artifact_path: str | None = None) -> None:
        """Likewise, for a folder."""
        self.require_inside(self._location(run_id))
        super().log_artifacts(run_id, local_dir, artifact_path)

    def delete_artifact(self, run_id: str, path: str) -> None:
        """Delete a run's artifact, a file or a folder; raises PipelineError likewise.

        Raises MlflowException where the store refuses it: MLflow's basic auth asks for MANAGE,
        while EDIT is enough to log one.
        """
        location = self._location(run_id)
        self.require_inside(location)
        try:
            get_artifact_repository(location, self.tracking_uri).delete_artifacts(path)
        except Exception as error:  # each kind of artifact store raises its own
            self.get_run(run_id)  # raises UnreachableError if the whole store went away
            raise MlflowException(f"{error}", error_code=PERMISSION_DENIED) from error

    def require_inside(self, location: str) -> None:
        """Raise PipelineError if the checkout's own store names a location outside of its folder.

        What is written there would go into another checkout's artifacts, or make a folder anew.
        """
        if self._home:
            artifact_home.require_inside(location, self._home)

    def require_artifacts(self, run_id: str) -> None:
        """Raise PipelineError if the run's artifacts are elsewhere, as above, or are gone."""
        location = self._location(run_id)
        self.require_inside(location)
        artifact_home.require_present(location)

    def _location(self, run_id: str) -> str:
        location = self._locations.get(run_id)
        if location is None:
            location = self._locations[run_id] = str(self.get_run(run_id).info.artifact_uri)
        return location

    @cached_property
    def _locations(self) -> dict[str, str]:
        """The artifact folder of each run, by its id; it never changes."""
        return {}
