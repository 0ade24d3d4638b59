"""One command on every satellite, with its progress. HIVE_URL and HIVE_API_KEY name the hive."""

import asyncio
import os

from satellite_hive import Hive, JobEvent, JobTargetEnded


def progress(event: JobEvent) -> None:
    if isinstance(event, JobTargetEnded):
        print(event.satellite_name, event.status)


async def main() -> None:
    async with Hive.connect(os.environ["HIVE_URL"], os.environ["HIVE_API_KEY"]) as hive:
        done = await hive.fan_out("all", "uptime", progress=progress, concurrency=50)
        for result in done.results:
            print(result.satellite_name, repr(result.text), result.error or "")
        print("job", done.job.id, done.job.status, done.job.counts)


asyncio.run(main())
