"""What PyTorch and Keras compute, frozen: ``python tests/oracles/make.py`` writes the .npz files beside this one.

It needs ``pip install torch keras tensorflow-cpu``; ``tests/test_oracles.py`` reads the files and needs none of them.
The tables below say what is asked. Weights, inputs and upstream gradients are drawn from one seed for each case, the
weights in the framework's own layout. Everything is float64.

Each file maps the name of a case to a record. That of a layer has the fields x, weights, dy, y, dx and grads, where
weights and grads are all arrays of the layer end to end, in the order in which the framework lists them.

What the frameworks were asked, and what not:

- At padded steps PyTorch gives zeros, and so does Keras in a Bidirectional, while its LSTM carries the state on, as
  both of ours do. So there y counts as zero, and dy is zero.
- With ``go_backwards``, Keras reads the padding first, and its states stand elsewhere. So of ragged rows only the last
  one is asked for. PyTorch takes no row of no steps.
- TensorFlow makes float32 of a Python number that it casts, before it makes float64 of it. Keras casts ``momentum``
  and the betas of Adam so, and is then off by 1e-8. So those settings are numbers that float32 holds exactly; the
  learning rate and ``rho`` pass unharmed.
- Keras divides shares by their sum before the categorical cross-entropy. Behind a softmax, where the sum is 1 and a
  change of all shares alike does nothing, that comes to the same. So its gradient is taken there.
- For an Embedding, TensorFlow gives the gradient as a list with one entry for each token read. Of a word that is read
  twice, Keras's RMSprop then adds up both squares, where the square of the sum is meant. On its other backends, where
  the gradient is one array, it does as it says. So here it is given the array.
- PyTorch's Adam and RMSprop have ε in other places, and are left out.
"""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path

import numpy as np

from minilstm import (
    LSTM,
    SGD,
    Adam,
    AveragePooling1D,
    Bidirectional,
    Conv1D,
    Dense,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
    RMSprop,
)
from minilstm.layers.base import padding_mask
from minilstm.losses import BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError

FOLDER = Path(__file__).parent


class Case:
    """Layers in a row, run on an input of a shape; behind ``lengths`` (B,) it is padding."""

    def __init__(self, *layers, shape=(3, 6, 2), lengths=None):
        self.layers, self.shape = layers, shape
        self.lengths = None if lengths is None else np.array(lengths)


def states(units, **more):
    """An LSTM that gives all its states."""
    return LSTM(units, return_sequences=True, **more)


