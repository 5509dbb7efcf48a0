/* A container's interface by rtnetlink(7): a veth pair, the host's end on the bridge, the other as the container has it. */
#define _GNU_SOURCE
#include "interface.h"
#include "rtnetlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

/* IFALIASZ of <linux/if.h>, which does not go together with <net/if.h>. */
enum { ALIAS_BYTES = 256 };

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

int furnish_namespace(int socket, const struct interface *interface)
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

/*
 * One each is what veth(4) uses unless it is told how many: it takes back what the kernel gave for each processor, and
 * waits for every reader of the network meanwhile, twice, with the lock of all interfaces in hand.
 */
static void add_queues(struct message *message)
{
	add_number(message, IFLA_NUM_TX_QUEUES, 1);
	add_number(message, IFLA_NUM_RX_QUEUES, 1);
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
	add_queues(&message);
	struct rtattr *const info = begin_nested(&message, IFLA_LINKINFO, NULL, 0);
	add_attribute(&message, IFLA_INFO_KIND, "veth", 4);
	struct rtattr *const data = begin_nested(&message, IFLA_INFO_DATA, NULL, 0);
	struct rtattr *const peer = begin_nested(&message, VETH_INFO_PEER, &down, sizeof down);
	add_text(&message, IFLA_IFNAME, "eth0");
	add_attribute(&message, IFLA_ADDRESS, &interface->hardware, sizeof interface->hardware);
	add_number(&message, IFLA_NET_NS_PID, (uint32_t)pid);
	add_queues(&message);
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

int connect_pair(const struct interface *interface, pid_t pid)
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

bool parse_interface(char **words, struct interface *interface)
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
