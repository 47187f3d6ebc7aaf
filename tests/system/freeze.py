#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stops one thread as a debugger does, until it is killed: freeze.py THREAD. Prints a line when it has."""

import ctypes
import os
import sys

PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, thread):
    if _libc.ptrace(request, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


ptrace(PTRACE_SEIZE, int(sys.argv[1]))
ptrace(PTRACE_INTERRUPT, int(sys.argv[1]))
os.waitpid(int(sys.argv[1]), WALL)
print("frozen", flush=True)
# A process whose thread nobody has waited for never ends. To wait does not let it go on.
while not os.WIFSIGNALED(os.waitpid(int(sys.argv[1]), WALL)[1]):
    pass
