"""Keep a process with heavy modules imported, which forks a child for each job.

A fresh interpreter spends 6 CPU seconds on importing TensorFlow, a fork some hundredths. A server is made in one of two
ways: as a fork of this process (:func:`fork_here`), which shares its imports, or as a fresh interpreter
(:func:`start_beside`), which imports in the background. A fork has only the thread that called ``fork``, and locks that
other threads held stay locked. So a process forks itself only while it has one Python thread and, with TensorFlow, only
before it has made a tensor.

Client and server exchange messages over a Unix socket (``SOCK_SEQPACKET``). A request names the folder of a job and
passes descriptors: the caller's channel, the stream for steps, the log, and where other jobs may follow, a stream of
their folders. The server reports on the channel that the child was made, and how it ended. The channel closes when the
caller gives up or dies; the server then kills the child. A child has a socket to the server of its own, so that its own
children are forks of the same server.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import faulthandler
import gc
import importlib
import io
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NoReturn, TextIO

from tflite_sparse.base import child_job, imports

IDLE_SECONDS = 600.0
"""Time without a job after which a server ends; the next job starts a new one."""

IS_POSSIBLE = sys.platform == "linux"
"""Windows has no forks; on macOS forks of a process that has loaded system frameworks may crash."""

MOST_BYTES_TO_FORK = 1_000_000_000
"""Limit on resident memory. Memory that a process frees stays allocated while its fork, the server, holds it."""

_MADE = b"made"
_LARGEST_MESSAGE = 1 << 16
_MOST_DESCRIPTORS = 4
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG in linux/prctl.h
_START = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
from tflite_sparse.base.fork_server import main
main(int(sys.argv[1]), sys.argv[2:])
"""


class ServerGoneError(Exception):
    """The server ended before it made a child."""


class Client:
    """A connection to a server.

    Attributes:
        modules: that the server has imported.
    """

    def __init__(self, control: socket.socket, modules: Collection[str], reap: Callable[[], object]) -> None:
        self.modules = frozenset(modules)
        self._control = control
        self._reap = reap

    def start(self, folder: Path, steps: int, log: int, more: int | None = None) -> Running:
        """Run the job in ``folder`` in a fork of the server.

        Args:
            folder: of the job.
            steps: descriptor for the child's steps.
            log: descriptor for the child's output.
            more: descriptor that yields the folders of jobs that follow, as :func:`child_job.run` takes them. None: the
                child ends after the job.

        Raises:
            ServerGoneError: the server has ended.
        """
        ours, theirs = _channel()
        passed = [] if more is None else [more]
        try:
            with theirs:
                socket.send_fds(self._control, [os.fsencode(folder)], [theirs.fileno(), steps, log, *passed])
            if ours.recv(_LARGEST_MESSAGE) != _MADE:
                raise ServerGoneError
        except OSError as error:
            ours.close()
            raise ServerGoneError from error
        except BaseException:
            ours.close()
            raise
        return Running(ours)

    def close(self) -> None:
        """End the server and its children."""
        self._control.close()
        with contextlib.suppress(ChildProcessError):  # already waited for elsewhere
            self._reap()


class Running:
    """A running child."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def wait(self) -> int:
        """Wait for the child and return its exit status, like :attr:`subprocess.Popen.returncode`."""
        status = self._channel.recv(_LARGEST_MESSAGE)
        return int(status) if status else -signal.SIGKILL  # the server was killed, and the child with it

    def kill(self) -> None:
        """Kill the child if it is running; any thread may call it while another one waits."""
        with contextlib.suppress(OSError):  # the server may have closed its end
            self._channel.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Kill the child if it is running, and wait until it has ended."""
        with self._channel:
            self.kill()
            with contextlib.suppress(OSError):
                self._channel.recv(_LARGEST_MESSAGE)


def may_fork_here() -> bool:
    """Return whether this process may fork itself as a server: it is small and has one Python thread."""
    return IS_POSSIBLE and threading.active_count() == 1 and _peak_bytes() <= MOST_BYTES_TO_FORK


