"""Helpers of the tests of the explorer page: models of all kinds, engine.js in a bare V8, and the same in Python."""

import base64
import json
from pathlib import Path

import numpy as np
from py_mini_racer import MiniRacer

from minilstm import (
    LSTM,
    Activation,
    AveragePooling1D,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
    Sequential,
    Tokenizer,
    pad_sequences,
)
from minilstm.layers.lstm import lstm_backward
from minilstm.runs import saving

EXPLAIN = Path(__file__).parents[2] / "minilstm" / "explain"
ENGINE = (EXPLAIN / "engine.js").read_text(encoding="utf-8")
V, D, H, MAXLEN = 12, 4, 3, 9


def bodies():
    """The layers between Embedding and the last Dense, by name; the first five are the tutorial's architectures."""
    return {
        "cnn": [
            Conv1D(4, 2, activation="relu"),
            MaxPooling1D(),
            Conv1D(3, 2, activation="tanh"),
            MaxPooling1D(),
            Flatten(),
        ],
        "lstm": [LSTM(H)],
        "deep": [Dropout(0.5), LSTM(H, return_sequences=True), LSTM(H + 1)],
        "bidirectional": [Bidirectional(LSTM(H))],
        "cnn-lstm": [Conv1D(4, 3, activation="relu"), MaxPooling1D(2, padding="same"), LSTM(H)],
        "sigmoid lstm": [LSTM(H, activation="sigmoid")],
        "relu lstm": [LSTM(H, activation="relu", recurrent_activation="tanh")],
        "linear lstm": [LSTM(H, activation=None)],
        "backwards": [LSTM(H, go_backwards=True, return_sequences=True), LSTM(H, go_backwards=True)],
        "sum": [
            Bidirectional(LSTM(H, activation="sigmoid", return_sequences=True), "sum"),
            Bidirectional(LSTM(H), "sum"),
        ],
        "ave": [Bidirectional(LSTM(H, return_sequences=True), "ave"), GlobalMaxPooling1D()],
        "mul": [Bidirectional(LSTM(H, return_sequences=True), "mul"), Bidirectional(LSTM(H), "mul")],
        "pooled": [
            Bidirectional(LSTM(H, return_sequences=True)),
            GlobalAveragePooling1D(),
            Dense(3, activation="relu"),
        ],
        "causal": [Conv1D(3, 2, padding="causal", dilation_rate=2), AveragePooling1D(3, 2, "same"), LSTM(H)],
        "same": [
            Conv1D(3, 4, 2, padding="same", activation="tanh"),
            MaxPooling1D(2, 3, "same"),
            GlobalAveragePooling1D(),
        ],
        "heads": [LSTM(H), Dense(3, activation="softmax"), Activation("tanh")],
        "padded": [LSTM(H, return_sequences=True), Flatten()],
    }


def make_model(name, dtype="float64", seed=1):
    """A small model with weights of all sizes, rounded to float16, as the page has them."""
    fixed = name in ("cnn", "padded")
    model = Sequential([Embedding(V, D, input_length=MAXLEN if fixed else None)], seed=0, dtype=dtype)
    for layer in bodies()[name]:
        model.add(layer)
    if name == "heads":
        model.add(Dense(3))
        model.add(Activation("softmax"))
    else:
        model.add(Dense(1, activation="sigmoid"))
    rng = np.random.default_rng(seed)
    for p in model.params.values():
        p[...] = rng.normal(0, 0.7, p.shape).astype(np.float16)
    model.tokenizer = Tokenizer(num_words=V)
    model.tokenizer.fit_on_texts([" ".join(f"w{n}" for n in range(1, V + 3))])
    model.metadata = {"labels": ["bad", "good", "neither"][: 3 if name == "heads" else 2], "maxlen": MAXLEN}
    return model


def page_of(model):
    """What the page knows of a model: its description and the weights in base64."""
    offset, blocks, layers = 0, [], []
    for layer in model.layers:
        params = {}
        for name, p in layer.params.items():
            params[name] = {"shape": list(p.shape), "offset": offset}
            blocks.append(p.astype("<f2").tobytes())
            offset += p.size
        written = saving.call(layer, saving.LAYERS)
        config = dict(written["arguments"])
        if "layer" in config:
            config["layer"] = {"class": "LSTM", "config": config["layer"]["arguments"]}
        layers.append({"name": layer.name, "class": written["class"], "config": config, "params": params})
    tokenizer = {
        name: getattr(model.tokenizer, name) for name in ("num_words", "filters", "lower", "split", "oov_token")
    }
    about = {
        "version": 1,
        "title": "a model",
        "tokenizer": {**tokenizer, "words": list(model.tokenizer.word_index)},
        "labels": model.metadata["labels"],
        "maxlen": model.metadata["maxlen"],
        "padded": model.shapes[0] != (None,),
        "layers": layers,
        "dtype": "float16",
        "texts": [],
        "contexts": {},
        "source": {"file": "minilstm/layers/lstm.py", "forward": [], "backward": []},
        "compare": None,
    }
    return about, base64.b64encode(b"".join(blocks)).decode()


