"""A command on one satellite, and what can go wrong.

HIVE_URL and HIVE_API_KEY name the hive; the satellite is the first that is online, or the one that is named.
"""

import asyncio
import os
import sys

from satellite_hive import CommandTimeout, Hive, SatelliteOffline


async def main() -> None:
    async with Hive.connect(os.environ["HIVE_URL"], os.environ["HIVE_API_KEY"]) as hive:
        name = sys.argv[1] if len(sys.argv) > 1 else (await hive.satellites(online=True))[0].name
        try:
            result = await hive.exec(name, "uname -sr; exit 3", timeout=5)
        except SatelliteOffline:
            print(f"{name} is offline, and nothing was stored")
        except CommandTimeout as error:
            print("it did not end in its time:", error.details["command_id"])
        else:
            # Output is a machine's own word: repr keeps it from moving the terminal's cursor.
            print(name, result.status, result.exit_code, repr(result.text))


asyncio.run(main())
