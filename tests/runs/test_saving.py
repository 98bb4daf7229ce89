"""A loaded model is the one that was saved: every layer, every bit, all that it needs to be used and trained on."""

import copy
import functools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from test_contract import LAYERS, B, D, T, V

from minilstm import (
    LSTM,
    SGD,
    Activation,
    Adam,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    MaxPooling1D,
    RMSprop,
    Sequential,
    Tokenizer,
)
from minilstm import layers as library
from minilstm.losses import BinaryCrossentropy, CategoricalCrossentropy, Loss, MeanSquaredError
from minilstm.runs import files
from minilstm.runs.saving import arrays, describe, rebuild

MAXLEN = 16
ARCHITECTURES = {
    "CNN": [
        Dropout(0.5), Conv1D(4, 3, activation="relu"), MaxPooling1D(), Conv1D(4, 3, activation="relu"), MaxPooling1D(),
        Flatten(), Dense(5, "relu"), Dropout(0.5),
    ],
    "classic LSTM": [LSTM(4, activation="sigmoid")],
    "deep LSTM": [LSTM(4, return_sequences=True), LSTM(3)],
    "bidirectional LSTM": [Bidirectional(LSTM(4))],
    "CNN-LSTM": [Conv1D(4, 3, activation="relu"), MaxPooling1D(2), LSTM(4)],
}  # fmt: skip
X = np.random.default_rng(0).integers(0, V, (12, MAXLEN))
Y = X[:, 0] % 2


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def small(**settings):
    model = Sequential([Embedding(V, 2), Bidirectional(LSTM(2)), Dense(1, "sigmoid")], seed=0, **settings)
    model.compile(optimizer=Adam(0.01), metrics=["accuracy"])
    model.tokenizer = Tokenizer(num_words=V)
    model.tokenizer.fit_on_texts(["to be or not to be"])
    model.metadata = {"labels": ["bad", "good"], "maxlen": MAXLEN}
    return model


def alike(one, other):
    assert [repr(layer) for layer in one.layers] == [repr(layer) for layer in other.layers]
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
    assert one.shapes == other.shapes
    assert one.dtype == other.dtype
    assert list(one.params) == list(other.params)
    for name, p in one.params.items():
        assert other.params[name] is not p
        assert other.params[name].dtype == p.dtype
        assert other.params[name].tobytes() == p.tobytes()
        assert other.params[name].flags.writeable


def saved_and_loaded(model, path):
    model.save(path)
    return Sequential.load(path)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_comes_back_and_computes_the_same(name, dtype, path):
    factory, kind = LAYERS[name]
    rng = np.random.default_rng(0)
    shape = {"tokens": (B, T), "vector": (B, D), "sequence": (B, T, D)}[kind]
    x = rng.integers(0, V, shape) if kind == "tokens" else rng.standard_normal(shape).astype(dtype)
    model = Sequential([factory()], dtype=dtype)
    model.build(x.shape[1:])
    for p in model.params.values():
        p += rng.standard_normal(p.shape).astype(dtype)
    loaded = saved_and_loaded(model, path)
    alike(model, loaded)
    assert loaded.forward(x)[0].tobytes() == model.forward(x)[0].tobytes()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_predicts_the_same_and_can_be_trained_on(name, path):
    between = copy.deepcopy(ARCHITECTURES[name])
    model = Sequential([Embedding(V, 3, input_length=MAXLEN), *between, Dense(1, "sigmoid")], seed=0)
    model.compile(metrics=["accuracy"])
    model.fit(X, Y, verbose=0)
    loaded = saved_and_loaded(model, path)
    alike(model, loaded)
    assert np.array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert loaded.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    loaded.fit(X, Y, verbose=0)
    assert not np.array_equal(loaded.params["dense.b" if name != "CNN" else "dense_1.b"], model.get_weights()[-1])


SETTINGS = [
    Embedding(V, 2, mask_zero=True, input_length=4),
    LSTM(2, "relu", None, return_sequences=True, go_backwards=True, dropout=0.1, recurrent_dropout=0.2),
    Bidirectional(LSTM(2, "sigmoid", dropout=0.25, return_sequences=True), merge_mode="ave"),
    Conv1D(2, 3, 2, "causal", activation="tanh"),
    Conv1D(2, 3, dilation_rate=2, padding="same"),
    library.AveragePooling1D(3, 1, "same"),
    MaxPooling1D(pool_size=3, strides=None),
    Dense(2),
    Dropout(0),
    Activation("softmax"),
]


@pytest.mark.parametrize("layer", SETTINGS, ids=repr)
def test_every_setting_comes_back(layer, path):
    model = Sequential([copy.deepcopy(layer)])
    alike(model, saved_and_loaded(model, path))


