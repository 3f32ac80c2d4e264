"""Run functions in child processes: values, errors, steps, and crashes.

The package has few functions that a child could run for a test. So some tests give it another module:
``sitecustomize``, which every Python with it on its path imports, makes the package find it. Most tests run twice, with
forks of a server and with fresh interpreters.
"""

import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tflite_sparse
from helpers import tiny_models
from tflite_sparse import errors
from tflite_sparse.base import child, fork_server
from tflite_sparse.base.child import ChildDiedError
from tflite_sparse.base.progress import Silent
from tflite_sparse.sources import tensorflow_import

MODULE = """
    import ctypes, os, signal, sys, tempfile, time
    from tflite_sparse.base import child; from tflite_sparse import errors

    def echo(on_step, **values):
        return values

    def written_to(on_step, arrays):
        for array in arrays:
            array += 1
        return [array.copy() for array in arrays]

    def sums(on_step, arrays):
        return [array.sum() for array in arrays], held(on_step)

    def pid(on_step):
        return os.getpid()

    def server(on_step):
        return os.getppid()

    def nested(on_step):
        return os.getpid(), os.getppid(), child.call("tflite_sparse.for_tests:server")

    def surroundings(on_step):
        return dict(os.environ), os.getcwd(), list(sys.path), tempfile.gettempdir()

    def held(on_step):
        entries = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        return [os.readlink(entry) for entry in entries if os.path.islink(entry)]  # that of the listing is gone

    def tensorflow(on_step):
        was_imported = "tensorflow" in sys.modules
        from tensorflow.python.eager import context
        began = context._context is not None and context._context._context_handle is not None
        import tensorflow as tf
        return os.getppid(), was_imported, began, float(tf.reduce_sum(tf.ones((300, 300)) @ tf.ones((300, 300))))

    def imported(on_step):
        return sorted(sys.modules)

    def busy(seconds, on_step):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    def steps(count, on_step):
        for done in range(count):
            on_step(done + 1, count)
        return "done"

    def noisy(on_step):
        print("on standard output", flush=True)
        os.write(1, b"on descriptor 1\\n")
        on_step(1, 1)
        return 5

    def raise_own(on_step):
        raise errors.VerificationError("weight 'a' differs")

    def raise_died(on_step):
        raise child.ChildDiedError("was killed", "the log")

    def raise_other(on_step):
        raise KeyError("missing")

    ran = []

    def only_once(on_step):
        ran.append(os.getpid())
        if len(ran) > 1:
            os.abort()
        return os.getpid()

    def segfault(on_step):
        ctypes.string_at(0)

    def abort(on_step):
        os.abort()

    def terminate(on_step):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)

    def leave(on_step):
        sys.stderr.write("first line\\nlast words\\n")
        sys.stderr.flush()
        os._exit(7)

    def exit_politely(on_step):
        sys.exit(3)

    def unportable(on_step):
        return lambda: None

    def wait(on_step):
        on_step(os.getpid(), 0)
        time.sleep(120)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Return the folder for temporary files, which must be empty in the end."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory):
    """Return the path of a Python in which the module above belongs to the package."""
    folder = tmp_path_factory.mktemp("path")
    (folder / "more").mkdir()
    (folder / "more" / "for_tests.py").write_text(textwrap.dedent(MODULE))
    start = f"import tflite_sparse\ntflite_sparse.__path__.append({str(folder / 'more')!r})\n"
    start += "import tempfile\ntempfile.gettempdir()\n"
    (folder / "sitecustomize.py").write_text(start)
    return folder


@pytest.fixture(scope="module")
def server(module_folder):
    """Return a server whose forks see the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(module_folder)
        client = fork_server.start_beside(child._MODULES["runtimes"])
    yield client
    client.close()


@pytest.fixture
def forks(server, module_folder, monkeypatch, temporary):
    """Name functions of the module, which forks of a server run."""
    monkeypatch.syspath_prepend(module_folder)
    monkeypatch.setattr(tflite_sparse, "__path__", [*tflite_sparse.__path__, str(module_folder / "more")])
    clients = [server]
    monkeypatch.setattr(fork_server, "_clients", clients)
    yield "tflite_sparse.for_tests:{}".format
    for client in clients:
        if client is not server:
            client.close()


