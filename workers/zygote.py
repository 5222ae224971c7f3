"""The warm child server: a process that has imported everything once, and forks a child for each job in milliseconds.

`python -m workers.zygote FD PARENT_PID`, started by `workers.process.ChildServer`. It has one thread (a fork copies only the forking one; locks
that others hold stay locked for ever), a scrubbed environment from its exec on, and never sees a job's data: that goes through the child's own
socket. Frames on the control socket FD:

    parent -> zygote   {"imports": [module], "sys_path": [folder]}     once, first
                       {"spawn": serial}   + the child's socket (SCM_RIGHTS)
                       {"signal": [serial, number]}                    to the child's process group
    zygote -> parent   {"ready": threads} or {"fatal": traceback}      once, first
                       {"started": serial, "pid": pid} or {"refused": serial, "reason": text}
                       {"exited": serial, "status": status, "cpu_seconds": s, "peak_rss": bytes}

Its end of file means that the parent died or closed: the zygote kills every group, then itself. Signals to a child go through here because only its
parent knows whether the number still is that child's.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from typing import Any, NoReturn

from streams.bus.codec import decode_json
from workers import child, kernel
from workers.frames import READ_BYTES, FrameDecoder, json_frame, read_frame

SHUTDOWN_SECONDS = 1.0
RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024

logger = logging.getLogger("workers.zygote")


class Zygote:
    """Forks children on request, reports their ends, and takes them along when it goes."""

    def __init__(self, control: socket.socket, parent_pid: int) -> None:
        self._control = control
        self._parent_pid = parent_pid
        self._pid = os.getpid()
        self._decoder = FrameDecoder()
        self._received: list[int] = []
        """Sockets of children, in the order of their spawn frames."""
        self._serials: dict[int, int] = {}
        """pid -> serial of each child that wasn't reaped."""
        self._wake_reader, self._wake_writer = socket.socketpair()

    def serve(self) -> NoReturn:
        """Serve until the parent is gone."""
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        for signum in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(signum, lambda *_: None)  # the wake-up is all that's wanted
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(self._wake_reader, select.POLLIN)
        while os.getppid() == self._parent_pid:
            readable = {fd for fd, _ in poller.poll()}
            if self._wake_reader.fileno() in readable:
                with contextlib.suppress(BlockingIOError):
                    self._wake_reader.recv(READ_BYTES)
            self._reap()
            if self._control.fileno() in readable and not self._receive():
                break
        self._shut_down()

    def _receive(self) -> bool:
        """Serve what the parent sent; False when it is gone."""
        try:
            data, fds, _, _ = socket.recv_fds(self._control, READ_BYTES, 16)
        except OSError:
            return False
        self._received += fds
        for payload in self._decoder.feed(data):
            message = decode_json(payload)
            if "spawn" in message:
                self._spawn(message["spawn"], self._received.pop(0))
            else:
                self._signal(*message["signal"])
        return bool(data)

    def _spawn(self, serial: int, fd: int) -> None:
        sys.stdout.flush()  # else the child would write the same buffer again
        sys.stderr.flush()
        try:
            pid = os.fork()
        except OSError as exc:
            os.close(fd)
            self._send({"refused": serial, "reason": str(exc)})
            return
        if pid == 0:
            self._become_child(fd)
        with contextlib.suppress(OSError):  # both sides do it, so that a signal to the group can't come too early
            os.setpgid(pid, pid)
        os.close(fd)
        self._serials[pid] = serial
        self._send({"started": serial, "pid": pid})

    def _become_child(self, fd: int) -> NoReturn:
        """Shed what is the server's alone, and run the job. Never returns into the server's loop."""
        status = 1
        try:
            # A group of its own; the server already has its own session, so there is no terminal to leave.
            os.setpgid(0, 0)
            kernel.signal_on_parent_death(signal.SIGKILL)
            if os.getppid() != self._pid:  # the server died between fork and prctl
                os._exit(status)
            kernel.adopt_orphans()
            kernel.volunteer_for_oom()
            signal.set_wakeup_fd(-1)
            for signum, action in ((signal.SIGCHLD, signal.SIG_DFL), (signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
                signal.signal(signum, action)
            # Exactly what this server opened: a blind closerange() would close files under the libraries that it has imported.
            for sock in (self._control, self._wake_reader, self._wake_writer):
                sock.close()
            for other in self._received:
                os.close(other)
            child.run(socket.socket(fileno=fd))
            status = 0
        except BaseException:  # noqa: BLE001 - there is no caller left
            traceback.print_exc()
        finally:
            os._exit(status)

    def _signal(self, serial: int, signum: int) -> None:
        for pid, known in self._serials.items():
            if known == serial:
                _signal_group(pid, signum)

    def _reap(self) -> None:
        """Report every child that ended; bury adopted orphans."""
        while (ended := _reap_one()) is not None:
            pid, status, usage = ended
            serial = self._serials.pop(pid, None)
            self._kill_orphans()
            if serial is not None:
                self._send(
                    {
                        "exited": serial,
                        "status": os.waitstatus_to_exitcode(status),
                        "cpu_seconds": usage.ru_utime + usage.ru_stime,
                        "peak_rss": usage.ru_maxrss * RSS_UNIT_BYTES,
                    }
                )

    def _kill_orphans(self) -> None:
        """Kill adopted processes that left their job's group. Every job adopts its own orphans, so those that come here have outlived their job."""
        for pid in kernel.child_pids():
            if pid not in self._serials:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._control.sendall(json_frame(message))
        except OSError:
            self._shut_down()

    def _shut_down(self) -> NoReturn:
        """Take every process along."""
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        for pid in self._serials:
            _signal_group(pid, signal.SIGKILL)
        self._serials.clear()
        while time.monotonic() < deadline:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.01)
            except ChildProcessError:
                break
            self._kill_orphans()
        os._exit(0)


def _reap_one() -> tuple[int, int, resource.struct_rusage] | None:
    """Reap one child that ended, if there is one, and kill what is left of its process group: before it is reaped nobody else can have its number."""
    try:
        if hasattr(os, "waitid"):
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if info is None:
                return None
            _signal_group(info.si_pid, signal.SIGKILL)
            return os.wait4(info.si_pid, 0)
        pid, status, usage = os.wait4(-1, os.WNOHANG)  # macOS before Python 3.13
    except ChildProcessError:
        return None
    if pid == 0:
        return None
    _signal_group(pid, signal.SIGKILL)
    return pid, status, usage


def _signal_group(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signum)


def preload(imports: list[str]) -> None:
    """Import the handler modules, and what each names in its PRELOAD. A missing preload is no failure: the job that needs it says so, better."""
    for name in imports:
        module = importlib.import_module(name)
        for heavy in getattr(module, "PRELOAD", ()):
            try:
                importlib.import_module(heavy)
            except Exception as exc:  # noqa: BLE001 - anything may happen in a stranger's import
                logger.warning("can't preload %s for %s: %s: %s", heavy, name, type(exc).__name__, exc)


def main(fd: int, parent_pid: int) -> None:
    """Import, freeze, serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which drains
    # SIGTERM is the kernel's news of the parent's death; from anybody else (an init system that signals all processes) it is ignored: the parent drains.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0) if os.getppid() != parent_pid else None)
    kernel.signal_on_parent_death(signal.SIGTERM)
    kernel.adopt_orphans()
    logging.basicConfig(level=logging.INFO, format=child.LOG_FORMAT, stream=sys.stderr)
    control = socket.socket(fileno=fd)
    control.set_inheritable(False)
    payload = read_frame(control)
    if payload is None:
        return
    setup = decode_json(payload)
    sys.argv, sys.path[:] = ["workers.zygote"], setup["sys_path"]
    try:
        preload(setup["imports"])
    except Exception:  # noqa: BLE001 - it is the parent's to raise
        control.sendall(json_frame({"fatal": traceback.format_exc()}))
        return
    threads = kernel.thread_count()
    if threads > 1:
        logger.warning("%d threads run after the imports: a child forked now may hang on a lock of theirs; import that module in the job", threads)
    gc.collect()
    gc.freeze()  # what is imported stays in pages that all children share
    zygote = Zygote(control, parent_pid)
    control.sendall(json_frame({"ready": threads}))
    zygote.serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
