/*
 * dolly-netns: makes a container's network for the network service: a network namespace, the user namespace
 * that owns it, a veth pair on the bridge, and the name that keeps them; as `unshare` and `ip` do, without a
 * program for each.
 */
#define _GNU_SOURCE
#include "coprocess.h"
#include "rtnetlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
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

/* IFALIASZ of <linux/if.h>, which does not go together with <net/if.h>. */
enum { ALIAS_BYTES = 256 };

struct interface {
	const char *host;     /* name of the host's end */
	const char *bridge;   /* its master */
	const char *alias;    /* what says whose it is */
	bool isolated;        /* reaches no other port that is */
	struct ether_addr hardware;
	struct in_addr address, broadcast, gateway;
	unsigned char prefix;
};

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

static int set_link(int socket, int index, unsigned int flags)
{
	struct message message;
	const struct ifinfomsg link = { .ifi_index = index, .ifi_flags = flags, .ifi_change = flags };
	begin_message(&message, RTM_NEWLINK, 0, &link, sizeof link);
	return acknowledged(socket, &message);
}

static int add_address(int socket, const struct interface *interface, int index)
{
	struct message message;
	const struct ifaddrmsg address = { .ifa_family = AF_INET, .ifa_prefixlen = interface->prefix, .ifa_index = (unsigned int)index };
	begin_message(&message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &address, sizeof address);
	add_attribute(&message, IFA_LOCAL, &interface->address, sizeof interface->address);
	add_attribute(&message, IFA_ADDRESS, &interface->address, sizeof interface->address);
	add_attribute(&message, IFA_BROADCAST, &interface->broadcast, sizeof interface->broadcast);
	return acknowledged(socket, &message);
}

static int add_default_route(int socket, const struct interface *interface, int index)
{
	struct message message;
	const struct rtmsg route = {
		.rtm_family = AF_INET,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_BOOT,
		.rtm_scope = RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST,
	};
	begin_message(&message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &route, sizeof route);
	add_attribute(&message, RTA_GATEWAY, &interface->gateway, sizeof interface->gateway);
	add_number(&message, RTA_OIF, (uint32_t)index);
	return acknowledged(socket, &message);
}

/*
 * No container is given an IPv6 address, as in Docker. With the one that the kernel makes (link-local), each end
 * tells the multicast groups that it joins to every other on the bridge: among a thousand, a launch costs twice.
 * Before it is up; a kernel may have no IPv6.
 */
static int make_no_address(int socket, int index)
{
	struct message message;
	const struct ifinfomsg link = { .ifi_index = index };
	const unsigned char none = IN6_ADDR_GEN_MODE_NONE;
	begin_message(&message, RTM_NEWLINK, 0, &link, sizeof link);
	struct rtattr *const families = begin_nested(&message, IFLA_AF_SPEC, NULL, 0);
	struct rtattr *const inet6 = begin_nested(&message, AF_INET6, NULL, 0);
	add_attribute(&message, IFLA_INET6_ADDR_GEN_MODE, &none, sizeof none);
	end_nested(&message, inet6);
	end_nested(&message, families);
	const int error = acknowledged(socket, &message);
	return error == EAFNOSUPPORT ? 0 : error;
}

