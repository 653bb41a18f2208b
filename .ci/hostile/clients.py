"""Hostile clients. Each kind prints how it was answered or closed.

usage: clients.py PORT crowd EACH | clients.py PORT closes|body|drip|garbage
"""

import asyncio
import collections
import socket
import sys
import time

PORT, KIND = int(sys.argv[1]), sys.argv[2]
ME = b"GET /me HTTP/1.1\r\nHost: localhost\r\n"
LOGIN = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
LOGIN += b"Content-Length: 16000\r\n\r\nuser_id="
# What is sent at once, what then follows every two seconds, and whether there is an answer to the first.
SILENT = (b"", b"", False)
IDLE = (ME + b"\r\n", b"", True)
HALF_A_HEAD = (ME + b"Cookie: " + b"a" * 32000, b"", False)
SLOW_HEAD = (ME, b"X: y\r\n", False)
SLOW_BODY = (LOGIN, b"a", False)


async def connect():
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return reader, writer


async def hold(kinds):
    """Opens these connections, says when they are open, and how long each was left open."""
    at_once, opened = asyncio.Semaphore(500), []

    async def one(first, more, is_answered):
        async with at_once:
            reader, writer = await connect()
            since = time.monotonic()
            writer.write(first)
            await writer.drain()
            if is_answered:
                await reader.readuntil(b"You are not logged in.")
        opened.append(writer)
        if len(opened) == len(kinds):
            print("open", flush=True)
        answer = asyncio.create_task(reader.read())
        while not (await asyncio.wait([answer], timeout=2))[0]:
            writer.write(more)
        return time.monotonic() - since, answer.result() if not answer.exception() else b""

    return await asyncio.gather(*(one(*kind) for kind in kinds))


async def crowd():
    """Stays until it is ended."""
    await hold([IDLE, HALF_A_HEAD, SLOW_HEAD, SLOW_BODY] * int(sys.argv[3]))
    await asyncio.sleep(600)


async def closes():
    closed = await hold([SILENT, IDLE, HALF_A_HEAD, SLOW_HEAD] * 5)
    assert not any(answer for _, answer in closed), "an answer"
    times = [after for after, _ in closed]
    print(f"{len(times)} closed after {min(times):.1f} to {max(times):.1f} s")


async def slow_body():
    [(after, answer)] = await hold([SLOW_BODY])
    words = "in words" if b"The answer took too long." in answer else "without words"
    print(f"{answer[9:12].decode()} {words} after {after:.1f} s")


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
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100 + noise)
        answers = (await reader.read()).split(b"HTTP/1.1 ")[1:]
        statuses.update([" ".join(answer[:3].decode() for answer in answers[-2:])])
    print(", ".join(f"{count} times {status}" for status, count in statuses.items()))


kinds = {"crowd": crowd, "closes": closes, "body": slow_body, "drip": drip, "garbage": garbage}
asyncio.run(kinds[KIND]())
