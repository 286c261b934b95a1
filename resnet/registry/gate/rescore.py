"""Score a version again, on this checkout's test images: its model file in, predictions out.

The scoring loads TensorFlow, so it is done by a child process that sees no GPU.
"""

import tempfile
from pathlib import Path

from resnet import params
from resnet.checkout import command
from resnet.data import arrays
from resnet.errors import PipelineError
from resnet.evaluation.values import Predictions
from resnet.system import files


def score_again(root: Path, model: Path, test_hash: str) -> Predictions:
    """What `model`, a .keras file, says of the test images of the checkout at `root`.

    Raises PipelineError where these are not there, or are not those that `test_hash` names.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "predictions.parquet"
        words = ["rescore", str(model), str(out), "--test-hash", test_hash]
        command.run(words, root, say=lambda line: None)
        return Predictions.read(out)


def rescore(
    model: Path, out: Path, test_hash: str, evaluate: params.Evaluate, paths: params.Paths
) -> None:
    """The child's work: write what `model` says of the test images in `paths` to `out`, parquet.

    Needs TensorFlow. Raises PipelineError as `score_again` does.
    """
    from resnet.evaluation.evaluate import predict
    from resnet.evaluation.evaluate import test_hash as hash_of
    from resnet.model import model_file
    from resnet.model.forward import compiled

    test = arrays.load(paths.arrays, "test")
    found = hash_of(test)
    if found != test_hash:
        raise PipelineError(
            f"{paths.arrays} holds the test images {found[:12]}…, wanted {test_hash[:12]}…, on "
            "which the challenger was evaluated: ask in a checkout that has these, or bring them "
            "with 'dvc checkout' or 'dvc pull'"
        )
    names = files.read_json(paths.profile)["classes"]
    predict(compiled(model_file.load(model)), test, evaluate.batch, names).write(out)