@pytest.fixture
def fresh(module_folder, monkeypatch, temporary):
    """Name functions of the module, which fresh interpreters run."""
    monkeypatch.syspath_prepend(module_folder)
    monkeypatch.setattr(fork_server, "IS_POSSIBLE", False)
    monkeypatch.setattr(fork_server, "_clients", [])
    return "tflite_sparse.for_tests:{}".format


@pytest.fixture(params=["forks", "fresh"])
def extra(request):
    """Name functions of the module, run in both ways."""
    return request.getfixturevalue(request.param)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_until_gone(pid):
    end = time.monotonic() + 20
    while is_running(pid):
        assert time.monotonic() < end, f"process {pid} is still there"
        time.sleep(0.05)


def test_value_of_a_function_of_the_package(tmp_path, temporary):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_models.to_bytes(tiny_models.fully_connected((4, 6))))
    (found,) = child.call("tflite_sparse.runtime.litert:inputs_here", path=str(path))
    assert (found.name, found.signature) == ("x", (1, 6))


def test_arguments_and_value_pass_through_unchanged(extra):
    values = {"a": [1, None, "ä\n"], "b": {"c": b"\x00\xff"}, "d": Path("x"), "e": float("inf")}
    assert child.call(extra("echo"), **values) == values


def test_large_values(extra):
    value = os.urandom(3_000_000)
    assert child.call(extra("echo"), value=value)["value"] == value


def test_another_process(extra):
    assert child.call(extra("pid")) != os.getpid()


def test_steps_arrive_in_order(extra):
    seen = []
    assert child.call(extra("steps"), count=200, on_step=lambda done, total: seen.append((done, total))) == "done"
    assert seen == [(done, 200) for done in range(1, 201)]


def test_prints_do_not_mix_with_steps(extra, capfd):
    seen = []
    assert child.call(extra("noisy"), on_step=lambda *step: seen.append(step)) == 5
    assert seen == [(1, 1)]
    assert capfd.readouterr() == ("", "")


def test_errors_of_the_package_keep_their_type(extra):
    with pytest.raises(errors.VerificationError, match=r"^weight 'a' differs$") as caught:
        child.call(extra("raise_own"))
    assert type(caught.value) is errors.VerificationError
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "error",
    [
        *(
            kind("some text")
            for kind in vars(errors).values()
            if isinstance(kind, type) and kind is not errors.OperatorRefusedError
        ),
        errors.OperatorRefusedError("some text", (("x", "y"),)),
        ChildDiedError("was killed", "the log"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_of_the_package_is_passed_on(error):
    back = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


def test_own_error_with_more_arguments(extra):
    with pytest.raises(ChildDiedError, match="the child process was killed") as caught:
        child.call(extra("raise_died"))
    assert caught.value.log == "the log"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("tflite_sparse.for_tests:raise_other", r"^KeyError: 'missing'$"),
        ("tflite_sparse.for_tests:nothing", r"^AttributeError: .*nothing"),
        ("tflite_sparse.no_such_module:f", r"^ModuleNotFoundError: .*no_such_module"),
        ("os:getcwd", r"^ValueError: os:getcwd is no function of this package$"),
        ("tflite_sparse_other:f", r"^ValueError: tflite_sparse_other:f is no function of this package$"),
    ],
)
def test_other_errors_become_text_with_their_type(function, words, extra):
    with pytest.raises(RuntimeError, match=words) as caught:
        child.call(function)
    assert type(caught.value) is RuntimeError


def test_wrong_arguments(extra):
    with pytest.raises(RuntimeError, match=r"^TypeError: .*'extra'"):
        child.call(extra("pid"), extra=1)


def test_bad_file_without_a_test_module(tmp_path, temporary):
    (tmp_path / "bad.tflite").write_bytes(b"garbage" * 20)
    arguments = {"inputs": [], "kernels": "default", "threads": 1}
    with pytest.raises(RuntimeError, match=r"^RuntimeError: ") as caught:
        child.call("tflite_sparse.runtime.litert:run_here", path=str(tmp_path / "bad.tflite"), **arguments)
    assert type(caught.value) is RuntimeError


