"""The step engine on TensorFlow: a compiled loop of steps over images kept in memory."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from resnet.forms.draws import Draws
from resnet.training import optimizer
from resnet.training.engines.base import BaseEngine
from resnet.training.engines.interface import Arrays, Bytes, Floats
from resnet.training.layers.tensorflow_activation import OnePassActivation
from resnet.training.layers.tensorflow_batchnorm import FusedBatchNormalization
from resnet.training.layers.winograd import WinogradConv2D
from resnet.training.loss import correct, cross_entropy


class TensorFlowEngine(BaseEngine):
    """See `resnet.training.engines.interface.Engine`."""

    chunk = 16

    @staticmethod
    def layer_class(layer: keras.layers.Layer) -> type[Any]:
        """See the modules of `layers` for what each class gains; on GPUs cuDNN computes the
        convolutions."""
        if type(layer) is keras.layers.BatchNormalization:
            return FusedBatchNormalization
        if OnePassActivation.is_faster_for(layer):
            return OnePassActivation
        if WinogradConv2D.is_faster_for(layer) and not tf.config.get_visible_devices("GPU"):
            return WinogradConv2D
        return type(layer)

    def _prepare(self, images_nhwc: Bytes, labels_n: Bytes) -> None:
        self._images = tf.constant(images_nhwc)
        self._labels = tf.constant(labels_n)
        # Without XLA: on CPUs it is slower than the graph with oneDNN's kernels. One graph for any
        # number of steps: it is traced once, and a step's bits do not depend on the number.
        signature = self._draws_like.map(lambda like: tf.TensorSpec((None, None), like.dtype))
        self._train = tf.function(self._steps, autograph=False, input_signature=[signature])
        self._score = tf.function(self._scored, autograph=False, reduce_retracing=True)

    def train(self, draws: Draws) -> Floats:
        results: Floats = self._train(draws.map(tf.constant)).numpy()
        return results

    def weights(self) -> Arrays:
        return [np.array(weight) for weight in self._model.get_weights()]

    def state(self) -> Arrays:
        return [variable.numpy().copy() for variable in self._variables()]

    def restore(self, state: Arrays) -> None:
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def _variables(self) -> list[Any]:
        return [*self._model.variables, *self._optimizer.variables]

    def _steps(self, draws: Draws) -> tf.Tensor:
        count = tf.shape(draws.index_kb)[0]
        results = tf.TensorArray(tf.float32, size=count, element_shape=(2,))

        def body(k: tf.Tensor, results: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            return k + 1, results.write(k, self._step(draws.map(lambda rows_kb: rows_kb[k])))

        _, results = tf.while_loop(
            lambda k, results: k < count, body, (0, results), parallel_iterations=1
        )
        return results.stack()

    def _step(self, draws: Draws) -> tf.Tensor:
        recipe, variables = self._recipe, self._model.trainable_variables
        images = self._augmented(tf.gather(self._images, draws.index_kb), draws.augmentation)
        labels = tf.gather(self._labels, draws.index_kb)
        with tf.GradientTape() as tape:
            logits = self._model(images, training=True)
            loss = tf.reduce_mean(cross_entropy(logits, labels, recipe.label_smoothing))
        values = [variable.value for variable in variables]
        gradients = tape.gradient(loss, values)
        self._optimizer.apply(optimizer.decayed(gradients, variables, values, recipe.optimizer))
        return tf.stack([loss, tf.reduce_mean(correct(logits, labels))])

    def _totals(self, images_nhwc: Bytes, labels_n: Bytes, counted_n: Floats) -> Floats:
        totals: Floats = self._score(*map(tf.constant, (images_nhwc, labels_n, counted_n))).numpy()
        return totals

    def _scored(self, images: tf.Tensor, labels: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
        logits = self._model(images, training=False)
        scores = tf.stack([cross_entropy(logits, labels), correct(logits, labels)])
        return tf.linalg.matvec(scores, counted)
