"""Imports the C module as Swift's compiler does: `python module.py FOLDER MODULE INCLUDE`.

FOLDER holds the module map and the header, INCLUDE the C compiler's own headers.
"""

import sys
import tempfile

from clang import cindex


def faults(folder: str, module: str, include: str) -> list[str]:
    source = f"@import {module};\nunsigned contract(void) {{ return ffi_hive_ffi_uniffi_contract_version(); }}\n"
    with tempfile.TemporaryDirectory() as cache:
        options = ["-fmodules", f"-fmodules-cache-path={cache}", "-Werror", "-Wall", "-I", folder, "-isystem", include]
        unit = cindex.Index.create().parse("import.m", args=options, unsaved_files=[("import.m", source)])
    return [str(fault) for fault in unit.diagnostics]


found = faults(*sys.argv[1:])
sys.exit("\n".join(found) if found else 0)