@pytest.mark.parametrize(
    ("function", "how"),
    [
        ("segfault", "crashed (segmentation fault)"),
        ("abort", "aborted"),
        ("terminate", f"was ended by signal {int(signal.SIGTERM)}"),
        ("leave", "ended with status 7"),
        ("exit_politely", "ended with status 3"),
        ("unportable", "ended with status 1"),
    ],
)
def test_crashes_and_exits(function, how, extra):
    with pytest.raises(ChildDiedError) as caught:
        child.call(extra(function))
    assert caught.value.how == how
    assert str(caught.value) == f"the child process {how}"
    assert isinstance(caught.value, errors.TfliteSparseError)


def test_output_before_a_crash_is_kept(extra):
    with pytest.raises(ChildDiedError) as caught:
        child.call(extra("leave"))
    assert caught.value.log.splitlines() == ["first line", "last words"]


def test_killed_from_outside(extra):
    with pytest.raises(ChildDiedError, match="was killed"):
        child.call(extra("wait"), on_step=lambda pid, _: os.kill(pid, signal.SIGKILL))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_error_in_on_step_ends_the_child(error, extra):
    seen = []

    def on_step(pid, _):
        seen.append(pid)
        raise error

    with pytest.raises(error):
        child.call(extra("wait"), on_step=on_step)
    wait_until_gone(seen[0])


def test_a_group_is_stopped_from_another_thread_and_starts_no_more(extra):
    group, seen = child.Group(), []

    def on_step(pid, _):
        seen.append(pid)
        threading.Thread(target=group.stop).start()

    for _ in range(2):  # a child of a stopped group is killed at once, if it has begun or not
        with pytest.raises(ChildDiedError, match="was killed"):
            child.call(extra("wait"), on_step=on_step, group=group)
    for pid in seen:
        wait_until_gone(pid)
    assert child.call(extra("echo"), group=child.Group(), one=1) == {"one": 1}  # another group goes on


def test_a_child_may_have_variables_of_its_own(extra, monkeypatch):
    monkeypatch.setenv("OF_THE_CALLER", "1")
    found = child.call(extra("surroundings"), environment={"OF_THE_CHILD": "2"})[0]
    assert (found["OF_THE_CALLER"], found["OF_THE_CHILD"]) == ("1", "2")
    assert "OF_THE_CHILD" not in os.environ