RAGGED = {"lengths": (6, 1, 4)}
CASES = {
    "Embedding": Case(Embedding(7, 3), shape=(4, 5)),
    "LSTM, last state": Case(LSTM(3)),
    "LSTM, all states": Case(states(3)),
    "LSTM, last state, ragged": Case(LSTM(3), **RAGGED),
    "LSTM, all states, ragged": Case(states(3), **RAGGED),
    "LSTM, all sizes 1": Case(LSTM(1), shape=(1, 1, 3)),
    "LSTM, one unit": Case(states(1), shape=(2, 4, 3)),
    "LSTM, one row": Case(LSTM(3), shape=(1, 6, 2)),
    "LSTM, one step": Case(LSTM(3), shape=(3, 1, 2)),
    "stacked LSTMs": Case(states(3), LSTM(3)),
    "stacked LSTMs, all states, ragged": Case(states(3), states(3), **RAGGED),
    "Bidirectional, last states": Case(Bidirectional(LSTM(3))),
    "Bidirectional, all states": Case(Bidirectional(states(3))),
    "Bidirectional, last states, ragged": Case(Bidirectional(LSTM(3)), **RAGGED),
    "Bidirectional, all states, ragged": Case(Bidirectional(states(3)), **RAGGED),
    "stacked Bidirectionals, ragged": Case(Bidirectional(states(2)), Bidirectional(LSTM(2)), **RAGGED),
    "Conv1D, tanh": Case(Conv1D(4, 3, activation="tanh")),
    "Conv1D, stride 2": Case(Conv1D(4, 3, strides=2), shape=(2, 8, 3)),
    "Conv1D, dilation 3": Case(Conv1D(4, 2, dilation_rate=3)),
    "Conv1D, same": Case(Conv1D(4, 3, padding="same")),
    "Conv1D, kernel as long as the text": Case(Conv1D(4, 6)),
    "Conv1D, all sizes 1": Case(Conv1D(1, 1), shape=(1, 1, 1)),
    "MaxPooling1D": Case(MaxPooling1D()),
    "MaxPooling1D, overlapping": Case(MaxPooling1D(3, 1)),
    "MaxPooling1D, with gaps": Case(MaxPooling1D(2, 3), shape=(2, 9, 2)),
    "MaxPooling1D, as long as the text": Case(MaxPooling1D(6)),
    "AveragePooling1D": Case(AveragePooling1D()),
    "AveragePooling1D, overlapping": Case(AveragePooling1D(3, 1)),
    "AveragePooling1D, with gaps": Case(AveragePooling1D(2, 3), shape=(2, 9, 2)),
    "AveragePooling1D, as long as the text": Case(AveragePooling1D(6)),
    "Dense, linear": Case(Dense(4), shape=(3, 2)),
    "Dense, tanh": Case(Dense(4, "tanh"), shape=(3, 2)),
    "Dense, sigmoid": Case(Dense(4, "sigmoid"), shape=(3, 2)),
    "Dense, relu": Case(Dense(4, "relu"), shape=(3, 2)),
    "Dense, softmax": Case(Dense(4, "softmax"), shape=(3, 2)),
    "Dense, all sizes 1": Case(Dense(1, "sigmoid"), shape=(1, 1)),
    "Dense, at every step": Case(Dense(4, "softmax")),
}
"""Layers that both frameworks have."""

KERAS_CASES = {
    "LSTM, sigmoid": Case(LSTM(3, activation="sigmoid")),
    "LSTM, sigmoid, all states, ragged": Case(states(3, activation="sigmoid"), **RAGGED),
    "LSTM, relu, linear gates": Case(states(3, activation="relu", recurrent_activation="linear"), shape=(2, 3, 2)),
    "LSTM, tanh gates": Case(LSTM(3, recurrent_activation="tanh")),
    "LSTM, backwards": Case(LSTM(3, go_backwards=True)),
    "LSTM, backwards, all states": Case(states(3, go_backwards=True)),
    "LSTM, backwards, ragged": Case(LSTM(3, go_backwards=True), **RAGGED),
    "LSTM, one row empty": Case(LSTM(3), lengths=(6, 0, 4)),
    "Bidirectional, one row empty": Case(Bidirectional(LSTM(3)), lengths=(6, 0, 4)),
    "Bidirectional, sum, ragged": Case(Bidirectional(LSTM(2), "sum"), **RAGGED),
    "Bidirectional, ave, ragged": Case(Bidirectional(LSTM(2), "ave"), **RAGGED),
    "Bidirectional, mul, ragged": Case(Bidirectional(LSTM(2), "mul"), **RAGGED),
    "Bidirectional, sum, all states": Case(Bidirectional(states(2), "sum")),
    "Bidirectional, ave, all states": Case(Bidirectional(states(2), "ave")),
    "Bidirectional, mul, all states": Case(Bidirectional(states(2), "mul")),
    "Bidirectional, mul, all states, ragged": Case(Bidirectional(states(2), "mul"), **RAGGED),
    "Conv1D, same, even": Case(Conv1D(4, 4, padding="same")),
    "Conv1D, same, even, stride 3": Case(Conv1D(4, 4, strides=3, padding="same"), shape=(2, 8, 3)),
    "Conv1D, same, dilation 2": Case(Conv1D(4, 3, padding="same", dilation_rate=2)),
    "Conv1D, causal, relu": Case(Conv1D(4, 3, padding="causal", activation="relu")),
    "Conv1D, causal, dilation 3": Case(Conv1D(4, 2, padding="causal", dilation_rate=3)),
    "Conv1D, causal, stride 2": Case(Conv1D(4, 3, strides=2, padding="causal")),
    "MaxPooling1D, same": Case(MaxPooling1D(3, 2, "same")),
    "MaxPooling1D, same, even": Case(MaxPooling1D(4, 1, "same")),
    "AveragePooling1D, same": Case(AveragePooling1D(3, 2, "same")),
    "AveragePooling1D, same, even": Case(AveragePooling1D(4, 1, "same")),
    "GlobalMaxPooling1D": Case(GlobalMaxPooling1D()),
    "GlobalAveragePooling1D": Case(GlobalAveragePooling1D()),
    "GlobalAveragePooling1D, ragged": Case(GlobalAveragePooling1D(), **RAGGED),
    "Flatten, between others": Case(Conv1D(3, 3), MaxPooling1D(), Flatten(), Dense(2), shape=(2, 9, 2)),
}
"""Layers and settings that PyTorch does not have."""

