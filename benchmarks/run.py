"""Measure training and scoring against Keras as it comes: JSON and a table.

The two sides of a comparison run in turn, three rounds each, in one process; the best round of
each counts. Images are random: speed does not depend on what is in them.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from resnet import backend, params, project

ROUNDS, STEPS = 3, 48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(".state/benchmarks.json"))
    out = parser.parse_args().out
    device = backend.select("tensorflow", "cpu")
    presets = {"quick": params.load(project.find_root()), "paper": _preset("paper")}
    rows = []
    for name, chosen in presets.items():
        rows.append({"work": f"train, {name} network, images/s", **in_turn(*training(chosen))})
        rows.append(
            {
                "work": f"score 256 images a call, {name} network, images/s",
                **in_turn(*scoring(chosen)),
            }
        )
    result = {
        "machine": device.name,
        "system": platform.platform(),
        "versions": {name: version(name) for name in ("keras", "tensorflow", "numpy")},
        "rounds": ROUNDS,
        "rows": rows,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{device.name}, {json.dumps(result['versions'])}; best of {ROUNDS} in turn")
    print("| work | ours | Keras as it comes | ratio |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['work']} | {row['ours']:.0f} | {row['keras']:.0f} | {row['ratio']:.2f} |")


def in_turn(ours: Callable[[], int], keras: Callable[[], int]) -> dict[str, float]:
    """Images a second of each side, the best of `ROUNDS`; a first call of each is not counted."""
    best = {"ours": 0.0, "keras": 0.0}
    for counted in range(ROUNDS + 1):
        for name, work in (("ours", ours), ("keras", keras)):
            started = time.perf_counter()
            images = work()
            speed = images / (time.perf_counter() - started)
            best[name] = max(best[name], speed if counted else 0.0)
    return {**best, "ratio": best["ours"] / best["keras"]}


def training(chosen: params.Params) -> tuple[Callable[[], int], Callable[[], int]]:
    """`STEPS` steps of the engine with augmentation, and of `keras.Model.fit` without."""
    import keras

    from resnet.data.batches import draw
    from resnet.nets.build import build
    from resnet.training import engine

    train = chosen.train
    images, labels = _images(STEPS * train.batch)
    mean, deviation = [125.0] * 3, [62.0] * 3
    rates = np.full(10_000, 0.01, np.float32)
    ours = engine.create(chosen.net, train, mean, deviation, rates, images, labels)

    def engine_steps() -> int:
        for start in range(0, STEPS, ours.chunk):
            batches = range(start, start + ours.chunk)
            ours.train(draw(0, 1, batches, len(labels), train.batch, train.augment))
        return len(labels)

    model = build(chosen.net, mean, deviation)
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    def fit() -> int:
        model.fit(images, labels, batch_size=train.batch, epochs=1, verbose=0)
        return len(labels)

    return engine_steps, fit


def scoring(chosen: params.Params) -> tuple[Callable[[], int], Callable[[], int]]:
    """The compiled call of a published model, and `keras.Model.predict`."""
    from resnet import forward
    from resnet.nets.build import build, published

    mean, deviation = [125.0] * 3, [62.0] * 3
    weights = build(chosen.net, mean, deviation).get_weights()
    model = published(chosen.net, mean, deviation, weights)
    call = forward.compiled(model)
    images, _ = _images(8 * 256)

    def compiled() -> int:
        return len(forward.in_batches(call, images, 256))

    def predict() -> int:
        return len(model.predict(images, batch_size=256, verbose=0))

    return compiled, predict


def _preset(name: str) -> params.Params:
    root = project.find_root()
    return params.check(params.merge(params.read(root), root, name, []))


def _images(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 32, 32, 3), np.uint8)
    return images, random.integers(0, 10, count, np.uint8)


if __name__ == "__main__":
    main()
