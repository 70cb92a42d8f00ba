"""What the calls of third-party clients share. Run by `make test-thirdparty`, in an environment for each client."""

from __future__ import annotations

import pytest

__all__ = ["anyio_backend", "no_proxy"]


@pytest.fixture
def anyio_backend() -> str:
    """These clients run on asyncio alone."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call leaves this machine, whatever the surroundings say about proxies and keys."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "XAI_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
