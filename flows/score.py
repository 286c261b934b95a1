"""Score samples with the model in production."""

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.tasks import enter_checkout, plain_task, run_command
from resnet import params


def run_name() -> str:
    """`score night.parquet`"""
    source = Path(flow_run.parameters["source"])
    return f"score {source.name or source}"


@flow(name="score", flow_run_name=run_name)
def score(
    source: Path, out: Path, version: int | str = "production", model: str | None = None
) -> State[None]:
    """Classify the samples in a folder or a parquet file; predictions go to a parquet file.

    The batch is recorded in the registry, where `monitor` finds it.

    Args:
        source: a folder of samples, or a parquet file with a column of them, say `image`.
        out: the parquet file to write; relative paths are relative to the checkout.
        version: a number or an alias.
        model: the registered model; by default the one of params.yaml's data set.
    """
    root = enter_checkout()
    name = model or params.load(root).model_name
    command = ["predict", str(source), "--out", str(out), "--version", str(version)]
    command += ["--model", name, "--flow-run", str(flow_run.id)]
    lines = plain_task(run_command, "predict")(command, root)
    return Completed(message="\n".join(lines))
