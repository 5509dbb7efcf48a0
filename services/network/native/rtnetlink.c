#define _GNU_SOURCE
#include "rtnetlink.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void *tail(struct message *message)
{
	return (char *)message + NLMSG_ALIGN(message->header.nlmsg_len);
}

/* Room for so many bytes more; a message that has outgrown itself is marked by a length that no socket takes. */
static bool grow(struct message *message, size_t size)
{
	const size_t used = NLMSG_ALIGN(message->header.nlmsg_len);
	if (message->header.nlmsg_len == UINT32_MAX || size > sizeof *message || used + RTA_ALIGN(size) > sizeof *message) {
		message->header.nlmsg_len = UINT32_MAX;
		return false;
	}
	message->header.nlmsg_len = (uint32_t)(used + RTA_ALIGN(size));
	return true;
}

void begin_message(struct message *message, uint16_t type, uint16_t flags, const void *fixed, size_t size)
{
	memset(message, 0, sizeof *message);
	message->header.nlmsg_len = NLMSG_HDRLEN;
	message->header.nlmsg_type = type;
	message->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	void *const place = tail(message);
	if (grow(message, size))
		memcpy(place, fixed, size);
}

void add_attribute(struct message *message, unsigned short type, const void *data, size_t size)
{
	struct rtattr *const attribute = tail(message);
	if (!grow(message, RTA_LENGTH(size)))
		return;
	attribute->rta_type = type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(size);
	if (size > 0)
		memcpy(RTA_DATA(attribute), data, size);
}

void add_text(struct message *message, unsigned short type, const char *text)
{
	add_attribute(message, type, text, strlen(text) + 1);
}

void add_number(struct message *message, unsigned short type, uint32_t number)
{
	add_attribute(message, type, &number, sizeof number);
}

struct rtattr *begin_nested(struct message *message, unsigned short type, const void *fixed, size_t size)
{
	struct rtattr *const nested = tail(message);
	add_attribute(message, type, fixed, size);
	return message->header.nlmsg_len == UINT32_MAX ? NULL : nested;
}

void end_nested(struct message *message, struct rtattr *nested)
{
	if (nested && message->header.nlmsg_len != UINT32_MAX)
		nested->rta_len = (unsigned short)((char *)tail(message) - (char *)nested);
}

int open_rtnetlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

int acknowledged(int socket, struct message *message)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[MESSAGE_BYTES];
	} answer;
	if (message->header.nlmsg_len == UINT32_MAX)
		return EMSGSIZE;
	if (send(socket, message, message->header.nlmsg_len, 0) < 0)
		return errno;
	ssize_t got = 0;
	do
		got = recv(socket, &answer, sizeof answer, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno;
	if ((size_t)got < sizeof answer.header + sizeof answer.error.error || answer.header.nlmsg_type != NLMSG_ERROR)
		return EPROTO;
	return -answer.error.error;
}
