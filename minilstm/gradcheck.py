"""The gradient checker: compares a backward pass with the derivative of its forward pass, one input number at a time.

That derivative is computed in two ways, from the forward pass alone. For a function f of one number x:

    (1) complex step         f'(x) ≈ Im f(x + ih) / h                  h = 1e-30
    (2) central differences  f'(x) ≈ (f(x + h) - f(x - h)) / 2h        h = 1e-5

Both follow from Taylor's series: f(x + ih) = f(x) + ih f'(x) - h² f''(x) / 2 - ..., whose imaginary part is h f'(x) up
to h³. (2) works for anything that can be computed, but subtracts two nearly equal numbers: some 10 digits are left.
(1) subtracts nothing, so nearly all 16 digits are right, but f must be *complex-safe*: no abs, no conversion to
float, and comparisons of real parts only (Squire & Trapp 1998). All layers and losses here are.

Layers have many outputs, so f is their sum weighted at random, f = Σ dy ⊙ y. A plain sum would hide bugs: it
cannot tell one output from another. The error is the worst over all entries of an array, relative to its largest
gradient. Everything runs in float64, and a layer runs as it is written; ``tests/test_twins.py`` compares its twin.

**Kinks.** ReLU and max have no derivative at their kinks. Where the slopes on the two sides of x differ, (2) is
meaningless; such entries are counted and left out of it. (1) stays on one side, so it is always compared.

Check a layer of your own::

    from minilstm.gradcheck import check_layer
    report = check_layer(MyLayer(4), np.random.default_rng(0).standard_normal((3, 5, 4)), lengths=np.array([5, 2, 0]))
    assert report.ok, report
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minilstm.arrays import Array, Arrays, Lengths
from minilstm.layers.base import Layer
from minilstm.losses import Loss
from minilstm.tools.report import Report, check_of
from minilstm.tools.validate import as_float64, check_kind, check_same


def compare(
    what: str,
    f: Callable[[Arrays], Any],
    arrays: Arrays,
    grads: Arrays,
    complex_step: bool = True,
    gates: Mapping[str, Sequence[str]] = {},
) -> Report:
    """Compare ``grads``, gradients computed by hand, with numerical ones of the scalar f(arrays).

    Args:
        what: the name in the table.
        f: from float64 or complex128 arrays to one number; it must not change them, nor depend on chance.
        arrays: where to take the derivatives. Cost: three calls of f for each number in them.
        grads: by the same names; arrays of integers need none.
        complex_step: False leaves (1) out.
        gates: for an array whose last axis holds one part for each gate, their names.
    """
    checks = []
    for name in [name for name, a in arrays.items() if a.dtype.kind == "f"]:
        central, kinks = _central(f, arrays, name)
        exact = _complex_step(what, f, arrays, name) if complex_step else None
        checks.append(check_of(name, grads[name], exact, central, kinks, gates.get(name, ())))
    return Report(what, checks)


def _complex_step(what: str, f: Callable[[Arrays], Any], arrays: Arrays, name: str) -> Array:
    """Equation (1) for every entry of ``arrays[name]``."""
    h, probe = 1e-30, {k: a.astype(np.complex128) if a.dtype.kind == "f" else a for k, a in arrays.items()}
    slope = np.empty(arrays[name].shape)
    for index in np.ndindex(slope.shape):
        probe[name][index] += 1j * h
        try:
            slope[index] = np.imag(f(probe)) / h
        except TypeError as error:
            raise TypeError(f"{what} takes no complex numbers ({error}); check it with complex_step=False") from error
        probe[name][index] = arrays[name][index]
    return slope


def _central(f: Callable[[Arrays], Any], arrays: Arrays, name: str) -> tuple[Array, Array]:
    """Equation (2) for every entry of ``arrays[name]``, and a mask of the entries that lie at a kink."""
    h, probe = 1e-5, {k: a.copy() for k, a in arrays.items()}
    here = f(probe)
    if f(probe) != here:
        raise ValueError("forward gives another result the second time: it keeps state, or draws from another rng")
    left, right = np.empty((2, *arrays[name].shape))
    for index in np.ndindex(left.shape):
        x = arrays[name][index]
        probe[name][index] = x + h
        right[index] = (f(probe) - here) / h
        probe[name][index] = x - h
        left[index] = (here - f(probe)) / h
        probe[name][index] = x
    slope = (left + right) / 2
    # on a smooth function the one-sided slopes differ by h f''; 100 h allows for a large f''
    kinks = np.abs(right - left) > 100 * h * np.max(np.abs(slope), initial=0)
    return slope, kinks


def check_layer(layer: Layer, x: Array, lengths: Lengths = None, complex_step: bool = True) -> Report:
    """Check the gradients of every parameter of ``layer``, and of its input x unless that is token ids.

    A copy of the layer is built for x if it is not built yet, and run in float64 with ``train=True``.

    Args:
        layer: any object that implements the interface in :mod:`minilstm.layers.base`.
        x: a batch, (B, D), (B, T, D) or token ids (B, T). Keep it small: every number costs three runs.
        lengths: (B,), to check a batch with padding, which finds more bugs.
        complex_step: False for a layer that is not complex-safe.
    """
    check_kind("layer", layer, Layer)
    check_kind("x", x, np.ndarray)
    what = f"{layer!r}, padded" if lengths is not None else repr(layer)
    layer = copy.deepcopy(layer)
    rng = np.random.default_rng(0)
    x = np.array(x, np.float64 if x.dtype.kind == "f" else x.dtype)
    if not layer.params:
        layer.build(x.shape[1:], rng, np.float64)
    params = {name: perturb(rng, p) for name, p in layer.params.items()}

    def forward(arrays: Arrays) -> tuple[tuple[Array, ...], Any]:
        layer.params = {name: arrays[name] for name in params}
        y, cache = layer.forward(arrays["x"], lengths, True, np.random.default_rng(0))
        return y if isinstance(y, tuple) else (y,), cache

    arrays = {"x": x, **params}
    y, cache = forward(arrays)
    dy: Any = tuple(rng.standard_normal(part.shape) for part in y)
    dx, grads = layer.backward(dy if len(dy) > 1 else dy[0], cache)
    check_same(f"{what}: grads", params, grads)

    def f(arrays: Arrays) -> Any:
        return sum(np.sum(d * part) for d, part in zip(dy, forward(arrays)[0], strict=True))

    report = compare(what, f, arrays, {"x": dx, **grads}, complex_step, dict.fromkeys(params, layer.gates))
    if report.ok or not layer.gates or x.shape[1] == 1:
        return report
    layer.params, first = params, None if lengths is None else lengths.clip(max=1)  # look at one step alone
    return report._replace(alone=check_layer(layer, x[:, :1], first, complex_step).checks)


def check_loss(loss: Loss, p: Array, y: Array) -> Report:
    """Check the gradient of ``loss`` with respect to the predictions p (B, K), given the truth y (B, K)."""
    p, y = as_float64("p", p), as_float64("y", y)  # (B, K) each
    return compare(type(loss).__name__, lambda a: loss.forward(a["p"], y), {"p": p}, {"p": loss.backward(p, y)})


def check_model(model: Any, loss: Loss, x: Array, y: Array, lengths: Lengths = None) -> Report:
    """Check the gradients of all parameters of a float64 model, through all of its layers and the loss."""
    model = copy.deepcopy(model)
    rng = np.random.default_rng(0)

    def forward(arrays: Arrays) -> tuple[Array, list[Any]]:
        for layer in model.layers:
            layer.params = {name: arrays[f"{layer.name}.{name}"] for name in layer.params}
        return model.forward(x, lengths, True, np.random.default_rng(0))

    arrays = {name: perturb(rng, p) for name, p in model.params.items()}
    p, caches = forward(arrays)
    grads = model.backward(loss.backward(p, y), caches)
    gates = {f"{layer.name}.{name}": layer.gates for layer in model.layers for name in layer.params}
    what = " > ".join(type(layer).__name__ for layer in model.layers)
    return compare(what, lambda a: loss.forward(forward(a)[0], y), arrays, grads, gates=gates)


def perturb(rng: np.random.Generator, p: Array) -> Array:
    """Move parameters away from their initial values: a bug may hide behind a zero bias or an embedding near zero."""
    return p + 0.3 * rng.standard_normal(p.shape)
