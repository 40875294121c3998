"""What the guide's doc tests cost: seconds for each program, as pytest reports them."""

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
        command = [sys.executable, "-m", "pytest", "-q", "--tb=no", f"--junitxml={report}"]
        ended = subprocess.run(
            [*command, PROGRAMS], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if not report.exists():
            yield f"  not measured: pytest ended with {ended.returncode}\n{ended.stdout}"
            return
        tests = list(ET.parse(report).iter("testcase"))
    times = sorted((float(test.attrib["time"]), test.attrib["name"]) for test in tests)
    if not times:
        yield "  not measured: no test was found"
        return
    whole = sum(seconds for seconds, _ in times)
    yield f"  {len(times)} tests, {whole / len(times):.3f} s each, {whole:.1f} s in all"
    for seconds, name in times[:-4:-1]:
        yield f"  {seconds:8.3f} s  {name}"
    if ended.returncode:
        yield f"  not all of them passed: {ended.stdout.strip().splitlines()[-1]}"