/* By a socket of the namespace: loopback, and what `eth0` is to be. */
static int furnish_by(int socket, const struct interface *interface)
{
	const int error = set_link(socket, (int)if_nametoindex("lo"), IFF_UP);
	if (error || !interface)
		return error;
	const int index = (int)if_nametoindex("eth0");
	if (index == 0)
		return errno;
	const int refused = make_no_address(socket, index);
	const int up = refused ? refused : set_link(socket, index, IFF_UP);
	if (up)
		return up;
	const int addressed = add_address(socket, interface, index);
	return addressed ? addressed : add_default_route(socket, interface, index);
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
	const int error = socket < 0 ? errno : furnish_by(socket, interface);
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

/* A pair, the host's end on the bridge, the other `eth0` of whoever lives in the namespace. */
static int add_pair(int socket, const struct interface *interface, pid_t pid)
{
	struct message message;
	const struct ifinfomsg down = { 0 };
	const unsigned int master = if_nametoindex(interface->bridge);
	if (master == 0)
		return errno;
	begin_message(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &down, sizeof down);
	add_text(&message, IFLA_IFNAME, interface->host);
	add_number(&message, IFLA_MASTER, master);
	struct rtattr *const info = begin_nested(&message, IFLA_LINKINFO, NULL, 0);
	add_attribute(&message, IFLA_INFO_KIND, "veth", 4);
	struct rtattr *const data = begin_nested(&message, IFLA_INFO_DATA, NULL, 0);
	struct rtattr *const peer = begin_nested(&message, VETH_INFO_PEER, &down, sizeof down);
	add_text(&message, IFLA_IFNAME, "eth0");
	add_attribute(&message, IFLA_ADDRESS, &interface->hardware, sizeof interface->hardware);
	add_number(&message, IFLA_NET_NS_PID, (uint32_t)pid);
	end_nested(&message, peer);
	end_nested(&message, data);
	end_nested(&message, info);
	return acknowledged(socket, &message);
}

/* Up, with what only a change of an interface that is there can set. */
static int open_port(int socket, const struct interface *interface, int index)
{
	struct message message;
	const struct ifinfomsg host = { .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	begin_message(&message, RTM_NEWLINK, 0, &host, sizeof host);
	add_attribute(&message, IFLA_IFALIAS, interface->alias, strlen(interface->alias));
	if (interface->isolated) {
		const unsigned char on = 1;
		struct rtattr *const info = begin_nested(&message, IFLA_LINKINFO, NULL, 0);
		add_attribute(&message, IFLA_INFO_SLAVE_KIND, "bridge", 6);
		struct rtattr *const data = begin_nested(&message, IFLA_INFO_SLAVE_DATA, NULL, 0);
		add_attribute(&message, IFLA_BRPORT_ISOLATED, &on, sizeof on);
		end_nested(&message, data);
		end_nested(&message, info);
	}
	return acknowledged(socket, &message);
}

static int connect_pair(const struct interface *interface, pid_t pid)
{
	const int socket = open_rtnetlink();
	if (socket < 0)
		return errno;
	const int added = add_pair(socket, interface, pid);
	if (added)
		return added;
	const int index = (int)if_nametoindex(interface->host);
	const int refused = make_no_address(socket, index);
	return refused ? refused : open_port(socket, interface, index);
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

static bool parse(char **words, struct interface *interface)
{
	char *end = NULL;
	const unsigned long prefix = strtoul(words[4], &end, 10);
	*interface = (struct interface){ .host = words[0], .bridge = words[1], .alias = words[2], .isolated = strcmp(words[7], "isolated") == 0, .prefix = (unsigned char)prefix };
	if (end == words[4] || *end || prefix > 32 || strlen(words[0]) >= IF_NAMESIZE || strlen(words[2]) >= ALIAS_BYTES)
		return false;
	const uint32_t host_part = prefix == 32 ? 0 : UINT32_MAX >> prefix;
	if (!inet_aton(words[3], &interface->address) || !inet_aton(words[5], &interface->gateway) || !ether_aton_r(words[6], &interface->hardware))
		return false;
	interface->broadcast.s_addr = interface->address.s_addr | htonl(host_part);
	return true;
}

/*
 * `make NAME FIRST COUNT` and, for an interface, `VETH BRIDGE ALIAS ADDRESS PREFIX GATEWAY HARDWARE isolated|-`;
 * a COUNT of 0 leaves the namespace to the host's user namespace. Says how many nanoseconds each part took.
 */
static int perform(char **words, size_t count, char *said, size_t size)
{
	struct interface interface;
	struct record record = { said, size, now() };
	_Alignas(16) char stack[INHABITANT_STACK_BYTES];
	pid_t inhabitant = -1;
	const bool wired = count == 12;
	if ((count != 4 && !wired) || strcmp(words[0], "make") != 0 || (wired && !parse(words + 4, &interface)))
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

int main(void)
{
	return serve_tasks(perform);
}
