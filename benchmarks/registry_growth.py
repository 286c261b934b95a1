"""Rows about the registry's growth: CPU seconds with many versions and events against few.

    python -m benchmarks.registry_growth       # the seconds of each work, as JSON

The process that is measured makes both stores (see registry_store.py) and does each work with them
in turn. Every round finds a store as it was, with all that a checkout has kept of its ledger. The
check before an alias moves compares the model's bytes and loads no TensorFlow, which would take
longer than all else and hide what grows.
"""

import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import builds
from benchmarks.rounds import Round, best_in_turn
from benchmarks.table import Measurement, Setting

if TYPE_CHECKING:
    from benchmarks.registry_store import GrownStore

FEW, MANY = 10, 1_000
WORKS = {
    "promote": "ask the gate about a version and promote it",
    "rollback": "roll back",
    "history": "`history`",
    "look-up": "look up whether a model is registered and decided",
    "prune": "`prune`: what the kept versions need, per version",
}


def measure(setting: Setting) -> Iterator[Measurement]:
    """The CPU seconds of each of WORKS, in a process of its own."""
    process = subprocess.run(
        builds.python("-m", "benchmarks.registry_growth"),
        cwd=setting.root,
        env={**builds.environment(setting.root), "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"},
        stdout=subprocess.PIPE,
        check=True,
    )
    seconds = json.loads(process.stdout)
    for work in WORKS:
        yield Measurement.ratio("s CPU", seconds[work]["many"], seconds[work]["few"])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        json.dump(seconds(Path(folder), FEW, MANY), sys.stdout)


def seconds(folder: Path, few: int, many: int) -> dict[str, dict[str, float]]:
    """The CPU seconds of each of WORKS with a store of `few` and one of `many`; best rounds."""
    from benchmarks import registry_store
    from resnet import cli

    gc.set_threshold(cli.GC_THRESHOLD)  # as in every command
    stores = {
        name: registry_store.grow(folder / name, count)
        for name, count in (("few", few), ("many", many))
    }
    measured = {}
    for name, work in _works().items():
        speeds = best_in_turn({size: _round(work, grown) for size, grown in stores.items()})
        measured[name] = {size: 1 / speed for size, speed in speeds.items()}
    measured["prune"] = {
        size: spent / stores[size].count for size, spent in measured["prune"].items()
    }
    return measured


def _round(work: "Callable[[GrownStore], None]", grown: "GrownStore") -> Round:
    def one_round() -> float:
        with grown.unchanged():
            started = time.process_time()
            work(grown)
            return 1 / (time.process_time() - started)

    return one_round


def _works() -> "Mapping[str, Callable[[GrownStore], None]]":
    """What a command or a flow calls, with its checks."""
    from benchmarks import registry_store
    from benchmarks.registry_store import NAME
    from resnet import params
    from resnet.cli.command import LAST
    from resnet.export.report import PortableReport
    from resnet.registry import store, unreferenced
    from resnet.registry.gate import gate
    from resnet.registry.promotion import history, promotion, status
    from resnet.registry.promotion.smoke_test import require_intact
    from resnet.registry.tracking.outputs import StageReports

    parameters = params.load(Path(__file__).parents[1])
    no_forms = PortableReport(model_sha256="", cpu="", versions={}, forms=())

    def promote(grown: "GrownStore") -> None:
        verdict = gate.judge(grown.root, NAME, grown.count - 1, parameters.gate)
        decision = promotion.promote(grown.root, verdict, reason="a round", check=require_intact)
        assert decision.promoted, decision

    def rollback(grown: "GrownStore") -> None:
        event = promotion.rollback(grown.root, NAME, reason="a round", check=require_intact)
        assert event.version_to == grown.count - 1, event

    def show_history(grown: "GrownStore") -> None:
        events, problems = history.read(grown.root, NAME)
        assert (len(events), problems) == (grown.count, [])
        history.as_table(events, datetime.now(UTC), LAST)

    def look_up(grown: "GrownStore") -> None:
        model_hash = registry_store.model_hash(grown.count - 1)
        evaluation = replace(registry_store.evaluation(), model_hash=model_hash)
        reports = StageReports(parameters.paths, {}, evaluation, no_forms, portable_hash="")
        found = status.look_up(store.client(grown.root), parameters, reports)
        assert found.version is not None
        assert found.version.number == grown.count - 1, found

    def prune(grown: "GrownStore") -> None:
        client = store.client(grown.root)
        found = unreferenced.find(client, NAME, datetime.now(UTC), ())
        assert len(found.remaining) == grown.count, found
        with tempfile.TemporaryDirectory() as folder:
            assert unreferenced.needed(client, found, Path(folder))

    works = promote, rollback, show_history, look_up, prune
    return dict(zip(WORKS, works, strict=True))


if __name__ == "__main__":
    main()
