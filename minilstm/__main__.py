"""``python -m minilstm``: see :mod:`minilstm.tools.cli`."""

import sys

from minilstm.tools.cli import main

sys.exit(main())
