"""The deepest stack, from GCC's call graphs and, of assembly, from the disassembly."""

import shutil

import pytest

from tflite_sparse.errors import ExecutionError
from tflite_sparse.runtime import cortex_m, stack_usage

MODEL = r"""graph: { title: "model.c"
node: { title: "model_run_in" label: "model_run_in\nmodel.c:9:5\n32 bytes (static)\n0 dynamic objects" }
node: { title: "kernel" label: "kernel\nkernel.h:1:6" shape : ellipse }
edge: { sourcename: "model_run_in" targetname: "kernel" label: "model.c:12:3" }
edge: { sourcename: "model_run_in" targetname: "memcpy" label: "model.c:13:3" }
}
"""
KERNEL = r"""graph: { title: "kernel.c"
node: { title: "kernel" label: "kernel\nkernel.c:9:6\n16 bytes (static)" }
node: { title: "kernel.c:row" label: "row\nkernel.c:3:6\n100 bytes (static)" }
node: { title: "kernel.c:helper" label: "helper\nkernel.c:5:6\n48 bytes (static)" }
edge: { sourcename: "kernel" targetname: "kernel.c:helper" label: "kernel.c:10:3" }
edge: { sourcename: "kernel" targetname: "__indirect_call" label: "kernel.c:11:3" }
}
"""

NAKED = r"""graph: { title: "kernel.c"
node: { title: "kernel" label: "kernel\nkernel.c:9:6\n16 bytes (static)" }
node: { title: "kernel.c:row" label: "row\nkernel.h:3:6\n0 bytes (static)" }
edge: { sourcename: "kernel" targetname: "kernel.c:row" label: "kernel.c:10:3" }
}
"""
DISASSEMBLY = """
other.o:     file format elf32-littlearm

00000000 <row>:
   0:\tpush\t{r4, lr}

kernel.o:     file format elf32-littlearm

00000000 <row>:
   0:\tstmdb\tsp!, {r4, r5, r6, r7, r8, r9, sl, fp, lr}
   4:\tpush\t{r3, r4}
   6:\tsub\tsp, #16
   8:\tldr.w\tr8, [sp, #32]
   c:\tldmia.w\tsp, {r8, r9}
  10:\tadd\tsp, #24\t@ 0x18
  12:\tldmia.w\tsp!, {r4, r5, r6, r7, r8, r9, sl, fp, pc}
"""


def test_the_deepest_path_counts_and_a_pointer_may_lead_to_whatever_nothing_calls_by_name():
    assert stack_usage.deepest([MODEL, KERNEL], "", "kernel.c:helper") == 48
    assert stack_usage.deepest([MODEL, KERNEL], "", "model_run_in") == 32 + 16 + 100
    assert stack_usage.deepest([MODEL, KERNEL.replace("100 bytes", "20 bytes")], "", "model_run_in") == 32 + 16 + 48


def test_what_assembly_pushes_counts_where_the_compiler_says_nothing():
    assert stack_usage.deepest([NAKED], DISASSEMBLY, "kernel") == 16 + 4 * 9 + 4 * 2 + 16
    vectors = DISASSEMBLY.replace("push\t{r3, r4}", "vpush\t{d8-d15}")
    assert stack_usage.deepest([NAKED], vectors, "kernel") == 16 + 4 * 9 + 8 * 8 + 16


@pytest.mark.parametrize(
    ("disassembly", "words"),
    [
        ("", "the disassembly has no code of kernel.c:row"),
        (DISASSEMBLY.replace("push\t{r3, r4}", "vpush\t{s16}"), "kernel.c:row moves the stack pointer by vpush"),
        (DISASSEMBLY.replace("sub\tsp, #16", "str\tr4, [sp, #-16]!"), "stack pointer by str r4"),
        (DISASSEMBLY.replace("sub\tsp, #16", "mov\tsp, r4"), "stack pointer by mov sp, r4"),
    ],
)
def test_a_stack_that_is_not_known_is_no_number(disassembly, words):
    with pytest.raises(ExecutionError, match=words):
        stack_usage.deepest([NAKED], disassembly, "kernel")


@pytest.mark.skipif(not cortex_m.has_compiler(), reason="arm-none-eabi-gcc is not installed")
def test_assembly_of_dense_convolutions(tmp_path):
    for path in (cortex_m.SOURCES / "standalone").iterdir():
        shutil.copy(path, tmp_path)
    flags = (*cortex_m.flags(cortex_m.CPUS["cortex-m4"]), "-O2", stack_usage.FLAG)
    cortex_m.call([cortex_m.COMPILER, *flags, "-c", "tfls_conv.c"], tmp_path)
    disassembly = cortex_m.call(["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", "tfls_conv.o"], tmp_path)
    graph = (tmp_path / "tfls_conv.ci").read_text("utf-8")
    # pushes nine registers and four
    assert stack_usage.deepest([graph], disassembly, "tfls_conv.c:tfls_widen_four") == 4 * 9 + 4 * 4
