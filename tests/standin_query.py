# SPDX-License-Identifier: Apache-2.0
"""What the queries of the stand-in's Kubernetes say: pages, selections, watches."""

import base64
import binascii
import json
import time

from standin_access import Refused, bad_request
from standin_objects import GROUP, KINDS, encode

BOOKMARK_BEFORE_END = 2.0
LONGEST_WATCH = 1800


def flag(query, key):
    return query.get(key, "false").lower() not in ("0", "false")


def number(query, key):
    try:
        return int(query.get(key) or 0)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{query[key]}": invalid syntax') from None


def resource_version(query):
    text = query.get("resourceVersion") or "0"
    if not text.isdigit():
        raise Refused(500, None, f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": '
                      "invalid syntax")
    return int(text)


def page_token(version, start):
    """Where the next page of the list of that version begins."""
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_token(token):
    try:
        value = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True))
        return value["rv"], value["start"].removeprefix("/")
    except binascii.Error:
        reason = "illegal base64 data at input byte 0"
    except (ValueError, KeyError, TypeError):
        reason = "invalid character 'g' looking for beginning of value"
    raise bad_request(f"invalid continue token: continue key is not valid: {reason}")


class Selection:
    """Which objects of a resource a request is about."""

    def __init__(self, target, query):
        self.resource = target.resource
        self._namespace = target.namespace
        self._fields = self._terms(query.get("fieldSelector", ""))
        self._labels = self._terms(query.get("labelSelector", ""))
        for key in self._fields:
            if key not in ("metadata.name", "metadata.namespace"):
                raise bad_request(f"field label not supported: {key}")
        self.all = not self._fields and not self._labels

    @staticmethod
    def _terms(text):
        terms = (term.replace("==", "=").partition("=") for term in text.split(",") if term)
        return {key: value for key, _, value in terms}

    def holds(self, item):
        if self._namespace not in (None, item.namespace):
            return False
        if self.all:
            return True
        labels = item.value["metadata"].get("labels", {}) if self._labels else {}
        return (self._fields.get("metadata.name", item.name) == item.name
                and self._fields.get("metadata.namespace", item.namespace) == item.namespace
                and all(labels.get(key) == value for key, value in self._labels.items()))


class Watch:
    """One watch as it was asked for: of what, after which version, until when; and how its lines are written."""

    def __init__(self, target, query, now):
        self.selection = Selection(target, query)
        self.version = target.version
        self.since = resource_version(query)
        # A version of the future is waited for in silence.
        self._bookmarks = flag(query, "allowWatchBookmarks") and self.since <= now
        seconds = number(query, "timeoutSeconds") or LONGEST_WATCH
        self.end = time.monotonic() + seconds
        # Nearly at the end there is one in any case.
        before = BOOKMARK_BEFORE_END if seconds > BOOKMARK_BEFORE_END else 0
        self.bookmark_at = self.end - before if self._bookmarks else None

    def line(self, kind, text):
        return b'{"type":"%s","object":%s}\n' % (kind.encode(), text)

    def bookmark(self, resource_version, **metadata):
        """Nothing, where none were asked for."""
        if not self._bookmarks:
            return b""
        return self.line("BOOKMARK", encode({
            "apiVersion": f"{GROUP}/{self.version}", "kind": KINDS[self.selection.resource],
            "metadata": {**metadata, "resourceVersion": str(resource_version)}}))
