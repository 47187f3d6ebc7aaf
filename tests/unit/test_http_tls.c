/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whose certificate is taken: that of the authority in one file and of no other,
 * those of the system included. The servers are openssl's own, with certificates
 * that are made anew each time; the system's authorities are put in place of the
 * real ones in a mount namespace.
 */

#include <check.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/text.h"
#include "http_fixture.h"
#include "suite.h"

#define LONG (20 * USEC_PER_SEC)
#define SYSTEM_CERTIFICATES "/etc/ssl/certs"
#define SKIPPED 77                      /* meson's */

static char folder[] = "/tmp/test-tls-XXXXXX";

/* A file in the folder; the last four of them at the same time. */
static const char *in_folder(const char *name) {
        static char paths[4][64];
        static unsigned next;
        char *path = paths[next++ % ELEMENTSOF(paths)];

        snprintf(path, sizeof paths[0], "%s/%s", folder, name);
        return path;
}

/* A command of the shell, in the folder: true when it succeeds. */
static bool run(const char *format, ...) _printf_(1, 2);

static bool run(const char *format, ...) {
        char command[1024];
        va_list arguments;
        int n = snprintf(command, sizeof command, "cd %s && exec >/dev/null 2>&1 && ", folder);

        va_start(arguments, format);
        (void) vsnprintf(command + n, sizeof command - (size_t) n, format, arguments);
        va_end(arguments);
        return system(command) == 0;
}

#define NEW_KEY "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"

static bool make_authority(const char *name) {
        return run("openssl req -x509 " NEW_KEY " -subj /CN=%s -keyout %s.key -out %s.crt", name, name, name);
}

static bool make_server(const char *name, const char *authority, const char *names) {
        return run("openssl req -x509 -CA %s.crt -CAkey %s.key " NEW_KEY " -subj /CN=%s -addext subjectAltName=%s "
                   "-addext basicConstraints=critical,CA:FALSE -keyout %s.key -out %s.crt",
                   authority, authority, name, names, name, name);
}

static bool make_certificates(void) {
        return make_authority("ours") && make_authority("theirs") &&
               make_server("good", "ours", "DNS:localhost,IP:127.0.0.1") &&
               make_server("strange", "theirs", "DNS:localhost,IP:127.0.0.1") &&
               make_server("elsewhere", "ours", "DNS:elsewhere.example,IP:127.0.0.2") &&
               run("cat theirs.crt ours.crt > both.crt && : > empty.crt && echo no certificate > words.crt");
}

/* ---- the server ---- */

static pid_t server;
static char url[64];

