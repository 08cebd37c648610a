#!/usr/bin/env python3
"""The library exports what the public headers declare CEDE_API, and nothing else.

usage: exports.py NM LIBRARY HEADER...
"""
import re
import subprocess
import sys

# What linkers, compilers and sanitizers add of their own.
FOREIGN = re.compile(r'^(_init|_fini|_edata|_end|__bss_start|__(odr_asan|asan|sanitizer|start|stop|gcov|llvm).*)$')


def declared(path):
  """The names behind CEDE_API in a header."""
  with open(path, encoding='utf-8') as file:
    text = file.read()
  text = re.sub(r'/\*.*?\*/|//[^\n]*', ' ', text, flags=re.S)
  text = re.sub(r'^[ \t]*#(?:\\\n|[^\n])*', ' ', text, flags=re.M)
  names = set()
  for declaration in re.findall(r'\bCEDE_API\b([^;{]*)', text):
    match = re.search(r'\b(cede_\w+)\s*(?:\(|\[|$)', declaration)
    if match is None:
      sys.exit(f'{path}: what does this declare? CEDE_API{declaration}')
    names.add(match.group(1))
  return names


def exported(nm, library):
  """The names in the library's dynamic symbol table."""
  output = subprocess.run([nm, '-D', '--defined-only', library], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
  names = {line.split()[-1].split('@')[0] for line in output.splitlines() if line.strip()}
  return {name for name in names if not FOREIGN.match(name)}


def main(nm, library, *headers):
  want = set().union(*map(declared, headers))
  have = exported(nm, library)
  if not want:
    sys.exit('no header declares anything: the check is broken')
  for name in sorted(want - have):
    print(f'declared CEDE_API in a public header, not exported: {name}')
  for name in sorted(have - want):
    print(f'exported, not declared CEDE_API in a public header: {name}')
  print(f'{len(want)} declared, {len(have)} exported')
  return want != have


sys.exit(main(*sys.argv[1:]))
