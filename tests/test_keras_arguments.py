"""Arguments of Keras's that minilstm does not take are answered with the name that they have here, or a remedy."""

import pytest

from minilstm import LSTM, Adam, Dense, EarlyStopping, Embedding, ModelCheckpoint, Sequential
from minilstm.keras.arguments import HINTS

X, Y = [[1, 2], [2, 1, 1]], [0, 1]


def model():
    made = Sequential([Embedding(3, 2), LSTM(2), Dense(1, "sigmoid")], seed=0)
    made.compile("adam", "binary_crossentropy", ["accuracy"])
    return made


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Adam(lr=0.1), "Adam has no argument 'lr'; write learning_rate"),
        (lambda: Adam(clipnorm=1.0), "Adam has no argument 'clipnorm'; write global_clipnorm"),
        (lambda: Adam(decay=1e-6), "'decay'; leave it out, .*OneCycle"),
        (lambda: LSTM(2, input_shape=(3, 2)), "LSTM has no argument 'input_shape'; leave it out"),
        (lambda: LSTM(2, use_bias=False), "'use_bias'; leave it out"),
        (lambda: Embedding(3, 2, weights=[[]]), r"'weights'; .*model.params\['embedding.E'\]"),
        (lambda: Embedding(3, 2, trainable=False), "'trainable'; set layer.trainable = False"),
        (lambda: Embedding(3, 2, embeddings_initializer="uniform"), "'embeddings_initializer'; leave it out"),
        (lambda: Dense(1, name="last"), "'name'; leave it out"),
        (lambda: EarlyStopping(verbose=1), "EarlyStopping has no argument 'verbose'; leave it out"),
        (lambda: ModelCheckpoint(filepath="a"), "ModelCheckpoint has no argument 'filepath'; write path"),
        (lambda: ModelCheckpoint("a", save_best_only=True), "'save_best_only'; use EarlyStopping"),
        (lambda: model().fit(X, Y, class_weight={0: 1, 1: 2}), "fit has no argument 'class_weight'; leave it out"),
        (lambda: model().fit(X, Y, sample_weight=[1, 2]), "fit has no argument 'sample_weight'; leave it out"),
        (lambda: model().fit(X, Y, epoch=3), r"fit has no argument 'epoch'; see help\(fit\)"),
    ],
)
def test_an_argument_of_keras_is_answered(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_an_argument_that_a_class_takes_has_no_answer_and_other_errors_stay_as_they_are():
    assert "units" not in HINTS
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        LSTM()


class Mixed(Dense):
    """Somebody's own layer, whose parent is called wrongly inside."""

    def __init__(self):
        super().__init__(1, bias=True)


def test_a_mistake_inside_a_layer_of_ones_own_shows_itself():
    with pytest.raises(TypeError, match=r"__init__\(\) got an unexpected keyword argument 'bias'"):
        Mixed()
