#!/usr/bin/env python3
"""Holds the sources to the house limits: header 300 lines, source 600, function 60.

A file or function past its limit says why in a line `// size: REASON` in its first lines.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMITS = {".h": 300, ".cc": 600}
FUNCTION_LIMIT = 60
NO_FUNCTION = re.compile(r"^\s*(namespace|class|struct|enum|union|extern|using|#)\b|^\s*(inline\s+)?(constexpr|const)\b.*=|=\s*\{?$|^TEST")


def functions(lines):
    """Yields (first line, last line) of every block that opens at namespace or class depth with a parameter list."""
    start = None
    indent = 0
    for number, line in enumerate(lines, 1):
        if start is None:
            opens = re.match(r"^( *)\S.*\{$", line) and not NO_FUNCTION.match(line)
            if opens and (")" in line) and not re.match(r"^\s*(if|for|while|switch|else|do|\}|case|return)\b", line):
                start, indent = number, len(line) - len(line.lstrip())
        elif re.match(rf"^ {{{indent}}}\}}", line):
            yield start, number
            start = None


def main():
    problems = []
    listed = subprocess.run(["git", "ls-files", "*.h", "*.cc"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        path = ROOT / name
        if not path.exists():
            continue
        lines = path.read_text().splitlines()
        excused = any("// size:" in line for line in lines[:12])
        if len(lines) > LIMITS[path.suffix] and not excused:
            problems.append(f"{name}: {len(lines)} lines, over {LIMITS[path.suffix]}")
        for first, last in functions(lines):
            if last - first + 1 > FUNCTION_LIMIT and not any("// size:" in line for line in lines[first - 3 : first + 3]):
                problems.append(f"{name}:{first}: function of {last - first + 1} lines, over {FUNCTION_LIMIT}")
    print("\n".join(problems) if problems else f"sizes: {len(listed.stdout.split())} files hold")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
