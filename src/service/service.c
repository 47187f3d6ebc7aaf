/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The main thread: an sd-event loop over SIGTERM, SIGINT, SIGHUP and the worker's
 * end. A stop is told to systemd as the signal arrives, then to the worker, which
 * has 500 ms to unwind; a worker that hangs does not hold the process.
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <systemd/sd-event.h>

#include "report/log.h"
#include "report/notify.h"
#include "service/service.h"
#include "service/worker.h"
#include "source/kubernetes.h"

#define STOP_PATIENCE (500 * USEC_PER_MSEC)

struct service {
        struct waiter waiter;
        struct worker worker;
        pthread_t thread;
        int ended_fd;                   /* eventfd: the worker has ended */
        atomic_int stop_signal;         /* set before the worker is told to stop: why */
        bool stopping;
        bool left_behind;               /* the worker has not ended in time, and still uses everything */
};

static void *run_worker(void *user) {
        struct service *service = user;

        /* Without a signal it was the main thread's own failure that ended it, and that one has told so. */
        if (worker_run(&service->worker) == SERVICE_STOPPED && atomic_load(&service->stop_signal) > 0)
                log_event(LEVEL_INFO, EVENT_STOPPED, "Stopped on request",
                          LOG_STRING("signal", atomic_load(&service->stop_signal) == SIGINT ? "SIGINT" : "SIGTERM"));
        /* Cannot fail: the counter is far from its end, and the main thread waits for nothing else. */
        (void) eventfd_write(service->ended_fd, 1);
        return NULL;
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *user) {
        struct service *service = user;

        service->stopping = true;

        /* The main thread logs nothing from here on: a reader of stderr that hangs must not hold the end. */
        atomic_store(&service->stop_signal, (int) info->ssi_signo);
        waiter_stop(&service->waiter);
        notify_stopping();
        return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int on_reload(sd_event_source *source _unused_, const struct signalfd_siginfo *info _unused_,
                     void *user) {
        struct service *service = user;

        waiter_reload(&service->waiter);
        return 0;
}

static int on_ended(sd_event_source *source, int fd _unused_, uint32_t events _unused_, void *user _unused_) {
        notify_stopping();
        return sd_event_exit(sd_event_source_get_event(source), 0);
}

/* A signal that comes before there is a loop for it waits for it, and the worker inherits the mask. */
static int block_signals(void) {
        sigset_t signals;

        (void) sigemptyset(&signals);
        (void) sigaddset(&signals, SIGTERM);
        (void) sigaddset(&signals, SIGINT);
        (void) sigaddset(&signals, SIGHUP);
        return -pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static int prepare(struct service *service, sd_event *event) {
        int r;

        r = sd_event_add_signal(event, NULL, SIGTERM, on_stop, service);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT, on_stop, service);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGHUP, on_reload, service);
        if (r >= 0)
                r = sd_event_add_io(event, NULL, service->ended_fd, EPOLLIN, on_ended, service);
        return r;
}

/* One line: version, mode, and every setting that is not the default, with its source. */
static void tell_start(const struct configuration *configuration) {
        struct setting_view views[OPTION_COUNT];
        struct text values[OPTION_COUNT] = {};
        char keys[OPTION_COUNT][64];
        struct log_field fields[OPTION_COUNT + 3];
        size_t n = 0;

        fields[n++] = LOG_STRING("version", PROJECT_VERSION);
        fields[n++] = LOG_STRING("mode", configuration->settings.runtime_mode == RUNTIME_K8S ? "k8s" : "docker");
        for (size_t row = 0; row < OPTION_COUNT; row++) {
                configuration_view(configuration, row, &views[row]);
                if (views[row].origin == ORIGIN_DEFAULT)
                        continue;
                snprintf(keys[row], sizeof keys[row], "%s", views[row].option);
                for (char *c = keys[row]; *c; c++)
                        if (*c == '-')
                                *c = '_';
                text_addf(&values[row], "%s (%s)", views[row].value.data ?: "", option_origin_name(views[row].origin));
                fields[n++] = LOG_STRING(keys[row], values[row].data);
        }
        fields[n] = (struct log_field) { .type = LOG_FIELD_END };
        log_write(LEVEL_INFO, EVENT_STARTED, "Starting mcp-optimizer", fields);

        for (size_t row = 0; row < OPTION_COUNT; row++) {
                text_done(&views[row].value);
                text_done(&values[row]);
        }
}

