# SPDX-License-Identifier: Apache-2.0
"""What inject.h writes down of one process, the plans that follow from it, and which of them are new."""

import array
import struct

# Of the allocations, those from which on none succeeds: each such life waits for what does not come.
LASTING_STEP = 20

NAMES, NAME, TRACE = 64, 24, 65536
HEAD = struct.Struct("=IIII64s")


class Record:
    """Of one life. The rest is read when it is asked for: most lives only tell what failed."""

    def __init__(self, path, places=None):
        self._data, self._places = path.read_bytes(), places
        self.allocations, self.calls, self.left_out, self.injected, failed = HEAD.unpack_from(self._data)
        self.failed = failed.split(b"\0")[0].decode()

    def trace(self):
        """Of each call its function, and how many errors it could have failed with."""
        names = [self._data[HEAD.size + NAME * i:HEAD.size + NAME * (i + 1)].split(b"\0")[0].decode()
                 for i in range(NAMES)]
        trace = self._data[HEAD.size + NAME * NAMES:]
        return [(names[trace[2 * i]], trace[2 * i + 1]) for i in range(min(self.calls, len(trace) // 2))]

    def places(self):
        """Of each allocation, and of each call, the ways by which it came: see struct inject_place."""
        words = array.array("Q", self._places.read_bytes())
        pairs = list(zip(words[::2], words[1::2]))
        return pairs[:min(self.allocations, TRACE)], pairs[TRACE:TRACE + min(self.calls, TRACE)]


class Ground:
    """Where lives have been: the places at which one has failed need not fail in the next.

    A place in the program's own code is known when it was come to by the same way. One inside a library is
    when the library was asked by the same line of the program and did the same; but the first to which a new
    way through the program leads is new: whoever is on that way has to see one fail.
    """

    def __init__(self):
        self._ways, self._places = set(), set()
        self.known = self.thinned = 0   # of the last record: places that were not new, and those left to other seeds

    def _explore(self, places):
        """The numbers of those that are new, each time that they are come to."""
        found = set()
        for n, (library, program) in enumerate(places, 1):
            place = library or program
            if place not in self._places or program not in self._ways:
                yield n
            self._ways.add(program)
            found.add(place)
        self._places |= found

    def plans(self, record, thin=None):
        """Every single failure at a new place; and some that last, of each function from its first call there on.

        thin, of n, keeps one in n of the allocations inside libraries, and starts with the number thin[0] of them."""
        allocations, calls = record.places()
        memory, system = list(self._explore(allocations)), list(self._explore(calls))
        self.known = len(allocations) + len(calls) - len(memory) - len(system)
        self.thinned = len(memory)
        if thin:
            memory = [n for i, n in enumerate(memory) if not allocations[n - 1][0] or i % thin[1] == thin[0]]
        self.thinned -= len(memory)
        yield from (f"memory,{n}" for n in memory)
        yield from (f"memory,{n},0,on" for n in memory[::LASTING_STEP])
        trace, seen = record.trace(), set()
        for n in system:
            name, errors = trace[n - 1]
            yield from (f"call,{n},{error}" for error in range(errors))
            if name not in seen:
                yield from (f"call,{n},{error},on" for error in range(errors))
            seen.add(name)
