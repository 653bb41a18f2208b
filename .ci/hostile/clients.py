"""Hostile clients that no tool has. Each prints how it was answered or closed.

usage: clients.py PORT idle|heads NUMBER, clients.py PORT body|drip|garbage
"""

import asyncio
import collections
import socket
import sys
import time

PORT, KIND = int(sys.argv[1]), sys.argv[2]
LOGIN = b"POST /login HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 16000\r\n\r\n"


async def connect():
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return reader, writer


async def hold(number, head, answered):
    """Opens so many connections, and leaves them to the server once this is sent, and answered."""
    at_once = asyncio.Semaphore(500)

    async def one():
        async with at_once:
            reader, writer = await connect()
            sent = time.monotonic()
            writer.write(head)
            await writer.drain()
            if answered:
                await reader.readuntil(b"You are not logged in.")
        held.append(reader)
        if len(held) == number:
            print("open", flush=True)
        assert await reader.read() == b"", "an answer"
        writer.close()
        return time.monotonic() - sent

    held = []
    after = await asyncio.gather(*(one() for _ in range(number)))
    print(f"{len(after)} closed after {min(after):.1f} to {max(after):.1f} s")


async def slow_body():
    reader, writer = await connect()
    sent = time.monotonic()
    writer.write(LOGIN + b"user_id=")
    answer = await reader.read()
    words = "in words" if b"The form took too long to arrive." in answer else "without words"
    print(f"{answer[9:12].decode()} {words} after {time.monotonic() - sent:.1f} s")


async def drip(connections=20, seconds=5):
    """Sends a form byte by byte, each to be read by itself."""

    async def one():
        reader, writer = await connect()
        writer.write(LOGIN)
        until, sent = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            writer.write(b"a")
            sent += 1
            await asyncio.sleep(0.001)
        writer.close()
        return sent

    sent = await asyncio.gather(*(one() for _ in range(connections)))
    print(f"{connections} sent {sum(sent)} bytes")


async def garbage():
    """Requests, and what is none behind them."""
    statuses = collections.Counter()
    for noise in [b"\x16\x03\x01\x02\r\n\r\n", b"GET\r\n\r\n", bytes(range(256)) * 400, b"\0" * 100_000]:
        reader, writer = await connect()
        writer.write(b"GET /healthz HTTP/1.1\r\n\r\n" * 100 + noise)
        answers = (await reader.read()).split(b"HTTP/1.1 ")[1:]
        statuses.update([" ".join(answer[:3].decode() for answer in answers[-2:])])
    print(", ".join(f"{count} times {status}" for status, count in statuses.items()))


kinds = {
    "idle": lambda: hold(int(sys.argv[3]), b"GET /me HTTP/1.1\r\n\r\n", True),
    "heads": lambda: hold(int(sys.argv[3]), b"GET /me HTTP/1.1\r\nCookie: " + b"a" * 32000, False),
    "body": slow_body,
    "drip": drip,
    "garbage": garbage,
}
asyncio.run(kinds[KIND]())
