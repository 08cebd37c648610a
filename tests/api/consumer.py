#!/usr/bin/env python3
"""A program of somebody else builds against cede and runs.

usage: consumer.py subproject SOURCE_ROOT
       consumer.py installed BUILD_ROOT

subproject: cede is in the consumer's subprojects/, and builds no tests there.
installed: BUILD_ROOT is installed into a folder, and found by pkg-config.
The programs are consumer/main.c (C11) and consumer/main.cc (C++11).
"""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def run(*command, **options):
  print('+', shlex.join(map(str, command)), flush=True)
  subprocess.run([str(word) for word in command], check=True, **options)


def output(*command, **options):
  return subprocess.run([str(word) for word in command], check=True, text=True,
                        stdout=subprocess.PIPE, **options).stdout


def subproject(source, work):
  project = work / 'consumer'
  shutil.copytree(HERE / 'consumer', project)
  (project / 'subprojects').mkdir()
  (project / 'subprojects' / 'cede').symlink_to(pathlib.Path(source).resolve())
  build = work / 'build'
  run('meson', 'setup', build, project, '--force-fallback-for=cede')
  run('meson', 'test', '-C', build, '--print-errorlogs')
  built = [path.name for path in build.rglob('test_*') if path.is_file()]
  if built:
    sys.exit(f'tests were built in a subproject: {built}')


def installed(build, work):
  destination = work / 'installed'
  run('meson', 'install', '-C', build, '--no-rebuild', '--destdir', destination,
      stdout=subprocess.DEVNULL)
  config = next(destination.rglob('cede.pc'))
  text = config.read_text()
  config.write_text(re.sub(r'^prefix=(.*)$', lambda match: f'prefix={destination}{match.group(1)}',
                           text, flags=re.M))
  environment = dict(os.environ, PKG_CONFIG_PATH=str(config.parent))
  if not re.search(r'^Requires\.private:.*\blibuv\b', text, flags=re.M):
    sys.exit('cede.pc does not have libuv in Requires.private')
  flags = output('pkg-config', '--cflags', 'cede', env=environment).split()
  libraries = output('pkg-config', '--libs', 'cede', env=environment).split()
  if '-luv' in libraries:
    sys.exit('who links the shared library is told to link libuv too')
  static = output('pkg-config', '--libs', '--static', 'libuv').split()
  folder = pathlib.Path(output('pkg-config', '--variable=libdir', 'cede', env=environment).strip())

  c = shlex.split(os.environ.get('CC', 'cc')) + ['-std=c11', '-Wall', '-Wextra', '-Wpedantic',
                                                 '-Werror', *flags, HERE / 'consumer' / 'main.c']
  run(*c, '-o', work / 'shared', *libraries)
  run(work / 'shared', env=dict(os.environ, LD_LIBRARY_PATH=str(folder)))
  run(*c, '-o', work / 'static', folder / 'libcede.a', *static)
  run(work / 'static')
  cxx = shlex.split(os.environ.get('CXX', 'c++'))
  if shutil.which(cxx[0]):
    run(*cxx, '-std=c++11', '-Wall', '-Wextra', '-Wpedantic', '-Werror', *flags,
        HERE / 'consumer' / 'main.cc', '-o', work / 'cpp', *libraries)
    run(work / 'cpp', env=dict(os.environ, LD_LIBRARY_PATH=str(folder)))


def main(kind, where):
  with tempfile.TemporaryDirectory(prefix='cede-consumer-') as work:
    {'subproject': subproject, 'installed': installed}[kind](where, pathlib.Path(work))


try:
  main(*sys.argv[1:])
except subprocess.CalledProcessError as failure:
  sys.exit(f'{shlex.join(map(str, failure.cmd))}: exit {failure.returncode}')
