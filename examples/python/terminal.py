"""Drives a terminal, without async. HIVE_URL and HIVE_API_KEY name the hive."""

import os

from satellite_hive.sync import Hive

with Hive.connect(os.environ["HIVE_URL"], os.environ["HIVE_API_KEY"]) as hive:
    name = hive.satellites(online=True)[0].name
    with hive.terminal(name, shell="/bin/sh", env={"PS1": "ready> "}, cols=100) as terminal:
        terminal.read_until("ready> ", timeout=20)
        terminal.write("stty size; exit 7\n")
        for chunk in terminal:
            print(repr(chunk))
        print("the shell ended:", terminal.ended)
