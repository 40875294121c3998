"""Measure everything and print the report: `python -m benchmarks [arguments of pytest]`.

`python -m benchmarks memory` measures the memory of a server instead, and
`python -m benchmarks page` how long a reader waits for a program that runs in the page.
"""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import guide, memory, page, report
from benchmarks.cases import TARGETS

HERE = Path(__file__).parent
MEASURED = HERE / "latest.json"


def main(arguments: list[str]) -> int:
    for alone in (memory, page):
        if arguments == [alone.__name__.rpartition(".")[2]]:
            print(report.measured_with())
            for line in alone.report():
                print(line, flush=True)
            return 0
    MEASURED.unlink(missing_ok=True)
    settings = ["-c", str(HERE / "pytest.ini"), "--rootdir", str(HERE.parent)]
    status = pytest.main([*settings, f"--benchmark-json={MEASURED}", str(HERE), *arguments])
    if not MEASURED.exists():
        return int(status) or 1
    measured = json.loads(MEASURED.read_text())
    passes = report.passes_of(measured)
    lines = [report.measured_with(), *report.medians(passes), *report.targets(passes)]
    if not arguments:
        lines += guide.program_times()
    print("\n".join(lines))
    print("\nTargets decide nothing: the exit status only tells whether all could be measured.")
    measured["ratios"] = {
        report.wording(target): report.ratio(target, passes) for target in TARGETS
    }
    MEASURED.write_text(json.dumps(measured, indent=1))
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