@pytest.mark.parametrize("forks_possible", [True, False])
def test_child_ends_with_its_parent(forks_possible, tmp_path, module_folder):
    """A killed parent cannot clean up; the child must notice by itself."""
    folder = tmp_path / "of_the_parent"
    folder.mkdir()
    script = (
        f"from tflite_sparse.base import child, fork_server; fork_server.IS_POSSIBLE = {forks_possible}; "
        "child.call('tflite_sparse.for_tests:wait', on_step=lambda pid, _: print(pid, flush=1))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(module_folder), *sys.path]), "TMPDIR": str(folder)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        server = parent_of(pid)
        assert (server == parent.pid) is not forks_possible
        parent.kill()
    wait_until_gone(pid)
    wait_until_gone(server)


def test_calls_may_run_side_by_side(extra):
    results = {}

    def work(number):
        results[number] = child.call(extra("echo"), number=number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: {"number": number} for number in range(3)}


def test_job_folder_is_private_and_leaves_nothing(extra, temporary):
    seen = []

    def on_step(*_):
        seen.extend(entry.stat().st_mode & 0o777 for entry in temporary.iterdir())

    child.call(extra("steps"), count=1, on_step=on_step)
    assert seen == [0o700]


def test_next_child_starts_as_if_nothing_had_happened(forks, server):
    """A crash ends only the fork; the server stays."""
    parents = [child.call(forks("server"))]
    for function in ("segfault", "abort", "leave"):
        with pytest.raises(ChildDiedError):
            child.call(forks(function))
        parents.append(child.call(forks("server")))
    assert len(set(parents)) == 1
    assert fork_server._clients == [server]


def test_calls_of_a_block_share_a_child_that_ends_with_it(forks, monkeypatch):
    with child.kept():
        first = child.call(forks("pid"))
        with child.kept():
            assert child.call(forks("pid")) == first
        assert child.call(forks("pid"), environment={"WANTED": "1"}) != first
        elsewhere = []
        thread = threading.Thread(target=lambda: elsewhere.append(child.call(forks("pid"))))
        thread.start()
        thread.join()
        assert elsewhere != [first]
        monkeypatch.setenv("SEEN", "now")
        environment, *_ = child.call(forks("surroundings"))
        assert environment["SEEN"] == "now"
        assert is_running(first)
    wait_until_gone(first)
    assert child.call(forks("pid")) != first


def test_calls_of_a_block_in_fresh_interpreters(fresh):
    with child.kept():
        assert child.call(fresh("pid")) != child.call(fresh("pid"))


@pytest.mark.parametrize(
    ("function", "how", "log"),
    [("segfault", "crashed (segmentation fault)", ""), ("leave", "ended with status 7", "last words")],
)
def test_a_crash_in_a_shared_child_is_told_of_its_call(forks, function, how, log):
    with child.kept():
        first = child.call(forks("pid"))
        assert child.call(forks("noisy")) == 5
        with pytest.raises(ChildDiedError) as caught:
            child.call(forks(function))
        assert caught.value.how == how
        assert log in caught.value.log
        assert "standard output" not in caught.value.log  # of the call before
        second, third = child.call(forks("pid")), child.call(forks("pid"))
        assert second == third != first


def test_what_one_call_leaves_behind_is_not_told_of_another(forks):
    """A call that ends a child in which another ran before gets one of its own."""
    with child.kept():
        first, second = (child.call(forks("only_once")) for _ in range(2))
    assert first != second


def test_steps_and_errors_of_calls_in_a_shared_child(forks):
    seen = []
    with child.kept():
        first = child.call(forks("pid"))
        for count in (2, 3):
            assert child.call(forks("steps"), on_step=lambda *step: seen.append(step), count=count) == "done"
        with pytest.raises(errors.VerificationError, match="weight 'a' differs"):
            child.call(forks("raise_own"))
        assert child.call(forks("pid")) == first
        with pytest.raises(ZeroDivisionError):
            child.call(forks("wait"), on_step=lambda *_: 1 / 0)
        wait_until_gone(first)
        assert child.call(forks("pid")) != first
    assert seen == [(1, 2), (2, 2), (1, 3), (2, 3), (3, 3)]


def test_time_of_each_call_in_a_shared_child(forks):
    with child.accounted() as spent, child.kept():
        for seconds in (0.6, 0.0, 0.3):
            child.call(forks("busy"), seconds=seconds)
    first, second, third = (each.cpu_seconds for each in spent)
    assert 0.55 <= first < 0.8  # in steps of the system's clock
    assert second < 0.2
    assert 0.25 <= third < 0.5


def test_large_arrays(extra):
    """A child may write to what it is given; the caller's arrays stay, in whatever order their elements lie."""
    rows = np.arange(1 << 18, dtype=np.float32).reshape(512, 512)  # 1 MiB: large
    given = [rows, np.asfortranarray(rows), rows[:, ::2], rows[:-1], rows.astype(">f4"), np.zeros((0, 9))]
    before = [array.copy() for array in given]
    for found in (child.call(extra("written_to"), arrays=given), child.call(extra("written_to"), arrays=given)):
        for array, own in zip(found, before, strict=True):
            np.testing.assert_array_equal(array, own + 1)
            assert array.dtype == own.dtype
    for array, own in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, own)


def test_shared_arrays_are_written_once(forks, temporary):
    """Each job may write to them; those that are not shared, small, or a part of one go with their job."""
    first, second, other = (np.full(size, 5, np.uint8) for size in (1 << 20, (1 << 20) + 1, 1 << 21))
    with child.kept([first, second, np.zeros(9)]):
        for arrays in ([first], [other, second, first], [first[:-1]], [first.copy()], [second, first]):
            found = child.call(forks("written_to"), arrays=arrays)
            assert [(array.min(), array.max()) for array in found] == [(6, 6)] * len(arrays)
            assert [array.size for array in found] == [array.size for array in arrays]
        (written,) = temporary.glob("*/arrays")
        assert written.read_bytes() == bytes([5]) * ((2 << 20) + 1)
    for array in (first, second, other):
        assert (array.min(), array.max()) == (5, 5)


def test_a_child_of_its_own_gets_its_own_arrays(forks, temporary):
    """One with other variables, within a block that keeps a child."""
    given = np.zeros(1 << 20, np.uint8)
    with child.kept([given]):
        assert child.call(forks("written_to"), arrays=[given], environment={"WANTED": "1"})[0].max() == 1
        assert list(temporary.glob("*/arrays")) == []


