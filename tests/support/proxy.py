"""A proxy between instances and a broker, so that a test can drop or cut their connections.

Brokers answer lookups with their own address, by which a client would go round the proxy. So that address is replaced
in what the broker says; it has to be as long as the proxy's own, for the frames around it tell their length. Frames are
passed on whole, so that no address and no stamp is missed for being cut in two.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

_SIZE_BYTES = 4
"""A frame begins with its length."""
_LARGEST_FRAME = 6 << 20
_LOST_S = 0.2


class Proxy:
    """Runs in a thread of its own until `close`."""

    def __init__(self, broker_url: str) -> None:
        """`broker_url` is what the broker advertises: `pulsar://HOST:PORT` with a port of five digits."""
        self._target = urlsplit(broker_url)
        self._listener = _listener(len(str(self._target.port)))
        port = self._listener.getsockname()[1]
        self.url = f"pulsar://{self._target.hostname}:{port}"
        self._address, self._own = broker_url.encode(), self.url.encode()
        self._connections: set[asyncio.StreamWriter] = set()
        self._cut = self._refusing = False
        self._trigger: bytes | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    @property
    def open(self) -> bool:
        """Whether what is sent goes through."""
        return not (self._cut or self._refusing)

    def drop(self) -> None:
        """Reset every connection; new ones are taken at once."""
        self._loop.call_soon_threadsafe(self._abort)

    def cut(self) -> None:
        """Nothing goes through any more, and nobody is told: connections stay, new ones get no answer."""
        self._cut = True

    def refuse(self) -> None:
        """Reset every connection, and take no new one."""
        self._refusing = True
        self.drop()

    def mend(self) -> None:
        """What was on its way while cut is lost, so those connections are reset; new ones go through."""
        self._loop.call_soon_threadsafe(self._restore)

    def lose_from(self, text: bytes) -> None:
        """Once the client sends something with this text in it, this and all after it is lost, and after a moment the
        connections."""
        self._trigger = text

    def close(self) -> None:
        self._refusing = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, sock=self._listener, limit=_LARGEST_FRAME)
        )
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._ended())
        self._loop.close()

    async def _ended(self) -> None:
        """Connections end by themselves once they are reset."""
        while len(asyncio.all_tasks()) > 1:
            self._abort()
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)  # for what was closed last

    def _restore(self) -> None:
        self._abort()  # first: nothing may follow on a connection that has lost something
        self._cut = self._refusing = False

    def _abort(self) -> None:
        for writer in self._connections:
            writer.transport.abort()
        self._connections.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.close()
            return
        self._connections.add(writer)
        try:
            there, broker = await asyncio.open_connection(
                self._target.hostname, self._target.port, limit=_LARGEST_FRAME
            )
        except OSError:
            writer.close()
            return
        self._connections.add(broker)
        await asyncio.gather(self._ask(reader, broker), self._answer(there, writer), return_exceptions=True)
        self._connections -= {writer, broker}

    async def _ask(self, client: asyncio.StreamReader, broker: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                data = await _frame(client)
                if self._trigger is not None and self._trigger in data:
                    self._trigger, self._cut = None, True
                    self._loop.call_later(_LOST_S, self.mend)
                await self._pass_on(data, broker)
        broker.close()

    async def _answer(self, broker: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await self._pass_on((await _frame(broker)).replace(self._address, self._own), client)
        client.close()

    async def _pass_on(self, data: bytes, to: asyncio.StreamWriter) -> None:
        if not self._cut:
            to.write(data)
            await to.drain()


async def _frame(stream: asyncio.StreamReader) -> bytes:
    size = await stream.readexactly(_SIZE_BYTES)
    return size + await stream.readexactly(int.from_bytes(size))


def _listener(digits: int) -> socket.socket:
    """A listening socket whose port has that many digits."""
    while True:
        listener = socket.create_server(("127.0.0.1", 0))
        if len(str(listener.getsockname()[1])) == digits:
            return listener
        listener.close()
