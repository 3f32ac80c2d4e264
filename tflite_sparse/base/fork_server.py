"""A process that holds heavy modules imported and forks a child of itself for each job.

A fresh interpreter spends 6 CPU seconds on importing TensorFlow, a fork of one that has it some hundredths. A server is
made in one of two ways: it is a fork of this process (:func:`fork_here`), which shares the import with it, or a fresh
interpreter (:func:`start_beside`), which imports beside this process's work. A fork has only the thread that called
``fork``, and what other threads held locked stays locked. So a process forks itself only while it has one Python
thread, and one with TensorFlow only before it has made a tensor.

Client and server talk over a Unix socket that keeps messages apart (``SOCK_SEQPACKET``). A request names the folder of
a job and passes three descriptors: the caller's channel, the stream for steps, the log. The server tells on the channel
that the child was made, and how it ended. The caller closes the channel when it gives up, and so does the system when
the caller dies; the server then kills the child. A child gets a socket of its own to the server, so that what it calls
in turn are forks of the same server.
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

from tflite_sparse.base import child_job

IDLE_SECONDS = 600.0
"""After so long without a job a server ends; the next job gets a new one."""

IS_POSSIBLE = sys.platform == "linux"
"""Windows has no forks; on macOS those of a process that has loaded system frameworks may crash."""

MOST_BYTES_TO_FORK = 1_000_000_000
"""Of resident memory. What a process frees stays in memory as long as its fork, the server, holds it too."""

_MADE = b"made"
_LARGEST_MESSAGE = 1 << 16
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
    """The caller's side of a server.

    Attributes:
        modules: what the server has imported.
    """

    def __init__(self, control: socket.socket, modules: Collection[str], reap: Callable[[], object]) -> None:
        self.modules = frozenset(modules)
        self._control = control
        self._reap = reap

    def start(self, folder: Path, steps: int, log: int) -> Running:
        """Have the job in ``folder`` done by a fork of the server.

        Args:
            folder: of the job.
            steps: descriptor that the child writes its steps to.
            log: descriptor that takes what the child prints.

        Raises:
            ServerGoneError: there is no server any more.
        """
        ours, theirs = _channel()
        try:
            with theirs:
                socket.send_fds(self._control, [os.fsencode(folder)], [theirs.fileno(), steps, log])
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
        """Let the server end, and with it the children that it made."""
        self._control.close()
        with contextlib.suppress(ChildProcessError):  # somebody else waited for it
            self._reap()


class Running:
    """A child at work, as its caller sees it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def wait(self) -> int:
        """The exit status, negative for a signal, as :attr:`subprocess.Popen.returncode`."""
        told = self._channel.recv(_LARGEST_MESSAGE)
        return int(told) if told else -signal.SIGKILL  # the server was killed, and the child with it

    def close(self) -> None:
        """Kill the child if it is still there, and wait until it is gone."""
        with contextlib.suppress(OSError), self._channel:  # the server may have closed its end
            self._channel.shutdown(socket.SHUT_WR)
            self._channel.recv(_LARGEST_MESSAGE)


def may_fork_here() -> bool:
    """Whether this process may become the parent of a server: it is small and has one Python thread."""
    return IS_POSSIBLE and threading.active_count() == 1 and _peak_bytes() <= MOST_BYTES_TO_FORK


def _peak_bytes() -> int:
    """The most resident memory that this process has had."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # in KiB on Linux (getrusage(2))


def fork_here(modules: Sequence[str]) -> Client | None:
    """Fork this process as a server; None where that is not possible or not safe.

    Args:
        modules: what this process has imported that children need.
    """
    if not may_fork_here():
        return None
    ours, theirs = _channel()
    with warnings.catch_warnings():
        # Python 3.12 warns of threads of the system too. Those here are OpenBLAS's, which it starts anew after a fork.
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
    """Start a fresh interpreter as a server, which imports ``modules`` beside this process's work; None elsewhere."""
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
        process.terminate()  # it may still be importing, and would not see before that nobody wants it
        process.wait()

    return Client(ours, modules, end)


def main(descriptor: int, modules: list[str]) -> NoReturn:
    """What a fresh interpreter does that was started by :func:`start_beside`."""
    _leave_caller(descriptor)
    for module in modules:
        importlib.import_module(module)
    _serve(socket.socket(fileno=descriptor), modules)


def _channel() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _serve(control: socket.socket, modules: Sequence[str]) -> NoReturn:
    gc.freeze()  # what the caller had made is never collected here: its finalizers are for the caller
    _Server(control, modules).run()