/* With TOOLHIVE_API_URL nothing else is tried: settings that seem to say otherwise are named. */
static void tell_overridden(const struct configuration *configuration) {
        static const char *const searching[] = {
                "toolhive-host", "toolhive-port", "toolhive-start-port-scan", "toolhive-end-port-scan",
                "toolhive-discovery-file",
        };
        _cleanup_text_ struct text names = TEXT_INIT;

        if (!configuration->settings.toolhive_api_url)
                return;
        for (size_t row = 0; row < OPTION_COUNT; row++) {
                struct setting_view view;

                configuration_view(configuration, row, &view);
                for (size_t i = 0; i < ELEMENTSOF(searching) && view.origin != ORIGIN_DEFAULT; i++)
                        if (strcmp(view.option, searching[i]) == 0)
                                text_addf(&names, "%s%s", names.size > 0 ? "," : "", view.variable);
                text_done(&view.value);
        }
        if (names.size > 0)
                log_event(LEVEL_WARNING, EVENT_PINNED_OVERRIDES,
                          "TOOLHIVE_API_URL pins the address, so other settings have no effect",
                          LOG_STRING("overridden", names.data),
                          LOG_STRING("endpoint", configuration->settings.toolhive_api_url));
}

/* Whoever listens on the way would have it. */
static void tell_withheld_token(const struct settings *settings) {
        if (settings->runtime_mode == RUNTIME_K8S && kubernetes_withholds_token(settings))
                log_event(LEVEL_WARNING, EVENT_TOKEN_WITHHELD,
                          "The token is not sent over plain HTTP to another machine: K8S_API_SERVER_URL has to be https",
                          LOG_STRING("endpoint", settings->k8s_api_server_url),
                          LOG_STRING("token_file", settings->k8s_token_file));
}

/* False when the worker does not end in time: it hangs. Where the time cannot be counted, a worker that
 * does not hang has to end all the same, or its last state file would not say so. */
static bool join_worker(struct service *service) {
        struct pollfd ended = { .fd = service->ended_fd, .events = POLLIN };

        if (poll(&ended, 1, STOP_PATIENCE / USEC_PER_MSEC) == 0)
                return false;
        return pthread_join(service->thread, NULL) == 0;
}

static int run(struct service *service, sd_event *event) {
        int r;

        r = prepare(service, event);
        if (r < 0)
                return r;
        r = -pthread_create(&service->thread, NULL, run_worker, service);
        if (r < 0)
                return r;
        r = sd_event_loop(event);

        /* Whatever ended the loop: the worker has its time to unwind, and a stop that was asked for is one. */
        waiter_stop(&service->waiter);
        service->left_behind = !join_worker(service);
        return service->stopping ? 0 : r;
}

int service_run(const struct configuration *configuration) {
        static struct service service = { .ended_fd = -1 };     /* outlives a worker that is left behind */
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        int code, r;

        r = block_signals();
        tell_start(configuration);
        tell_overridden(configuration);
        tell_withheld_token(&configuration->settings);

        if (r >= 0)
                r = waiter_init(&service.waiter);
        if (r >= 0) {
                worker_init(&service.worker, &configuration->settings, &service.waiter, source_new);
                service.ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                r = service.ended_fd < 0 ? -errno : sd_event_new(&event);
        }
        if (r >= 0)
                r = run(&service, event);
        if (r < 0)
                log_event(LEVEL_CRITICAL, EVENT_INTERNAL_FAILURE, "Internal failure - exiting",
                          LOG_STRING("error", errno_words(-r)));
        code = r < 0 ? SERVICE_EXHAUSTED : atomic_load(&service.worker.exit_code);

        /* Who was left behind still uses everything: leave it all to the kernel. */
        if (service.left_behind) {
                log_settle();
                _exit(code);
        }

        if (r >= 0) {
                close(service.ended_fd);
                waiter_done(&service.waiter);
        }
        return code;
}
