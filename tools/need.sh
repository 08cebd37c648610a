#!/bin/sh
# Sees to it that what a job needs is installed:
#
#   tools/need.sh build    compiler, meson, ninja, pkg-config, libuv, OpenSSL
#   tools/need.sh test     the same, and what the tests use
#   tools/need.sh ci       the same, and what .ci/run uses
#
# Nothing is installed, and no password asked for, when nothing is missing.
# Only apt-get is known here: elsewhere the missing things are named and the
# script fails.
set -eu

missing=''  # Debian packages
sentence='' # for people

# lacks PACKAGE "WHAT IT IS"
lacks() {
	missing="$missing $1"
	sentence="$sentence
  $2 (in Debian: $1)"
}

has() {
	command -v "$1" >/dev/null 2>&1
}

# has_library NAME VERSION
has_library() {
	has pkg-config && pkg-config --atleast-version="$2" "$1"
}

need_build() {
	has cc || has gcc || has clang || lacks 'gcc libc6-dev' 'a C compiler'
	has pkg-config || lacks pkg-config pkg-config
	has meson || lacks meson 'meson 1.0 or later'
	has ninja || has ninja-build || lacks ninja-build ninja
	has_library libuv 1.44 || lacks libuv1-dev 'libuv 1.44 or later, with its headers'
	has_library openssl 3.0 || lacks libssl-dev 'OpenSSL 3.0 or later, with its headers'
}

need_test() {
	has_library criterion 2.4 || lacks libcriterion-dev 'Criterion 2.4 or later, with its headers'
	has python3 || lacks python3 python3
	has redis-benchmark || lacks redis-tools redis-benchmark
	has nc || lacks netcat-openbsd 'nc, netcat'
	has openssl || lacks openssl 'the program openssl'
	has curl || lacks curl curl
	has wrk || lacks wrk wrk
	need_llhttp
	[ -e /usr/include/wslay/wslay.h ] || lacks libwslay-dev 'libwslay, with its headers'
}

# What examples/http parses with: a library, or sources, as Debian has them.
need_llhttp() {
	has_library libllhttp 9 || [ -e /usr/share/llhttp/llhttp.c ] ||
		lacks node-llhttp 'llhttp, the parser of HTTP'
}

can_sanitize() {
	echo 'int main(void) { return 0; }' | "$1" -fsanitize="$2" -x c -o /dev/null - 2>/dev/null
}

need_ci() {
	has gcc || lacks gcc gcc
	has g++ || lacks g++ g++
	has clang || lacks clang clang
	can_sanitize clang address || lacks libclang-rt-14-dev "clang's sanitizers"
	has clang-format-14 || lacks clang-format-14 'clang-format 14'
	has valgrind || lacks valgrind valgrind
	has shellcheck || lacks shellcheck shellcheck
	has gdb || lacks gdb gdb
	has aarch64-linux-gnu-gcc || lacks 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross' \
		'a C compiler for aarch64'
	has riscv64-linux-gnu-gcc || lacks 'gcc-riscv64-linux-gnu libc6-dev-riscv64-cross' \
		'a C compiler for riscv64'
	has qemu-aarch64 || lacks qemu-user qemu-user
	has musl-gcc || lacks musl-tools musl-gcc
	has pkill || lacks procps pkill
	# Not for need_test: where there is an init its package starts a web server at once.
	has nginx || [ -x /usr/sbin/nginx ] || lacks nginx-light nginx
	need_hosts
}

# What the hosts of examples/embed are: without one of them it is not built.
need_hosts() {
	if ! has node && ! has nodejs; then
		lacks 'nodejs libnode-dev' 'Node.js, with its headers'
	elif ! has_node_headers; then
		# Node.js that is not Debian's has its headers elsewhere, if at all.
		if would_fit libnode-dev; then
			lacks libnode-dev 'the headers of Node.js'
		else
			echo 'need: Node.js is here without its headers: its host is not built' >&2
		fi
	fi
	has lua5.4 || lacks lua5.4 'Lua 5.4'
	has_library lua5.4 5.4 || lacks liblua5.4-dev 'the headers of Lua 5.4'
	has_library lua5.4-luv 1.44 || lacks 'lua-luv lua-luv-dev' 'luv for Lua 5.4, with its headers'
}

has_node_headers() {
	for prefix in "$("$(command -v node || command -v nodejs)" \
		-p 'path.dirname(path.dirname(process.execPath))')" /usr /usr/local; do
		[ ! -e "$prefix/include/node/node_api.h" ] || return 0
	done
	return 1
}

# Can a package be added to what is here, with nothing taken away? Yes, where it is not known yet.
would_fit() {
	knows_packages "$1" || return 0
	plan=$(apt-get -s install --no-install-recommends "$1" 2>/dev/null) || return 1
	! echo "$plan" | grep -q '^Remv'
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	else
		sudo env DEBIAN_FRONTEND=noninteractive "$@"
	fi
}

# install PACKAGE...
install() {
	as_root apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
		install --yes --no-install-recommends "$@" >/dev/null
}

# Has this machine ever asked which packages there are?
knows_packages() {
	for package do
		apt-cache show "$package" >/dev/null 2>&1 || return 1
	done
}

update() {
	echo 'need: apt-get update'
	as_root apt-get -qq -o DPkg::Lock::Timeout=300 update
}

case ${1-} in
build) need_build ;;
test)
	need_build
	need_test
	;;
ci)
	need_build
	need_test
	need_ci
	;;
*)
	echo "usage: $0 build|test|ci" >&2
	exit 2
	;;
esac

[ -n "$missing" ] || exit 0

if ! has apt-get; then
	echo "need: please install what is missing here:$sentence" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ] && ! has sudo; then
	echo "need: please run as root: apt-get install$missing" >&2
	exit 1
fi

# shellcheck disable=SC2086  # a list of words
set -- $missing
knows_packages "$@" || update
echo "need: apt-get install $*"
# A list of packages that is out of date names files that are gone.
install "$@" || {
	update
	install "$@"
}
