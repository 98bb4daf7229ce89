"""What the README says can be run, is run."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_script_in_the_readme_runs_on_real_reviews(imdb_archive, monkeypatch, tmp_path):
    monkeypatch.setenv("MINILSTM_DATA", str(imdb_archive))
    script = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1].replace("epochs=3", "epochs=1")
    file = tmp_path / "script.py"
    file.write_text(script, encoding="utf-8")
    run = subprocess.run([sys.executable, str(file)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "accuracy 0." in run.stdout


def test_the_reading_order_names_every_file_that_one_reads_to_learn():
    learned = {path.name for folder in (".", "layers") for path in (ROOT / "minilstm" / folder).glob("*.py")}
    learned -= {"__init__.py", "__main__.py", "text.py", "arrays.py"}
    order = README[README.index("## Reading the source") :]
    assert {name for name in learned if name not in order} == set()


def test_every_file_that_the_documents_name_exists():
    for document in ("README.md", "CONTRIBUTING.md", "demos/README.md", "demos/what_we_found.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for name in re.findall(r"`([\w/]+\.py)`", text):
            if "yours" not in name:
                places = (ROOT, ROOT / "minilstm", ROOT / "minilstm" / "fast", ROOT / "demos", (ROOT / document).parent)
                assert any((place / name).exists() for place in places), f"{document}: {name}"
