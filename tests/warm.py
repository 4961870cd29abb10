"""``dmft`` with its packages imported beforehand, for tests of many short commands.

Nearly all of what a short command costs is the import of PyTorch. Here one process imports
everything and is forked for each command: same arguments, folder, environment, files, signals and
exit code. The tutorial, the README and the tests of kills run the command as it is, so that what a
fork hides is seen there.

    python tests/warm.py SOCKET                     serves
    python -S -I tests/warm.py SOCKET -- ARGUMENTS  is a command
"""

import atexit
import contextlib
import gc
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIZE = 1 << 20
"""Of the largest request: arguments and the environment."""


def serve(path: str) -> None:
    """Fork a command for whoever asks; returns in the command's process, ready to be it."""
    import cli
    import dmft.commands.train
    import dmft.recognise
    import dmft.reports
    import dmft.training.train  # noqa: F401 - imported for the forks

    assert cli
    gc.freeze()  # who looks through an object in a fork copies its page
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who watches a command is not waited for
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(16)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            break
        connection.close()
    listener.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, files, _, _ = socket.recv_fds(connection, SIZE, 3)
    command = os.fork()
    if command:
        watch(connection, command)
    connection.close()
    become(json.loads(request), files)


def watch(connection: socket.socket, command: int) -> None:
    """Pass signals to a command, its exit code back, and kill it if nobody waits for it."""
    ended = os.pidfd_open(command)
    while ended not in (ready := select.select([connection, ended], [], [])[0]):
        number = connection.recv(1) if connection in ready else b""
        os.kill(command, number[0] if number else signal.SIGKILL)
        if not number:
            os._exit(0)
    _, status = os.waitpid(command, 0)
    code = os.waitstatus_to_exitcode(status)
    connection.sendall(bytes([code if code >= 0 else 128 - code]))
    os._exit(0)


def become(request: dict, files: list[int]) -> None:
    """Take the place of the process that asked."""
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["dmft", *request["arguments"]]


def run() -> NoReturn:
    """Be ``dmft`` to the end, but do not take every object of the packages apart at last."""
    import cli

    code: object = None
    try:
        cli.main()
    except SystemExit as ended:
        code = ended.code
    threading._shutdown()  # type: ignore[attr-defined] # waits for threads, as the interpreter does
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def ask(path: str, arguments: list[str]) -> int:
    """Be a command: hand over what a process has, pass signals on, return the exit code."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(path)
    request = {"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: connection.sendall(bytes([number])))
    socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
    code = connection.recv(1)
    return code[0] if code else 1


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Path]:
    """Serve from a new process for a while; gives the program ``dmft`` that asks it."""
    root, program, address = Path(__file__).parents[1], folder / "dmft", folder / "socket"
    command = [sys.executable, "-S", "-I", __file__, str(address), "--"]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, __file__, address], env=environment) as server:
        while not address.exists():
            assert server.poll() is None
            time.sleep(0.1)
        yield program
        server.kill()


if __name__ == "__main__":
    if sys.argv[2:3] == ["--"]:
        sys.exit(ask(sys.argv[1], sys.argv[3:]))
    serve(sys.argv[1])
    run()
