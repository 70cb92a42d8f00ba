"""Virtual time under anyio's pytest plugin and under pytest-asyncio, each in a suite of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Suite = Callable[..., pytest.RunResult]

ANYIO_CONFTEST = """
import pytest
from xai_realtime.virtual_time import anyio_backends

@pytest.fixture(params=anyio_backends(thread_limit_s=5))
def anyio_backend(request):
    return request.param
"""

ANYIO_TESTS = """
import time
import anyio, anyio.to_thread, pytest
from xai_realtime.timemark import time_is_virtual

pytestmark = pytest.mark.anyio

@pytest.fixture
async def started():
    await anyio.sleep(100)
    yield anyio.current_time()
    await anyio.sleep(100)

@pytest.mark.parametrize("turn", [1, 2])
async def test_time(started, turn):
    assert time_is_virtual() and started == 100
    with pytest.raises(TimeoutError):
        with anyio.fail_after(30):
            await anyio.sleep_forever()
    assert anyio.current_time() == 130

async def test_thread():
    with anyio.fail_after(0.001):
        await anyio.to_thread.run_sync(time.sleep, 0.05)

async def test_idle():
    await anyio.Event().wait()

async def test_after_idle():
    await anyio.sleep(1000)
    assert anyio.current_time() == 1000

def test_sync():
    assert not time_is_virtual()
"""

ASYNCIO_CONFTEST = "from xai_realtime.virtual_time import pytest_asyncio_loop_factories\n"

ASYNCIO_TESTS = """
import asyncio, time
import pytest, pytest_asyncio
from xai_realtime.timemark import time_is_virtual

pytestmark = pytest.mark.asyncio

@pytest_asyncio.fixture
async def started():
    await asyncio.sleep(100)
    yield asyncio.get_running_loop().time()
    await asyncio.sleep(100)

async def test_time(started):
    assert time_is_virtual() and started == 100
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() == 130

async def test_thread():
    async with asyncio.timeout(0.001):
        await asyncio.to_thread(time.sleep, 0.05)

async def test_idle():
    await asyncio.Event().wait()

async def test_after_idle():
    await asyncio.sleep(1000)
"""

CHOOSING_CONFTEST = """
import asyncio
from xai_realtime.virtual_time import loop_factory

def pytest_asyncio_loop_factories(config, item):
    if item.get_closest_marker("virtual_time"):
        return {"virtual": loop_factory()}
    return {"real": asyncio.new_event_loop}
"""

CHOOSING_TESTS = """
import asyncio
import pytest
from xai_realtime.timemark import time_is_virtual

@pytest.mark.asyncio
@pytest.mark.virtual_time
async def test_virtual():
    await asyncio.sleep(1000)
    assert time_is_virtual()

@pytest.mark.asyncio
async def test_real():
    assert not time_is_virtual()
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, repository: Path) -> Suite:
    """Runs a suite of one conftest and one test module in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", str(repository))

    def run(conftest: str, tests: str, *, plugin: str) -> pytest.RunResult:
        pytester.makeini(
            "[pytest]\naddopts = --strict-markers\nfilterwarnings = error\nasyncio_mode = strict\n"
            "asyncio_default_fixture_loop_scope = function\nmarkers = virtual_time\n"
        )
        pytester.makeconftest(conftest)
        pytester.makepyfile(tests)
        other = "anyio" if plugin == "asyncio" else "asyncio"
        return pytester.runpytest_subprocess(
            "-p", f"no:{other}", "-W", "default::pytest.PytestConfigWarning", timeout=60
        )

    return run


@pytest.mark.behaviour("virtual-plugins")
def test_anyio_plugin_runs_tests_in_virtual_time_when_the_fixture_asks_for_it(suite: Suite) -> None:
    result = suite(ANYIO_CONFTEST, ANYIO_TESTS, plugin="anyio")
    result.assert_outcomes(passed=9, failed=2)
    result.stdout.re_match_lines_random(
        [
            r"FAILED .*test_idle\[asyncio-virtual\].*",
            r"FAILED .*test_idle\[trio-virtual\].*",
            r"E .*VirtualTimeError: .*",
        ]
    )


@pytest.mark.behaviour("virtual-plugins")
def test_pytest_asyncio_runs_tests_in_virtual_time_when_the_conftest_imports_the_hook(suite: Suite) -> None:
    result = suite(ASYNCIO_CONFTEST, ASYNCIO_TESTS, plugin="asyncio")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.re_match_lines_random([r"FAILED .*test_idle.*", r"E .*VirtualTimeError: .*"])


@pytest.mark.behaviour("virtual-plugins")
def test_pytest_asyncio_runs_marked_tests_alone_in_virtual_time_when_the_hook_chooses(suite: Suite) -> None:
    suite(CHOOSING_CONFTEST, CHOOSING_TESTS, plugin="asyncio").assert_outcomes(passed=2)


@pytest.mark.behaviour("virtual-plugins")
def test_importing_the_package_leaves_the_loops_of_a_suite_alone(suite: Suite) -> None:
    tests = CHOOSING_TESTS.replace("async def test_virtual", "async def no_test_virtual")
    suite("import xai_realtime.virtual_time\n", tests, plugin="asyncio").assert_outcomes(passed=1)
