/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A ToolHive for torture: small, quick, always good, in a process of its own that
 * no failure reaches. It answers with the same few workloads and servers, and
 * counts what it was asked where the operation's process sees it.
 *
 * On the same port it is an API server, with MCPServers that have a story: "d" is
 * added to "a", "b" and "c", "b" fails, "a" is deleted, and a bookmark. There are
 * VirtualMCPServers, and the third resource is not installed.
 */

#include <stdatomic.h>
#include <stdint.h>

#define SERVER_HOST "127.0.0.1"
#define SERVER_NONCE "0123456789abcdef0123456789abcdef"
#define SERVER_STORY 4
#define SERVER_VIRTUAL 18

struct server {
        uint16_t port;
        atomic_uint lists, registries, posts;
        atomic_bool installed;          /* the workload "fetch" is there */

        /* The API server; an operation says how it is to be, after server_renew(). */
        atomic_uint told;               /* how far the story has come; see server_tell() */
        atomic_bool hurries;            /* it comes to its end when the first watch of it begins */
        atomic_uint expired;            /* so many second pages of a list */
        atomic_uint too_old;            /* so many watches of VirtualMCPServers */
        atomic_uint denied;             /* so many watches of any */
        atomic_bool forbids, bare;      /* all lists; no resource is installed */
        char token[16];                 /* who says another, or none, is not known; "": nobody needs one */
        char token_file[128], fresh_file[128];  /* the latter is put in place of the former then, where it is named */
};

/* The one of this process: started at the first call, it ends with the process. */
struct server *server(void);
/* Nobody has asked for anything and nothing is installed: what an earlier run has sent is answered by then. */
void server_renew(void);
/* The story comes to its end: when this returns, all watches have been told it. */
void server_tell(void);
