"""Runs a command over one open SSH connection, once for each line on standard input, and prints the milliseconds."""

import asyncio
import json
import os
import pwd
import sys
import time

import asyncssh


async def main(port: int, key: str, host_key: str, command: str) -> None:
    account = pwd.getpwuid(os.getuid())
    with open(host_key, encoding="ascii") as file:
        trusted = asyncssh.import_known_hosts(f"[127.0.0.1]:{port} {file.read()}")
    async with asyncssh.connect(
        "127.0.0.1", port, username=account.pw_name, client_keys=[key], known_hosts=trusted, config=None, agent_path=None
    ) as connection:
        home = (await connection.run('cd "$HOME" && pwd && ls -A', check=True)).stdout.split()
        hello = {
            "version": asyncssh.__version__,
            "server": connection.get_extra_info("server_version"),
            "shell": account.pw_shell,
            # The directory, and the names in it.
            "home": home,
        }
        print(json.dumps(hello), flush=True)
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            began = time.perf_counter()
            await connection.run(command, check=True)
            print((time.perf_counter() - began) * 1000, flush=True)


asyncio.run(main(int(sys.argv[1]), *sys.argv[2:5]))
