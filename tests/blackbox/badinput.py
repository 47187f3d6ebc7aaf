# SPDX-License-Identifier: Apache-2.0
"""The table of bad input: what is sent or lies about, and what the service has to say of it."""

import base64
import json
import os
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from standin_toolhive import workload_entry  # noqa: E402

MIB = 1 << 20
LIST = "GET /api/v1beta/workloads"
REGISTRY = "GET /api/v1beta/registry/default"
NAMES = ["workload-00000", "workload-00001", "workload-00002"]


# ---- what a row expects to be told ----

class Failed:
    """A connection failure with these words."""

    def __init__(self, error):
        self.error = re.compile(error)

    def told_by(self, line):
        return line.message == "ToolHive connection failed" and self.error.fullmatch(line.pairs["error"])


class Answered(Failed):
    """An answer that is of no use, by the same server: one WARNING that says why."""

    def told_by(self, line):
        return ("operation" in line.pairs and self.error.fullmatch(line.pairs["error"]))


class Skipped:
    """One entry left out, by name."""

    def __init__(self, name, problem):
        self.name, self.problem = name, re.compile(problem)

    def told_by(self, line):
        return (line.pairs.get("name") == self.name and self.problem.fullmatch(line.pairs["problem"]))


FINE = None     # odd, and good for all that

TIMED_OUT = r"Timed out after 1\.0 s"
LATE = Failed(TIMED_OUT)
CUT = Failed("Answer cut short")
NOT_HTTP = Failed("Not HTTP")
STRANGER = Failed(r"Not ToolHive any more \(HTTP \d+\)")
BIG = Answered("Body over 16 MiB")
HEADERS = Answered("Headers over 64 KiB")
UNUSABLE = Answered("Unusable body: .+")


# ---- the rows ----

class Row:
    def __init__(self, name, expected, route=LIST, stranger=True, **parameters):
        self.rule = {"name": name, "route": route, **parameters}
        self.expected = expected
        # Whether identity fails as well where everything is answered like this.
        self.stranger = stranger
        # Where the time is not the point, a loaded machine has it.
        self.timeout = 1 if TIMED_OUT in getattr(expected, "error", re.compile("")).pattern else 10


def text(body, expected=UNUSABLE, **more):
    data = base64.b64encode(body if isinstance(body, bytes) else body.encode()).decode()
    return Row("json", expected, data=data, **more)


def raw(data, expected):
    return Row("raw", expected, data=base64.b64encode(data).decode())


def entry(problem, name="odd", spelling=None, **fields):
    """The usual workloads and an odd one: its fields, or the text that it is spelt with."""
    entries = [json.dumps(workload_entry(good, 17520 + number)) for number, good in enumerate(NAMES)]
    entries.append(spelling or json.dumps({**workload_entry("odd", 17530), **fields}))
    return text(f'{{"workloads":[{",".join(entries)}]}}', Skipped(name, problem))