def test_settings_that_numpy_or_c_habits_gave_come_back_as_plain_ones(path):
    model = Sequential([LSTM(np.int64(2), np.str_("tanh"), return_sequences=1), MaxPooling1D(2, np.int64(1))])
    (lstm, pooling) = saved_and_loaded(model, path).layers
    assert lstm.return_sequences is True
    assert type(lstm.activation) is str
    assert type(pooling.strides) is int


@pytest.mark.parametrize("model", [Sequential(), Sequential([Dense(2), LSTM(2)]), Sequential([], dtype="float64")])
def test_a_model_without_weights_comes_back_without_weights(model, path):
    loaded = saved_and_loaded(model, path)
    alike(model, loaded)
    assert (loaded.loss, loaded.optimizer, loaded.tokenizer, loaded.metadata) == (None, None, None, {})


def test_weights_that_are_no_numbers_come_back_too(path):
    model = small()
    bits = np.array([0x7FC00001, 0xFF800000, 0x80000000, 1], np.uint32).view(np.float32)
    model.params["embedding.E"].ravel()[:4] = bits
    alike(model, saved_and_loaded(model, path))


def test_names_that_were_changed_come_back(path):
    model = small()
    model.layers[1].name = "reader"
    assert "reader.forward.W" in saved_and_loaded(model, path).params


def test_names_that_are_not_told_apart_are_refused_while_saving(path):
    model = Sequential([Embedding(V, 2), LSTM(2, return_sequences=True), LSTM(2)])
    model.layers[2].name = "lstm"
    with pytest.raises(ValueError, match=r"lstm.W is missing"):
        model.save(path)
    assert not path.exists()


def test_a_save_changes_nothing_in_the_model(path):
    model = small()
    model.fit(X, Y, verbose=0)
    weights, state, draw = model.get_weights(), copy.deepcopy(model.optimizer.state), copy.deepcopy(model.rng)
    model.save(path)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    assert state["m"].keys() == model.optimizer.state["m"].keys()
    assert draw.random() == model.rng.random()


@pytest.mark.parametrize(
    "optimizer",
    [SGD(0.5, 0.9, True), RMSprop(0.01, 0.8, 1e-6, global_clipnorm=2), Adam(beta_1=0.5, beta_2=0.9, epsilon=0.1)],
)
@pytest.mark.parametrize(
    "loss", [BinaryCrossentropy(), BinaryCrossentropy(True), CategoricalCrossentropy(True), MeanSquaredError()]
)
@pytest.mark.parametrize("metrics", [[], ["accuracy"]])
def test_loss_optimiser_and_metrics_come_back_without_state(path, optimizer, loss, metrics):
    model = Sequential([Dense(1)])
    model.compile(optimizer, loss, metrics)
    loaded = saved_and_loaded(model, path)
    assert type(loaded.optimizer) is type(optimizer)
    assert vars(loaded.optimizer) == vars(optimizer)
    assert type(loaded.loss) is type(loss)
    assert vars(loaded.loss) == vars(loss)
    assert loaded.metrics == metrics


def test_a_learning_rate_changed_while_training_comes_back(path):
    model = small()
    model.optimizer.learning_rate = np.float32(0.5)
    assert saved_and_loaded(model, path).optimizer.learning_rate == 0.5


# The tokenizer and the metadata.


@pytest.mark.parametrize(
    "tokenizer",
    [
        Tokenizer(),
        Tokenizer(5, oov_token="<unk>"),
        Tokenizer(np.int64(5), filters="", lower=False, split="\n"),
        Tokenizer(filters="é中", split="\ud800"),
    ],
)
def test_a_tokenizer_comes_back_entirely(tokenizer, path):
    texts = ["Naïve CAFÉ 映画 映画 🎬 can't", 'a "b" \\ \ud83d\ude00 \x00 \u2028', "映画 a"]
    model = Sequential([Embedding(V, 2)])
    for some in ([], texts):  # before it has learned anything, and after
        tokenizer.fit_on_texts(some)
        model.tokenizer = tokenizer
        loaded = saved_and_loaded(model, path).tokenizer
        assert vars(loaded) == vars(tokenizer)
        for words in ("word_index", "index_word", "word_counts"):
            assert list(getattr(loaded, words).items()) == list(getattr(tokenizer, words).items())
        assert type(loaded.word_counts) is type(loaded.word_docs) is Counter
    assert loaded.texts_to_sequences(texts) == tokenizer.texts_to_sequences(texts)
    loaded.fit_on_texts(["映画 new"])
    tokenizer.fit_on_texts(["映画 new"])
    assert vars(loaded) == vars(tokenizer)


def test_a_hundred_thousand_words_come_back(path):
    model = Sequential([Embedding(V, 2)])
    model.tokenizer = Tokenizer()
    model.tokenizer.fit_on_texts([" ".join(f"wört{n}" for n in range(100_000))])
    assert vars(saved_and_loaded(model, path).tokenizer) == vars(model.tokenizer)


