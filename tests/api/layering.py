#!/usr/bin/env python3
"""An include points down: net -> loop -> coro -> libc.

usage: layering.py SOURCE_ROOT

The linker proves that no layer calls a higher one (each test suite links its
own layer only); this proves that none sees a higher one's types, that libuv
stays out of coro/ and of the public headers, and sockets out of loop/.
"""
import pathlib
import re
import sys

CORO_HEADERS = {'alloc', 'base', 'coro', 'error', 'gen', 'agen', 'hooks', 'profile', 'version'}
NET_HEADERS = {'address', 'dns', 'sendfile', 'serve', 'stream', 'tcp', 'tls', 'udp', 'unix'}

SOCKETS = r'(sys/(socket|un)|netinet/.*|arpa/.*|netdb|net/if|openssl/.*)(\.h)?'
SOCKET_WORDS = re.compile(
  r'\b(uv_(tcp|pipe|udp|stream|tty)_\w+|uv_(connect|write|shutdown|getaddrinfo)_t|sockaddr\w*|'
  r'socket|socketpair|accept4?|listen|connect|getsockopt|setsockopt)\b')

# What coro/ keeps to itself: the layers above have coroutines, not stacks and switches.
CORO_PRIVATE = {'coro/switch.h', 'coro/stack.h', 'coro/stack_int.h', 'coro/engine.h'}

COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.S)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.M)

problems = []


def blank(match):
  """Keeps the line numbers where they are."""
  return re.sub(r'[^\n]', ' ', match.group(0))


def sources(root, folder):
  for path in sorted((root / folder).rglob('*')):
    if path.suffix in ('.c', '.h', '.S', '.cc', '.in'):
      yield path, COMMENT.sub(blank, path.read_text(encoding='utf-8'))


def complain(path, text, offset, what):
  problems.append(f'{path}:{text.count(chr(10), 0, offset) + 1}: {what}')


def includes(path, text):
  for match in INCLUDE.finditer(text):
    yield match.group(1), lambda what, at=match.start(): complain(path, text, at, what)


def public_name(include):
  match = re.fullmatch(r'cede/(\w+)\.h', include)
  return match.group(1) if match else None


def check_coro(root):
  for path, text in sources(root, 'coro'):
    for include, bad in includes(path, text):
      public = public_name(include)
      if public and public not in CORO_HEADERS:
        bad(f'coro/ includes <{include}>, which belongs to a higher layer')
      elif include.startswith(('loop/', 'net/')) and not re.fullmatch(SOCKETS, include):
        bad(f'coro/ includes "{include}"')
      elif include == 'uv.h' or include.startswith('uv/'):
        bad('coro/ includes libuv')
      elif re.fullmatch(SOCKETS, include):
        bad(f'coro/ includes <{include}>')


def check_loop(root):
  for path, text in sources(root, 'loop'):
    for include, bad in includes(path, text):
      if public_name(include) in NET_HEADERS:
        bad(f'loop/ includes <{include}>, which belongs to net/')
      elif re.fullmatch(SOCKETS, include):
        bad(f'loop/ includes <{include}>')
      elif include.startswith('net/'):
        bad(f'loop/ includes "{include}"')
      elif include in CORO_PRIVATE:
        bad(f'loop/ includes "{include}", which coro/ keeps to itself')
    code = STRING.sub(blank, text)
    for match in SOCKET_WORDS.finditer(code):
      complain(path, code, match.start(), f'loop/ mentions {match.group(0)}')


def check_net(root):
  for path, text in sources(root, 'net'):
    for include, bad in includes(path, text):
      if include in CORO_PRIVATE:
        bad(f'net/ includes "{include}", which coro/ keeps to itself')


def check_public(root):
  for path, text in sources(root, 'include'):
    name = path.name.split('.')[0]
    for include, bad in includes(path, text):
      public = public_name(include)
      if include == 'uv.h' and name != 'uv':
        bad('a public header includes <uv.h>')
      elif include.startswith(('coro/', 'loop/', 'net/')) and not re.fullmatch(SOCKETS, include):
        bad(f'a public header includes a private one, "{include}"')
      elif name == 'cede' or public is None:
        continue
      elif name in CORO_HEADERS and public not in CORO_HEADERS:
        bad(f'<cede/{name}.h> of coro/ includes <{include}> of a higher layer')
      elif name not in NET_HEADERS and public in NET_HEADERS:
        bad(f'<cede/{name}.h> of loop/ includes <{include}> of net/')


def check_examples(root):
  for path, text in sources(root, 'examples'):
    for include, bad in includes(path, text):
      if include.startswith(('coro/', 'loop/', 'net/')) and not re.fullmatch(SOCKETS, include):
        bad(f'an example includes a private header, "{include}"')


def main(root):
  root = pathlib.Path(root)
  for check in (check_coro, check_loop, check_net, check_public, check_examples):
    check(root)
  for problem in problems:
    print(problem)
  count = sum(1 for folder in ('coro', 'loop', 'net', 'include') for _ in sources(root, folder))
  if count < 10:
    sys.exit('hardly a file was found: the check is broken')
  print(f'{count} files, {len(problems)} problems')
  return bool(problems)


sys.exit(main(*sys.argv[1:]))