STUDY = """
const finish = (steps) => { let step; do step = steps.next(); while (!step.done); return step.value; };
const listed = (key, value) => (value instanceof Float64Array ? Array.from(value) : value);
const load = (about, weights) => Boolean((globalThis.model = loadModel(about, decodeWeights(weights, about.dtype))));
function study(ids, k) {
  const { x, logits, caches } = forward(model, ids);
  const { dx, grads } = backward(model, caches, k);
  const lstms = [];
  model.layers.forEach((layer, n) => {
    const runs = isRecurrent(layer) ? runsOf(model, caches, grads, n) : [];
    lstms.push(...runs.map(({ cache, grads: d }) => ({ ...cache, ...d, parts: writtenAndKept(cache) })));
  });
  return JSON.stringify({
    logits, dx, lstms, p: probabilities(model, logits), prefixes: finish(prefixLogits(model, ids)),
    leave_one_out: finish(leaveOneOut(model, ids, k)), gradient_x_input: gradientTimesInput(model, ids, k),
    integrated_gradients: finish(integratedGradients(model, ids, k)), memory: memoryAccount(model, ids, k),
  }, listed);
}
"""


class Engine:
    """engine.js in a V8 of its own, with the model loaded."""

    def __init__(self, model, source=ENGINE):
        self.v8 = MiniRacer()
        self.v8.eval(source)
        self.v8.eval(STUDY)
        self.v8.call("load", *page_of(model))

    def study(self, ids, k):
        """Everything that the page computes of one text, the matrices as arrays."""
        return json.loads(self.v8.call("study", ids, k), object_hook=as_array)


def as_array(value):
    """Turn {T, D, a} into an array (T, D)."""
    return np.reshape(value["a"], (value["T"], value["D"])) if set(value) == {"T", "D", "a"} else value


class Reference:
    """The same numbers as engine.js, from the textbook layers in float64."""

    def __init__(self, model):
        self.model = model
        self.layers = list(model.layers)
        self.phi = None  # the last nonlinearity, taken off, so that the model ends in the logit
        if isinstance(self.layers[-1], Activation):
            self.phi = self.layers.pop()
        elif self.layers[-1].activation:
            head = Dense(self.layers[-1].units)
            head.params, self.phi = self.layers[-1].params, Activation(self.layers[-1].activation)
            self.layers[-1] = head

    def padded(self, ids):
        """The batch of one text, and its lengths."""
        if self.model.shapes[0] != (None,):
            return pad_sequences([ids], MAXLEN), None
        return np.array([ids or [0]]), np.array([len(ids)])

    def run(self, x, lengths, first=0):
        """Run the layers from number ``first`` on: the logits (K,), and of each layer the cache and the output."""
        caches, ys = [None] * first, [None] * first
        for layer in self.layers[first:]:
            x, cache = layer.forward(x, lengths)
            lengths = layer.out_lengths(lengths) if x.ndim == 3 else None
            caches.append(cache)
            ys.append(x)
        return x[0], caches, ys

    def logits(self, ids):
        """The logits (K,) of one text."""
        return self.run(*self.padded(ids))[0]

    def gradients(self, caches, k):
        """The gradients of logit k with respect to what goes into each layer, and to what comes out of the last."""
        dy = np.zeros((1, self.layers[-1].params["b"].size))
        dy[0, k] = 1
        dys = [dy]
        for layer, cache in zip(self.layers[:0:-1], caches[:0:-1], strict=True):
            dys.insert(0, layer.backward(dys[0], cache)[0])
        return dys

    def study(self, ids, k):
        """All that ``study`` in V8 gives."""
        x, lengths = self.padded(ids)
        T = len(ids) if lengths is not None else MAXLEN
        logits, caches, ys = self.run(x, lengths)
        dys = self.gradients(caches, k)
        embedded, dx = ys[0][0, :T], dys[0][0, :T]
        whole, pads = logits[k], T - len(ids)
        without = [0.0] * pads + [whole - self.logits(ids[:t] + ids[t + 1 :])[k] for t in range(len(ids))]
        slopes = []
        for m in range(50):
            scaled = self.run(ys[0] * ((m + 0.5) / 50), lengths, 1)
            slopes.append(self.gradients(scaled[1], k)[0][0, :T])
        empty = self.run(ys[0] * 0, lengths, 1)[0][k]
        found = {
            "logits": logits,
            "dx": dx,
            "p": self.probabilities(logits),
            "prefixes": [self.logits(ids[:n]) for n in range(len(ids) + 1)],
            "leave_one_out": {"values": without, "sum": None},
            "gradient_x_input": {"values": (embedded * dx).sum(axis=1), "sum": None},
            "integrated_gradients": {"values": (embedded * np.mean(slopes, axis=0)).sum(axis=1), "sum": whole - empty},
            "lstms": [],
            "memory": None,
        }
        for n, layer in enumerate(self.layers):
            for lstm, cache, dy, _ in lstm_runs(layer, caches[n], dys[n]):
                found["lstms"].append(states(lstm, cache, dy))
        last = max((n for n, layer in enumerate(self.layers) if isinstance(layer, (LSTM, Bidirectional))), default=-1)
        if last > 0 and all(isinstance(layer, (LSTM, Bidirectional, Dropout)) for layer in self.layers[1:last]):
            found["memory"] = memory(lstm_runs(self.layers[last], caches[last], dys[last]), T)
        return found

    def probabilities(self, logits):
        """The probability of each label."""
        p = self.phi.forward(logits[None])[0][0]
        return [1 - p[0], p[0]] if len(p) == 1 else p


