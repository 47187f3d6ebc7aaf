# SPDX-License-Identifier: Apache-2.0
"""Who may do what in the stand-in's cluster, and how kube-apiserver words a refusal.

Tokens name users; rules allow them verbs on resources, in a namespace or, where it is `*`, in all of
them and at the cluster scope. While neither is set everybody may do everything.
"""

import urllib.parse

ANONYMOUS = "system:anonymous"
# Everybody may ask these, whatever the rules say.
PUBLIC = ("/version", "/healthz", "/livez", "/readyz")
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Refused(Exception):
    """The answer is a Status; raised to leave whatever was being made instead."""

    def __init__(self, code, reason, message, details=None, metadata=None, headers=()):
        super().__init__(message)
        self.code = code
        self.headers = list(headers)
        told = {"message": message, "reason": reason, "details": details, "code": code}
        self.status = {"kind": "Status", "apiVersion": "v1", "metadata": metadata or {}, "status": "Failure",
                       **{key: value for key, value in told.items() if value is not None}}


class NotServed(Exception):
    """There is no such path here; the answer is text."""


def bad_request(message):
    return Refused(400, "BadRequest", message)


class Target:
    """What a path below /apis names, and what is to be done with it."""

    def __init__(self, request):
        parts = [urllib.parse.unquote(part) for part in request.path.split("/")[2:]]
        self.group, self.version, *rest = parts
        self.namespace = None
        if rest[0] == "namespaces" and len(rest) > 2:
            self.namespace, rest = rest[1], rest[2:]
        self.resource, self.name = rest[0], rest[1] if len(rest) > 1 else None
        # What lies below an object, such as its status, is not served here.
        self.below = rest[2:]
        self.verb = VERBS.get(request.method) or (
            "watch" if request.verb() == "WATCH" else "get" if self.name else "list")

    def __str__(self):
        return f"{self.resource}.{self.group}" + (f' "{self.name}"' if self.name else "")

    def details(self):
        return {**({"name": self.name} if self.name else {}), "group": self.group, "kind": self.resource}


class Access:
    def __init__(self):
        self.tokens = None      # token to user; None: nobody is asked who he is
        self.rules = None       # None: who is known may do everything
        self.anonymous = True   # False is --anonymous-auth=false

    def set(self, key, value):
        if key not in ("tokens", "rules", "anonymous"):
            raise TypeError(f"unknown: {key}")
        for rule in value or () if key == "rules" else ():
            if unknown := set(rule) - {"user", "verb", "resource", "namespace"}:
                raise TypeError(f"unknown in a rule: {', '.join(sorted(unknown))}")
        setattr(self, key, value is not False if key == "anonymous" else value)

    def authenticate(self, request):
        """The user's name; without a token that is system:anonymous."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        if self.tokens is None:
            return "system:admin"
        if not token and self.anonymous:
            return ANONYMOUS
        if token not in self.tokens:
            raise Refused(401, "Unauthorized", "Unauthorized")
        known = self.tokens[token]
        return known if isinstance(known, str) else known["user"]

    def authorize_path(self, user, path):
        if user == ANONYMOUS and path not in PUBLIC:
            raise Refused(403, "Forbidden", f'forbidden: User "{user}" cannot get path "{path}"', {})

    def authorize(self, user, target):
        if not self._allowed(user, target):
            where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
            raise Refused(403, "Forbidden", f'{target} is forbidden: User "{user}" cannot {target.verb} resource '
                          f'"{target.resource}" in API group "{target.group}" {where}', target.details())

    def _allowed(self, user, target):
        if self.rules is None:
            return user != ANONYMOUS
        asked = {"user": user, "verb": target.verb, "resource": target.resource, "namespace": target.namespace}
        return any(all(_names(rule.get(key, "*"), value) for key, value in asked.items()) for rule in self.rules)


def _names(given, value):
    """A rule's word: one name, several, or `*`."""
    words = [given] if isinstance(given, str) else given
    return "*" in words or value in words