static void serve(const char *certificate, int output, pid_t parent) {
        char path[64], key[64];
        int null = open("/dev/null", O_RDWR);

        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || dup2(null, STDIN_FILENO) < 0 ||
            dup2(output, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
                _exit(EXIT_FAILURE);
        snprintf(path, sizeof path, "%s/%s.crt", folder, certificate);
        snprintf(key, sizeof key, "%s/%s.key", folder, certificate);
        execlp("openssl", "openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", path, "-key", key,
               (char *) NULL);
        _exit(EXIT_FAILURE);
}

/* One with that certificate, which answers every GET with a page. */
static void serve_with(const char *certificate) {
        _cleanup_(fclosep) FILE *output = NULL;
        _cleanup_(freep) char *line = NULL;
        pid_t parent = getpid();
        unsigned port = 0;
        size_t size = 0;
        int fds[2];

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        server = fork();
        ck_assert_int_ge(server, 0);
        if (server == 0)
                serve(certificate, fds[1], parent);
        close(fds[1]);
        output = fdopen(fds[0], "re");
        ck_assert_ptr_nonnull(output);
        while (port == 0) {
                ck_assert_msg(getline(&line, &size, output) > 0, "openssl s_server did not start");
                (void) sscanf(line, "ACCEPT 127.0.0.1:%u", &port);
        }
        snprintf(url, sizeof url, "https://127.0.0.1:%u/", port);
}

static void setup(void) {
        server = 0;
        http_setup();
}

static void teardown(void) {
        http_teardown();
        if (server > 0) {
                ck_assert_int_eq(kill(server, SIGKILL), 0);
                ck_assert_int_eq(waitpid(server, NULL, 0), server);
        }
}

/* ---- cases ---- */

static struct http_request get(const char *ca) {
        return (struct http_request) {
                .method = "GET", .url = url, .timeout = LONG, .ca_file = ca ? in_folder(ca) : NULL, .fresh = true,
        };
}

static void expect(const struct http_request *request, enum http_result result, const char *error) {
        struct http_response response;

        ck_assert_int_eq(http_perform(http, request, &response), 0);
        ck_assert_msg(response.result == result && strcmp(response.error, error) == 0, "result %d, \"%s\"",
                      response.result, response.error);
        ck_assert_int_eq(response.status, result == HTTP_ANSWER ? 200 : 0);
        /* Nothing goes to a stranger, a token least of all. */
        ck_assert_int_eq(response.sent, result == HTTP_ANSWER);
        http_response_done(&response);
}

static const struct {
        const char *certificate, *ca;
        enum http_result result;
        const char *error;
} rows[] = {
        { "good", "ours.crt", HTTP_ANSWER, "" },
        { "good", "both.crt", HTTP_ANSWER, "" },
        { "good", "theirs.crt", HTTP_TLS, "TLS: unable to get local issuer certificate" },
        { "strange", "ours.crt", HTTP_TLS, "TLS: unable to get local issuer certificate" },
        { "good", "good.crt", HTTP_ANSWER, "" },        /* the one certificate itself */
        { "elsewhere", "ours.crt", HTTP_TLS,
          "TLS: no alternative certificate subject name matches target host name '127.0.0.1'" },
        { "good", "missing.crt", HTTP_TLS, "TLS: no certificates in the CA file" },
        { "good", "empty.crt", HTTP_TLS, "TLS: no certificates in the CA file" },
        { "good", "words.crt", HTTP_TLS, "TLS: no certificates in the CA file" },
        { "good", "ours.key", HTTP_TLS, "TLS: no certificates in the CA file" },
        { "good", "", HTTP_TLS, "TLS: no certificates in the CA file" },        /* the folder */
        { "good", NULL, HTTP_TLS, "TLS: unable to get local issuer certificate" },
};

START_TEST(one_authority) {
        struct http_request request;

        serve_with(rows[_i].certificate);
        request = get(rows[_i].ca);
        expect(&request, rows[_i].result, rows[_i].error);
}
END_TEST

/* By its name, where it is reached by its name. */
START_TEST(by_name) {
        struct http_request request;
        char address[64];

        serve_with("good");
        snprintf(address, sizeof address, "https://localhost:%s", strrchr(url, ':') + 1);
        request = get("ours.crt");
        request.url = address;
        expect(&request, HTTP_ANSWER, "");
}
END_TEST

/* A cluster may get another authority while we run: what was read of the file once is not kept. */
START_TEST(another_authority_in_the_file) {
        struct http_request request;

        serve_with("good");
        request = get("now.crt");
        ck_assert(run("cp theirs.crt now.crt"));
        expect(&request, HTTP_TLS, "TLS: unable to get local issuer certificate");
        ck_assert(run("cp ours.crt now.crt"));
        expect(&request, HTTP_ANSWER, "");
        ck_assert(run("cp theirs.crt now.crt"));
        expect(&request, HTTP_TLS, "TLS: unable to get local issuer certificate");
        ck_assert(run("rm now.crt"));
        expect(&request, HTTP_TLS, "TLS: no certificates in the CA file");
}
END_TEST

/* ---- the system's ---- */

/* The system's authorities are "theirs" alone, for this process; false where that cannot be had. */
static bool replace_the_systems(void) {
        return (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
               mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
               run("mkdir system && cp theirs.crt system/ca-certificates.crt && cp theirs.crt system/ && "
                   "openssl rehash system") &&
               mount(in_folder("system"), SYSTEM_CERTIFICATES, "none", MS_BIND, NULL) == 0;
}

START_TEST(the_systems) {
        struct http_request request;

        /* Before, or openssl would send these authorities along. */
        serve_with("strange");
        if (!replace_the_systems()) {
                printf("skipped: the system's certificates beside a file's: no mount namespace is to be had here\n");
                return;
        }
        request = get(NULL);
        expect(&request, HTTP_ANSWER, "");
        request = get("ours.crt");
        expect(&request, HTTP_TLS, "TLS: unable to get local issuer certificate");
        request = get("empty.crt");
        expect(&request, HTTP_TLS, "TLS: no certificates in the CA file");
}
END_TEST

/* ---- streams ---- */

static bool receive(const char *data, size_t size, void *user) {
        text_add_bytes(user, data, size);
        return true;
}

START_TEST(streams) {
        _cleanup_(http_transfer_freep) struct http_transfer *good = NULL, *bad = NULL;
        _cleanup_text_ struct text got = TEXT_INIT;
        struct http_request request;

        serve_with("good");
        request = get("ours.crt");
        request.receive = receive;
        request.user = &got;
        request.token = "word";
        ck_assert_int_eq(http_start(http, &request, &good), 0);
        request.ca_file = in_folder("theirs.crt");
        ck_assert_int_eq(http_start(http, &request, &bad), 0);
        while (!http_finished(good) || !http_finished(bad))
                ck_assert_int_eq(http_wait(http, waiter_now(&waiter) + LONG, 0), WAIT_CHANGE);
        ck_assert_int_eq(http_finished(good)->result, HTTP_ANSWER);
        ck_assert_ptr_nonnull(strstr(got.data, "s_server"));
        ck_assert_int_eq(http_finished(bad)->result, HTTP_TLS);
        ck_assert_str_eq(http_finished(bad)->error, "TLS: unable to get local issuer certificate");
        ck_assert(!http_finished(bad)->sent);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("http tls");
        TCase *tcase = suite_case(suite, "authorities", setup, teardown);
        int result = EXIT_FAILURE;

        tcase_add_loop_test(tcase, one_authority, 0, ELEMENTSOF(rows));
        tcase_add_test(tcase, by_name);
        tcase_add_test(tcase, another_authority_in_the_file);
        tcase_add_test(tcase, the_systems);
        tcase_add_test(tcase, streams);

        if (!mkdtemp(folder))
                perror("mkdtemp");
        else if (!run("openssl version")) {
                printf("skipped: HTTP over TLS: no openssl to make certificates with\n");
                result = SKIPPED;
        } else if (!make_certificates())
                fprintf(stderr, "openssl makes no certificates\n");
        else
                result = suite_run(suite);
        (void) run("rm -r -- %s", folder);
        return result;
}
