# SPDX-License-Identifier: Apache-2.0
"""A client that sees what is on the wire: raw sockets, since a library would hide what is to be
seen."""

import socket
import time

from harness import SLOWNESS

VERSION = "/api/v1beta/version"
# A guard against hanging, and no limit of anything.
LIMIT = 20 * SLOWNESS


def connect(port, host="127.0.0.1"):
    return socket.create_connection((host, port), timeout=LIMIT)


def send_request(sock, path=VERSION, method="GET", body=b"", headers=""):
    sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode()
                 + body)


def read_all(sock, most=1 << 30):
    """Everything until the end of the connection, and how it ended: "eof", "reset" or "enough"."""
    data = bytearray()
    while len(data) < most:
        try:
            piece = sock.recv(1 << 16)
        except ConnectionResetError:
            return bytes(data), "reset"
        if not piece:
            return bytes(data), "eof"
        data += piece
    return bytes(data), "enough"


def read_for(sock, seconds):
    """What comes in that time from a connection that must stay open."""
    data, deadline = b"", time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            piece = sock.recv(1 << 16)
        except TimeoutError:
            break
        if not piece:
            raise AssertionError(f"ended after {data!r}")
        data += piece
    return data


def read_some(sock, enough, seconds=0.1):
    """What comes until it is enough, however slow the machine, and for a moment more."""
    data = b""
    while not enough(data):
        piece = sock.recv(1 << 16)
        if not piece:
            raise AssertionError(f"ended after {data!r}")
        data += piece
    return data + read_for(sock, seconds)
