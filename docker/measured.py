"""Run a Python program, and measure which lines and branches of some folders it reaches.

Usage: measured.py --source FOLDER... --xml FILE [--html FOLDER] [--floor PERCENT] -- PROGRAM...
Exits with the program's status, or with 2 if the coverage is below the floor.
"""

import argparse
import os
import runpy
import sys

from coverage import Coverage


def run(words: list[str]) -> int:
    """Run a program as `python PROGRAM...` does; return its exit status."""
    sys.argv = words
    sys.path.insert(0, os.path.dirname(os.path.abspath(words[0])))
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def main(words: list[str]) -> int:
    """Measure the program, write the reports, and return the exit status."""
    parser = argparse.ArgumentParser(prog="measured.py")
    parser.add_argument("--source", action="append", required=True)
    parser.add_argument("--xml", required=True)
    parser.add_argument("--html")
    parser.add_argument("--floor", type=int, default=0)
    parser.add_argument("program", nargs="+")
    options = parser.parse_args(words)
    coverage = Coverage(branch=True, source=options.source, data_file=None)
    coverage.start()
    status = run(options.program)
    coverage.stop()
    total = coverage.report(skip_covered=True)
    coverage.xml_report(outfile=options.xml)
    if options.html:
        coverage.html_report(directory=options.html)
    if total < options.floor:
        print(f"coverage is {total:.2f}%, below the floor of {options.floor}%", file=sys.stderr)
    return status or 2 * (total < options.floor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
