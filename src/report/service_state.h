/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a service says of itself, as read by somebody else: its state file, found,
 * read and distrusted; whether it runs, which is whether its lock is held; and
 * when its worker last showed life, which is the lock file's time. Any user may
 * ask. The counterpart of state_file.h.
 */

#include "report/state_file.h"

enum { SERVICE_STATE_PATHS = 4 };

/*
 * Where a state file may be, best first. One that was given (--state-file,
 * STATE_FILE) is the only one; else that of $RUNTIME_DIRECTORY, of
 * $XDG_RUNTIME_DIR/mcp-optimizer, of /run/mcp-optimizer.
 */
struct service_state_paths {
        char *paths[SERVICE_STATE_PATHS];
        size_t n;
};

/* given: NULL when it was not, "" for none at all. 0 or -ENOMEM. */
int service_state_paths(struct service_state_paths *paths, const char *given, char **environment);
void service_state_paths_done(struct service_state_paths *paths);

struct service_state {
        char *path;                     /* of the state file; NULL: there is none */
        bool running;                   /* its lock is held */
        bool uncertain;                 /* whether it is cannot be told: the lock cannot be read */
        int error;                      /* negative errno: the lock or the file cannot be read */
        char *unreadable;               /* the path of that one; NULL without an error */
        usec_t beaten_at;               /* CLOCK_REALTIME; 0: there is no lock file */
        usec_t written_at;              /* the same, of the state file */
        char *document;                 /* the bytes of the file; NULL when it is of no use */
        size_t document_size;
        const char *problem;            /* static: why it is of no use, after an error what that was */
        char version[STATE_FILE_VERSION_SIZE];          /* of the program that wrote it */
        struct snapshot snapshot;       /* all that the document says */
};

/*
 * Reads the first that runs, else the first that exists, else the first that may
 * not be read. A document that the holder of the lock has not written (it has only
 * just started) is of no use. What is asked is a process of its own: one that
 * asks while it holds the lock itself finds it held. 0, also when there is none
 * (path is NULL) or none can be read (error); -ENOMEM. Whatever was in the struct
 * is forgotten; the caller ends with service_state_done().
 */
int service_state_read(struct service_state *state, const struct service_state_paths *paths);
void service_state_done(struct service_state *state);

/* Appends the problem, after an error with the path: "cannot read PATH: Permission denied". */
void service_state_add_problem(const struct service_state *state, struct text *text);
