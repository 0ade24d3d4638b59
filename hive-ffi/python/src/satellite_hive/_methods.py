"""Methods of the generated classes in ``_native/records.py``: each class extends the one of its name here."""

from __future__ import annotations

from typing import Protocol


class _Ended(Protocol):
    @property
    def status(self) -> str: ...

    @property
    def stdout(self) -> bytes: ...


class CommandResult:
    """Methods of a result."""

    @property
    def ok(self: _Ended) -> bool:
        """Whether the program ended with 0."""
        return self.status == "succeeded"

    @property
    def text(self: _Ended) -> str:
        """Standard output as text; bytes that are not UTF-8 are replaced."""
        return self.stdout.decode(errors="replace")


class _WithStatus(Protocol):
    @property
    def status(self) -> str: ...


class _WithJob(Protocol):
    @property
    def job(self) -> _WithStatus: ...


class FanOut:
    """Methods of a job that has ended."""

    @property
    def ok(self: _WithJob) -> bool:
        """Whether the program ended with 0 everywhere."""
        return self.job.status == "succeeded"