LOSSES = {
    "BinaryCrossentropy of shares": ("linear", BinaryCrossentropy()),
    "BinaryCrossentropy of certainties": ("linear", BinaryCrossentropy()),
    "BinaryCrossentropy of logits": ("linear", BinaryCrossentropy(from_logits=True)),
    "BinaryCrossentropy behind sigmoid": ("sigmoid", BinaryCrossentropy()),
    "CategoricalCrossentropy of logits": ("linear", CategoricalCrossentropy(from_logits=True)),
    "CategoricalCrossentropy behind softmax": ("softmax", CategoricalCrossentropy()),
    "MeanSquaredError": ("linear", MeanSquaredError()),
}
"""The losses, each behind an activation."""

CLIPPED = {"global_clipnorm": 1.5}  # above the norm of some gradients, below that of others
OPTIMIZERS = {
    "SGD": SGD(0.01),
    "SGD, momentum": SGD(0.01, 0.875),
    "SGD, Nesterov": SGD(0.01, 0.875, nesterov=True),
    "RMSprop": RMSprop(),
    "Adam": Adam(beta_1=0.875, beta_2=1 - 2**-10),
    "SGD, clipped": SGD(0.01, **CLIPPED),
    "SGD, momentum, clipped": SGD(0.01, 0.875, **CLIPPED),
    "SGD, Nesterov, clipped": SGD(0.01, 0.875, nesterov=True, **CLIPPED),
    "RMSprop, clipped": RMSprop(**CLIPPED),
    "Adam, clipped": Adam(beta_1=0.875, beta_2=1 - 2**-10, **CLIPPED),
}
"""The optimisers. All are given the same five gradients of two arrays."""

V, D, H, T = 20, 4, 6, 12
MODELS = {
    "CNN": (
        Embedding(V, D, input_length=T),
        Conv1D(H, 3, padding="valid", activation="relu"),
        MaxPooling1D(),
        Conv1D(H, 3, padding="valid", activation="relu"),
        MaxPooling1D(),
        Flatten(),
        Dense(8, "relu"),
        Dense(1, "sigmoid"),
    ),
    "classic LSTM": (Embedding(V, D), LSTM(H, activation="sigmoid"), Dense(1, "sigmoid")),
    "deep LSTM": (Embedding(V, D), LSTM(H, return_sequences=True), LSTM(H), Dense(1, "sigmoid")),
    "bidirectional LSTM": (Embedding(V, D), Bidirectional(LSTM(H)), Dense(1, "sigmoid")),
    "bidirectional LSTM, ragged": (Embedding(V, D, mask_zero=True), Bidirectional(LSTM(H)), Dense(1, "sigmoid")),
    "CNN-LSTM": (Embedding(V, D), Conv1D(H, 3, activation="relu"), MaxPooling1D(2), LSTM(H), Dense(1, "sigmoid")),
}
"""The models. Each makes STEPS steps of RMSprop on one batch of 8 texts; ragged ones end in zeros."""
STEPS = 20


