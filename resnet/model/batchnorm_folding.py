"""Fold batch normalisation into the convolution before it: a model in, a faster equal one out.

In inference, normalisation is scale × maps + offset for each channel, and a convolution can do that
itself with a scaled kernel and a bias. Max pooling in between makes no difference where no scale is
negative: the greatest number is still the greatest after it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import keras
import numpy as np


def folded(model: keras.Model) -> keras.Model:
    """A model with the same outputs in inference, up to rounding; `model` is not changed.

    A normalisation is folded if it and the convolution are called once, and nothing else uses the
    maps between them; models within the model are folded, too. The new model shares no weight with
    `model`, and is not for training.
    """
    # A Sequential model cannot be called layer by layer; a model of its inputs and outputs can.
    model = keras.Model(model.inputs, model.outputs, name=model.name)
    convolution_of = _foldable(model)
    norm_of = {convolution.name: name for name, convolution in convolution_of.items()}

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return folded(layer)
        bias = {"use_bias": True} if layer.name in norm_of else {}
        return type(layer).from_config({**layer.get_config(), **bias})

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer.name in convolution_of else layer(*args, **kwargs)

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in copy.layers:
        if not layer.weights or isinstance(layer, keras.Model):
            continue
        old = model.get_layer(layer.name)
        norm = norm_of.get(layer.name)
        layer.set_weights(_merged(old, model.get_layer(norm)) if norm else old.get_weights())
    return copy


@dataclass(frozen=True)
class _Calls:
    """Which layer of a model uses the outputs of which, by their names."""

    sources: dict[str, list[list[str]]]  # of each layer and each of its calls: what made its inputs
    uses: Counter[str]  # how often a layer's outputs are an input or the model's output

    @classmethod
    def of(cls, model: keras.Model) -> Self:
        """From the config: `layer.input` is that of the layer's first call, in whatever model."""
        config = model.get_config()
        sources = {
            layer["name"]: [list(_sources(call)) for call in layer["inbound_nodes"]]
            for layer in config["layers"]
        }
        outputs = [
            part for part in keras.tree.flatten(config["output_layers"]) if isinstance(part, str)
        ]
        inputs = [name for calls in sources.values() for names in calls for name in names]
        return cls(sources, Counter(inputs + outputs))

    def only_source(self, name: str) -> str | None:
        """The layer before `name`, if both are called once, and nothing else uses its output."""
        match self.sources[name]:
            case [[source]] if len(self.sources[source]) == self.uses[source] == 1:
                return source
        return None


def _sources(call: Any) -> Iterator[str]:
    """The names of the layers whose outputs a call takes, from its part of the config."""
    match call:
        case {"keras_history": [str(name), *_]}:
            yield name
        case dict():
            yield from _sources(list(call.values()))
        case list() | tuple():
            for part in call:
                yield from _sources(part)


def _foldable(model: keras.Model) -> dict[str, Any]:
    """The name of each normalisation that can be folded → the convolution before it."""
    calls, foldable = _Calls.of(model), {}
    layers = {layer.name: layer for layer in model.layers}

    def before(layer: Any) -> Any:
        """None where it is an operation, such as `keras.ops.flip`."""
        return layers.get(calls.only_source(layer.name))

    for norm in model.layers:
        if type(norm) is not keras.layers.BatchNormalization:
            continue
        source = before(norm)
        if type(source) is keras.layers.MaxPooling2D and _keeps_its_order(source, norm):
            source = before(source)
        if type(source) is keras.layers.Conv2D and _is_folded_by(source, norm):
            foldable[norm.name] = source
    return foldable


def _is_folded_by(convolution: Any, norm: Any) -> bool:
    """Whether `norm` scales the channels, and the convolution does nothing after its bias."""
    channels_last = convolution.data_format == "channels_last" and norm.axis in (-1, 3)
    return channels_last and convolution.activation is keras.activations.linear


def _keeps_its_order(pool: Any, norm: Any) -> bool:
    """Whether each maximum of `pool` is one of numbers that `norm` scales alike, by no less than 0.

    With "channels_first" a pool has its maxima over columns and channels.
    """
    has_negative_scale = norm.scale and (np.asarray(norm.gamma) < 0).any()
    return pool.data_format == "channels_last" and not has_negative_scale


def _merged(convolution: Any, norm: Any) -> list[np.ndarray]:
    """Kernel and bias of a convolution that also applies `norm`."""
    mean, variance = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
    scale = 1 / np.sqrt(variance + np.float32(norm.epsilon))
    scale = scale * np.asarray(norm.gamma) if norm.scale else scale
    bias = np.asarray(convolution.bias) if convolution.use_bias else 0
    offset = np.asarray(norm.beta) if norm.center else 0
    return [np.asarray(convolution.kernel) * scale, (bias - mean) * scale + offset]
