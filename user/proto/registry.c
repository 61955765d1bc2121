/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#define PROTO(name) extern const struct proto proto_##name;
#include "proto/protocols.def"
#undef PROTO

const struct proto *const protos[] = {
#define PROTO(name) &proto_##name,
#include "proto/protocols.def"
#undef PROTO
	NULL,
};

const struct proto *proto_find(enum proto_id id)
{
	for (const struct proto *const *p = protos; *p; p++)
		if ((*p)->id == id)
			return *p;
	return NULL;
}