def pack(arrays):
    """Lay arrays end to end."""
    return np.concatenate([np.zeros(0), *(np.asarray(a).ravel() for a in arrays)])


def unpack(flat, like):
    """Undo :func:`pack`, for arrays of the shapes of ``like``."""
    like = list(like)
    parts = np.split(flat, np.cumsum([a.size for a in like]))[:-1]
    return [part.reshape(a.shape) for part, a in zip(parts, like, strict=True)]


def settings(thing):
    """The arguments that make a layer, loss or optimiser. Their names are Keras's, so they make its Keras twin too.

    Only ``input_length`` is a name of older Keras versions; newer ones warn of it, and do not need it.
    """
    values = {name: getattr(thing, name) for name in inspect.signature(type(thing)).parameters}
    return {name: value for name, value in values.items() if value is not None and name != "input_length"}


def draw_input(case, rng):
    """Numbers, or token ids where an Embedding comes first."""
    first = case.layers[0]
    if isinstance(first, Embedding):
        return rng.integers(0, first.input_dim, case.shape)
    return rng.standard_normal(case.shape)


def draw_upstream(case, shape, rng):
    """The random gradient dy, zero at padded steps, and the mask that makes y so too."""
    live = np.ones(shape)
    if case.lengths is not None and len(shape) == 3:
        live *= padding_mask(case.lengths, shape[1])[:, :, None]
    return rng.standard_normal(shape) * live, live


def load_keras():
    """Import Keras, set to float64."""
    import keras

    keras.config.set_floatx("float64")
    return keras


def keras_layer(layer):
    """Make the Keras layer of the same settings."""
    keras = load_keras()
    if isinstance(layer, Bidirectional):
        return keras.layers.Bidirectional(keras_layer(layer.layer), merge_mode=layer.merge_mode)
    return getattr(keras.layers, type(layer).__name__)(**settings(layer))


def keras_case(case, rng):
    """Run a case in Keras, on TensorFlow."""
    import tensorflow as tf

    twins = [keras_layer(layer) for layer in case.layers]
    x = draw_input(case, rng)
    mask = {} if case.lengths is None else {"mask": tf.constant(padding_mask(case.lengths, case.shape[1]))}

    def run(x):
        for twin in twins:
            x = twin(x, **mask)
        return x

    run(tf.constant(x))  # makes the weights
    for twin in twins:
        twin.set_weights([0.5 * rng.standard_normal(w.shape) for w in twin.get_weights()])
    weights = [w.value for twin in twins for w in twin.trainable_weights]
    source = tf.Variable(x)
    with tf.GradientTape() as tape:
        y = run(tf.convert_to_tensor(source))
    dy, live = draw_upstream(case, y.shape, rng)
    dx, *grads = tape.gradient(y, [source, *weights], output_gradients=tf.constant(dy))
    dx = np.zeros(0) if dx is None else dx
    grads = pack(tf.convert_to_tensor(g) for g in grads)
    return {"x": x, "weights": pack(weights), "dy": dy, "y": y.numpy() * live, "dx": np.asarray(dx), "grads": grads}


def lstm_of(layer):
    """The LSTM that a layer is, or that it reads with."""
    return layer.layer if isinstance(layer, Bidirectional) else layer


def torch_module(layers, D):
    """Make the PyTorch module of the same settings; it takes stacked LSTMs as one."""
    from torch import nn

    layer = layers[0]
    if isinstance(layer, (LSTM, Bidirectional)):
        both = isinstance(layer, Bidirectional)
        return nn.LSTM(D, lstm_of(layer).units, num_layers=len(layers), bidirectional=both, batch_first=True)
    if isinstance(layer, Embedding):
        return nn.Embedding(layer.input_dim, layer.output_dim)
    if isinstance(layer, Conv1D):
        place = layer.strides, layer.padding, layer.dilation_rate
        return nn.Conv1d(D, layer.filters, layer.kernel_size, *place)
    if isinstance(layer, Dense):
        return nn.Linear(D, layer.units)
    return {MaxPooling1D: nn.MaxPool1d, AveragePooling1D: nn.AvgPool1d}[type(layer)](layer.pool_size, layer.strides)


