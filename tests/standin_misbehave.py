# SPDX-License-Identifier: Apache-2.0
"""The stand-in's misbehaviours: everything a server can do wrong to a client, by name.

What a behaviour is, and when it is played, is told in standin_rules.py; those in the middle of a
stream are in standin_streams.py.
"""

import base64
import functools
import itertools
import os
import struct
import zlib

from standin_rules import BEHAVIOURS, KEEP, behaviour  # noqa: F401 (with those of this file)
from standin_wire import CHUNKED, LAST_CHUNK, PLAIN_TO_TLS, Answer

BLANKS = b" " * 65536


# ---- as soon as the connection is there ----

@behaviour("silence", "accept")
def silence(exchange, seconds=3600):
    exchange.connection.hold(seconds)


@behaviour("reset-at-accept", "accept")
def reset_at_accept(exchange):
    exchange.connection.reset()


@behaviour("close-at-accept", "accept")
def close_at_accept(exchange):
    pass


@behaviour("ssh", "accept")
def ssh(exchange, banner="SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", seconds=3600):
    exchange.send(banner.encode())
    exchange.connection.hold(seconds)


# ---- no answer, or one that comes slowly ----

@behaviour("hang")
def hang(exchange, seconds=3600):
    exchange.connection.hold(seconds)


@behaviour("close")
def close(exchange):
    pass


@behaviour("slow")
def slow(exchange, ms=1000):
    exchange.connection.hold(ms / 1000)
    return normal(exchange)


@behaviour("drip-headers")
def drip_headers(exchange, interval=1.0):
    answer = exchange.answer()
    exchange.drip(answer.head(), interval)
    exchange.send(answer.body)
    return KEEP


@behaviour("drip-body")
def drip_body(exchange, interval=1.0):
    answer = exchange.answer()
    exchange.send(answer.head())
    exchange.drip(answer.body, interval)
    return KEEP


@behaviour("normal")
def normal(exchange):
    answer = exchange.answer()
    if answer.pieces:
        exchange.stream()
    else:
        exchange.send(answer.wire())
    return KEEP


@behaviour("close-after")
def close_after(exchange):
    """The whole answer, then the end that was not announced."""
    normal(exchange)


@behaviour("create-then-drop")
def create_then_drop(exchange, reset=False):
    """Carries the request out and loses the connection before the answer."""
    exchange.answer()
    if reset:
        exchange.connection.reset()


# ---- cut off, reset, or with a length that is not so ----

@behaviour("cut-headers")
def cut_headers(exchange, keep=25):
    exchange.send(exchange.answer().head()[:keep])


@behaviour("cut-body")
def cut_body(exchange, keep=5):
    exchange.send(exchange.answer().head() + exchange.answer().body[:keep])


@behaviour("length-long")
def length_long(exchange, extra=100):
    answer = exchange.answer()
    exchange.send(answer.head([("Content-Length", len(answer.body) + extra)]) + answer.body)


@behaviour("length-short")
def length_short(exchange, missing=5):
    answer = exchange.answer()
    exchange.send(answer.head([("Content-Length", max(0, len(answer.body) - missing))]) + answer.body)


@behaviour("reset-after-request")
def reset_after_request(exchange):
    exchange.connection.reset()


@behaviour("reset-in-headers")
def reset_in_headers(exchange, keep=25, pause=0.05):
    cut_headers(exchange, keep)
    _reset_after(exchange, pause)


@behaviour("reset-in-body")
def reset_in_body(exchange, keep=5, pause=0.05):
    cut_body(exchange, keep)
    _reset_after(exchange, pause)


def _reset_after(exchange, pause):
    """A reset drops what is still to be sent: leave that the time to arrive."""
    exchange.connection.hold(pause)
    exchange.connection.reset()


# ---- another answer ----

