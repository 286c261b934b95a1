"""`resnet versions` and `resnet diff`, in a real SQLite store."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resnet import cli, params
from resnet.errors import PipelineError
from resnet.registry import store
from resnet.registry.gate import gate
from resnet.registry.ledger import ledger
from resnet.registry.overview import difference, listing
from resnet.registry.promotion import promotion
from tests.support import REPOSITORY, loaded

Record = Callable[..., int]
Check = Callable[..., None]
Enter = Callable[[Path], None]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_each_version_has_its_aliases_its_accuracy_and_what_differs_from_production(
    three: Path, enter: Enter, capsys: pytest.CaptureFixture[str]
) -> None:
    enter(three)
    assert cli.main(["versions", "--model", "three"]) == 0
    heading, *rows = (cells(line) for line in capsys.readouterr().out.splitlines())
    assert heading[-1] == "DIFFERS FROM VERSION 2 IN"
    assert [row[:3] + row[4:] for row in rows] == [
        ["1", "–", "80.00%", "train.seed 1 → 0"],
        ["2", "candidate, production", "82.00%", "–"],
        ["3", "–", "70.00%", "train.epochs 5 → 2; other data; other code"],
    ]
    assert all(row[3].startswith("20") for row in rows)


def test_as_json_lines_nothing_is_left_out(
    three: Path, enter: Enter, capsys: pytest.CaptureFixture[str]
) -> None:
    enter(three)
    assert cli.main(["versions", "--model", "three", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["version"], line["aliases"], line["accuracy"]) for line in lines] == [
        (1, [], 0.8),
        (2, ["candidate", "production"], 0.82),
        (3, [], 0.7),
    ]
    assert lines[2]["differences"] == ["train.epochs 5 → 2", "other data", "other code"]
    assert lines[2]["parameters"] == {"net.depth": "8", "train.seed": "1", "train.epochs": "2"}
    assert lines[2]["tags"]["cause"] == "night"


def test_without_production_each_is_compared_with_the_one_before_it(
    made_store: Path, record: Record
) -> None:
    for seed in ("0", "1", "1"):
        record("unpromoted", {"train.seed": seed}, correct=8000)
    heading, *rows = listing.as_table(made_store, "unpromoted").splitlines()
    assert heading.endswith("DIFFERS FROM THE ONE BEFORE IN")
    assert [cells(row)[-1] for row in rows] == ["–", "train.seed 0 → 1", "nothing that is recorded"]


def test_a_row_has_three_differences_and_says_how_many_more(
    made_store: Path, record: Record
) -> None:
    record("many", correct=8000)
    record("many", {f"a.{k}": "1" for k in range(5)}, correct=8000)
    last = listing.as_table(made_store, "many").splitlines()[-1]
    assert last.endswith("a.0 – → 1; a.1 – → 1; a.2 – → 1; and 2 more")


def test_versions_are_compared_by_the_precision_that_their_training_took(
    made_store: Path, record: Record
) -> None:
    """The first is of a release that knew no `auto`, and recorded no more than the parameter."""
    client = store.client(made_store)
    for asked, taken in (("float32", None), ("auto", "float32"), ("auto", "bfloat16")):
        number = record("taken", {"train.precision": asked}, correct=8000)
        if taken:
            run_id = client.get_model_version("taken", str(number)).run_id
            client.set_tag(run_id or "", "precision", taken)
    _, *rows_of = listing.as_table(made_store, "taken").splitlines()
    expected = ["–", "nothing that is recorded", "train.precision float32 → bfloat16"]
    assert [cells(row)[-1] for row in rows_of] == expected
    table = rows(difference.as_table(made_store, "taken", "2", "3"))
    assert table["train.precision"] == ["float32", "bfloat16"]
    assert "train.precision" not in rows(difference.as_table(made_store, "taken", "1", "2"))


def test_of_many_versions_the_last_and_production_are_read_and_no_others(
    made_store: Path, record: Record, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, count = "long", 7
    for seed in range(count):
        record(name, {"train.seed": f"{seed}"}, correct=8000)
    read: list[int] = []

    class CountingClient(store.Client):
        def search_runs(self, *args: Any, **kwargs: Any) -> Any:
            page = super().search_runs(*args, **kwargs)
            read.append(len(page))
            return page

        def search_model_versions(self, *args: Any, **kwargs: Any) -> Any:
            page = super().search_model_versions(*args, **kwargs)
            read.append(len(page))
            return page

    monkeypatch.setattr(store, "Client", CountingClient)

    def shown(last: int | None) -> list[list[str]]:
        lines = listing.as_table(made_store, name, last).splitlines()[1:]
        return [[cells(line)[0], cells(line)[-1]] for line in lines]

    omission = ["… earlier versions: --all"] * 2
    assert shown(2) == [omission, ["6", "train.seed 4 → 5"], ["7", "train.seed 5 → 6"]]
    assert read == [4, 4]
    assert shown(count) == shown(None) == shown(count + 1)
    assert len(shown(None)) == count
    verdict = gate.judge(made_store, name, 2, params.load(REPOSITORY).gate)
    promotion.promote(made_store, verdict, reason="why", check=check)
    read.clear()
    assert shown(2)[:3] == [omission, ["2", "–"], ["6", "train.seed 1 → 5"]]
    assert read == [4, 5]  # production is not among the last
    assert shown(5)[:3] == [omission, ["2", "–"], ["3", "train.seed 1 → 2"]]
    assert shown(6)[0] == omission
    assert [row[0] for row in shown(6)[1:]] == ["2", "3", "4", "5", "6", "7"]
    lines = listing.as_json_lines(made_store, name, 1).splitlines()
    assert [json.loads(line)["version"] for line in lines] == [2, 7]


def test_a_version_without_a_run_or_with_another_evaluation_has_no_accuracy(
    made_store: Path, record: Record
) -> None:
    client = store.client(made_store)
    number = record("odd", correct=8000)
    client.set_model_version_tag("odd", str(number), "evaluation_hash", "f" * 64)
    client.create_model_version("odd", source=(made_store / "model").as_uri())
    rows = listing.as_table(made_store, "odd").splitlines()[1:]
    assert [cells(row)[:3] for row in rows] == [["1", "–", "–"], ["2", "–", "–"]]


def test_another_name_is_an_error_that_names_the_registered_models(three: Path) -> None:
    with pytest.raises(PipelineError, match="no registered model tree: .*one of .*three"):
        listing.as_table(three, "tree")


def test_neither_list_nor_comparison_loads_tensorflow() -> None:
    modules = loaded("import resnet.registry.overview.listing, resnet.registry.overview.difference")
    assert not modules & {"keras", "tensorflow", "prefect"}


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each row of a table, by its first."""
    lines = [
        [cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.split("\n")
    ]
    return {line[0]: line[1:] for line in lines if line}


def test_two_versions_stand_beside_each_other_with_what_differs(
    three: Path, enter: Enter, capsys: pytest.CaptureFixture[str]
) -> None:
    enter(three)
    assert cli.main(["diff", "2", "3", "--model", "three"]) == 0
    text = capsys.readouterr().out
    table = rows(text)
    assert table["three"] == ["VERSION 2", "VERSION 3"]
    assert table["aliases"] == ["candidate, production", "–"]
    assert table["cause"] == ["–", "night"]
    assert table["code"] == ["a" * 12, f"{'b' * 12} with local changes"]
    assert table["data"] == ["d" * 12, "e" * 12]
    assert table["train.epochs"] == ["5", "2"]
    assert "train.seed" not in table
    assert table["environment"] == ["the same", "the same"]
    assert table["accuracy"] == ["82.00%", "70.00%"]
    first, second = table["gate"]
    assert first == "passed (promote, event 0)"
    assert second.startswith("refused: floor, ")
    assert second.endswith(" (refuse, event 1)")
    assert f"git diff {'a' * 12} {'b' * 12}" in text


def test_a_version_is_not_compared_with_itself(
    three: Path, enter: Enter, capsys: pytest.CaptureFixture[str]
) -> None:
    enter(three)
    assert cli.main(["diff", "2", "--model", "three"]) == 1
    assert "production and 2 are both three version 2" in capsys.readouterr().err


def test_a_forced_promotion_and_a_verdict_of_another_release_are_told(
    three: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = ledger.events(store.client(three), "three")
    forced = replace(history[1], action="promote", forced=True)
    unknown = replace(history[0], evidence={"rules": "of another release"})
    monkeypatch.setattr(ledger, "events", lambda client, name: [unknown, forced])
    table = rows(difference.as_table(three, "three", "2", "3"))
    first, second = table["gate"]
    assert first == "cannot be read (promote, event 0)"
    assert second.startswith("refused: floor, ")
    assert second.endswith(" (promote, forced, event 1)")


def test_one_version_alone_is_compared_with_production(
    three: Path, enter: Enter, capsys: pytest.CaptureFixture[str]
) -> None:
    enter(three)
    assert cli.main(["diff", "1", "--model", "three"]) == 0
    table = rows(capsys.readouterr().out)
    assert table["three"] == ["VERSION 2", "VERSION 1"]
    assert table["train.seed"] == ["1", "0"]
    assert table["gate"] == ["passed (promote, event 0)", "was not asked"]


def test_accuracies_on_other_test_images_are_not_left_to_be_compared(
    made_store: Path, register: Callable[..., int]
) -> None:
    for test_hash in ("t" * 64, "u" * 64):
        register("elsewhere", test_hash=test_hash)
    text = difference.as_table(made_store, "elsewhere", "1", "2")
    assert "different test samples" in text


def test_a_version_that_was_registered_by_hand_is_an_error(made_store: Path) -> None:
    client = store.client(made_store)
    client.create_registered_model("by-hand")
    client.create_model_version("by-hand", source=(made_store / "model").as_uri())
    with pytest.raises(PipelineError, match="by-hand version 1 has no run"):
        difference.as_table(made_store, "by-hand", "1", "1")
