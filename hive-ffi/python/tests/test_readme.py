"""The example of the README runs as it stands."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from conftest import Fleet

README = Path(__file__).parent.parent / "README.md"


async def test_the_cells_of_the_readme_run_one_after_another(fleet: Fleet) -> None:
    cells = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(cells) >= 4
    names: dict[str, object] = {}
    for cell in cells:
        here = cell.replace("http://127.0.0.1:3000", fleet.server.url).replace("hive_key_…", fleet.api_key)
        code = compile(here, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, names)
        if inspect.isawaitable(running):
            await running
