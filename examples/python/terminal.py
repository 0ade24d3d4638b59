"""Drives a terminal, without async. HIVE_URL and HIVE_API_KEY name the hive."""

import os

from satellite_hive.sync import Hive

with Hive.connect(os.environ["HIVE_URL"], os.environ["HIVE_API_KEY"]) as hive:
    name = hive.satellites(online=True)[0].name
    with hive.terminal(name, shell="/bin/sh", cols=100) as terminal:
        terminal.write("stty size\n")
        print(repr(terminal.read_until("24 100", timeout=20)))
        terminal.write("exit 7\n")
        for chunk in terminal:
            print(repr(chunk))
        print("the shell ended:", terminal.ended)
