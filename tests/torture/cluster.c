/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Torture of what asks an API server: each call, and who may not ask. Once the failure
 * is over the same source has to be answered in full.
 */

#include <string.h>

#include "base/file.h"
#include "cluster_internal.h"
#include "server.h"

struct source *source;
struct call call;
struct outcome outcome;

static struct waiter waiter;
static struct settings settings;
static char url[64];

void cluster_settings(struct settings *ret_settings) {
        snprintf(url, sizeof url, "http://" SERVER_HOST ":%u", server()->port);
        *ret_settings = (struct settings) {
                .runtime_mode = RUNTIME_K8S,
                .k8s_api_server_url = url,
                .k8s_token_file = server()->token_file,
                .k8s_all_namespaces = true,
                .timeout = 5 * USEC_PER_SEC,
                .max_retries = 5,
                .initial_backoff = USEC_PER_SEC,
                .max_backoff = 60 * USEC_PER_SEC,
                .workload_polling_interval = 60 * USEC_PER_SEC,
        };
}

void cluster_renew(void) {
        server_renew();
        snprintf(server()->token_file, sizeof server()->token_file, "%s", torture_path("token"));
        strcpy(server()->token, "first");
        if (file_replace(server()->token_file, "first\n", 6, 0600) < 0)
                abort();
}

void cluster_begin_on(struct waiter *clock) {
        cluster_renew();
        cluster_settings(&settings);
        call = (struct call) {};
        outcome = (struct outcome) {};
        if (kubernetes_new(&settings, clock, "", &source) < 0)
                abort();
}

void cluster_begin(void) {
        if (waiter_init(&waiter) < 0)
                abort();
        cluster_begin_on(&waiter);
        call.kind = CALL_LIST_WORKLOADS;
}

void cluster_close(void) {
        call_done(&call);
        source = source_free(source);
}

void cluster_end(void) {
        cluster_close();
        waiter_done(&waiter);
}

/* ---- a source ---- */

static void begin_new(void) {
        cluster_begin();
        source = source_free(source);
}

static int act_new(void) {
        return kubernetes_new(&settings, &waiter, "", &source);
}

static void judge_new(int r) {
        torture_expect(r <= 0 && (r == 0) == (source != NULL));
}

/* ---- one call each ---- */

static int act_call(void) {
        int r = source->ops->perform(source, &call, &outcome);

        return r ?: outcome.verdict != VERDICT_DONE;
}

/* A failure has its words, and what was taken is whole. */
static void judge_call(int r) {
        torture_expect(r >= 0);
        torture_expect((outcome.verdict == VERDICT_DONE) == !outcome.error[0]);
        torture_expect(!torture_starves() || !strstr(outcome.error, "Headers over"));
        if (outcome.verdict != VERDICT_DONE)
                torture_expect(!call.workloads && !call.document && !call.several);
}

bool cluster_is_whole(const struct workload_list *list, unsigned told) {
        const struct workload *b = list ? workload_list_find(list, "tools", "b") : NULL;

        return b && list->n_items == 3u + SERVER_VIRTUAL + (told >= 1) - (told >= 3) && list->n_bad == 0 &&
               strcmp(b->status, told >= 2 ? "failed" : "running") == 0 &&
               !workload_list_find(list, "tools", "a") == (told >= 3) &&
               !workload_list_find(list, "tools", "d") == (told < 1);
}

void cluster_ask_again(void) {
        enum call_kind kind = call.kind;
        const char *name = call.name;

        call_done(&call);
        call = (struct call) { .kind = kind, .name = name };
        torture_expect(source->ops->perform(source, &call, &outcome) == 0);
        torture_expect(outcome.verdict == VERDICT_DONE && !outcome.error[0]);
}

/* A part that was not had is told. */
static void judge_list(int r) {
        struct outcome problem;

        judge_call(r);
        if (r == 0) {
                torture_expect(cluster_is_whole(call.workloads, 0) || source->ops->problem(source, &problem));
                torture_expect(strcmp(call.missing, "mcpremoteproxies") == 0 || torture_injected());
        }
        cluster_ask_again();
        torture_expect(cluster_is_whole(call.workloads, 0) && strcmp(call.missing, "mcpremoteproxies") == 0);
        torture_expect(!source->ops->problem(source, &problem));
}

static void begin_expired(void) {
        cluster_begin();
        atomic_store(&server()->expired, 1);
}

static void begin_details(const char *name) {
        cluster_begin();
        call = (struct call) { .kind = CALL_WORKLOAD_DETAILS, .name = name };
}

static void begin_known(void) {
        begin_details("tools/c");
}

static void begin_unknown(void) {
        begin_details("nobody");
}

static void judge_known(int r) {
        judge_call(r);
        torture_expect(r != 0 || (call.found && call.document));
        cluster_ask_again();
        torture_expect(call.found && call.document);
}

static void judge_unknown(int r) {
        judge_call(r);
        torture_expect(!call.found && !call.document);
        cluster_ask_again();
        torture_expect(!call.found && !call.document);
}

/* ---- who may not, or is not known ---- */

static void begin_forbidden(void) {
        cluster_begin();
        atomic_store(&server()->forbids, true);
}

static void begin_bare(void) {
        cluster_begin();
        atomic_store(&server()->bare, true);
}

