"""Single C operators: compiled once with sanitizers, called in a child process, beside TensorFlow Lite Micro.

The child keeps running, so that a test may try many operators; each value lies in memory of exactly its size.
"""

from __future__ import annotations

import atexit
import functools
import pickle
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from helpers import tiny_models
from tflite_sparse.flatbuffer import serde
from tflite_sparse.standalone_c import core, pooling, reader
from tflite_sparse.standalone_c.program import Table

SOURCES = Path(__file__).resolve().parents[2] / "tflite_sparse" / "micro_kernels" / "standalone"
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_CONSTANTS = {"TFLS_PLAIN": 0, "TFLS_PAIRED": 1}

_LOOP = """
import pickle, struct, sys
def serve(answer):
    while head := sys.stdin.buffer.read(8):
        job = pickle.loads(sys.stdin.buffer.read(struct.unpack("<Q", head)[0]))
        result = pickle.dumps(answer(job))
        sys.stdout.buffer.write(struct.pack("<Q", len(result)) + result)
        sys.stdout.buffer.flush()
"""

_MICRO = """
from tflite_micro import runtime
def answer(job):
    content, inputs, outputs = job
    interpreter = runtime.Interpreter.from_bytes(content, arena_size=8 << 20)
    for position, value in enumerate(inputs):
        interpreter.set_input(value, position)
    interpreter.invoke()
    return [interpreter.get_output(position) for position in range(outputs)]
serve(answer)
"""

_C = """
import ctypes
library = ctypes.CDLL(sys.argv[1])
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def block(content):
    address = libc.malloc(len(content))
    ctypes.memmove(address, content, len(content))
    return address
def struct_of(fields, own):
    kinds = []
    for place, (ctype, count, _) in enumerate(fields):
        kind = ctypes.c_void_p if ctype == "*" else getattr(ctypes, ctype)
        kinds.append((f"f{place}", kind * count if count else kind))
    params = type("Params", (ctypes.Structure,), {"_fields_": kinds})()
    for place, (ctype, count, content) in enumerate(fields):
        if ctype == "*":
            own.append(block(content))
            content = own[-1]
        setattr(params, f"f{place}", tuple(content) if count else content)
    return params
def answer(job):
    values, calls, outputs = job
    memory = [block(content) for content in values]
    for function, structs, operands, scratch in calls:
        own = []
        arguments = [ctypes.byref(struct_of(fields, own)) for fields in structs]
        for operand in operands:
            if isinstance(operand, bytes):
                own.append(block(operand))
                arguments.append(ctypes.c_void_p(own[-1]))
            else:
                arguments.append(ctypes.c_void_p(memory[operand[0]] + operand[1]))
        if scratch is not None:
            own.append(block(bytes([165]) * scratch))
            arguments.append(ctypes.c_void_p(own[-1] if scratch else None))
        getattr(library, function)(*arguments)
        for address in own:
            libc.free(address)
    found = [ctypes.string_at(memory[number], len(values[number])) for number in outputs]
    for address in memory:
        libc.free(address)
    return found
serve(answer)
"""


class _Child:
    """A process that answers jobs until this one ends."""

    def __init__(self, script, arguments=(), environment=None):
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the child
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _LOOP + script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
        )
        atexit.register(self._end)

    def _end(self):
        self._process.kill()
        self._process.communicate()

    def ask(self, job):
        content = pickle.dumps(job)
        try:
            self._process.stdin.write(struct.pack("<Q", len(content)) + content)
            self._process.stdin.flush()
            head = self._process.stdout.read(8)
        except BrokenPipeError:
            head = b""
        if len(head) < 8:
            self._log.seek(0)
            words = self._log.read().decode("utf-8", "replace")[-4000:]
            _micro.cache_clear()  # the next job has another child
            _c.cache_clear()
            raise AssertionError(f"status {self._process.wait()}: {words}")
        return pickle.loads(self._process.stdout.read(struct.unpack("<Q", head)[0]))  # noqa: S301 - our own child


