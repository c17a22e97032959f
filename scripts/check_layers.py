#!/usr/bin/env python3
"""Holds the includes and the CMake DEPS of src/ to src/LAYERS.

Fails on an include that LAYERS does not allow, on a cycle, on a DEPS line that differs from LAYERS, on a source
that no CMakeLists.txt lists, and on a module that LAYERS or ARCHITECTURE.md does not name.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"


def read_layers():
    layers = {}
    for line in (SRC / "LAYERS").read_text().splitlines():
        if line and not line.startswith("#"):
            module, _, allowed = line.partition(":")
            layers[module.strip()] = set(allowed.split())
    return layers


def check_includes(module, allowed, problems):
    for path in sorted((SRC / module).rglob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r'\s*#include "([^"/]+)/[^"]+"', line)
            if found and found[1] != module and found[1] not in allowed and (SRC / found[1]).is_dir():
                problems.append(f"{path.relative_to(ROOT)}:{number}: {module} may not include {found[1]} (src/LAYERS)")
            # What kernel programs share with user space: only for the module that loads them.
            if found and found[1] == "bpf" and module == "capture":
                continue
            # A test or fuzz target may reach into tests/support; nothing else lies outside src/.
            if found and not (SRC / found[1]).is_dir() and not path.stem.endswith(("_test", "_fuzz")):
                problems.append(f"{path.relative_to(ROOT)}:{number}: includes {found[1]}, which is no module")


def check_cmake(module, allowed, problems):
    cmake = SRC / module / "CMakeLists.txt"
    text = cmake.read_text()
    deps = re.search(r"DEPS ([^)\n]*)", text)
    listed = set(deps[1].split()) if deps else set()
    if listed != allowed:
        problems.append(f"{cmake.relative_to(ROOT)}: DEPS {sorted(listed)} differ from src/LAYERS {sorted(allowed)}")
    names = set(re.findall(r"[\w./]+\.cc", text))
    for path in sorted((SRC / module).rglob("*.cc")):
        if str(path.relative_to(SRC / module)) not in names:
            problems.append(f"{path.relative_to(ROOT)}: not listed in {cmake.relative_to(ROOT)}")


def check_cycles(layers, problems):
    done = set()

    def visit(module, path):
        if module in path:
            problems.append("cycle in src/LAYERS: " + " -> ".join([*path, module]))
        elif module not in done:
            for below in sorted(layers.get(module, ())):
                visit(below, [*path, module])
            done.add(module)

    for module in layers:
        visit(module, [])


def main():
    layers = read_layers()
    problems = []
    check_cycles(layers, problems)
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    for folder in sorted(path.name for path in SRC.iterdir() if path.is_dir()):
        if folder not in layers:
            problems.append(f"src/{folder}: not in src/LAYERS")
        elif f"`{folder}`" not in architecture:
            problems.append(f"src/{folder}: ARCHITECTURE.md does not name `{folder}`")
    for module, allowed in layers.items():
        check_includes(module, allowed, problems)
        check_cmake(module, allowed, problems)
    print("\n".join(problems) if problems else f"layers: {len(layers)} modules hold")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