def torch_run(case, module, x):
    """Call a module: time last for convolution and pooling, ragged rows packed for an LSTM."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    layer = case.layers[-1]
    if isinstance(layer, (LSTM, Bidirectional)):
        if case.lengths is None:
            y, (h, _) = module(x)
        else:
            packed = pack_padded_sequence(x, torch.from_numpy(case.lengths), batch_first=True, enforce_sorted=False)
            y, (h, _) = module(packed)
            y, _ = pad_packed_sequence(y, batch_first=True)
        last = h[-1] if isinstance(layer, LSTM) else torch.cat([h[-2], h[-1]], dim=-1)
        return y if lstm_of(layer).return_sequences else last
    in_time = isinstance(layer, (Conv1D, MaxPooling1D, AveragePooling1D))
    z = module(x.transpose(1, 2)).transpose(1, 2) if in_time else module(x)
    phi = getattr(layer, "activation", None)
    return torch.softmax(z, -1) if phi == "softmax" else getattr(torch, phi)(z) if phi else z


def with_weights(module, rng):
    """Make a PyTorch module float64, and draw its weights."""
    import torch

    for p in module.double().parameters():
        p.data = torch.from_numpy(0.5 * rng.standard_normal(tuple(p.shape)))
    return module


def torch_case(case, rng):
    """Run a case in PyTorch. The second bias of its LSTMs has the gradient of the first, and counts as zero."""
    import torch

    module = with_weights(torch_module(case.layers, case.shape[-1]), rng)
    x = torch.from_numpy(draw_input(case, rng))
    x.requires_grad_(x.is_floating_point())
    y = torch_run(case, module, x)
    dy, live = draw_upstream(case, tuple(y.shape), rng)
    y.backward(torch.from_numpy(dy))
    grads = pack(p.grad * ("bias_hh" not in name) for name, p in module.named_parameters())
    weights = pack(p.detach() for p in module.parameters())
    dx = np.zeros(0) if x.grad is None else x.grad.numpy()
    y = y.detach().numpy() * live
    return {"x": x.detach().numpy(), "weights": weights, "dy": dy, "y": y, "dx": dx, "grads": grads}


def torch_states(rng):
    """Start a PyTorch LSTM at a given state, and use all that it gives: y, the last h and the last c."""
    import torch

    B, T, D, H = 3, 6, 2, 3
    module = with_weights(torch.nn.LSTM(D, H, batch_first=True), rng)
    shapes = {"x": (B, T, D), "h0": (B, H), "c0": (B, H), "dy": (B, T, H), "dh": (B, H), "dc": (B, H)}
    numbers = {name: torch.from_numpy(rng.standard_normal(shape)) for name, shape in shapes.items()}
    x, h0, c0 = (numbers[name].requires_grad_() for name in ("x", "h0", "c0"))
    y, (h, c) = module(x, (h0[None], c0[None]))
    torch.autograd.backward([y, h[0], c[0]], [numbers[name] for name in ("dy", "dh", "dc")])
    numbers |= {"y": y, "h": h[0], "c": c[0], "dx": x.grad, "dh0": h0.grad, "dc0": c0.grad}
    for name, p in module.named_parameters():
        numbers |= {name: p, f"d{name}": p.grad}
    return {name: a.detach().numpy() for name, a in numbers.items()}


def keras_loss(name, rng):
    """Compute a loss and its gradient dz in Keras."""
    import tensorflow as tf

    keras = load_keras()
    activation, loss = LOSSES[name]
    z, y = rng.standard_normal((4, 3)), rng.integers(0, 2, (4, 3)).astype("float64")
    if isinstance(loss, CategoricalCrossentropy):
        y = np.eye(3)[rng.integers(0, 3, 4)]
    if "shares" in name:
        z = rng.uniform(0.05, 0.95, z.shape)
    if "certainties" in name:
        z = rng.integers(0, 2, z.shape).astype("float64")
    source = tf.Variable(z)
    with tf.GradientTape() as tape:
        p = keras.activations.get(activation)(source)
        L = getattr(keras.losses, type(loss).__name__)(**settings(loss))(y, p)
    return {"z": z, "y": y, "L": L.numpy(), "dz": tape.gradient(L, source).numpy()}


def keras_steps(name, rng):
    """Make five steps with a Keras optimiser on two arrays: where each of them leads."""
    keras, optimizer = load_keras(), OPTIMIZERS[name]
    p = [rng.standard_normal(shape) for shape in ((3, 2), (4,))]
    grads = rng.standard_normal((5, 10)) * np.array([0.1, 1, 3, 0.1, 1])[:, None]
    twin = getattr(keras.optimizers, type(optimizer).__name__)(**settings(optimizer))
    variables = [keras.Variable(a) for a in p]
    path = []
    for g in grads:
        twin.apply([keras.ops.convert_to_tensor(a) for a in unpack(g, p)], variables)
        path.append(pack(variables))
    return {"p": pack(p), "grads": grads, "path": np.array(path)}


def keras_training(name, rng):
    """Train a model in Keras: the loss at each step."""
    import tensorflow as tf

    keras, layers = load_keras(), MODELS[name]
    x = rng.integers(1, V, (8, T))
    if layers[0].mask_zero:
        x *= padding_mask(rng.integers(1, T + 1, 8), T)
    y = rng.integers(0, 2, (8, 1)).astype("float64")
    model = keras.Sequential([keras_layer(layer) for layer in layers])
    model(x)  # makes the weights
    weights = [0.3 * rng.standard_normal(w.shape) for w in model.get_weights()]
    model.set_weights(weights)
    loss, optimizer = keras.losses.BinaryCrossentropy(), keras.optimizers.RMSprop()
    losses = []
    for _ in range(STEPS):
        with tf.GradientTape() as tape:
            L = loss(y, model(x, training=True))
        grads = [tf.convert_to_tensor(g) for g in tape.gradient(L, model.trainable_weights)]  # no IndexedSlices
        optimizer.apply(grads, model.trainable_weights)
        losses.append(float(L))
    return {"x": x, "y": y, "weights": pack(weights), "losses": np.array(losses)}


QUESTIONS = {
    "keras_layers": {f"Keras: {name}": partial(keras_case, case) for name, case in (CASES | KERAS_CASES).items()},
    "keras_losses": {name: partial(keras_loss, name) for name in LOSSES},
    "keras_models": {name: partial(keras_training, name) for name in MODELS},
    "keras_optimizers": {name: partial(keras_steps, name) for name in OPTIMIZERS},
    "torch_layers": {f"PyTorch: {name}": partial(torch_case, case) for name, case in CASES.items()},
    "torch_states": {"an LSTM's states": torch_states},
}
"""All that is asked, by file and case: functions of a generator of random numbers."""


def answer(question, seed):
    """Ask a framework; a seed for each case, so that a case more or less changes no other."""
    parts = {name: np.asarray(part) for name, part in question(np.random.default_rng(seed)).items()}
    return np.array(tuple(parts.values()), [(name, part.dtype, part.shape) for name, part in parts.items()])


def main():
    """Write all files."""
    for file, questions in QUESTIONS.items():
        try:
            records = {name: answer(question, seed=0) for name, question in questions.items()}
        except ImportError as error:
            raise SystemExit(f"{error.name} is missing: pip install torch keras tensorflow-cpu") from error
        path = FOLDER / f"{file}.npz"
        np.savez_compressed(path, **records)
        print(f"{path.name}: {len(records)} cases, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
