"""The goals: each row of the table, and what it must reach on which CPU. Nowhere else.

To add a row: a function of the setting that yields its measurement (see table.py), and an entry.
"""

from functools import partial

from benchmarks import (
    checkpointing,
    in_turn,
    pipeline,
    prediction,
    registry_growth,
    serving,
    trainings,
)
from benchmarks.builds import TODAY
from benchmarks.table import Goal, Row, everywhere

BUILD = f"today's build ({TODAY})"
TORCH = "PyTorch's best"  # of eager and compile, float32 and bfloat16
HOURS = "it takes hours"
QUARTER = "it takes a quarter of an hour"
MANY, FEWER = 200_000, 20_000  # images

ROWS = (
    Row(
        "train-today",
        "train ResNet-20, batch 128",
        BUILD,
        {
            "AMX": Goal("at least", 2.0),
            "AVX512_BF16": Goal("at least", 1.3),
            "neither": Goal("at least", 1.0),
        },
        in_turn.training_against_today,
    ),
    Row(
        "train-torch",
        "train ResNet-20, batch 128",
        TORCH,
        {**everywhere("at least", 1.1), "AMX": Goal("at least", 1.25)},
        partial(in_turn.training_against_torch, net="ResNet-20"),
    ),
    Row(
        "train-56-torch",
        "train ResNet-56, batch 128",
        TORCH,
        everywhere("at least", 1.25),
        partial(in_turn.training_against_torch, net="ResNet-56"),
    ),
    Row(
        "train-wide-torch",
        "train ResNet-20 of four times the width, batch 128",
        TORCH,
        everywhere("at least", 1.25),
        partial(in_turn.training_against_torch, net="ResNet-20 of four times the width"),
    ),
    Row(
        "quick",
        "`quick`'s loop, from a few of its steps and validation images",
        BUILD,
        {"AMX": Goal("at most", 0.55)},
        in_turn.quick_loop,
    ),
    Row(
        "quick-whole",
        "`quick`'s whole loop in `resnet train`",
        BUILD,
        {"AMX": Goal("at most", 0.55)},
        trainings.quick_whole,
        by_name=QUARTER,
    ),
    Row(
        "freed-time",
        "test accuracy of five minutes of `quick`",
        f"{trainings.BEFORE:g} %",
        {"AMX": Goal("at least", 92.0)},
        trainings.freed_time,
        by_name=HOURS,
    ),
    Row(
        "fast-time",
        "`fast`'s loop, at the speed of its steps",
        "airbench94_muon, PyTorch's best",
        everywhere("at most", 0.75),
        trainings.fast_time,
        by_name="it takes ten minutes",
    ),
    Row(
        "fast-accuracy",
        "test accuracy of `fast`",
        "airbench94_muon's 94 %",
        everywhere("at least", trainings.RECORD),
        trainings.fast_accuracy,
        by_name=HOURS,
    ),
    Row(
        "score-today",
        "score 256 images per call, ResNet-20",
        BUILD,
        everywhere("at least", 2.5),
        in_turn.scoring_against_today,
    ),
    Row(
        "score-torch",
        "score 256 images per call, ResNet-20",
        TORCH,
        everywhere("at least", 2.0),
        in_turn.scoring_against_torch,
    ),
    Row(
        "score-openvino",
        "score 256 images per call, ResNet-20",
        "OpenVINO in bfloat16",
        everywhere("at least", 0.9),
        in_turn.scoring_against_openvino,
    ),
    Row(
        "one-image",
        "score one image by the ONNX form, `quick`'s network",
        f"the call of {BUILD}",
        everywhere("at most", 0.25),
        in_turn.one_image,
    ),
    Row(
        "run-again",
        "`make run` again with one changed value, without the loop",
        BUILD,
        everywhere("at most", 0.5),
        pipeline.against_today,
    ),
    Row(
        "run-idle",
        "`make run` with nothing to do",
        BUILD,
        everywhere("at most", 0.45),
        pipeline.against_today,
    ),
    *(
        Row(
            f"predict-{source.split()[0]}{suffix}",
            f"peak memory of `predict` with {many:,} images from a {source}",
            f"the same with {prediction.FEW:,}",
            everywhere("at most", 1.2),
            measure,
            by_name=by_name,
        )
        for many, suffix, by_name in ((FEWER, "", ""), (MANY, f"-{MANY}", QUARTER))
        for measure in [partial(prediction.memory, many=many)]
        for source in ("parquet file", "folder")
    ),
    *(
        Row(
            f"registry-{name}",
            f"{work}, with {registry_growth.MANY:,} versions and as many events",
            f"the same with {registry_growth.FEW}",
            everywhere("at most", 1.5),
            registry_growth.measure,
        )
        for name, work in registry_growth.WORKS.items()
    ),
)

# Goals of earlier tables, measured by name.
EARLIER = "an earlier goal"
EARLIER_ROWS = (
    Row(
        "train-keras",
        "train ResNet-20, batch 128",
        "`keras.Model.fit` as it comes",
        everywhere("at least", 1.6),
        in_turn.training_against_keras,
        by_name=EARLIER,
    ),
    Row(
        "train-peak",
        "train ResNet-20 in float32",
        "float32 matrix product",
        everywhere("at least", 0.6),
        in_turn.training_against_matrix_peak,
        by_name=EARLIER,
    ),
    Row(
        "pyfunc",
        f"`mlflow.pyfunc`, ResNet-20, 1 image, less {serving.ALLOWED_MS:g} ms",
        "the compiled call alone",
        everywhere("at most", 2.0),
        serving.measure,
        by_name=EARLIER,
    ),
    *(
        Row(
            f"deterministic-{preset}",
            f"train `{preset}`, deterministic",
            "any operations",
            everywhere("at least", 0.95),
            partial(in_turn.deterministic_steps, preset=preset),
            by_name=EARLIER,
        )
        for preset in in_turn.PRESET_BATCHES
    ),
    *(
        Row(
            f"checkpoint-{preset}",
            f"a checkpoint of `{preset}`",
            "% of the time from one to the next",
            everywhere("at most", 2.0),
            partial(checkpointing.measure, preset=preset),
            by_name=EARLIER,
        )
        for preset in in_turn.PRESET_BATCHES
    ),
    Row(
        "run-again-seconds",
        "`make run` again with one changed value, without the loop",
        "40 s",
        everywhere("at most", 40.0),
        pipeline.surroundings,
        by_name=EARLIER,
    ),
    Row(
        "rollback",
        "`resnet rollback`, with a load test",
        "20 s",
        everywhere("at most", 20.0),
        pipeline.surroundings,
        by_name=EARLIER,
    ),
    Row(
        "train-total",
        "`resnet train`, quick, total time",
        "its loop",
        everywhere("at most", 1.1),
        pipeline.surroundings,
        by_name=EARLIER,
    ),
    Row(
        "train-memory",
        "`resnet train`, quick, peak memory",
        "2 GiB",
        everywhere("at most", 2.0),
        pipeline.surroundings,
        by_name=EARLIER,
    ),
)