def test_many_large_arrays(extra):
    """They take one descriptor of the child, of which a process has 1,024 by default."""
    given = [np.full((1 << 20) + number, number, np.uint8) for number in range(5)]
    sums, held = child.call(extra("sums"), arrays=given)
    assert sums == [array.sum() for array in given]
    assert len([name for name in held if name.endswith("/arrays")]) == 1


def test_child_sees_the_surroundings_of_its_caller(extra, tmp_path, monkeypatch):
    monkeypatch.setenv("TFLITE_SPARSE_TEST", "ä = 1")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "anywhere"))
    environment, folder, path, scratch = child.call(extra("surroundings"))
    assert environment["TFLITE_SPARSE_TEST"] == "ä = 1"
    assert "HOME" not in environment
    assert folder == str(tmp_path)
    assert str(tmp_path / "anywhere") in path
    assert str(Path(scratch).parent) == os.environ["TMPDIR"]  # of the job in there, and not the server's


def test_forks_have_imported_what_runs_files_and_hold_nothing_else(forks, tmp_path):
    with (tmp_path / "of the caller").open("w"):
        held = child.call(forks("held"))
    assert "ai_edge_litert.interpreter" in child.call(forks("imported"))
    kinds = sorted(
        re.sub(r":.*", "", name) if name.startswith(("socket:", "pipe:")) else Path(name).name for name in held
    )
    assert kinds == ["log.txt", "log.txt", "null", "pipe", "socket"]


def test_what_a_child_calls_comes_from_the_same_server(forks):
    process, server, server_of_the_nested = child.call(forks("nested"))
    assert server == server_of_the_nested
    assert process != server


def test_server_that_is_killed_takes_its_child_along_and_is_replaced(forks):
    with pytest.raises(ChildDiedError, match="was killed"):
        child.call(forks("wait"), on_step=lambda pid, _: os.kill(parent_of(pid), signal.SIGKILL))
    assert child.call(forks("echo"), value=1) == {"value": 1}


def test_idle_server_ends_and_is_replaced(forks, monkeypatch, module_folder):
    """The default is minutes; this server waits only a moment."""
    monkeypatch.setattr(
        fork_server,
        "_START",
        "import tflite_sparse.base.fork_server as it; it.IDLE_SECONDS = 0.2\n" + textwrap.dedent(fork_server._START),
    )
    monkeypatch.setattr(fork_server, "IDLE_SECONDS", 0.2)  # applies to a fork of this process
    fork_server._clients[:] = []
    first = child.call(forks("server"))
    wait_until_gone(first)
    second = child.call(forks("server"))
    assert second != first


