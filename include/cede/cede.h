/** Everything but <cede/uv.h>, which pulls in libuv's own header, and <cede/testing.h>, which is for tests. */
#ifndef CEDE_CEDE_H
#define CEDE_CEDE_H

#include <cede/address.h>
#include <cede/agen.h>
#include <cede/alloc.h>
#include <cede/base.h>
#include <cede/channel.h>
#include <cede/coro.h>
#include <cede/dns.h>
#include <cede/error.h>
#include <cede/file.h>
#include <cede/future.h>
#include <cede/gen.h>
#include <cede/group.h>
#include <cede/hooks.h>
#include <cede/local.h>
#include <cede/loop.h>
#include <cede/process.h>
#include <cede/profile.h>
#include <cede/remote.h>
#include <cede/scope.h>
#include <cede/sendfile.h>
#include <cede/serve.h>
#include <cede/stream.h>
#include <cede/sync.h>
#include <cede/task.h>
#include <cede/tcp.h>
#include <cede/tls.h>
#include <cede/udp.h>
#include <cede/unix.h>
#include <cede/version.h>
#include <cede/work.h>
#include <cede/workers.h>

#endif