def by_micro(model, inputs):
    """The outputs of a model in TensorFlow Lite Micro."""
    return _micro().ask((tiny_models.to_bytes(model), inputs, len(model.subgraphs[0].outputs)))


def by_c(model, inputs, cpu="generic", *, in_place=False):
    """The outputs of a model's operators in C, as written for a CPU.

    ``in_place``: an operator that allows it writes over its input.
    """
    made_for = core.of(cpu)
    program = pooling.fused(reader.read(serde.parse(tiny_models.to_bytes(model)), made_for), made_for)
    values = [bytes([90]) * value.nbytes for value in program.values]
    for number, array in zip(program.inputs, inputs, strict=True):
        values[number] = np.ascontiguousarray(array).tobytes()
    places = list(range(len(values)))
    calls = []
    for step in program.steps:
        if step.is_view or (in_place and step.in_place):
            source = step.inputs[0 if step.is_view else step.in_place[0]]
            places[step.outputs[0]] = places[source]
        calls += [_call(call, step, places) for call in step.calls]
    found = _c().ask((values, calls, [places[number] for number in program.outputs]))
    dtypes = {"int8_t": np.int8, "float": np.float32, "int32_t": np.int32}
    ends = [program.values[number] for number in program.outputs]
    return [
        np.frombuffer(content[: end.nbytes], dtypes[end.ctype]).reshape(end.shape)
        for content, end in zip(found, ends, strict=True)
    ]


def _fields(struct):
    declared = structs()[struct.name]
    assert [name for name, *_ in declared][: len(struct.fields)] == [name for name, _ in struct.fields]
    fields = []
    for (_, ctype, count), (_, field) in zip(declared, struct.fields, strict=False):
        content = _CONSTANTS[field] if isinstance(field, str) else field
        fields.append((ctype, count, field.values.tobytes() if isinstance(field, Table) else content))
    return fields


def _call(call, step, places):
    fields = [_fields(struct) for struct in (call.struct, call.pool) if struct is not None]
    operands = [
        operand.of.values.tobytes() if isinstance(operand.of, Table) else (places[operand.of], operand.offset)
        for operand in call.operands
    ]
    return call.function, fields, operands, step.scratch_bytes if call.takes_scratch else None


@functools.cache
def structs():
    """The structs of ``tfls_operators.h``: for each name its members as (name, ctypes' name or ``*``, array length)."""
    text = re.sub(r"/\*.*?\*/", "", (SOURCES / "tfls_operators.h").read_text("utf-8"), flags=re.DOTALL)
    found = {}
    for body, name in re.findall(r"typedef struct \{(.*?)\} (\w+);", text, flags=re.DOTALL):
        members = []
        for declaration in filter(None, (line.strip() for line in body.split(";"))):
            kind, names = re.fullmatch(r"(?:const )?(\w+\*?) (.*)", declaration, flags=re.DOTALL).groups()
            ctype = "*" if kind.endswith("*") else "c_" + kind.removesuffix("_t")
            for member in names.split(","):
                own, length = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", member.strip()).groups()
                members.append((own, ctype, int(length or 0)))
        found[name] = members
    return found


@functools.cache
def _micro():
    return _Child(_MICRO)


@functools.cache
def _c():
    asan = subprocess.run(["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True).stdout
    environment = {"LD_PRELOAD": asan.strip(), "ASAN_OPTIONS": "detect_leaks=0", "PATH": ""}
    return _Child(_C, [str(Path(_library().name) / "operators.so")], environment)


@functools.cache
def _library():
    """A folder with the operators, compiled; it goes with this process."""
    folder = tempfile.TemporaryDirectory()
    sources = [each for each in sorted(SOURCES.glob("*.c")) if each.stem != "tfls_run_max_pool"]  # of sparse kernels
    command = ["gcc", "-std=c99", "-O1", "-fPIC", "-shared", *STRICT, *SANITIZERS, *sources]
    subprocess.run([*command, "-o", Path(folder.name) / "operators.so"], check=True, capture_output=True, text=True)
    return folder
