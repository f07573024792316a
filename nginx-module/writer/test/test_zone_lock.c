/* One publisher at a time: the lock waits, names its holder, ends with it, and goes to no child; run-time changes are found. */
#include "zone_fixture.h"

#include <signal.h>

static const char  *path;

/* A process with the lock that the agent takes: of the process, on the first byte. */
static pid_t
hold(void)
{
    int    pipes[2];
    char   byte;
    pid_t  pid;

    need(pipe(pipes) == 0);
    pid = fork();
    need(pid != -1);

    if (pid == 0) {
        struct flock  lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
        int           fd = open(path, O_RDWR);

        if (fd == -1 || fcntl(fd, F_SETLKW, &lock) == -1 || write(pipes[1], "x", 1) != 1) {
            _exit(1);
        }
        for ( ;; ) {
            pause();
        }
    }

    need(read(pipes[0], &byte, 1) == 1);
    close(pipes[0]);
    close(pipes[1]);

    return pid;
}

static int
can_lock(void)
{
    struct flock  lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
    int           fd = open(path, O_RDWR);

    need(fd != -1);

    int  good = fcntl(fd, F_OFD_SETLK, &lock) == 0;

    close(fd);

    return good;
}

static void
end(pid_t pid)
{
    need(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

static void
should_exclude_an_agent_from_open_to_commit_and_no_longer(config_t *config)
{
    char            error[ATOLL_WRITER_ERROR] = "";
    atoll_writer_t  writer = { 0 };

    publish(&writer, config);
    atoll_writer_close(&writer);
    need(atoll_writer_prepare(&writer, &config->request, 0, error) == 0);
    ok(!can_lock(), "a prepared writer has the lock");

    pid_t  child = fork();

    need(child != -1);
    if (child == 0) {
        for ( ;; ) {
            pause();
        }
    }

    atoll_writer_commit(&writer, &config->request);
    ok(can_lock(), "after commit it is free, though a child inherited the descriptor");
    end(child);
    atoll_writer_close(&writer);

    need(atoll_writer_prepare(&writer, &config->request, 0, error) == 0);
    atoll_writer_abandon(&writer);
    ok(can_lock(), "after abandon it is free");

    need(atoll_writer_prepare(&writer, &config->request, 1, error) == 0);
    ok(can_lock(), "a check takes none");
}

static void
should_name_the_holder_and_go_on_once_it_is_dead(config_t *config)
{
    pid_t           holder = hold();
    char            text[128], error[ATOLL_WRITER_ERROR] = "";
    atoll_writer_t  writer = { 0 };

    snprintf(text, sizeof(text), "has been locked by the agent, process %ld for 2000 ms", (long) holder);
    ok(refuses(config, text), "a holder that does not let go is named");
    ok(atoll_writer_prepare(&writer, &config->request, 1, error) == 0, "a check does not wait for it");
    need(kill(holder, SIGSTOP) == 0);
    ok(refuses(config, text), "so is one that is stopped");
    end(holder);
    ok(atoll_writer_prepare(&writer, &config->request, 0, error) == 0, "a dead one holds nothing");
    atoll_writer_abandon(&writer);
}

/* What an agent writes into a slot when it changes a server. */
static void
change(const atoll_zone_t *zone, const char *server, uint32_t flags, uint32_t weight)
{
    uint32_t  slot = slot_with(zone, "cdn", server, 0, ATOLL_PEER_LIFE_MEMBER);

    need(slot != UINT32_MAX);
    zone->identities[slot].flags = flags;
    zone->identities[slot].weight = weight;
}

static void
should_tell_what_was_changed_at_run_time_and_forget_what_is_not_named(config_t *config)
{
    char            error[ATOLL_WRITER_ERROR] = "";
    uint32_t        weight = 0, slot = 0;
    atoll_writer_t  writer = { 0 };

    publish(&writer, config);
    change(&writer.zone, "a", ATOLL_PEER_FLAG_REMOVED, 1);
    change(&writer.zone, "b", ATOLL_PEER_FLAG_WEIGHTED, 7);
    change(&writer.zone, "c", ATOLL_PEER_FLAG_ADDED, 2);
    atoll_writer_close(&writer);

    need(atoll_writer_open(&writer, path, 0, error) == 0);
    ok(atoll_writer_changed(&writer, "cdn", 3, "a", 1, &weight) == ATOLL_PEER_FLAG_REMOVED, "a removal is told");
    ok(atoll_writer_changed(&writer, "cdn", 3, "b", 1, &weight) == ATOLL_PEER_FLAG_WEIGHTED && weight == 7, "a weight is told");
    ok(atoll_writer_changed(&writer, "cdn", 3, "c", 1, &weight) == 0, "an addition is no change of nginx.conf's servers");
    ok(atoll_writer_changed(&writer, "other", 5, "a", 1, &weight) == 0, "nor is one of another upstream");

    const atoll_peer_identity_record_t  *added = atoll_writer_next_added(&writer, "cdn", 3, &slot);

    ok(added != NULL && added->server_length == 1 && added->server[0] == 'c' && added->weight == 2, "an addition is told");
    ok(atoll_writer_next_added(&writer, "cdn", 3, &slot) == NULL, "once");
    atoll_writer_abandon(&writer);

    config_close(config);
    config_add(config, "cdn", "b=10.0.0.2:80 d=10.0.0.4:80");
    publish(&writer, config);
    atoll_writer_close(&writer);

    need(atoll_writer_open(&writer, path, 0, error) == 0);
    slot = 0;
    ok(atoll_writer_changed(&writer, "cdn", 3, "a", 1, &weight) == 0, "a server that is not named any more has no change left");
    ok(atoll_writer_next_added(&writer, "cdn", 3, &slot) == NULL, "neither has one that was added, when its master leaves it out");
    atoll_writer_abandon(&writer);
}

int
main(void)
{
    config_t  config;

    enter_folder();
    path = path_in("atoll.zone");
    config_open(&config, path, SIZE);
    config_add(&config, "cdn", "a=10.0.0.1:80 b=10.0.0.2:80 c=10.0.0.3:80");

    should_exclude_an_agent_from_open_to_commit_and_no_longer(&config);
    should_name_the_holder_and_go_on_once_it_is_dead(&config);
    should_tell_what_was_changed_at_run_time_and_forget_what_is_not_named(&config);
    config_close(&config);

    return done_testing();
}
