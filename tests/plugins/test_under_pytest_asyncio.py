"""The shared bodies under pytest-asyncio in strict mode."""

from __future__ import annotations

import anyio
import pytest

from tests.plugins.bodies import BODIES, Body


@pytest.mark.asyncio
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
async def test_body_holds_under_pytest_asyncio(body: Body) -> None:
    with anyio.fail_after(5):
        await body()
