"""The scripts of ``benchmarks/`` run other runtimes; these tests use their modules."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