def _peak_bytes() -> int:
    """Return the peak resident memory of this program; the largest number where the system does not tell it.

    ``ru_maxrss`` of getrusage(2) is no substitute: it keeps the peak of the process that started this program.
    """
    lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    found = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return found[0] * 1024 if found else sys.maxsize  # in KiB (proc_pid_status(5))


def fork_here(modules: Sequence[str]) -> Client | None:
    """Fork this process as a server; return None where that is not possible or not safe.

    Args:
        modules: that this process has imported and children need.
    """
    if not may_fork_here():
        return None
    ours, theirs = _channel()
    with warnings.catch_warnings():
        # Python 3.12 also warns of system threads. Here those are OpenBLAS's, which it restarts after a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process == 0:
        try:
            _leave_caller(theirs.fileno())
            _serve(theirs, modules)
        finally:
            os._exit(1)
    theirs.close()
    return Client(ours, modules, lambda: os.waitpid(process, 0))


def start_beside(modules: Sequence[str]) -> Client | None:
    """Start a fresh interpreter as a server, which imports ``modules`` in the background; None without forks."""
    if not IS_POSSIBLE:
        return None
    ours, theirs = _channel()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", _START, str(theirs.fileno()), *modules],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
            pass_fds=[theirs.fileno()],
        )

    def end() -> None:
        process.terminate()  # while importing it does not notice a closed socket
        process.wait()

    return Client(ours, modules, end)


def main(descriptor: int, modules: list[str]) -> NoReturn:
    """Serve: the entry point of an interpreter started by :func:`start_beside`."""
    _leave_caller(descriptor)
    with imports.uncollected():
        for module in modules:
            importlib.import_module(module)
    _serve(socket.socket(fileno=descriptor), modules)


def _channel() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _serve(control: socket.socket, modules: Sequence[str]) -> NoReturn:
    gc.freeze()  # never finalise objects of the caller here
    _Server(control, modules).run()


def _leave_caller(descriptor: int) -> None:
    """Close all descriptors of the caller but one, and detach from its terminal, signals and streams."""
    os.setsid()  # Ctrl-C reaches the caller only, which then closes its channels
    faulthandler.disable()  # its descriptor is closed below
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    _take_streams(nowhere, nowhere)
    keep = {0, 1, 2, descriptor}
    for entry in list(Path("/proc/self/fd").iterdir()):
        if int(entry.name) not in keep:
            with contextlib.suppress(OSError):  # the descriptor of the listing is closed already
                os.close(int(entry.name))


def _take_streams(given: int, output: int) -> None:
    """Make ``given`` standard input, and ``output`` standard output and error."""
    os.dup2(given, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # New objects: the old ones may hold output that the caller has not flushed.
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0, closefd=False), _unbuffered(1), _unbuffered(2)


def _unbuffered(descriptor: int) -> TextIO:
    """Return an unbuffered stream, so that output before a crash is not lost."""
    return io.TextIOWrapper(os.fdopen(descriptor, "wb", 0, closefd=False), errors="replace", write_through=True)


