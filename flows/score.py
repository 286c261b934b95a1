"""Score images with the model in production."""

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.tasks import enter_checkout, run_command, step
from resnet import params


@flow(name="score")
def score(
    source: Path, out: Path, version: int | str = "production", model: str | None = None
) -> State[None]:
    """Classify the images in a folder or a parquet file; predictions go to a parquet file.

    The batch is recorded in the registry, where `monitor` finds it.

    Args:
        source: a folder of images, or a parquet file with a column `image`.
        out: the parquet file to write; relative paths are relative to the checkout.
        version: a number or an alias.
        model: the registered model; params.yaml's where nothing is given.
    """
    root = enter_checkout()
    name = model or params.load(root).model_name
    words = ["predict", str(source), "--out", str(out), "--version", str(version), "--model", name]
    words += ["--flow-run", str(flow_run.id)]
    lines = step(run_command, "predict")(words, root)
    return Completed(message="\n".join(lines))
