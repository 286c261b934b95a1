"""Links to MLflow's pages, each in the view in which trainings and registered models are seen.

MLflow's own default is the view for language models, in which they seem not to be there.
"""

from functools import partial
from pathlib import Path
from urllib.parse import quote

from resnet.messages.redaction import redact
from resnet.registry import store
from resnet.registry.store import Client
from resnet.system import addresses

from mlflow.entities import Experiment
from mlflow.store.entities import PagedList

VIEW = "?workflowType=machine_learning"


def link(root: Path, path: str = "experiments") -> str:
    """The address of one of MLflow's pages, such as `experiments/1/runs`; by default the first."""
    return f"{_server(root)}/#/{path}{VIEW}"


def how_to_open(root: Path) -> str:
    """What to do before a link opens, in words; empty if its server answers, or is the user's."""
    own = addresses.own_mlflow()
    return "" if _server(root) != own or addresses.answers(own) else "'make ui' starts the pages"


def annotated(text: str, how_to_open: str) -> str:
    """`TEXT (how to open it)`; the text alone where nothing has to be done."""
    return f"{text} ({how_to_open})" if how_to_open else text


def overview(root: Path, client: Client) -> list[str]:
    """A line with a link for each experiment and each registered model of this project's."""
    ids = {
        str(experiment.name): experiment.experiment_id
        for experiment in store.pages(partial(_experiments, client))
        if store.NOTE in experiment.tags  # MLflow's own has none
    }
    models = [name for name in ids if store.existing(partial(client.get_registered_model, name))]
    return [
        *(
            f"experiment {name}: {link(root, f'experiments/{ids[name]}/runs')}"
            for name in sorted(ids)
        ),
        *(f"model {name}: {link(root, f'models/{quote(name)}')}" for name in sorted(models)),
    ]


def _experiments(client: Client, token: str | None) -> PagedList[Experiment]:
    return client.search_experiments(page_token=token)


def _server(root: Path) -> str:
    """The address of MLflow's server: the user's, or the one that `make ui` starts."""
    uri = store.tracking_uri(root)
    return redact(uri).rstrip("/") if uri.startswith("http") else addresses.own_mlflow()
