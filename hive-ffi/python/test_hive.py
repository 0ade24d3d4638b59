"""Drives a running hive through the Python binding.

HIVE_URL and HIVE_API_KEY name the hive; it needs at least one satellite that is online. The generated module `hive_ffi`
and its library are found through PYTHONPATH (see ../README.md).
"""

import os
import unittest

from hive_ffi import Command, Hive, HiveError


class HiveTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.hive = Hive.connect(os.environ["HIVE_URL"], os.environ["HIVE_API_KEY"])

    async def online(self):
        satellites = await self.hive.satellites()
        return next(satellite for satellite in satellites if satellite.online)

    async def test_satellites_are_listed(self):
        satellite = await self.online()
        self.assertTrue(satellite.id.startswith("sat_"))
        self.assertEqual(satellite.status, "active")

    async def test_a_line_runs_in_the_shell(self):
        satellite = await self.online()
        [outcome] = await self.hive.exec([satellite.name], Command(command="echo out; echo err >&2; exit 3"))
        self.assertEqual((outcome.status, outcome.exit_code), ("failed", 3))
        self.assertEqual((outcome.stdout, outcome.stderr), (b"out\n", b"err\n"))

    async def test_arguments_input_and_environment_arrive_as_they_are(self):
        satellite = await self.online()
        bytes_of_all_kinds = bytes(range(256))
        command = Command(
            command="sh",
            args=["-c", 'printf %s "$1$GREETING"; cat', "sh", "$HOME "],
            env={"GREETING": "hello"},
            stdin=bytes_of_all_kinds,
            timeout_seconds=20,
        )
        [outcome] = await self.hive.exec([satellite.id], command)
        self.assertEqual(outcome.stdout, b"$HOME hello" + bytes_of_all_kinds)

    async def test_all_answer(self):
        outcomes = await self.hive.exec(["all"], Command(command="true"))
        self.assertIn("succeeded", [outcome.status for outcome in outcomes])

    async def test_a_stranger_is_refused(self):
        stranger = Hive.connect(os.environ["HIVE_URL"], "hive_key_of_nobody")
        with self.assertRaises(HiveError.Unauthorized):
            await stranger.satellites()

    async def test_a_satellite_that_is_not_there_is_not_found(self):
        with self.assertRaises(HiveError.NotFound) as caught:
            await self.hive.exec(["no-such-satellite"], Command(command="true"))
        self.assertIn("no-such-satellite", str(caught.exception))

    async def test_a_hive_that_is_not_there_is_unavailable(self):
        nowhere = Hive.connect("http://127.0.0.1:1", "hive_key_of_nobody")
        with self.assertRaises(HiveError.Unavailable):
            await nowhere.satellites()

    def test_a_url_that_is_none_is_refused(self):
        with self.assertRaises(HiveError.Invalid):
            Hive.connect("not a url", "key")


if __name__ == "__main__":
    unittest.main()
