"""A Salt master, its minions and a client: runs `true` on all minions for each line on standard input.

Arguments: a folder of its own, and how many minions. Says its version as a JSON line when all minions answer, then the
seconds of each run. All processes end with standard input.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import salt.client
import salt.exceptions
import salt.version

PATIENCE_SECONDS = 150


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def write_config(folder, kind, settings):
    folder.mkdir(parents=True)
    common = {"user": os.environ.get("USER", "root"), "root_dir": str(folder), "log_level": "error"}
    (folder / kind).write_text(json.dumps({**common, **settings}))
    return folder


def start(kind, folder):
    program = pathlib.Path(sys.executable).parent / f"salt-{kind}"
    command = [sys.executable, str(program), "-c", str(folder), "-l", "error"]
    log = open(folder / "log", "wb")
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )


def main():
    folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    publish, answer = free_port(), free_port()
    ports = {"publish_port": publish, "ret_port": answer}
    master = write_config(
        folder / "master", "master", {"interface": "127.0.0.1", "auto_accept": True, "worker_threads": 5, **ports}
    )
    running = [start("master", master)]
    try:
        for number in range(count):
            settings = {
                "master": "127.0.0.1",
                "master_port": answer,
                "publish_port": publish,
                "id": f"minion-{number:02}",
                "acceptance_wait_time": 1,
                "multiprocessing": False,
            }
            running.append(start("minion", write_config(folder / f"minion-{number:02}", "minion", settings)))
        serve(str(master / "master"), count)
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGKILL)


def connected(config, count):
    """A client whose master has all minions."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            # It reads the master's key when it is made.
            client = salt.client.LocalClient(c_path=config)
            if len(client.cmd("*", "test.ping", timeout=5)) == count:
                return client
        except salt.exceptions.SaltException:
            time.sleep(0.5)
    sys.exit("not all minions came")


def serve(config, count):
    client = connected(config, count)
    print(json.dumps({"version": salt.version.__version__}), flush=True)
    for _ in sys.stdin:
        began = time.monotonic()
        answers = client.cmd("*", "cmd.run", ["true"], timeout=30)
        seconds = time.monotonic() - began
        if len(answers) != count:
            sys.exit(f"{len(answers)} of {count} minions answered")
        print(seconds, flush=True)


main()
