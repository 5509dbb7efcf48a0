/* The interface that a container's network namespace is given. */
#ifndef DOLLY_INTERFACE_H
#define DOLLY_INTERFACE_H

#include <netinet/ether.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/types.h>

struct interface {
	const char *host;     /* name of the host's end */
	const char *bridge;   /* its master */
	const char *alias;    /* what says whose it is */
	bool isolated;        /* reaches no other port that is */
	struct ether_addr hardware;
	struct in_addr address, broadcast, gateway;
	unsigned char prefix;
};

/* `VETH BRIDGE ALIAS ADDRESS PREFIX GATEWAY HARDWARE isolated|-`; false when one of them is none. */
bool parse_interface(char **words, struct interface *interface);

/* Makes the pair, its other end `eth0` of the process's namespace. Answers 0 or an errno, as all here. */
int connect_pair(const struct interface *interface, pid_t pid);

/* By a socket of the namespace: loopback, and what `eth0` is to be, if there is one. */
int furnish_namespace(int socket, const struct interface *interface);

#endif
