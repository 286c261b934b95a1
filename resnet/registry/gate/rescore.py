"""Score a version again, on this checkout's test samples: its model file in, predictions out.

Scoring loads TensorFlow, so it runs in a child process, which sees no GPU.
"""

import tempfile
from pathlib import Path

from resnet import params
from resnet.checkout import command
from resnet.data import arrays
from resnet.data.profile import Profile
from resnet.errors import PipelineError
from resnet.evaluation.records import Predictions


def score_again(root: Path, model: Path, test_hash: str) -> Predictions:
    """The predictions of `model`, a .keras file, for the test samples of the checkout at `root`.

    Raises PipelineError where these are missing, or are not those that `test_hash` names.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "predictions.parquet"
        words = ["rescore", str(model), str(out), "--test-hash", test_hash]
        command.run(words, root, say=lambda line: None)
        return Predictions.read(out)


def rescore(
    model: Path, out: Path, test_hash: str, settings: params.Evaluate, paths: params.Paths
) -> None:
    """In the child: write `model`'s predictions for the test samples in `paths` to `out`, parquet.

    Needs TensorFlow. Raises PipelineError as `score_again` does.
    """
    from resnet.evaluation.evaluate import predict
    from resnet.evaluation.evaluate import test_hash as hash_of
    from resnet.model import model_file
    from resnet.model.forward import compiled

    test = arrays.load(paths, "test")
    own_hash = hash_of(test)
    if own_hash != test_hash:
        raise PipelineError(
            f"{paths.arrays} holds the test samples {own_hash[:12]}…, wanted {test_hash[:12]}…, on "
            "which the challenger was evaluated: ask in a checkout that has these, or get them "
            "with 'dvc checkout' or 'dvc pull'"
        )
    classes = Profile.read(paths.profile).classes
    predict(compiled(model_file.load(model)), test, settings.batch, classes).write(out)
