"""Instructions of a program's steps by the model of costs, for where there is no emulator."""

from __future__ import annotations

from tflite_sparse.codecs.dense_work import Loops
from tflite_sparse.codecs.streams import stream
from tflite_sparse.codecs.streams.kernels import Filter, Kernel
from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.codecs.streams.work import Pixels
from tflite_sparse.errors import ExecutionError
from tflite_sparse.standalone_c import work
from tflite_sparse.standalone_c.operators.weighted import PAIRED
from tflite_sparse.standalone_c.program import Call, Program, Step, Struct
from tflite_sparse.targets import micro_costs
from tflite_sparse.targets.micro_costs import Costs

_ROW_BY_ROW = {"tfls_conv_2d_max_pool": "tfls_conv_2d", "tfls_run_max_pool": "tfls_run"}
"""The functions that compute rows of a convolution and pool them, and the convolution of each."""

_POOL = "tfls_max_pool_2d"


def instructions(program: Program, cpu: MicroCpu) -> list[int]:
    """The instructions of each step on a CPU, 0 for a view.

    Raises:
        ExecutionError: a step's weights are for CPUs of another kind, whose costs on this one are not known.
    """
    costs = micro_costs.of(cpu, "standalone")
    return [sum(_of_call(step, call, costs, cpu) for call in step.calls) for step in program.steps]


def _of_call(step: Step, call: Call, costs: Costs, cpu: MicroCpu) -> int:
    if call.function in _ROW_BY_ROW:
        return _row_by_row(step, call, costs, cpu)
    if work.is_known(call):
        found = work.of(call, costs.extensions)
        return costs.of_function(found.kind, found.parts)
    params = call.struct
    if step.kernel:
        return _sparse(step, call, costs, cpu)
    loops = Loops(paired=params.constant("layout") == PAIRED, wide=bool(params.number("wide")))
    if call.function == "tfls_fully_connected":
        shape = Filter(params.number("outputs"), 1, 1, params.number("inputs"))
        return costs.of_dense(shape, Pixels(params.number("rows"), 1, 1), loops, is_matrix=True)
    return costs.of_dense(_filter(params), _pixels(params), loops, is_matrix=False)


def _row_by_row(step: Step, call: Call, costs: Costs, cpu: MicroCpu) -> int:
    """Of each row of a pool: the convolution of the rows that it needs, and the pool of these."""
    assert call.pool is not None
    rows = min(call.pool.number("filter_h"), call.pool.number("in_h"))
    conv = Call(_ROW_BY_ROW[call.function], call.struct.with_numbers(batches=1, out_h=rows), call.operands)
    pool = Call(_POOL, call.pool.with_numbers(batches=1, in_h=rows, out_h=1), call.operands)
    once = sum(_of_call(step, each, costs, cpu) for each in (conv, pool))
    return once * call.pool.number("batches") * call.pool.number("out_h")


def _sparse(step: Step, call: Call, costs: Costs, cpu: MicroCpu) -> int:
    params = call.struct
    kernel, shape, stored = Kernel(step.kernel), _filter(params), params.table("stream")
    if kernel not in costs.kernels:
        raise ExecutionError(
            f"{step.layer!r} has weights for {kernel.name}, whose cost on {cpu} is unknown: encode the file for {cpu}."
        )
    weights = stream.decode(kernel, shape, stored)
    tables = stream.tables(kernel, stored)
    return costs.of_kernel(kernel, shape, weights, _pixels(params), tables, pools=call.pools)


def _filter(params: Struct) -> Filter:
    outputs, height, width, channels = map(params.number, ("out_c", "filter_h", "filter_w", "in_c"))
    strides, dilations = ((params.number(f"{name}_h"), params.number(f"{name}_w")) for name in ("stride", "dilation"))
    return Filter(outputs, height, width, channels, strides, dilations)


def _pixels(params: Struct) -> Pixels:
    return Pixels(*map(params.number, ("batches", "out_h", "out_w")))
