"""Ctrl-C while the command line is still importing ends it without a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PRESS = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
@pytest.mark.parametrize("command", [["-m", "minilstm"], [str(Path(sys.executable).with_name("minilstm"))]])
def test_ctrl_c_while_importing_ends_without_a_traceback(command, tmp_path):
    (tmp_path / "tqdm.py").write_text(PRESS)  # imported in place of the real one
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run([sys.executable, *command, "--version"], capture_output=True, text=True, env=environment)
    assert (ran.returncode, ran.stdout, ran.stderr) == (-signal.SIGINT, "", "")


def test_importing_the_library_leaves_ctrl_c_as_it_is():
    script = "import signal; before = signal.getsignal(2); import minilstm; print(signal.getsignal(2) is before)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.stdout == "True\n"
