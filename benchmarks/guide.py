"""What the guide's doc tests cost: seconds for each program, as pytest reports them."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "tests" / "guide" / "test_programs.py"


def program_times() -> Iterator[str]:
    """Run the tests of the programs alone, in one process, and divide."""
    yield "\ndoc tests of the guide's programs"
    if not PROGRAMS.exists():
        yield "  not measured: there is no tests/guide/test_programs.py"
        return
    with TemporaryDirectory() as folder:
        report = Path(folder, "tests.xml")
        # The tests record properties, which the newer form of the report does not take.
        options = ["--override-ini=junit_family=legacy", f"--junitxml={report}"]
        command = [sys.executable, "-m", "pytest", "-q", "--tb=no", *options]
        ended = subprocess.run(
            [*command, PROGRAMS], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if not report.exists():
            yield f"  not measured: pytest ended with {ended.returncode}\n{ended.stdout}"
            return
        tests = list(ET.parse(report).iter("testcase"))
    programs: dict[str, float] = {}
    for test in tests:
        for program in re.findall(r"[\w/]+\.py", test.attrib["name"]):
            programs[program] = programs.get(program, 0.0) + float(test.attrib["time"])
    if not programs:
        yield "  not measured: no test names a program"
        return
    whole = sum(programs.values())
    yield f"  {len(programs)} programs, {whole / len(programs):.3f} s each, {whole:.1f} s in all"
    for program in sorted(programs, key=programs.__getitem__, reverse=True)[:3]:
        yield f"  {programs[program]:8.3f} s  {program}"
    if ended.returncode:
        yield f"  not all of them passed: {ended.stdout.strip().splitlines()[-1]}"
