"""``--cpu-time N``: print the CPU seconds of the N dearest tests and of each folder.

Wall time says little where several processes share the cores. A test's seconds are those of its own process
and of the child processes that have ended meanwhile; a fixture's are its first test's. The warm sandbox
(``warm_sandbox``) ends with the session: its seconds are in no test's sum.
"""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

KEY = "cpu_time_s"
START = pytest.StashKey[float]()


def cpu_time_s() -> float:
    """Return the CPU seconds of this process and of its ended children so far."""
    return sum(os.times()[:4])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cpu-time", type=int, metavar="N", help="print the CPU seconds of the N dearest tests")


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    item.stash[START] = cpu_time_s()
    yield


@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield
    item.user_properties.append((KEY, cpu_time_s() - item.stash[START]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    number = config.getoption("--cpu-time")
    if number is None:
        return
    tests: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "teardown":
                tests[report.nodeid] = sum(s for name, s in report.user_properties if name == KEY)
    folders: Counter[str] = Counter()
    for test, seconds in tests.items():
        folders["/".join(test.split("::")[0].split("/")[:2])] += seconds
    terminalreporter.section("CPU seconds")
    for name, seconds in [*tests.most_common(number), *folders.most_common(), ("sum", tests.total())]:
        terminalreporter.write_line(f"{seconds:8.1f}  {name}")
