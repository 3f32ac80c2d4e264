"""Make reports whose numbers all differ."""

from tflite_sparse.results.export import (
    Accuracy,
    Gates,
    ModelFile,
    Models,
    Pruning,
    Ratios,
    Report,
    Runtime,
    Tensor,
    Verification,
)


def make(**changes):
    """A report whose numbers all differ."""
    values = {
        "tool": "tflite-sparse 0.1.0",
        "model": "net.keras",
        "data": "digits",
        "settings": {"sparsity": 0.875, "int8": True, "out": "somewhere"},
        "models": Models(
            dense_float32=ModelFile(
                path="dense-float32.tflite", file_bytes=1_040_000, gzip_bytes=930_001, accuracy=0.9876, sparsity=0.001
            ),
            dense_int8=ModelFile(
                path="dense-int8.tflite", file_bytes=260_000, gzip_bytes=70_002, accuracy=0.9812, sparsity=0.872
            ),
            sparse_int8=ModelFile(
                path="model.tflite", file_bytes=65_000, gzip_bytes=60_003, accuracy=0.9812, sparsity=0.872
            ),
        ),
        "ratios": Ratios(vs_dense_float32=16.0, vs_dense_int8=4.0),
        "accuracy": Accuracy(metric="top1", samples=360, drop=0.0064, max_drop=0.01),
        "pruning": Pruning(
            prunable_kernels=2,
            prunable_weights=255_488,
            masks_applied=0,
            before=0.0005,
            after=0.875,
            epochs=3,
            words="masked by magnitude",
        ),
        "tensors": [
            Tensor(
                name="dense/MatMul",
                operator="CONV_2D",
                shape=(160, 1, 1, 1568),
                sparsity=0.875,
                layout="csr",
                dense_bytes=250_880,
                encoded_bytes=62_720,
                entropy_bytes=45_011,
                reason="least bytes",
            ),
            Tensor(
                name="conv1/Conv2D",
                operator="CONV_2D",
                shape=(16, 3, 3, 1),
                sparsity=0.0,
                layout="dense",
                dense_bytes=144,
                encoded_bytes=144,
                entropy_bytes=131,
                reason="few zeros",
            ),
        ],
        "verification": Verification(
            weights_bit_exact=True,
            outputs_bit_exact=True,
            samples=64,
            runtimes=[
                Runtime(name="first runtime", outputs_bit_exact=True, largest_difference=0.0),
                Runtime(
                    name="second runtime", outputs_bit_exact=None, largest_difference=None, unavailable="no such kernel"
                ),
            ],
        ),
        "gates": Gates(passed=True, failures=[]),
        "seconds": {"load": 0.125, "convert": 3.5},
    }
    return Report(**{**values, **changes})


def without_data(**changes):
    models = make().models
    dense = models.dense_float32.model_copy(update={"accuracy": None})
    sparse = models.sparse_int8.model_copy(update={"accuracy": None})
    return make(
        data=None,
        accuracy=None,
        ratios=Ratios(vs_dense_float32=4.0),
        models=Models(dense_float32=dense, sparse_float32=sparse),
        **changes,
    )


def undelivered():
    models = make().models
    return make(
        models=Models(dense_float32=models.dense_float32, dense_int8=models.dense_int8),
        ratios=None,
        gates=Gates(passed=False, failures=["weights: 'a|b' differs", "outputs: not equal"]),
        verification=Verification(
            weights_bit_exact=False,
            outputs_bit_exact=False,
            samples=64,
            runtimes=[Runtime(name="first runtime", outputs_bit_exact=False, largest_difference=3.0)],
        ),
    )