@behaviour("status")
def status(exchange, code=500, body="Internal Server Error\n", type="text/plain; charset=utf-8", headers=None):
    """headers is an object, or on the command line `Name:value|Name:value`."""
    if isinstance(headers, str):
        headers = dict(pair.split(":", 1) for pair in headers.split("|"))
    answer = Answer(code, body.encode(), type, (headers or {}).items())
    exchange.send(answer.head() + (b"" if code == 204 else answer.body))
    return KEEP


@behaviour("redirect")
def redirect(exchange, url, code=302):
    return status(exchange, code, "", headers={"Location": url})


@behaviour("raw")
def raw(exchange, data, hold=0):
    """Any bytes (base64), then the end, after hold seconds."""
    exchange.send(base64.b64decode(data))
    exchange.connection.hold(hold)


@behaviour("json")
def json_text(exchange, text=None, data=None):
    """A 200 with that body: text, or bytes in base64."""
    body = base64.b64decode(data) if text is None else text.encode()
    return _ok(exchange, body)


def _ok(exchange, body):
    exchange.send(Answer(200, body, "application/json").head() + body)
    return KEEP


@behaviour("version-missing")
def version_missing(exchange):
    return _ok(exchange, b'{"build":"v0.44.0"}\n')


@behaviour("version-number")
def version_number(exchange):
    return _ok(exchange, b'{"version":44}\n')


@behaviour("null-workloads")
def null_workloads(exchange):
    return _ok(exchange, b'{"workloads":null}\n')


@behaviour("depth")
def depth(exchange, n=33):
    """The usual object with one more member, so that it nests n levels deep in all."""
    nest = b'{"deep":' + b"[" * (n - 1) + b"]" * (n - 1) + b","
    return _ok(exchange, exchange.answer().body.replace(b"{", nest, 1))


@behaviour("entries")
def entries(exchange, n=1_000_000, key="workloads"):
    return _ok(exchange, b'{"%s":[%s{}]}\n' % (key.encode(), b"{}," * (n - 1)))


@behaviour("repeated")
def repeated(exchange, head, piece, tail, n=1_000_000):
    """Megabytes of the same, which need not be sent here first."""
    return _ok(exchange, (head + piece * n + tail).encode())


BAD_UTF8 = {
    "lead": b"\xff", "cut": b"\xe2\x82", "overlong": b"\xc0\xaf", "surrogate": b"\xed\xa0\x80",
    "too-high": b"\xf4\x90\x80\x80", "lone": b"\x80",
}


@behaviour("bad-utf8")
def bad_utf8(exchange, kind="lead"):
    """The usual body with bytes that are not UTF-8 at the start of its first string value."""
    return _ok(exchange, exchange.answer().body.replace(b'":"', b'":"' + BAD_UTF8[kind], 1))


# ---- too much ----

def _padding(body, mib):
    """Blanks that make a JSON body that long and leave its meaning: only the size is wrong."""
    left = int(mib * (1 << 20)) - len(body)
    while left > 0:
        yield BLANKS[:left]
        left -= len(BLANKS)


@behaviour("endless")
def endless(exchange, chunked=True):
    answer = exchange.answer()
    exchange.send(answer.head(CHUNKED if chunked else [("Connection", "close")]))
    send = exchange.send_chunk if chunked else exchange.send
    send(answer.body)
    while True:
        send(BLANKS)


@behaviour("chunked")
def chunked(exchange, mib=0, size=4096):
    """The usual body in chunks of that size, padded to so many MiB."""
    answer = exchange.answer()
    exchange.send(answer.head(CHUNKED))
    for start in range(0, len(answer.body), size):
        exchange.send_chunk(answer.body[start:start + size])
    for blanks in _padding(answer.body, mib):
        exchange.send_chunk(blanks)
    exchange.send(LAST_CHUNK)
    return KEEP


