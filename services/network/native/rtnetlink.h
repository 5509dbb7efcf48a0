/* Requests to the kernel's routing tables and interfaces, rtnetlink(7): one message each, and its acknowledgement. */
#ifndef DOLLY_RTNETLINK_H
#define DOLLY_RTNETLINK_H

#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MESSAGE_BYTES = 1024 };

struct message {
	struct nlmsghdr header;
	char body[MESSAGE_BYTES];
};

/* Begins a message with the family's own header, `fixed`. */
void begin_message(struct message *message, uint16_t type, uint16_t flags, const void *fixed, size_t size);

/* An attribute of the message; what does not fit is refused when it is sent. */
void add_attribute(struct message *message, unsigned short type, const void *data, size_t size);
void add_text(struct message *message, unsigned short type, const char *text);
void add_number(struct message *message, unsigned short type, uint32_t number);

/* Begins an attribute that holds those that follow until it is ended; `fixed` comes before them. */
struct rtattr *begin_nested(struct message *message, unsigned short type, const void *fixed, size_t size);
void end_nested(struct message *message, struct rtattr *nested);

/* A socket to the network namespace that the process is in; -1 and errno. */
int open_rtnetlink(void);

/* Sends the message and waits for its acknowledgement. Answers 0 or an errno. */
int acknowledged(int socket, struct message *message);

#endif
