"""What is given to ``fit`` and cannot be used is refused with what was found and what to write instead."""

import numpy as np
import pytest
from scipy import sparse

from minilstm import Dense, Sequential

X = np.arange(12.0).reshape(6, 2)


def fit(x=X, y=(0, 1, 0, 1, 0, 1), **settings):
    model = Sequential([Dense(1, "sigmoid")], seed=0)
    model.compile()
    return model.fit(x, y, verbose=0, **settings)


class Column:
    """A column of a table: pandas gives an array of objects for text, categories and its nullable numbers."""

    def __init__(self, *values):
        self.values = values

    def to_numpy(self):
        return np.array(self.values, object)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (Column(0, 1, 0, 1, 0, 1), TypeError, r"y is object, expected numbers: .*; write y\.astype\(int\)"),
        (
            Column(*["pos", "neg"] * 3),
            TypeError,
            r"a number for each label, such as \[int\(label == 'neg'\) for label in y\]",
        ),
        (
            ["yes", "no"] * 3,
            TypeError,
            r"y is <U3, expected numbers: .*such as \[int\(label == 'no'\) for label in y\]",
        ),
        (Column(0, 1, None, 1, 0, 1), ValueError, r"y\[2\] is missing, None; leave the sample out"),
        (Column(0, 1, 1, float("nan"), "x", 1), ValueError, r"y\[3\] is missing, nan; leave the sample out"),
    ],
)
def test_labels_that_are_not_numbers_come_with_a_line_that_makes_numbers_of_them(y, error, message):
    with pytest.raises(error, match=message):
        fit(y=y)


@pytest.mark.parametrize("matrix", [sparse.csr_matrix, sparse.coo_array])
def test_sparse_matrices_are_refused_by_the_name_of_the_argument(matrix):
    with pytest.raises(TypeError, match=r"x is a sparse \w+, expected an array; write x\.toarray\(\)"):
        fit(matrix(X))
    with pytest.raises(TypeError, match=r"y is a sparse \w+, expected an array; write y\.toarray\(\)"):
        fit(y=matrix(X[:, :1]))


def test_validation_data_with_weights_of_samples_is_refused_with_the_remedy():
    weights = np.ones(6)
    with pytest.raises(TypeError, match=r"a pair \(x, y\), got tuple of 3; weights of samples are not supported"):
        fit(validation_data=(X, [0, 1, 0, 1, 0, 1], weights))
    with pytest.raises(TypeError, match=r"a pair \(x, y\), got tuple of 1$"):
        fit(validation_data=(X,))
    with pytest.raises(TypeError, match=r"a pair \(x, y\), got int$"):
        fit(validation_data=3)