def _leave_caller(descriptor: int) -> None:
    """Let go of all that the caller holds but one descriptor, and of its terminal, signals and streams."""
    os.setsid()  # Ctrl-C is for the caller, which then closes its channels
    faulthandler.disable()  # it would write to a descriptor that is no longer the caller's
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
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(int(entry.name))


def _take_streams(given: int, output: int) -> None:
    """Make these descriptors standard input, and standard output and error."""
    os.dup2(given, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # New objects: the old ones may hold what the caller has not written yet.
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0, closefd=False), _unbuffered(1), _unbuffered(2)


def _unbuffered(descriptor: int) -> TextIO:
    """What is printed before a crash must not be lost."""
    return io.TextIOWrapper(os.fdopen(descriptor, "wb", 0, closefd=False), errors="replace", write_through=True)


class _Server:
    """Forks children and tells how they end, until nobody is left who could ask or nobody has asked for long."""

    def __init__(self, control: socket.socket, modules: Sequence[str]) -> None:
        self._modules = frozenset(modules)
        self._channels: dict[int, socket.socket] = {}  # by the process of the child
        self._selector = selectors.DefaultSelector()
        self._owner = control
        self._selector.register(control, selectors.EVENT_READ, self._take_request)
        self._wakeup, told = socket.socketpair()
        for end in (self._wakeup, told):
            end.setblocking(False)
        self._told = told
        signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # else the signal is dropped and wakes nobody
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._reap)

    def run(self) -> NoReturn:
        """Serve to the end."""
        idle_since = time.monotonic()
        while True:
            left = None if self._channels else max(IDLE_SECONDS - (time.monotonic() - idle_since), 0.0)
            events = self._selector.select(left)
            if not events and not self._channels:
                os._exit(0)
            for key, _ in events:
                if self._selector.get_map().get(key.fd) is key:  # not closed by an event before it
                    key.data(key.fileobj)
            idle_since = time.monotonic()

    def _take_request(self, control: socket.socket) -> None:
        message, descriptors, _, _ = socket.recv_fds(control, _LARGEST_MESSAGE, 3)
        if len(descriptors) != 3:  # the other end is closed
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
                self._become_child(Path(os.fsdecode(message)), descriptors[1], descriptors[2], childs)
            finally:
                os._exit(1)
        childs.close()
        for descriptor in descriptors[1:]:
            os.close(descriptor)
        self._channels[process] = channel
        self._selector.register(own, selectors.EVENT_READ, self._take_request)
        self._selector.register(channel, selectors.EVENT_READ, lambda _: self._give_up(process))
        with contextlib.suppress(OSError):  # the caller is gone: its channel tells
            channel.send(_MADE)

    def _give_up(self, process: int) -> None:
        """The caller closed its channel: kill the child."""
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
            with contextlib.suppress(KeyError):  # the caller had given up
                self._selector.unregister(channel)
            with contextlib.suppress(OSError), channel:
                channel.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _end(self) -> NoReturn:
        for process in self._channels:
            os.kill(process, signal.SIGKILL)
        os._exit(0)

    def _become_child(self, folder: Path, steps: int, log: int, control: socket.socket) -> NoReturn:
        """Do the job in ``folder``; nothing of the server but what it imported may be seen from there."""
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        for channel in self._channels.values():  # those of children that are being killed are in no selector
            channel.close()
        self._selector.close()
        self._told.close()
        nowhere = os.open(os.devnull, os.O_RDONLY)
        _take_streams(nowhere, log)
        os.close(nowhere)
        os.close(log)
        warnings.simplefilter("ignore")  # nobody reads them
        _begin_with(Client(control, self._modules, int))
        child_job.run(folder, os.fdopen(steps, "w"))


_clients: list[Client] = []
"""The servers of this process."""
_lock = threading.Lock()


def _begin_with(client: Client) -> None:
    """Make ``client`` the only server of this process, which is a fork and may have the lock locked."""
    global _lock
    _lock = threading.Lock()
    _clients[:] = [client]


def running(modules: Sequence[str]) -> Client | None:
    """A server of this process that has ``modules`` imported, if there is one."""
    wanted = set(modules)
    return next((client for client in _clients if client.modules >= wanted), None)


def ensure(modules: Sequence[str], make: Callable[[Sequence[str]], Client | None]) -> Client | None:
    """A server that has ``modules`` imported: one that there is, else the one that ``make`` makes, if it can."""
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
    """Let a server end."""
    with _lock:
        if client in _clients:
            _clients.remove(client)
            client.close()


def _forget_all() -> None:
    for client in list(_clients):
        forget(client)