def test_metadata_comes_back(path):
    model = Sequential()
    model.metadata = {"labels": ["schlecht", "güt"], "maxlen": 200, "nested": {"a": [None, True, 0.1, {}]}}
    assert saved_and_loaded(model, path).metadata == model.metadata


@pytest.mark.parametrize("metadata", [{"shape": (1, 2)}, {1: "one"}, {"x": np.ones(2)}, {"x": float("inf")}])
def test_metadata_that_would_come_back_changed_is_refused(path, metadata):
    model = Sequential()
    model.metadata = metadata
    with pytest.raises(TypeError, match=r"was not saved: .*such as model.metadata, must be dicts with str keys"):
        model.save(path)


# What is not the library's own.


class MyLayer(Layer):
    pass


class MyLoss(Loss):
    pass


class MyModel(Sequential):
    pass


def with_attribute(name, value):
    model = small()
    setattr(model, name, value)
    return model


YOURS = {
    "MyLayer": Sequential([MyLayer()]),
    "LSTM": Sequential([type("LSTM", (LSTM,), {})(2)]),
    "Bidirectional": Sequential([Bidirectional(type("LSTM", (LSTM,), {})(2))]),
    "MyLoss": with_attribute("loss", MyLoss()),
    "RMSprop": with_attribute("optimizer", type("RMSprop", (RMSprop,), {})()),
    "MyModel": MyModel(),
    "tokenizer": with_attribute("tokenizer", type("MyTokenizer", (Tokenizer,), {})()),
}


@pytest.mark.parametrize("model", YOURS.values(), ids=YOURS)
def test_classes_of_your_own_are_refused_with_the_remedy(path, model):
    with pytest.raises(TypeError, match=r"is not one of minilstm's own .*create the model in your code.*np.savez"):
        model.save(path)
    assert not path.exists()


def test_the_remedy_works(tmp_path):
    model, other = Sequential([Embedding(V, 2), MyLayer(), LSTM(2)]), Sequential([Embedding(V, 2), MyLayer(), LSTM(2)])
    np.savez(tmp_path / "weights.npz", *model.get_weights())
    with np.load(tmp_path / "weights.npz") as weights:
        other.set_weights(list(weights.values()))
    alike(model, other)


@pytest.mark.parametrize(
    ("name", "value"), [("metadata", None), ("metadata", [1]), ("metrics", ["speed"]), ("shapes", [()])]
)
def test_what_could_not_be_loaded_is_not_saved(path, name, value):
    with pytest.raises(ValueError, match=r"expected|unknown"):
        with_attribute(name, value).save(path)
    assert not path.exists()


# Files made to deceive: all of them have a right checksum.


def test_a_file_that_holds_no_model_is_refused_by_name(path):
    files.write(path, {}, {"kind": "checkpoint"})
    with pytest.raises(
        ValueError, match=r"model.safetensors does not hold a valid model: the model has kind, expected a dict"
    ):
        Sequential.load(path)


@pytest.mark.parametrize("change", ["missing", "superfluous", "shape", "dtype"])
@pytest.mark.parametrize("name", ["embedding.E", "bidirectional.backward.U", "dense.b"])
def test_weights_that_are_not_the_models_are_refused(path, name, change):
    model = small()
    about, tensors = describe(model), dict(arrays(model))
    if change == "missing":
        del tensors[name]
    elif change == "superfluous":
        tensors["dense_1.W"] = tensors[name]
    elif change == "shape":
        tensors[name] = tensors[name][..., :-1]
    else:
        tensors[name] = tensors[name].astype("float64")
    files.write(path, tensors, about)
    with pytest.raises(ValueError, match=r"missing, expected|unexpected arrays.*dense_1.W|expected float32 \("):
        Sequential.load(path)


def places(value, here=()):
    """Every place in a tree of dicts and lists, as the keys that lead to it."""
    yield here
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*here, key))


DEEP = functools.reduce(lambda inner, _: [inner], range(100_000), [])
WEIRD = [
    DEEP,
    None,
    True,
    -1,
    0,
    10**12,
    10**4000,
    1e300,
    "",
    "LSTM",
    "__import__('os')",
    [],
    [[]],
    {},
    {"class": "Layer"},
]


def test_whatever_stands_anywhere_in_a_forged_description_there_is_a_model_or_a_valueerror(path):
    model = small()
    about, tensors = describe(model), arrays(model)
    refused = 0
    for here in places(about):
        for value in WEIRD:
            forged = json.loads(json.dumps({"root": about}))
            *way, last = ("root", *here)
            parent = forged
            for key in way:
                parent = parent[key]
            parent[last] = value
            try:
                rebuild(forged["root"], tensors)
            except ValueError:
                refused += 1
    assert refused > 700


