"""The shared bodies under anyio's plugin, on asyncio and on trio."""

from __future__ import annotations

import anyio
import pytest

from tests.plugins.bodies import BODIES, Body


@pytest.mark.anyio
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
async def test_body_holds_under_anyio(body: Body) -> None:
    with anyio.fail_after(5):
        await body()
