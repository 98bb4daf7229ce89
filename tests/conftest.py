"""Settings and fixtures of all tests.

Hypothesis draws the same examples in every run ("ordinary"), or many fresh ones with HYPOTHESIS_PROFILE=thorough.
"""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("ordinary", max_examples=25, derandomize=True, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.register_profile("scheduled", max_examples=500, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ordinary"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell; some tests press Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def imdb_archive():
    """The real reviews: MINILSTM_DATA, or a folder shared/ beside the repository; else the test skips."""
    beside = Path(__file__).parents[2] / "shared" / "imdb" / "aclImdb_labelled.tar.gz"
    path = Path(os.environ.get("MINILSTM_DATA", beside))
    if not path.exists():
        pytest.skip("no IMDB reviews: set MINILSTM_DATA to the archive")
    return path
