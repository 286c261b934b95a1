"""The library behind the pipeline: data, networks, training, evaluation, registry, serving."""