class _Server:
    """Forks children and reports how they end, until all clients are gone or no job comes for :data:`IDLE_SECONDS`."""

    def __init__(self, control: socket.socket, modules: Sequence[str]) -> None:
        self._modules = frozenset(modules)
        self._channels: dict[int, socket.socket] = {}  # by process id of the child
        self._selector = selectors.DefaultSelector()
        self._owner = control
        self._selector.register(control, selectors.EVENT_READ, self._take_request)
        self._wakeup, signal_end = socket.socketpair()
        for end in (self._wakeup, signal_end):
            end.setblocking(False)
        self._signal_end = signal_end
        signal.set_wakeup_fd(signal_end.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler the signal does not wake the selector
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._reap)

    def run(self) -> NoReturn:
        """Serve until the end of the process."""
        idle_since = time.monotonic()
        while True:
            left = None if self._channels else max(IDLE_SECONDS - (time.monotonic() - idle_since), 0.0)
            events = self._selector.select(left)
            if not events and not self._channels:
                os._exit(0)
            for key, _ in events:
                if self._selector.get_map().get(key.fd) is key:  # an earlier event may have closed it
                    key.data(key.fileobj)
            idle_since = time.monotonic()

    def _take_request(self, control: socket.socket) -> None:
        message, descriptors, _, _ = socket.recv_fds(control, _LARGEST_MESSAGE, _MOST_DESCRIPTORS)
        if not descriptors:  # the other end is closed
            self._selector.unregister(control)
            control.close()
            if control is self._owner:
                self._end()
            return
        channel = socket.socket(fileno=descriptors[0])
        own, childs = _channel()
        process = os.fork()
        if process == 0:
            try:
                own.close()
                channel.close()
                self._become_child(Path(os.fsdecode(message)), descriptors[1:], childs)
            finally:
                os._exit(1)
        childs.close()
        for descriptor in descriptors[1:]:
            os.close(descriptor)
        self._channels[process] = channel
        self._selector.register(own, selectors.EVENT_READ, self._take_request)
        self._selector.register(channel, selectors.EVENT_READ, lambda _: self._give_up(process))
        with contextlib.suppress(OSError):  # the caller is gone; its closed channel is an event
            channel.send(_MADE)

    def _give_up(self, process: int) -> None:
        """Kill the child of a caller that closed its channel."""
        self._selector.unregister(self._channels[process])
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)

    def _reap(self, wakeup: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while wakeup.recv(_LARGEST_MESSAGE):
                pass
        for process, channel in list(self._channels.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if not ended:
                continue
            del self._channels[process]
            with contextlib.suppress(KeyError):  # killed by _give_up
                self._selector.unregister(channel)
            with contextlib.suppress(OSError), channel:
                channel.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _end(self) -> NoReturn:
        for process in self._channels:
            os.kill(process, signal.SIGKILL)
        os._exit(0)

    def _become_child(self, folder: Path, passed: Sequence[int], control: socket.socket) -> NoReturn:
        """Run the job in ``folder``, and those that follow, with nothing of the server but its imports."""
        steps, log, *more = passed
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        for channel in self._channels.values():  # includes channels of children being killed, which no selector holds
            channel.close()
        self._selector.close()
        self._signal_end.close()
        nowhere = os.open(os.devnull, os.O_RDONLY)
        _take_streams(nowhere, log)
        os.close(nowhere)
        os.close(log)
        warnings.simplefilter("ignore")  # nobody reads them
        _begin_with(Client(control, self._modules, int))
        child_job.run(folder, os.fdopen(steps, "w"), os.fdopen(more[0]) if more else None)


_clients: list[Client] = []
"""The servers of this process."""
_lock = threading.Lock()


def _begin_with(client: Client) -> None:
    """Make ``client`` the only server of this process, a fork that may have inherited a locked lock."""
    global _lock
    _lock = threading.Lock()
    _clients[:] = [client]


def running(modules: Sequence[str]) -> Client | None:
    """Return a server of this process that has imported ``modules``, or None.

    Of several it is the one with the fewest modules: a fork takes time for each page of the server's memory, 0.03 CPU
    seconds with TensorFlow.
    """
    wanted = set(modules)
    return min((each for each in _clients if each.modules >= wanted), key=lambda each: len(each.modules), default=None)


def ensure(modules: Sequence[str], make: Callable[[Sequence[str]], Client | None]) -> Client | None:
    """Return a server that has imported ``modules``: a running one, else one that ``make`` starts, else None."""
    with _lock:
        client = running(modules)
        if client is None:
            client = make(modules)
            if client is not None:
                if not _clients:
                    atexit.register(_forget_all)  # waited for, its time counts as this process's
                _clients.append(client)
        return client


def forget(client: Client) -> None:
    """End a server."""
    with _lock:
        if client in _clients:
            _clients.remove(client)
            client.close()


def _forget_all() -> None:
    for client in list(_clients):
        forget(client)
