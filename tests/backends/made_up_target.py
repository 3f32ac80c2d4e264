"""A target that the package does not have: a module and one entry of the registry. Run in a fresh interpreter.

    made_up_target.py CODE

runs CODE as if the entry stood in ``target_registry.py``.
"""

import sys
from importlib.util import find_spec, module_from_spec
from pathlib import Path

ENTRY = """
    "made-up": Traits(
        module="made_up_target",
        runtime="the Made-Up Runtime",
        options=frozenset({"c_array"}),
        extra_files=(ExtraFile("_made/up.bin", "c_array"),),
    ),
}

DEFAULT_TARGET ="""


def register():
    spec = find_spec("tflite_sparse.target_registry")
    before, after = Path(spec.origin).read_text(encoding="utf-8").split("\n}\n\nDEFAULT_TARGET =")
    module = sys.modules[spec.name] = module_from_spec(spec)
    exec(compile(before + ENTRY + after, spec.origin, "exec"), module.__dict__)  # noqa: S102 - the package's own code


if __name__ == "__main__":
    register()
    exec(sys.argv[1])  # noqa: S102 - of a test
else:
    from tflite_sparse.backends.protocol import Backend, Encoded, Exported
    from tflite_sparse.planning import encoder
    from tflite_sparse.results.export import Verification
    from tflite_sparse.results.target_part import TargetPart
    from tflite_sparse.targets.form import Answer
    from tflite_sparse.verification import compare_files

    class MadeUp(Backend):
        def planned(self, settings):
            return lambda graph, index, uses: Answer((), "it stays as it is")

        def encode(self, job):
            choices = encoder.encode_file(job.source, job.file, self.planned(job.settings))
            verified = compare_files.verify(job.file, job.source, kernels=(), not_compared="it is made up")
            return Encoded(choices, verified, *self._beside(job))

        def export(self, job):
            choices = encoder.encode_file(job.source, job.file, self.planned(job.settings))
            verified = Verification(weights_bit_exact=True, outputs_bit_exact=False, samples=0, runtimes=[])
            return Exported(choices, verified, [], *self._beside(job))

        def _beside(self, job):
            part = TargetPart(numbers={"flash_bytes": 7}, sentences=["It takes 7 bytes of flash."])
            return part, dict.fromkeys(job.extra_files, b"made up")

    BACKEND = MadeUp()