ROWS = {
    # slow, cut, reset
    "silence_after_connecting": Row("silence", LATE),
    "request_without_an_answer": Row("hang", LATE),
    "slow_header_drip": Row("drip-headers", LATE),
    "slow_body_drip": Row("drip-body", LATE),
    "slow_body_drip_of_the_registry": Row("drip-body", Answered(TIMED_OUT), REGISTRY),
    "headers_cut_by_the_end_of_the_connection": Row("cut-headers", CUT),
    "status_line_cut": Row("cut-headers", Failed("Answer cut short|Not HTTP|Connection closed.*"), keep=5),
    "body_cut": Row("cut-body", CUT),
    "length_too_long": Row("length-long", CUT),
    "length_too_short": Row("length-short", UNUSABLE),
    "length_negative": raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}", NOT_HTTP),
    "chunk_size_that_is_none": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}", NOT_HTTP),
    "reset_at_accept": Row("reset-at-accept", Failed("Connection reset by peer")),
    "closed_at_accept": Row("close-at-accept", Failed("Connection (reset by peer|closed.*)")),
    "reset_after_the_request": Row("reset-after-request", Failed("Connection reset by peer")),
    "reset_in_the_body": Row("reset-in-body", Failed("Connection reset by peer")),

    # too much
    "header_line_of_101_KiB": Row("header-line", HEADERS),
    "header_line_of_a_megabyte": Row("header-line", HEADERS, kib=1024),
    "headers_of_65_KiB": Row("header-many", HEADERS),
    "headers_of_400_KiB": Row("header-many", HEADERS, kib=400),
    "chunked_body_over_the_cap": Row("chunked", BIG, mib=17, size=65536),
    "endless_chunked_body": Row("endless", BIG),
    "endless_body_without_a_length": Row("endless", BIG, chunked=False),
    "length_over_the_cap": Row("big", BIG),
    "length_over_the_cap_of_the_registry": Row("big", BIG, REGISTRY),
    "trailers_of_megabytes": Row("trailers", HEADERS),
    "chunk_extension_of_megabytes": Row("chunk-extension", FINE, stranger=False),
    "gzip_bomb": Row("gzip-bomb", UNUSABLE),
    "a_million_entries": Row("entries", UNUSABLE),
    "a_million_entries_in_the_registry": Row("entries", UNUSABLE, REGISTRY, key="registry"),
    "sixteen_MiB_of_empty_objects": Row("entries", UNUSABLE, n=5_500_000),
    "megabytes_of_keys": Row("repeated", UNUSABLE, head="{", piece='"a":0,', tail='"b":0}', n=1_500_000),

    # not JSON, or not this
    "truncated_json": text('{"workloads":[{"name":"workl'),
    "empty_body": text(""),
    "a_list": text("[]"),
    "key_missing": text("{}"),
    "key_twice": text('{"workloads":[],"workloads":null}'),
    "workloads_no_list": text('{"workloads":{"name":"a"}}'),
    "nan": text('{"workloads":[NaN]}'),
    "nul_in_a_key": text('{"workloads\\u0000":[]}'),
    "bad_utf8": Row("bad-utf8", UNUSABLE),
    "overlong_utf8": Row("bad-utf8", UNUSABLE, kind="overlong"),
    "surrogate_in_utf8": Row("bad-utf8", UNUSABLE, kind="surrogate"),
    "utf8_cut": Row("bad-utf8", UNUSABLE, kind="cut"),
    "nested_too_deep": Row("depth", UNUSABLE),
    "nested_a_million_deep": Row("repeated", UNUSABLE, head="", piece="[", tail=""),

    # one odd entry among good ones
    "entry_key_twice": entry(".+", spelling='{"name":"odd","status":"running","name":"even"}', name="#3"),
    "entry_without_a_name": entry("no name", spelling='{"status":"running"}', name="#3"),
    "entry_without_a_status": entry("no status", spelling='{"name":"odd"}'),
    "entry_that_is_no_object": entry("not an object", spelling="[0]", name="#3"),
    "entry_port_negative": entry("invalid port", port=-1),
    "entry_port_99999": entry("invalid port", port=99999),
    "entry_port_beyond_all_numbers": entry("invalid port", spelling='{"name":"odd","status":"a","port":1e999}'),
    "entry_name_with_control_characters": entry("invalid name", name="#3",
                                                spelling='{"name":"a\\u001b[2J\\nCRITICAL","status":"a"}'),
    "entry_name_that_leads_up": entry("invalid name", name="..", spelling='{"name":"..","status":"running"}'),
    "entry_name_of_a_megabyte": entry("too large", name="#3",
                                      spelling=json.dumps({"name": "x" * MIB, "status": "running"})),
    "entry_name_twice": entry("the same name twice", name="workload-00001",
                              spelling=json.dumps(workload_entry("workload-00001", 17530))),

    # not this protocol
    "redirect_to_another_port": Row("redirect", Answered("HTTP 302"), url="http://127.0.0.1:{trap}/"),
    "redirect_to_a_file": Row("redirect", Answered("HTTP 302"), url="file:///etc/passwd"),
    "redirect_to_itself": Row("redirect", Answered("HTTP 308"), url="/api/v1beta/workloads?all=true", code=308),
    "switching_protocols": Row("switching", NOT_HTTP),
    "flood_of_1xx": Row("informational", NOT_HTTP),
    "drip_of_1xx": Row("informational", NOT_HTTP, interval=0.01),
    "http_0_9": Row("http09", NOT_HTTP),
    "ssh": Row("ssh", NOT_HTTP),
    "garbage": Row("garbage", NOT_HTTP),
    "tls_alert": Row("tls-alert", NOT_HTTP),
    "tls_as_go_says_it": Row("tls-go", Answered(".*HTTPS server.*")),
    "status_999": raw(b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nno", Answered("no")),

    # strangers
    "version_missing": Row("version-missing", STRANGER, "*"),
    "version_a_number": Row("version-number", STRANGER, "*"),
    "another_web_server": Row("status", STRANGER, "*", code=404, body="<html>Not here</html>\n", type="text/html"),
    "gateway": Row("status", STRANGER, "*", code=502),
    "black_hole": Row("backlog-full", LATE, "*"),
}


