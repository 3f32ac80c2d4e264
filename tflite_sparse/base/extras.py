"""Packages that only some commands need, and how to install them."""

from __future__ import annotations

import importlib.util
import json
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from tflite_sparse.errors import MissingPackageError

DISTRIBUTION = "tflite-sparse"

_KERAS = {  # the module that every run imports, and the name of its package for messages
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "h5py": "h5py",
    "scipy": "SciPy",
    "joblib": "joblib",
    "matplotlib": "matplotlib",
    "PIL": "Pillow",
    "zlib_ng": "zlib-ng",
}


def require_keras(command: str, *modules: str) -> None:
    """Check that the packages of the extra ``keras`` are installed. Nothing is imported.

    Args:
        command: that needs them, for the message.
        modules: those that it needs. None: all that training and conversion need.

    Raises:
        MissingPackageError: one is not installed.
    """
    for module in modules or _KERAS:
        if importlib.util.find_spec(module) is None:
            raise MissingPackageError(f"{command} needs {_KERAS[module]}: {install_command('keras')}")


def install_command(extra: str) -> str:
    """The shell command that adds an extra to this installation, from where the package was installed.

    That is a checkout or a wheel file (PEP 610 records it), or the package index. A package that is not installed at
    all is run from its checkout.
    """
    import importlib.metadata  # brings e-mail and ZIP with it; every command imports this module

    try:
        record = importlib.metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return _from_place(Path(__file__).resolve().parents[2], extra)
    if record is None:
        return f"pip install '{DISTRIBUTION}[{extra}]'"
    from urllib.request import url2pathname  # brings HTTP and TLS with it

    origin = json.loads(record)
    url = urlsplit(origin["url"])
    if url.scheme == "file":
        is_editable = origin.get("dir_info", {}).get("editable", False)
        return _from_place(Path(url2pathname(url.path)), extra, "-e " if is_editable else "")
    scheme = f"{origin['vcs_info']['vcs']}+" if "vcs_info" in origin else ""
    return f"pip install '{DISTRIBUTION}[{extra}] @ {scheme}{origin['url']}'"


def _from_place(place: Path, extra: str, options: str = "") -> str:
    return f"pip install {options}{shlex.quote(f'{place}[{extra}]')}"
