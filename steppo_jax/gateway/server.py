"""The HTTP server in a thread: it starts, says where it is, and ends."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from typing import Any

import uvicorn

from steppo_jax.errors import Refused
from steppo_jax.gateway.limits import Limits
from steppo_jax.gateway.patience import Patience

CONNECTIONS = 2048  # at once; more are told 503


class ServerError(Refused):
    """An address that cannot be served."""


def check_address(host: str, token: str | None) -> None:
    """Raises ServerError for an address beyond this machine without a token."""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local and not token:
        raise ServerError(
            f"--host={host} is reached from other machines, and whoever reaches it can "
            "use the model and pay rewards; give --token_file=FILE, or --host=127.0.0.1"
        )


class _Uvicorn(uvicorn.Server):
    """Looks after its connections with every tick, ten times a second."""

    def __init__(self, config: uvicorn.Config, patience: Patience):
        super().__init__(config)
        self._patience = patience

    async def on_tick(self, counter: int) -> bool:
        self._patience.look(self.server_state.connections, time.monotonic())
        return await super().on_tick(counter)


class Server:
    """Serves an application from `start` until `stop`; `port` is the real one.

    Args:
      limits: how long a client may take; those of `app`.
    """

    def __init__(self, app: Any, host: str, port: int, limits: Limits | None = None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise ServerError(
                f"--host={host} --port={port} cannot be served ({error.strerror}); "
                "give another port, or 0 for any that is free"
            ) from None
        self.host, self.port = host, self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=3,
            h11_max_incomplete_event_size=2**16,
            server_header=False,
            ws="none",
            lifespan="on",
        )
        self._server = _Uvicorn(config, Patience(limits or Limits()))
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="http", daemon=True
        )

    def start(self) -> None:
        # At once: whoever is told the address may come before the thread is there.
        self._socket.listen(CONNECTIONS)
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
