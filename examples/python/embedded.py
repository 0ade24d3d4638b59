"""A hive inside this program, and a satellite that joins it.

`satellite-agent` is looked for in HIVE_BIN_DIR, and else on the PATH. Everything lies in a folder that is removed in the end.
"""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

from satellite_hive import Hive, SatelliteOnline


async def main(home: Path) -> None:
    agent = shutil.which("satellite-agent", path=os.environ.get("HIVE_BIN_DIR", os.environ["PATH"]))
    if agent is None:
        raise SystemExit("build satellite-agent, and set HIVE_BIN_DIR to the folder it is in")
    async with Hive.open(home / "hive") as hive, hive.serve("127.0.0.1:0") as server:
        print("serving at", server.url)
        token = (await hive.registration_token_create(description="the example")).token
        async with hive.events() as events:
            (home / "token").write_text(token)
            join = ["--server", server.url, "--name", "this-machine", "--registration-token-file", str(home / "token")]
            quiet = ["--data-dir", str(home / "satellite"), "--local-api", "off", "--log-level", "error"]
            satellite = await asyncio.create_subprocess_exec(agent, *join, *quiet)
            try:
                async for event in events:
                    if isinstance(event, SatelliteOnline):
                        break
                print(repr((await hive.exec("this-machine", "echo hello from $(uname -s)")).text))
                print("audit records:", (await hive.audit_verify()).records)
            finally:
                satellite.terminate()
                await satellite.wait()


with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(Path(folder)))
