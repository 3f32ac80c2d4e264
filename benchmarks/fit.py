"""``fit --budget`` beside the points of a sweep: the same network, data, epochs and seeds.

    tflite-sparse sweep --data fashion-mnist --out sweep
    python benchmarks/fit.py sweep --out fit

For each seed, the network of the largest width is trained dense as the sweep trains it, and ``fit`` is given, one after
the other, the bytes of the sweep's sparse points of that width as a budget. Both trainings take as many epochs as each
point was trained for in all; ``--dense-epochs 5 --epochs 5`` beside a sweep of 10 gives both equally many. Beside the
accuracy stands that of the best point of the sweep with that seed, of any width, block and sparsity, which is no
larger. Results lie in ``OUT/fit.json`` as they come; what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import tflite_sparse
from tflite_sparse.config import PruneSettings
from tflite_sparse.files import write_bytes
from tflite_sparse.progress import ignore_steps
from tflite_sparse.pruning import training
from tflite_sparse.report import sweep as report
from tflite_sparse.sources import dataset, keras_model, scalable, tensorflow_import
from tflite_sparse.sources.dataset import Dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="folder with sweep.json")
    parser.add_argument("--out", type=Path, default=Path("fit-benchmark"))
    parser.add_argument("--epochs", type=int, help="of pruning (those of the sweep)")
    parser.add_argument("--dense-epochs", type=int, help="of the dense model before (those of the sweep)")
    parser.add_argument("--budgets", type=float, nargs="*", help="sparsities of the points whose bytes are the budgets")
    arguments = parser.parse_args()
    sweep = report.SweepReport.model_validate_json((arguments.sweep / "sweep.json").read_bytes())
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = arguments.out / "fit.json"
    found: list[dict[str, Any]] = json.loads(results.read_text()) if results.exists() else []
    samples = dataset.load(sweep.data)
    for point, measured in budgets(sweep, arguments.budgets):
        if any(entry["point"] == point.name for entry in found):
            continue
        epochs, dense_epochs = (
            given or sweep.settings["epochs"] for given in (arguments.epochs, arguments.dense_epochs)
        )
        model = dense_model(point, sweep, samples, dense_epochs, arguments.out)
        fitted = tflite_sparse.fit(
            model,
            samples,
            budget=measured.file_bytes,
            epochs=epochs,
            batch_size=sweep.settings["batch_size"],
            learning_rate=sweep.settings["learning_rate"],
            seed=point.seed,
            out=arguments.out / point.name,
            resume=(arguments.out / point.name / "unfinished").exists(),
        )
        best, accuracy = best_point(sweep, point.seed, measured.file_bytes)
        found.append(
            {
                "point": point.name,
                "seed": point.seed,
                "budget": measured.file_bytes,
                "epochs": epochs,
                "dense_epochs": dense_epochs,
                "file_bytes": fitted.file_bytes,
                "prediction_error": fitted.prediction_error,
                "accuracy": fitted.accuracy,
                "dense_accuracy": fitted.dense_accuracy,
                "best_point": best.name,
                "best_accuracy": accuracy,
                "plan": {kernel.name: [kernel.block, kernel.planned] for kernel in fitted.kernels},
            }
        )
        write_bytes(results, (json.dumps(found, indent=2) + "\n").encode())
        print(line(found[-1]), flush=True)
    print("\n".join(map(line, found)))
    margins = [100 * (entry["accuracy"] - entry["best_accuracy"]) for entry in found]
    print(f"fit ahead by {np.mean(margins):+.2f} points on average, {min(margins):+.2f} at the least")


def budgets(sweep: report.SweepReport, sparsities: list[float] | None) -> list[tuple[report.Point, report.Measured]]:
    """The sparse points of the largest width in the sweep's first block, seed by seed."""
    widest, block = max(point.width for point in sweep.points), sweep.settings["block"][0]
    chosen = [
        (point, measured)
        for point, measured in sweep.measured
        if point.width == widest and point.block == block and point.sparsity > 0
    ]
    if sparsities:
        chosen = [each for each in chosen if each[0].sparsity in sparsities]
    return sorted(chosen, key=lambda each: (each[0].seed, each[0].sparsity))


def best_point(sweep: report.SweepReport, seed: int, file_bytes: int) -> tuple[report.Point, float]:
    fitting = [(p, m) for p, m in sweep.measured if p.seed == seed and m.file_bytes <= file_bytes]
    point, measured = max(fitting, key=lambda each: each[1].accuracy)
    return point, measured.accuracy


def dense_model(point: report.Point, sweep: report.SweepReport, samples: Dataset, epochs: int, folder: Path) -> Path:
    """The network of the point, trained dense as the sweep trains it; once for each seed."""
    path = folder / f"dense-seed{point.seed}.keras"
    if not path.exists():
        keras = tensorflow_import.keras3()
        keras.utils.set_random_seed(point.seed)
        classes = int(samples.y_train.max()) + 1
        source = keras_model.KerasSource(
            scalable.build(keras, point.width, samples.x_train.shape[1:], classes), keras, "dense"
        )
        settings = {name: sweep.settings[name] for name in ("batch_size", "learning_rate")}
        training.train_repeatably(
            source,
            samples,
            PruneSettings(**settings, epochs=epochs, seed=point.seed),
            None,
            on_step=ignore_steps,
            after_epoch=lambda epoch, loss: print(
                f"dense, seed {point.seed}: epoch {epoch}, loss {loss:.4f}", flush=True
            ),
        )
        source.model.save(path)
    return path


def line(entry: dict[str, Any]) -> str:
    margin = 100 * (entry["accuracy"] - entry["best_accuracy"])
    return (
        f"seed {entry['seed']}, {entry['budget']:,} bytes: fit {entry['accuracy']:.4f} in {entry['file_bytes']:,}, "
        f"sweep {entry['best_accuracy']:.4f} ({entry['best_point']}): {margin:+.2f} points; {entry['plan']}"
    )


if __name__ == "__main__":
    main()
