"""Check what the README's main job left in a folder: ``python .ci/check_main_job.py tflite-sparse-out``."""

import json
import sys
from pathlib import Path

NAMES = {"dense-float32.tflite", "dense-int8.tflite", "model.tflite", "report.json", "report.md", "report.html"}


def problems(folder: Path) -> list[str]:
    """What is not as the README promises, in words."""
    names = {path.name for path in folder.iterdir()}
    if names != NAMES:
        return [f"files: {sorted(names)}"]
    report = json.loads((folder / "report.json").read_text("utf-8"))
    dense, sparse = report["models"]["dense_float32"], report["models"]["sparse_int8"]
    accuracy, pruning, verification = report["accuracy"], report["pruning"], report["verification"]
    exact = [each["outputs_bit_exact"] for each in verification["runtimes"]]
    dense_bytes = sum(tensor["dense_bytes"] for tensor in report["tensors"])
    checks = {
        "the dense network is over 0.96": dense["accuracy"] > 0.96,
        "accuracy falls by 0.01 at most": accuracy["drop"] <= 0.01,
        "it is measured on 1,000 samples": accuracy["samples"] == 1000,
        "the file is 12 times smaller": report["ratios"]["vs_dense_float32"] >= 12,
        "the size is that of the file": sparse["file_bytes"] == (folder / "model.tflite").stat().st_size,
        "the dense network has no zeros": dense["sparsity"] < 0.01,
        "the sparse one has 86 %": sparse["sparsity"] > 0.86,
        "kernels have 87.5 %": abs(pruning["after"] - 0.875) < 1e-4,
        "nearly all weights are prunable": dense_bytes > 200_000 and pruning["prunable_weights"] >= 0.97 * dense_bytes,
        "it trained for 30 epochs of 63 steps": report["training"]["steps"][-1] == 30 * 63,
        "weights are equal bit for bit": verification["weights_bit_exact"] is True,
        "outputs are, in three runtimes": exact == [True] * 3,
        "all gates passed": report["gates"] == {"passed": True, "failures": [], "unjudged": []},
    }
    return [name for name, held in checks.items() if not held]


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]))
    sys.exit("\n".join(f"not so: {each}" for each in found) or 0)
