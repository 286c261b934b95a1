"""Rows about all that surrounds the training loop: start-up, memory, `make run`, a rollback.

The pipeline runs in new clones of HEAD and of commit f50bffb, with a short training whose loop is
subtracted. `python -m benchmarks.pipeline` prints where the other seconds go.
"""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import builds, commands
from benchmarks.commands import Cost
from benchmarks.table import Measurement, Setting
from resnet import params
from resnet.checkout import project
from resnet.training.loop import plan

STEPS = 10  # of a training whose loop is subtracted
LONG = 100  # of one whose speed and memory are reported
ROUNDS = 2  # of a run that trains, in each build in turn
IDLE_ROUNDS = 3  # of a run that has nothing to do


def against_today(setting: Setting) -> Iterator[Measurement]:
    """`resnet run` with one step more, without its loop; `resnet run` with nothing to do."""
    commands.require_no_server()
    with builds.clone() as ours, builds.clone(builds.TODAY) as theirs:
        roots = (ours, theirs)
        for root in roots:
            _run(root, STEPS)
        changed = [[_run(root, STEPS + n) for root in roots] for n in range(1, 1 + ROUNDS)]
        yield _least(changed)
        idle = [
            [commands.resnet(root, "run").wall for root in roots] for _ in range(1 + IDLE_ROUNDS)
        ]
        yield _least(idle[1:])


def surroundings(setting: Setting) -> Iterator[Measurement]:
    """A second run and a rollback in seconds; a training's time and memory."""
    commands.require_no_server()
    with builds.clone() as root:
        _run(root, LONG)
        outside = _run(root, LONG + 1)
        yield Measurement("s", outside, None, outside)
        # To the version of the first run, which is loaded and tested before the alias moves.
        rollback = commands.resnet(root, "rollback", "--reason", "a benchmark").wall
        yield Measurement("s", rollback, None, rollback)
        cost = _train(root)
        record = commands.training(root)
    loop = _quick_images() / record["images_per_second"]
    yield Measurement.ratio("s", loop + cost.wall - record["seconds"], loop)
    gib = cost.peak / 2**30
    yield Measurement("GiB", gib, None, gib)


def main() -> None:
    """Print the seconds of each part of a second run."""
    commands.require_no_server()
    with builds.clone() as root:
        _run(root, STEPS)
        commands.set_steps(root, STEPS + 1)
        cost = commands.resnet(root, "run")
        loop, tasks = commands.training(root)["seconds"], _tasks(root)
    parts = [("server, imports", tasks[0][1] - cost.started)]
    parts += [(name, end - start) for name, start, end in tasks]
    parts += [("end", cost.started + cost.wall - tasks[-1][2]), ("all", cost.wall)]
    parts += [("the loop, in train", loop), ("all but the loop", cost.wall - loop)]
    print("| part | seconds |\n|---|---|")
    for name, seconds in parts:
        print(f"| {name} | {seconds:.1f} |")


def _run(root: Path, steps: int) -> float:
    """The seconds of `resnet run` with that many steps, without those of the loop."""
    commands.set_steps(root, steps)
    return commands.resnet(root, "run").wall - float(commands.training(root)["seconds"])


def _train(root: Path) -> Cost:
    """The cost of `resnet train`, shown in MLflow as in the flow."""
    from resnet.registry import store  # it imports MLflow

    return commands.resnet(root, "train", MLFLOW_TRACKING_URI=store.prepare_local(root))


def _least(rounds: list[list[float]]) -> Measurement:
    """The least seconds of each build, ours first."""
    ours, theirs = map(min, zip(*rounds, strict=True))
    return Measurement.ratio("s", ours, theirs, f"best of {len(rounds)} rounds")


def _tasks(root: Path) -> list[tuple[str, float, float]]:
    """The tasks of the newest flow run in order: name, start and end in seconds since the epoch."""
    database = sqlite3.connect(root / project.STATE / "prefect" / "prefect.db")
    rows = database.execute(
        "SELECT name, start_time, end_time FROM task_run WHERE flow_run_id ="
        " (SELECT id FROM flow_run ORDER BY created DESC LIMIT 1) ORDER BY start_time"
    ).fetchall()
    database.close()
    return [(name.rpartition("-")[0], _seconds(start), _seconds(end)) for name, start, end in rows]


def _seconds(time: str) -> float:
    """Prefect's times are UTC without a time zone."""
    return datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()


def _quick_images() -> int:
    """The training images that the quick preset's loop sees, counted each time."""
    root = project.find_root()
    parameters = params.load(root)
    validation, recipe = parameters.data.validation, parameters.train
    return plan(recipe, 50_000 - validation, validation).steps * recipe.batch


if __name__ == "__main__":
    main()