def test_unused_server_ends_while_it_imports(module_folder, monkeypatch, tmp_path):
    """Otherwise a command that fails at once would wait seconds for an import."""
    (tmp_path / "slow_module.py").write_text("import time\ntime.sleep(60)\nopen(__file__ + '.imported', 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    client = fork_server.start_beside(["slow_module"])
    client.close()
    assert not (tmp_path / "slow_module.py.imported").exists()


def test_process_with_other_threads_is_not_forked():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert not fork_server.may_fork_here()
        assert fork_server.fork_here(()) is None
    finally:
        stop.set()
        thread.join()


def test_large_process_is_not_forked(monkeypatch):
    """Its freed memory would stay allocated as long as the fork lives."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(fork_server, "MOST_BYTES_TO_FORK", 1 << 60)
    assert fork_server.may_fork_here()
    monkeypatch.setattr(fork_server, "MOST_BYTES_TO_FORK", 1_000_000)
    assert not fork_server.may_fork_here()


LARGE = """
import subprocess, sys
held = b"x" * 400_000_000
print(subprocess.check_output([sys.executable, "-c", sys.argv[1]], text=True))
"""
SMALL = """
from tflite_sparse.base import fork_server
fork_server.MOST_BYTES_TO_FORK = 300_000_000
print(fork_server.may_fork_here())
"""


def test_small_process_that_a_large_one_started_is_forked():
    """The system keeps the peak of the process that started it: a notebook, or a script that has trained."""
    assert subprocess.check_output([sys.executable, "-c", LARGE, SMALL], text=True).strip() == "True"


FORKED = """
import os, sys, tempfile
from tflite_sparse.base import child
folder = tempfile.TemporaryDirectory()
kept = open(os.path.join(folder.name, "open"), "w")
child.prepare()
del folder.name  # only the finalizer knows it now
print(child.call("tflite_sparse.for_tests:held"))
print(child.call("tflite_sparse.for_tests:server"), os.getpid())
"""


def test_fork_of_the_process_does_not_touch_its_files(tmp_path, module_folder):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(module_folder), *sys.path]),
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, env=environment, check=True)
    held, ids = done.stdout.splitlines()
    assert "/open" not in held
    server, caller = map(int, ids.split())
    assert server != caller
    wait_until_gone(server)
    assert list(tmp_path.iterdir()) == []
    assert done.stderr == ""


def test_time_of_children_is_accounted(extra):
    child.call(extra("echo"))
    with child.accounted() as spent:
        child.call(extra("busy"), seconds=0.2)
        with pytest.raises(RuntimeError):
            child.call(extra("raise_other"))
        with pytest.raises(ChildDiedError):
            child.call(extra("abort"))
    assert [each.function for each in spent] == ["for_tests:busy", "for_tests:raise_other"]
    assert 0.15 < spent[0].cpu_seconds < 10


WITH_TENSORFLOW = """
import os
from tflite_sparse.base import child
from tflite_sparse.base.progress import Silent
from tflite_sparse.sources import tensorflow_import
tensorflow_import.start(Silent())
tf = tensorflow_import.tensorflow()
tf.ones(3) + 1  # begins here, after the fork
print(os.getpid())
for function in ("tensorflow", "abort", "tensorflow", "nested"):
    try:
        print(*child.call(f"tflite_sparse.for_tests:{function}", needs="tensorflow"))
    except child.ChildDiedError as error:
        print(error)
"""


@pytest.mark.slow
def test_forks_have_tensorflow_imported_and_not_begun(module_folder):
    """There is one import for all: the server is forked between the import and the first tensor."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(module_folder), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", WITH_TENSORFLOW], capture_output=True, text=True, env=environment, check=True
    )
    _, first, crash, second, nested = done.stdout.splitlines()
    server = first.split()[0]
    assert first == second == f"{server} True False {300.0**3}"
    assert crash == "the child process aborted"
    assert nested.split()[1:] == [server, server]
    wait_until_gone(int(server))


def test_the_server_with_the_fewest_imports_is_asked(monkeypatch):
    """Its forks take the least time."""
    clients = [SimpleNamespace(modules=frozenset(modules)) for modules in ("ab", "abc", "a", "bcd")]
    monkeypatch.setattr(fork_server, "_clients", clients)
    assert fork_server.running("a") is clients[2]
    assert fork_server.running("b") is clients[0]
    assert fork_server.running("bc") is clients[1]
    assert fork_server.running("e") is None


@pytest.mark.parametrize(
    ("imported", "threads", "way"), [(True, 1, "beside"), (False, 2, "beside"), (False, 1, "fork")]
)
def test_which_process_becomes_the_server_for_tensorflow(imported, threads, way, monkeypatch):
    """A process with TensorFlow may have tensors, one with threads may have locks: neither is forked."""
    done = []
    monkeypatch.setattr(fork_server, "_clients", [])
    monkeypatch.setattr(fork_server, "fork_here", lambda modules: done.append(("fork", *modules)))
    monkeypatch.setattr(fork_server, "start_beside", lambda modules: done.append(("beside", *modules)))
    monkeypatch.setattr(threading, "active_count", lambda: threads)
    monkeypatch.setattr(fork_server, "MOST_BYTES_TO_FORK", float("inf"))
    monkeypatch.setattr(child, "import_modules", lambda needs: done.append(("import", needs)))
    monkeypatch.setattr(tensorflow_import, "_import", lambda: done.append("import"))
    monkeypatch.setattr(tensorflow_import, "_look_for_devices", lambda _: done.append("look for devices"))
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    if imported:
        monkeypatch.setitem(sys.modules, "tensorflow", None)
    tensorflow_import.start(Silent())
    server = (way, *child._MODULES["tensorflow"])
    small = [("import", "runtimes"), ("fork", *child._MODULES["runtimes"])]
    assert (
        done
        == {
            "fork": [*small, "import", ("import", "tensorflow"), server, "look for devices"],
            "beside": [server, *([] if imported else ["import", "look for devices"])],
        }[way]
    )
