"""The deepest stack, from GCC's call graphs."""

from tflite_sparse.runtime import stack_usage

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


def test_the_deepest_path_counts_and_a_pointer_may_lead_to_whatever_nothing_calls_by_name():
    assert stack_usage.deepest([MODEL, KERNEL], "kernel.c:helper") == 48
    assert stack_usage.deepest([MODEL, KERNEL], "model_run_in") == 32 + 16 + 100
    assert stack_usage.deepest([MODEL, KERNEL.replace("100 bytes", "20 bytes")], "model_run_in") == 32 + 16 + 48
