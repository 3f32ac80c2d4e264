"""Write ``model.c``: constants, and one call an operator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tflite_sparse.standalone_c import c_text, header
from tflite_sparse.standalone_c.arena import Arena
from tflite_sparse.standalone_c.header import Naming
from tflite_sparse.standalone_c.program import Call, Field, Program, Step, Struct, Table, TableKey

_EVERY = {"TFLITE_SPARSE_KERNELS": "0xFFFFFFFFu", "TFLS_LAYOUTS": "3u"}
"""The values of the macros that leave out nothing."""


def render(program: Program, arena: Arena, naming: Naming) -> str:
    """The whole text of the source file."""
    return "".join(_parts(program, arena, naming))


def _parts(program: Program, arena: Arena, naming: Naming) -> Iterator[str]:
    macro, prefix = naming.macro, naming.prefix
    yield f"/* Made by {c_text.comment(naming.tool)} from {c_text.comment(naming.source)}: see {prefix}.h. */\n"
    yield f'#include "{prefix}.h"\n\n#include <stddef.h>\n\n'
    for name in dict.fromkeys(step.header for step in program.steps if not step.is_view):
        yield f'#include "{name}"\n'
    yield (
        f"\n/* Runs after each operator, for a profiler; {macro}_STEPS of them. */\n"
        f"#ifndef {macro}_AFTER_STEP\n#define {macro}_AFTER_STEP(step) ((void)0)\n#endif\n\n"
    )
    for name, mask in program.masks.items():  # headers of another model in the same folder leave out other kernels
        yield (
            f"#if ({name} & {mask:#x}u) != {mask:#x}u\n"
            f'#error "these headers were written for another model: define {name}={_EVERY[name]} for all files"\n'
            "#endif\n\n"
        )
    if not (program.fits_helium and arena.fits_helium):
        yield (
            "#if defined(__ARM_FEATURE_MVE) && !defined(TFLS_PORTABLE)\n"
            f'#error "{macro}_ARENA_BYTES is for CPUs without Helium: make the files for cortex-m55 or generic"\n'
            "#endif\n\n"
        )
    if naming.labels:
        labels = ",\n".join(f"    {c_text.string(label)}" for label in naming.labels)
        yield f"const char* const {prefix}_labels[{macro}_LABELS] = {{\n{labels}}};\n\n"
    names: dict[TableKey, str] = {}
    for place, step in enumerate(program.steps):
        if not step.is_view:
            yield f"/* {place}: {_words(step)} */\n"
            yield from _definitions(place, step, names)
            yield "\n"
    yield from _accessors(program, arena, naming)
    yield from _run(program, arena, naming, names)
    yield from _static(program, naming)


def _words(step: Step) -> str:
    form = f", {step.form}" if step.form else ""
    return c_text.comment(f"{step.operator} {step.layer}{form}")


def _definitions(place: int, step: Step, names: dict[TableKey, str]) -> Iterator[str]:
    """The constants of a step. ``names`` has those of arrays that are written already."""
    for number, call in enumerate(step.calls):
        own = _struct_name(place, step, number)
        for table in call.tables():
            if table.key not in names:
                names[table.key] = f"{own}_{table.role}"
                yield c_text.array(names[table.key], table.values, aligned=table.aligned)
        yield _definition(own, call.struct, names)
        if call.pool is not None:
            yield _definition(_pool_name(own), call.pool, names)


def _definition(name: str, struct: Struct, names: Mapping[TableKey, str]) -> str:
    fields = "".join(f"    {_initialiser(field, names)}, /* {key} */\n" for key, field in struct.fields)
    return f"static const {struct.name} {name} = {{\n{fields}}};\n"


def _pool_name(struct_name: str) -> str:
    return f"{struct_name}_pool"


def _struct_name(place: int, step: Step, number: int) -> str:
    return f"step{place}" if len(step.calls) == 1 else f"step{place}_{number}"


def _initialiser(field: Field, names: Mapping[TableKey, str]) -> str:
    match field:
        case Table():
            return names[field.key]
        case tuple():
            return c_text.braces(field)
        case float():
            return c_text.floating(field)
        case int():
            return c_text.integer(field)
        case _:
            return field


def _accessors(program: Program, arena: Arena, naming: Naming) -> Iterator[str]:
    (input_in, output_in, _), _ = header.signatures(program, naming)
    for signature, numbers, const in ((input_in, program.inputs, ""), (output_in, program.outputs, "const ")):
        ctype = header.port_type(program, numbers)
        cast = f"({const}{ctype}*)" + (f"({const}void*)" if ctype not in ("void", "int8_t") else "")
        cases = "".join(
            f"    case {place}:\n      return {cast}(({const}uint8_t*)arena + {arena.offsets[number]});\n"
            for place, number in enumerate(numbers)
        )
        yield f"{signature} {{\n  switch (index) {{\n{cases}    default:\n      return NULL;\n  }}\n}}\n\n"


def _run(program: Program, arena: Arena, naming: Naming, names: Mapping[TableKey, str]) -> Iterator[str]:
    (_, _, run_in), _ = header.signatures(program, naming)
    yield f"{run_in} {{\n  uint8_t* const a = (uint8_t*)arena;\n"
    yield f"  if (arena == NULL || ((uintptr_t)arena & ({naming.macro}_ARENA_ALIGNMENT - 1u)) != 0) return 1;\n"
    if all(step.is_view for step in program.steps):
        yield "  (void)a;\n"
    for place, step in enumerate(program.steps):
        yield f"\n  /* {place}: {_words(step)}\n   * {_sizes(program, step)}{_upon(arena, place)} */\n"
        for number, call in enumerate(step.calls):
            own = _struct_name(place, step, number)
            structs = [own] if call.pool is None else [own, _pool_name(own)]
            arguments = [*(f"&{name}" for name in structs), *_operands(program, arena, call, names)]
            if call.takes_scratch:
                arguments.append(f"a + {arena.scratch[place]}" if step.scratch_bytes else "NULL")
            yield f"  {call.function}({', '.join(arguments)});\n"
        yield f"  {naming.macro}_AFTER_STEP({place});\n"
    yield "  return 0;\n}\n"


def _sizes(program: Program, step: Step) -> str:
    shapes = [
        ", ".join(c_text.shape(program.values[each].shape) for each in side) for side in (step.inputs, step.outputs)
    ]
    constants = f"; constants {step.constant_bytes:,} bytes" if step.constant_bytes else ""
    scratch = f"; scratch {step.scratch_bytes:,} bytes" if step.scratch_bytes else ""
    return f"{shapes[0]} -> {shapes[1]}{constants}{scratch}" + ("; the same memory" if step.is_view else "")


def _upon(arena: Arena, place: int) -> str:
    return "; lies upon what of its input is not read any more" if place in arena.overlapping else ""


def _operands(program: Program, arena: Arena, call: Call, names: Mapping[TableKey, str]) -> Iterator[str]:
    """The pointers that a call is given."""
    inputs = len(call.operands) - call.outputs
    for position, operand in enumerate(call.operands):
        if isinstance(operand.of, Table):
            yield names[operand.of.key]
            continue
        const = "const " if position < inputs else ""
        ctype, offset = program.values[operand.of].ctype, arena.offsets[operand.of] + operand.offset
        between = "" if ctype == "int8_t" else f"({const}void*)"
        yield f"({const}{ctype}*){between}(a + {offset})"


def _static(program: Program, naming: Naming) -> Iterator[str]:
    macro, prefix = naming.macro, naming.prefix
    _, in_static = header.signatures(program, naming)
    bodies: Sequence[str] = (
        f"return {prefix}_input_in(arena, index);",
        f"return {prefix}_output_in(arena, index);",
        f"return {prefix}_run_in(arena);",
    )
    functions = "\n".join(f"{each} {{ {body} }}" for each, body in zip(in_static, bodies, strict=True))
    yield f"""
#ifndef {macro}_ARENA_EXTERNAL
#if defined(__GNUC__) || defined(__clang__)
static uint8_t arena[{macro}_ARENA_BYTES] __attribute__((aligned({macro}_ARENA_ALIGNMENT)));
#elif defined(_MSC_VER)
static __declspec(align(16)) uint8_t arena[{macro}_ARENA_BYTES];
#else
#error "define {macro}_ARENA_EXTERNAL and give an aligned arena to {prefix}_run_in"
#endif

{functions}
#endif
"""
