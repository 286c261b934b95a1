"""What Prefect's worker is started with; a real one is started and stopped in test_health.py."""

import sys
from pathlib import Path

import pytest

from flows import worker
from resnet.errors import PipelineError
from tests.support import REPOSITORY


@pytest.mark.parametrize(
    ("wanted", "cores", "gib", "limit"),
    [("auto", 16, 24, 12), ("auto", 4, 64, 4), ("auto", 1, 1, 2), (7, 1, 1, 7)],
)
def test_a_worker_executes_as_many_runs_as_fit_the_machine_or_as_the_parameter_says(
    wanted: int | str, cores: int, gib: int, limit: int
) -> None:
    assert worker.runs_at_a_time(wanted, cores, gib * worker.GIB) == limit


def test_the_memory_of_a_container_or_a_service_is_what_its_groups_limit_it_to(
    tmp_path: Path,
) -> None:
    groups, own = tmp_path / "cgroup", tmp_path / "self"
    assert worker.memory_limit(groups, own) == sys.maxsize
    service = groups / "system.slice" / "worker.service"
    service.mkdir(parents=True)
    own.write_text("1:cpu:/\n0::/system.slice/worker.service\n")
    (service / "memory.max").write_text("max\n")
    assert worker.memory_limit(groups, own) == sys.maxsize
    (service.parent / "memory.max").write_text(f"{3 * worker.GIB}\n")
    assert worker.memory_limit(groups, own) == 3 * worker.GIB
    (groups / "memory").mkdir()
    (groups / "memory" / "memory.limit_in_bytes").write_text(f"{2 * worker.GIB}\n")
    assert worker.memory_limit(groups, own) == 2 * worker.GIB


def test_a_worker_serves_the_one_pool_of_prefect_yaml(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RESNET_POOL_TYPE", "docker")
    words = ["worker", "start", "--pool", "resnet", "--type", "docker", "--limit", "3"]
    assert worker.command(REPOSITORY, 3)[3:] == words
    text = (REPOSITORY / "prefect.yaml").read_text()
    (tmp_path / "prefect.yaml").write_text(text.replace("name: resnet\n", "name: gpu\n", 1))
    with pytest.raises(PipelineError, match="names the work pools resnet, gpu, and a worker"):
        worker.command(tmp_path, 3)