@behaviour("big")
def big(exchange, mib=20):
    """The usual body padded to so many MiB, with a true Content-Length."""
    answer = exchange.answer()
    exchange.send(answer.head([("Content-Length", max(int(mib * (1 << 20)), len(answer.body)))]))
    exchange.send(answer.body)
    for blanks in _padding(answer.body, mib):
        exchange.send(blanks)
    return KEEP


@behaviour("header-line")
def header_line(exchange, kib=101):
    return _with_headers(exchange, [("X-Long", "x" * (kib << 10))])


@behaviour("header-many")
def header_many(exchange, kib=65):
    return _with_headers(exchange, [(f"X-Many-{number:06}", "x" * 1007) for number in range(kib)])


def _with_headers(exchange, headers):
    answer = exchange.answer()
    more = Answer(answer.status, answer.body, headers=[*answer.headers, *headers])
    exchange.send(more.head() + more.body)
    return KEEP


@behaviour("informational")
def informational(exchange, code=103, n=None, interval=0.0):
    """1xx answers, n of them or without end, then the real one."""
    line = b"HTTP/1.1 %d Early\r\nLink: </x>\r\n\r\n" % code
    for _ in itertools.count() if n is None else range(n):
        exchange.send(line)
        exchange.connection.hold(interval)
    return normal(exchange)


@behaviour("switching")
def switching(exchange, seconds=3600):
    exchange.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
    exchange.connection.hold(seconds)


@behaviour("trailers")
def trailers(exchange, mb=3):
    answer = exchange.answer()
    exchange.send(answer.head(CHUNKED))
    exchange.send_chunk(answer.body)
    exchange.send(b"0\r\n")
    for _ in range(mb):
        exchange.send((b"X-Trailer: " + b"x" * 987 + b"\r\n") * 1000)
    exchange.send(b"\r\n")
    return KEEP


@behaviour("chunk-extension")
def chunk_extension(exchange, mb=3):
    answer = exchange.answer()
    exchange.send(answer.head(CHUNKED))
    exchange.send_chunk(answer.body, b";x=" + b"x" * (mb * 1_000_000))
    exchange.send(LAST_CHUNK)
    return KEEP


GZIP, RAW = 31, -15     # zlib's names for what it puts around a deflated stream
FINAL_BLOCK = b"\x03\x00"


@functools.cache
def _packed(body, mib):
    """The body and blanks up to so many MiB, in gzip's format. Who asks has a time-out of a second, and to compress all
    of it takes half of one: one MiB of blanks is compressed, and repeated, which a full flush allows."""
    blanks = b" " * (1 << 20)
    times, rest = divmod((mib << 20) - len(body), len(blanks))
    start = body + blanks[:rest]
    checksum = zlib.crc32(start)
    for _ in range(times):
        checksum = zlib.crc32(blanks, checksum)
    return (_deflated(start, GZIP) + _deflated(blanks, RAW) * times + FINAL_BLOCK
            + struct.pack("<II", checksum, mib << 20))


def _deflated(data, format):
    packer = zlib.compressobj(wbits=format)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)


@behaviour("gzip-bomb")
def gzip_bomb(exchange, mib=64):
    answer = exchange.answer()
    packed = _packed(answer.body, mib)
    exchange.send(answer.head([("Content-Encoding", "gzip"), ("Content-Length", len(packed))]) + packed)
    return KEEP


# ---- not HTTP ----

@behaviour("http09")
def http09(exchange):
    exchange.send(exchange.answer().body)


@behaviour("garbage")
def garbage(exchange, size=4096):
    exchange.send(b"\0\x01\xfe" + os.urandom(size))


@behaviour("tls-alert")
def tls_alert(exchange):
    """What OpenSSL says to plain text: the alert record protocol_version, then the end."""
    exchange.send(b"\x15\x03\x01\x00\x02\x02\x46")


@behaviour("tls-go")
def tls_go(exchange):
    """What a Go server with TLS says to plain HTTP."""
    exchange.send(PLAIN_TO_TLS)
