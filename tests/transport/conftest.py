"""Fixtures of the socket tests: servers that end with the test."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.transport.peers import Handler, Peer, proper, raw

__all__ = ["raw_server", "server", "tls"]


@pytest.fixture
def server() -> Iterator[Callable[..., str]]:
    """Starts a proper server: `url = server(handler)`."""
    with ExitStack() as stack:

        def start(handler: Handler, **settings: Any) -> str:
            return stack.enter_context(proper(handler, **settings))

        yield start


@pytest.fixture
def raw_server() -> Iterator[Callable[[Callable[[Peer], None]], str]]:
    """Starts a raw server: `url = raw_server(script)`."""
    with ExitStack() as stack:
        yield partial(_enter, stack)


def _enter(stack: ExitStack, script: Callable[[Peer], None]) -> str:
    return stack.enter_context(raw(script))


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's context that trust each other for `localhost`."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not there to make a certificate")
    folder: Path = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    target = ["-nodes", "-days", "2", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([program, "req", "-x509", *curve, *name, *target], check=True, capture_output=True, timeout=30)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))