# ---- the discovery file's rows: each gets the file's place and what it should hold ----

def discovery(port, nonce):
    return json.dumps({"url": f"http://127.0.0.1:{port}", "pid": os.getpid(), "nonce": nonce,
                       "started_at": "2026-11-22T16:01:31Z"})


def put(path, text, mode=0o600, owner=None):
    """At once, as a rename does it: the program reads the file as soon as it is there."""
    new = path.with_name("new")
    new.write_text(text)
    new.chmod(mode)
    if owner:
        os.chown(new, owner, owner)
    new.replace(path)


def symlink(path, good):
    target = path.with_name("target")
    put(target, good)
    path.symlink_to(target)


def fifo(path, _):
    os.mkfifo(path, 0o600)


def group_writable(path, good):
    put(path, good, mode=0o620)


def foreign(path, good):
    nobody = 65534
    if os.geteuid() == nobody:
        raise unittest.SkipTest("nobody is the user of this test")
    try:
        put(path, good, owner=nobody)
    except OSError as error:
        raise unittest.SkipTest("only root can give a file away") from error


def huge(path, good):
    put(path, good + " " * (2 * MIB))


def half_written(path, good):
    put(path, good[:-10])


def another_machine(path, good):
    put(path, good.replace("127.0.0.1", "127.0.0.1.example.com"))


def no_nonce(path, good):
    put(path, json.dumps({**json.loads(good), "nonce": ""}))


HEALTH = "GET /health"
VERSION = "GET /api/v1beta/version"
# What is done to the file, and how the server that it names behaves (None: as a ToolHive).
FILES = {
    "file_symlink": (symlink, None),
    "file_fifo": (fifo, None),
    "file_group_writable": (group_writable, None),
    "file_foreign": (foreign, None),
    "file_huge": (huge, None),
    "file_half_written": (half_written, None),
    "file_of_another_machine": (another_machine, None),
    "file_without_a_nonce": (no_nonce, None),
    "squatter_without_the_nonce": (put, [{"name": "status", "route": HEALTH, "code": 204, "body": ""}]),
    "squatter_with_another_nonce": (put, [{"name": "status", "route": HEALTH, "code": 204, "body": "",
                                             "headers": {"X-Toolhive-Nonce": "0" * 32}}]),
    # It has the nonce, since anybody can ask ToolHive for it, but not the API.
    "squatter_with_a_copied_nonce": (put, [{"name": "version-number", "route": VERSION}]),
    "squatter_that_says_503": (put, [{"name": "status", "route": HEALTH, "code": 503},
                                       {"name": "version-missing", "route": VERSION}]),
}