@pytest.mark.parametrize("change", ["missing", "superfluous"])
def test_every_key_is_needed_and_no_other_allowed(change):
    model = small()
    about, tensors = describe(model), arrays(model)
    for here in places(about):
        forged = {"root": copy.deepcopy(about)}
        parent = forged
        for key in ("root", *here[:-1]):
            parent = parent[key]
        if "metadata" in here or not here or not isinstance(parent, dict):
            continue
        if change == "missing":
            del parent[here[-1]]
        else:
            parent["extra"] = 1
        with pytest.raises(ValueError, match="expected a dict with the keys"):
            rebuild(forged["root"], tensors)


HUGE = 10**12


@pytest.mark.parametrize(
    "layer",
    [Embedding(HUGE, 1), Embedding(1, HUGE), LSTM(HUGE), Bidirectional(LSTM(HUGE)), Dense(HUGE), Conv1D(HUGE, 1),
     Conv1D(1, HUGE)], ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("D_", [0, 3])
def test_a_forged_size_is_refused_before_memory_is_taken(layer, D_):
    about = describe(Sequential())
    d_in = [None] if isinstance(layer, Embedding) else [None, D_]
    about |= {"d_in": d_in, "layers": describe_layers(layer)}
    with pytest.raises(ValueError, match=r"is missing, expected float32 \("):
        rebuild(about, {})


def describe_layers(*layers):
    model = Sequential()
    model.layers = layers  # not by add, which would build an Embedding
    return describe(model)["layers"]


@pytest.mark.parametrize(
    "learned",
    [
        b"", b"\xff", b"[" * 100_000, b"[]", b'{"word_index": {}}',
        b'{"word_index": {"a": "1"}, "word_counts": {}, "word_docs": {}, "document_count": 1}',
        b'{"word_index": {"a": -1}, "word_counts": {}, "word_docs": {}, "document_count": 1}',
        b'{"word_index": {"a": [1]}, "word_counts": {}, "word_docs": {}, "document_count": 1}',
        b'{"word_index": {"a": 1}, "word_counts": {"a": NaN}, "word_docs": {}, "document_count": 1}',
        b'{"word_index": [], "word_counts": {}, "word_docs": {}, "document_count": 1}',
        b'{"word_index": {}, "word_counts": {}, "word_docs": {}, "document_count": true}',
    ],
)  # fmt: skip
def test_a_forged_tokenizer_is_refused(path, learned):
    model = small()
    files.write(path, {**arrays(model), "tokenizer": np.frombuffer(learned, np.uint8)}, describe(model))
    with pytest.raises(ValueError, match="does not hold a valid model"):
        Sequential.load(path)


def test_a_model_inside_a_model_inside_a_model_is_refused():
    about = describe(Sequential([Bidirectional(LSTM(2))]))
    call = about["layers"][0]["call"]
    for _ in range(100_000):
        call = {"class": "Bidirectional", "arguments": {"layer": call, "merge_mode": "sum"}}
    about["layers"][0]["call"] = call
    with pytest.raises(ValueError, match="class='Bidirectional' is unknown; choose one of 'LSTM'"):
        rebuild(about, {})


def test_a_model_of_the_first_edition_loads_and_predicts_the_same():
    model = Sequential.load(Path(__file__).parent / "first_edition" / "model.safetensors")
    rng = np.random.default_rng(0)
    x = [rng.integers(1, 20, rng.integers(1, 12)) for _ in range(60)]
    np.testing.assert_allclose(model.predict(x, verbose=0)[:, 0], model.metadata["predictions"], atol=1e-6)
    assert model.tokenizer.texts_to_sequences(["a bad film"]) == [[1, 3, 2]]


@pytest.mark.parametrize("metrics", [["acc"], ["accuracy", "acc"]])
def test_a_metric_comes_back_by_the_name_it_was_asked_for(metrics, path):
    model = small()
    model.compile(metrics=metrics)
    assert saved_and_loaded(model, path).metrics == metrics


def test_layers_that_are_frozen_come_back_frozen(path):
    model = small()
    model.layers[0].trainable = False
    back = saved_and_loaded(model, path)
    assert [layer.trainable for layer in back.layers] == [False, True, True]
    before = back.get_weights()
    back.fit(X, Y, verbose=0)
    assert [bool((a == b).all()) for a, b in zip(before, back.get_weights(), strict=True)][:2] == [True, False]


def test_an_id_that_no_array_of_integers_holds_is_refused(path):
    model = small()
    model.tokenizer.word_index["be"] = 10**30
    with pytest.raises(ValueError, match="the tokenizer holds something other than integers >= 0 and < 2"):
        model.save(path)
