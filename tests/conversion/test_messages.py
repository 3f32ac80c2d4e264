"""Shorten the converter's messages to the sentence that names the operator, and its place."""

import pytest

from tflite_sparse.conversion.messages import in_short
from tflite_sparse.errors import one_line

CALLS = (
    'loc(callsite(fused["Lgamma:", "net/own (1)/Lgamma@__inference_serve_8"] at '
    'callsite(fused["PartitionedCall:", "PartitionedCall@__inference_signature_wrapper_14"] at '
    'fused["PartitionedCall:", "PartitionedCall"])))'
)
NOTES = f"<unknown>:0: note: {CALLS}: called from\n"

CASES = {
    "one operator": (
        f"Could not translate MLIR to FlatBuffer.<unknown>:0: error: {CALLS}: 'tf.Lgamma' op is neither a custom op "
        f"nor a flex op\n{NOTES}<unknown>:0: error: failed while converting: 'main': \nSome ops are not supported",
        "'tf.Lgamma' op is neither a custom op nor a flex op (at net/own (1)/Lgamma).",
    ),
    "the operator comes first, and once": (
        f"error: {CALLS}: failed to convert value\n{NOTES}error: {CALLS}: 'tf.Lgamma' op is no op\n{NOTES * 50}"
        f"error: {CALLS}: 'tf.Lgamma' op is no op\n",
        "'tf.Lgamma' op is no op (at net/own (1)/Lgamma); failed to convert value (at net/own (1)/Lgamma).",
    ),
    "a location that does not end": ("error: loc(callsite(", "."),
    "nothing of MLIR": (
        "RuntimeError: Quantization not yet supported for op: 'CUSTOM'",
        "RuntimeError: Quantization not yet supported for op: 'CUSTOM'.",
    ),
    "a traceback of AutoGraph": (
        'in user code:\n\n    File "/a/b.py", line 3, in call  *\n        return x\n\n    ValueError: no such shape\n',
        "ValueError: no such shape.",
    ),
    "colours": ("when calling Up.call(). \x1b[1mUsing a tensor\x1b[0m", "when calling Up.call(). Using a tensor."),
    "too long": ("a" * 400, "a" * 300 + " ..."),
}


@pytest.mark.parametrize("case", list(CASES))
def test_in_short(case):
    message, wanted = CASES[case]
    assert in_short(RuntimeError(message)) == wanted


def test_no_message_has_colours():
    assert one_line(RuntimeError("\x1b[1mbold\x1b[0m \x1b[38;5;4mblue\x1b[0m")) == "bold blue"
