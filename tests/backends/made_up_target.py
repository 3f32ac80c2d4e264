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
        help="a file that is made up",
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
    from tflite_sparse.backends.protocol import Backend, Made
    from tflite_sparse.planning import encoder
    from tflite_sparse.results.target_part import TargetPart
    from tflite_sparse.targets.form import Answer
    from tflite_sparse.verification import engine
    from tflite_sparse.verification.runtimes import Nowhere
    from tflite_sparse.verification.samples import MadeUp as Samples

    class MadeUp(Backend):
        def planned(self, settings):
            return lambda graph, index, uses: Answer((), "it stays as it is")

        def encode(self, job):
            choices = encoder.encode_file(job.source, job.file, self.planned(job.settings))
            verified = engine.verify(job.file, job.source, Nowhere("it is made up"), Samples(0), progress=job.progress)
            part = TargetPart(numbers={"flash_bytes": 7}, sentences=["It takes 7 bytes of flash."])
            return Made(choices, verified, part, dict.fromkeys(job.extra_files, b"made up"))

        export = encode

    BACKEND = MadeUp()
