"""Make the step engine of a backend."""

from resnet.training.engines.interface import Engine, TrainingJob


def create(job: TrainingJob) -> Engine:
    """The engine of the recipe's backend, which must be Keras's backend, before its first step."""
    if job.recipe.backend == "jax":
        from resnet.training.engines.jax_engine import JaxEngine
        from resnet.training.engines.multi_process import coordinated

        return coordinated(JaxEngine(job))
    from resnet.training.engines.tensorflow_engine import TensorFlowEngine

    return TensorFlowEngine(job)
