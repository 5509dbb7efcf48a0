/*
 * dolly-netns: makes a container's network for the network service: a network namespace, the user namespace
 * that owns it, a veth pair on the bridge, and the name that keeps them; and deletes links. As `unshare` and
 * `ip` do, without a program for each.
 */
#define _GNU_SOURCE
#include "coprocess.h"
#include "interface.h"
#include "rtnetlink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAMES "/run/netns"

/* Who keeps the new namespaces until they have a name. */
enum { INHABITANT_STACK_BYTES = 1 << 14 };

/* What was done so far, for the record: nanoseconds of each part. */
struct record {
	char *said;
	size_t size;
	uint64_t since;
};

static uint64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

static void note(struct record *record)
{
	const size_t used = strlen(record->said);
	const uint64_t time = now();
	(void)snprintf(record->said + used, record->size - used, "%s%llu", used ? " " : "", (unsigned long long)(time - record->since));
	record->since = time;
}

static int open_namespace(pid_t pid)
{
	char path[64];
	(void)snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* A thread is in a network namespace by itself. */
static int furnish(pid_t inhabitant, const struct interface *interface)
{
	const int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), there = open_namespace(inhabitant);
	if (home < 0 || there < 0 || setns(there, CLONE_NEWNET))
		return errno;
	const int socket = open_rtnetlink();
	const int error = socket < 0 ? errno : furnish_namespace(socket, interface);
	return setns(home, CLONE_NEWNET) ? errno : error;
}

/* Nothing here may touch what it shares with the thread that made it, which is all memory. It does not outlive it. */
static int inhabit(void *parent)
{
	if (prctl(PR_SET_PDEATHSIG, (long)SIGKILL, 0, 0, 0) == 0 && getppid() == (pid_t)(intptr_t)parent)
		for (;;)
			pause();
	return 1;
}

/* A process, since a user namespace is given its ids by way of one; without memory of its own, which would be copied. */
static int settle(pid_t *inhabitant, bool owned, char *stack)
{
	const int flags = CLONE_NEWNET | CLONE_VM | SIGCHLD | (owned ? CLONE_NEWUSER : 0);
	*inhabitant = clone(inhabit, stack + INHABITANT_STACK_BYTES, flags, (void *)(intptr_t)getpid());
	return *inhabitant < 0 ? errno : 0;
}

/* Gone before the answer: it is nobody that the namespace would seem to have. */
static void unsettle(pid_t inhabitant)
{
	if (inhabitant <= 0)
		return;
	(void)kill(inhabitant, SIGKILL);
	while (waitpid(inhabitant, NULL, 0) < 0 && errno == EINTR)
		continue;
}

static int write_map(pid_t pid, const char *name, const char *map)
{
	char path[64];
	(void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	const int file = open(path, O_WRONLY | O_CLOEXEC);
	if (file < 0)
		return errno;
	const size_t size = strlen(map);
	const int error = write(file, map, size) == (ssize_t)size ? 0 : errno;
	close(file);
	return error;
}

static int map_ids(pid_t pid, const char *first, const char *count)
{
	char map[64];
	if ((size_t)snprintf(map, sizeof map, "0 %s %s", first, count) >= sizeof map)
		return EINVAL;
	const int error = write_map(pid, "uid_map", map);
	return error ? error : write_map(pid, "gid_map", map);
}

/* As ip-netns(8): mounts of names reach every mount namespace that shares the directory. */
static int share_names(void)
{
	if (mkdir(NAMES, 0755) && errno != EEXIST)
		return errno;
	if (mount("", NAMES, "none", MS_SHARED | MS_REC, NULL) == 0)
		return 0;
	if (errno != EINVAL || mount(NAMES, NAMES, "none", MS_BIND | MS_REC, NULL))
		return errno;
	return mount("", NAMES, "none", MS_SHARED | MS_REC, NULL) ? errno : 0;
}

/* Last: until it has a name, the namespace and its pair die with the process, and a crash leaves nothing. */
static int give_name(const char *path, pid_t pid)
{
	char source[64];
	(void)snprintf(source, sizeof source, "/proc/%d/ns/net", (int)pid);
	const int file = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
	if (file < 0)
		return errno;
	close(file);
	if (mount(source, path, "none", MS_BIND, NULL) == 0)
		return 0;
	const int error = errno;
	return unlink(path) ? errno : error;
}

static int make(pid_t inhabitant, char **words, const struct interface *interface, struct record *record)
{
	const bool owned = strcmp(words[2], "0") != 0;
	const int mapped = owned ? map_ids(inhabitant, words[1], words[2]) : 0;
	note(record);
	if (mapped)
		return mapped;
	const int connected = interface ? connect_pair(interface, inhabitant) : 0;
	note(record);
	if (connected)
		return connected;
	const int furnished = furnish(inhabitant, interface);
	note(record);
	if (furnished)
		return furnished;
	const int named = give_name(words[0], inhabitant);
	note(record);
	return named;
}

/*
 * By number, which is of this link alone, however long the request waits for the kernel: its name may be given anew
 * meanwhile. Gone already is success. Returns when no reader of the kernel's has it any more, long after its name
 * is free.
 */
static int delete_link(const char *number)
{
	struct message message;
	char *end = NULL;
	const unsigned long index = strtoul(number, &end, 10);
	const struct ifinfomsg link = { .ifi_index = (int)index };
	if (end == number || *end || index == 0 || index > INT_MAX)
		return EINVAL;
	const int socket = open_rtnetlink();
	if (socket < 0)
		return errno;
	begin_message(&message, RTM_DELLINK, 0, &link, sizeof link);
	const int error = acknowledged(socket, &message);
	return error == ENODEV ? 0 : error;
}

/*
 * `make NAME FIRST COUNT` and, for an interface, `VETH BRIDGE ALIAS ADDRESS PREFIX GATEWAY HARDWARE isolated|-`;
 * a COUNT of 0 leaves the namespace to the host's user namespace. Says how many nanoseconds each part took.
 */
static int make_namespace(char **words, size_t count, char *said, size_t size)
{
	struct interface interface;
	struct record record = { said, size, now() };
	_Alignas(16) char stack[INHABITANT_STACK_BYTES];
	pid_t inhabitant = -1;
	const bool wired = count == 12;
	if ((count != 4 && !wired) || (wired && !parse_interface(words + 4, &interface)))
		return EINVAL;
	const int shared = share_names();
	if (shared)
		return shared;
	const int settled = settle(&inhabitant, strcmp(words[3], "0") != 0, stack);
	note(&record);
	const int error = settled ? settled : make(inhabitant, words + 1, wired ? &interface : NULL, &record);
	unsettle(inhabitant);
	return error;
}

/* `make …` or `delete IFINDEX`. */
static int perform(char **words, size_t count, char *said, size_t size)
{
	if (count == 2 && strcmp(words[0], "delete") == 0)
		return delete_link(words[1]);
	return count > 0 && strcmp(words[0], "make") == 0 ? make_namespace(words, count, said, size) : EINVAL;
}

int main(void)
{
	return serve_tasks(perform);
}
