"""Imported first: while the command line imports everything else, Ctrl-C ends it without a traceback."""

import os
import signal
import sys

NAME = os.path.basename(sys.argv[0] if sys.argv else "")  # noqa: PTH119 - pathlib would have to be imported first
STARTING = NAME in ("-m", "minilstm")  # python -m minilstm, or its script
if STARTING and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def listen() -> None:
    """From now on, Ctrl-C raises KeyboardInterrupt again."""
    if STARTING and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
