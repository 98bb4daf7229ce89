"""The command that verifies the twins: it runs their tests and, if they pass, records what they were compared with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from minilstm.fast.plan import ROOTS
from minilstm.fast.verified import RECORDS, reach


def main() -> int:
    """Run the tests of the twins, and take all digests again if they pass; return the exit code."""
    tests = Path(__file__).parents[2] / "tests" / "test_twins.py"
    if not tests.exists():
        print(f"{tests} does not exist: this needs a clone of the repository", file=sys.stderr)
        return 1
    environment = {**os.environ, "MINILSTM_FAST": "1", "MINILSTM_NUMBA": "1"}
    if subprocess.run([sys.executable, "-m", "pytest", str(tests)], cwd=tests.parents[1], env=environment).returncode:  # noqa: S603
        print("the twins differ from the textbook, so nothing was recorded; see the failures above", file=sys.stderr)
        return 1
    text = json.dumps({name: reach(roots) for name, roots in ROOTS.items()}, indent=1)
    Path(str(RECORDS)).write_text(text + "\n", encoding="utf-8")
    print(f"recorded what {len(ROOTS)} twins were verified against, in {RECORDS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