static void begin_stranger(void) {
        cluster_begin();
        strcpy(server()->token, "second");
}

void cluster_replace_token(void) {
        strcpy(server()->token, "second");
        snprintf(server()->fresh_file, sizeof server()->fresh_file, "%s", torture_path("fresh"));
        if (file_replace(server()->fresh_file, "second\n", 7, 0600) < 0)
                abort();
}

static void begin_late(void) {
        cluster_begin();
        cluster_replace_token();
}

static int act_refused(void) {
        int r = source->ops->perform(source, &call, &outcome);

        return r ?: outcome.verdict != VERDICT_ANSWER;
}

/* Refused or failed, each in its words; a right that came meanwhile is used. */
static void judge_refused(int r, int status, const char *words) {
        torture_expect(r >= 0 && outcome.verdict != VERDICT_DONE && outcome.error[0] && !call.workloads);
        if (outcome.verdict == VERDICT_ANSWER && outcome.status != 0)
                torture_expect(outcome.status == status && (strstr(outcome.error, words) || torture_starves()));
        atomic_store(&server()->forbids, false);
        atomic_store(&server()->bare, false);
        strcpy(server()->token, "first");
        cluster_ask_again();
        torture_expect(cluster_is_whole(call.workloads, 0));
}

static void judge_forbidden(int r) {
        torture_expect(r != 0 || outcome.denied.verb);
        judge_refused(r, 403, "Forbidden");
}

static void judge_stranger(int r) {
        torture_expect(r != 0 || outcome.denied.verb);
        judge_refused(r, 401, "Unauthorized");
}

static void judge_bare(int r) {
        judge_refused(r, 404, "is not installed");
}

/* ---- whom to trust ---- */

static char ca_file[128], good_words[ERROR_MAX];

static void begin_trust(void) {
        static const char authority[] =
                "-----BEGIN CERTIFICATE-----\n"
                "MIIBgTCCASegAwIBAgIUfuVmphyZF9XO6oifN6kjK493EUswCgYIKoZIzj0EAwIw\n"
                "FTETMBEGA1UEAwwKa3ViZXJuZXRlczAgFw0yNjExMzAxMzA3MDJaGA8yMTI2MTEw\n"
                "NjEzMDcwMlowFTETMBEGA1UEAwwKa3ViZXJuZXRlczBZMBMGByqGSM49AgEGCCqG\n"
                "SM49AwEHA0IABPuE80EEWEOovrWVJDWGyjW+F2atSkLClRI/5YhBGCeo8/32QY5c\n"
                "4QV933+7wQEToAoImxut+ainC6Kc8606AcujUzBRMB0GA1UdDgQWBBQ77uAy2K4M\n"
                "F8E4ob2PuED1cSzNIzAfBgNVHSMEGDAWgBQ77uAy2K4MF8E4ob2PuED1cSzNIzAP\n"
                "BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIFgraFHXWURTeT0Yxb9A\n"
                "HZ0Bw6i1an3/ibYNdUG2YmxFAiEArz6CX5H7DEINVrVnHzNz8pmhSPrRmM03QYBn\n"
                "7ZJWt38=\n"
                "-----END CERTIFICATE-----\n";

        cluster_begin();
        snprintf(url, sizeof url, "https://" SERVER_HOST ":%u", server()->port);
        snprintf(ca_file, sizeof ca_file, "%s", torture_path("ca.crt"));
        settings.k8s_ca_file = ca_file;
        if (file_replace(ca_file, authority, strlen(authority), 0600) < 0)
                abort();
}

/* It is read, and then the server hangs up. */
static int act_trust(void) {
        int r = source->ops->perform(source, &call, &outcome);

        return r ?: outcome.verdict != VERDICT_FAILED;
}

static void judge_trust(int r) {
        torture_expect(r == 0 && outcome.error[0] && !call.workloads);
        if (!torture_injected())
                memcpy(good_words, outcome.error, sizeof good_words);
        torture_expect(source->ops->perform(source, &call, &outcome) == 0);
        torture_expect(outcome.verdict == VERDICT_FAILED && strcmp(outcome.error, good_words) == 0);
}

const struct operation cluster_operations[] = {
        { "Kubernetes, its source made", begin_new, act_new, judge_new, cluster_end, 0 },
        { "Kubernetes, list workloads", cluster_begin, act_call, judge_list, cluster_end, 0 },
        { "Kubernetes, a page has expired", begin_expired, act_call, judge_list, cluster_end, 0 },
        { "Kubernetes, workload details", begin_known, act_call, judge_known, cluster_end, 0 },
        { "Kubernetes, no such workload", begin_unknown, act_call, judge_unknown, cluster_end, 0 },
        { "Kubernetes, forbidden", begin_forbidden, act_refused, judge_forbidden, cluster_end, 0 },
        { "Kubernetes, not known", begin_stranger, act_refused, judge_stranger, cluster_end, 0 },
        { "Kubernetes, the token replaced", begin_late, act_call, judge_list, cluster_end, 0 },
        { "Kubernetes, nothing installed", begin_bare, act_refused, judge_bare, cluster_end, 0 },
        { "Kubernetes, whom to trust", begin_trust, act_trust, judge_trust, cluster_end, 3 },
        {},
};