def lstm_runs(layer, cache, dy):
    """The LSTMs of a layer, with their caches, the gradients of their outputs, and whether they read backwards."""
    if isinstance(layer, LSTM):
        return [(layer, cache, dy, layer.go_backwards)]
    if not isinstance(layer, Bidirectional):
        return []
    H, mode = layer.layer.units, layer.merge_mode
    df, dr = {
        "concat": lambda: (dy[..., :H], dy[..., H:]),
        "mul": lambda: (dy * cache.r, dy * cache.f),
        "sum": lambda: (dy, dy),
        "ave": lambda: (dy / 2, dy / 2),
    }[mode]()
    dr = dr[:, ::-1] if dr.ndim == 3 else dr
    return [(layer.layer, cache.f_cache, df, False), (layer.reverse, cache.r_cache, dr, True)]


def states(lstm, cache, dy):
    """Gates, states and their gradients of one LSTM at every step, each gradient from its own call of lstm_backward."""
    T = cache.lengths[0] if cache.lengths is not None else cache.x.shape[1]
    H, zeros = lstm.units, np.zeros((1, lstm.units))
    dy_t = np.zeros((1, T, H))
    if T and lstm.return_sequences:
        dy_t[:] = dy[:, :T]
    elif T:
        dy_t[:, -1] = dy
    out = {name: getattr(cache, name)[:T, 0] for name in "ifgo"}
    out |= {"h": cache.h[: T + 1, 0], "c": cache.c[: T + 1, 0], "dy": dy_t[0]}
    out |= {"zx": cache.x[0, :T] @ cache.W, "zh": cache.h[:T, 0] @ cache.U}
    rest = {name: np.zeros((T, H)) for name in ("dh", "dc", "dh_path", "dc_path")}
    for t in range(T):  # the steps after t alone: what comes back to their first state
        after = cache._replace(
            x=cache.x[:, t + 1 : T], lengths=np.array([T - t - 1]), **{n: getattr(cache, n)[t + 1 :] for n in "ifgohc"}
        )
        _, _, dh, dc = lstm_backward(dy_t[:, t + 1 :], zeros, zeros, after)
        phi_c = cache.phi.forward(cache.c[t + 1])
        rest["dh_path"][t], rest["dc_path"][t] = dh[0], dc[0]
        rest["dh"][t] = dh[0] + dy_t[0, t]
        rest["dc"][t] = dc[0] + cache.phi.backward(rest["dh"][t] * cache.o[t, 0], phi_c[0])
    kept = [np.prod(out["f"][t + 1 :], axis=0) for t in range(T)]
    return out | rest | {"parts": np.array(kept).reshape(T, H) * out["i"] * out["g"]}


def memory(runs, T):
    """The memory account: for each reading of the cell at step s, what each step t <= s wrote and was kept."""
    values, total = np.zeros(T), 0.0
    for lstm, cache, dy, backwards in runs:
        s = states(lstm, cache, dy)
        phi_0 = cache.phi.forward(np.zeros(1))
        for end in range(T):
            c, read = s["c"][end + 1], s["h"][end + 1] - s["o"][end] * phi_0
            flat = s["o"][end] * cache.phi.backward(1.0, phi_0)
            weight = s["dy"][end] * np.where(c == 0, flat, read / np.where(c == 0, 1, c))
            for t in range(end + 1):
                part = np.prod(s["f"][t + 1 : end + 1], axis=0) * s["i"][t] * s["g"][t]
                values[T - 1 - t if backwards else t] += (weight * part).sum()
            total += (s["dy"][end] * read).sum()
    return {"values": values, "sum": total}
