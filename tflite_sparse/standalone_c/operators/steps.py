"""Steps of the common form: one call that reads one value and yields one."""

from __future__ import annotations

from tflite_sparse.standalone_c.node import Node
from tflite_sparse.standalone_c.program import Call, Field, Operand, Step, Struct


def one_to_one(
    node: Node,
    function: str,
    struct: str,
    fields: tuple[tuple[str, Field], ...],
    source: str,
    *,
    position: int = 0,
    in_place: bool = False,
) -> Step:
    """The step of a call that reads the input at ``position`` and yields the output.

    Args:
        node: the operator.
        function: in C.
        struct: the type of its parameters.
        fields: of them.
        source: the C file, without its ending.
        position: of the input.
        in_place: whether the output may lie where the input does.
    """
    number, result = node.number(position), node.output_number()
    return Step(
        operator=node.name,
        layer=node.layer,
        inputs=(number,),
        outputs=(result,),
        calls=(Call(function, Struct(struct, fields), (Operand(number), Operand(result))),),
        source=source,
        in_place=(0,) if in_place else (),
    )
