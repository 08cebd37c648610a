#!/usr/bin/env python3
"""A debugger sees coroutines: its own backtrace ends where one begins, and the
commands of tools/gdb find them all, alive and in a core file.

usage: test_gdb.py GDB PROGRAM COMMANDS
"""
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

n_checks = 0
n_failed = 0


def check(name, holds, text=''):
  global n_checks, n_failed
  n_checks += 1
  n_failed += not holds
  print(f'{"ok" if holds else "not ok"} {n_checks} - {name}')
  if not holds:
    print('\n'.join('# ' + line for line in text.splitlines()))


def functions(text):
  """The names of a backtrace's frames. (gdb takes a `__` in assembly for an Ada name's dot.)"""
  return [match.group(1).replace('.', '__') for match in
          re.finditer(r'^#\d+ +(?:0x[0-9a-f]+ in )?(\S+) \(', text, re.M)] or ['']


def follows(names, *wanted):
  """Are these in there, in this order?"""
  rest = iter(names)
  return all(name in rest for name in wanted)


def is_clean(text):
  return not re.search(r'\?\?|corrupt|Backtrace stopped|Python Exception|[Ee]rror', text)


def run(gdb, program, commands, *script):
  """What gdb says to each command of the script."""
  argv = [gdb, '-nx', '-batch', '-iex', 'set debuginfod enabled off',
          '-iex', 'set auto-load off', '-ex', f'source {commands}']
  for i, command in enumerate(script):
    argv += ['-ex', f'echo @@{i}\\n', '-ex', command]
  done = subprocess.run([*argv, *program], text=True, stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=100)
  parts = re.split(r'^@@\d+\n', done.stdout, flags=re.M)[1:]
  if len(parts) != len(script):
    sys.exit(done.stdout)
  return dict(zip(script, parts))


LOOK = ['bt', 'cede coroutines', 'cede bt sleeper', 'cede bt middle', 'cede bt', 'cede chain',
        'cede chain sleeper', 'info registers', 'cede bt nobody']


def look(said, where):
  text = said['bt']
  names = functions(text)
  check(f'{where}: the backtrace three awaits deep ends at the trampoline',
        is_clean(text) and names[-1] == 'cede__switch_trampoline' and
        follows(names, 'stop_here', 'inner_call', 'inner'), text)

  text = said['cede coroutines']
  check(f'{where}: all coroutines are listed',
        '4 coroutines' in text and
        re.search(r"sleeper +suspended +sleeps_deep at program\.c:\d+", text) and
        re.search(r"outer +awaits 'middle' +awaits at program\.c:\d+", text) and
        re.search(r"middle +awaits 'inner'", text) and
        re.search(r"inner +executes", text), text)

  text = said['cede bt sleeper']
  names = functions(text)
  check(f'{where}: the backtrace of a suspended one shows its frames',
        is_clean(text) and names[-1] == 'cede__switch_trampoline' and
        follows(names, 'sleeps_deep', 'sleeper') and text.startswith('#0'), text)

  text = said['cede bt middle']
  names = functions(text)
  check(f'{where}: and that of one that awaits',
        is_clean(text) and follows(names, 'awaits', 'middle', 'cede__switch_trampoline'), text)

  text = said['cede bt']
  check(f'{where}: the whole stack goes from the innermost to main()',
        is_clean(text) and follows(
          functions(text), 'stop_here', 'inner', 'awaits', 'middle', 'awaits', 'outer', 'main'),
        text)

  check(f'{where}: the chain',
        re.fullmatch(r"#0 +'inner' +executes\n"
                     r"#1 +awaited by 'middle' +awaits at program\.c:\d+\n"
                     r"#2 +awaited by 'outer' +awaits at program\.c:\d+\n"
                     r" +resumed by the thread itself\n", said['cede chain']) and
        re.fullmatch(r"#0 +'sleeper' +sleeps_deep at program\.c:\d+\n",
                     said['cede chain sleeper']),
        said['cede chain'] + said['cede chain sleeper'])

  text = said['cede bt nobody']
  check(f'{where}: one that is not there', "no coroutine 'nobody'" in text, text)


def dump_core(program, folder):
  """Has the kernel write one; None when it puts it elsewhere. (gdb's own generate-core-file
  leaves out every mapping that begins with a guard, which is all stacks.)"""
  limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
  subprocess.run([pathlib.Path(program).resolve()], cwd=folder, env={'CEDE_TEST_ABORT': '1'},
                 preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (limit, limit)))
  found = [str(path) for path in pathlib.Path(folder).iterdir() if path.stat().st_size > 0]
  return found[0] if found else None


def main(gdb, program, commands):
  global n_checks
  print('TAP version 13')
  said = run(gdb, [program], commands, 'break stop_here', 'run', 'info registers rip rsp rbp',
             *LOOK, 'cede bt -full sleeper', 'info registers rip rsp rbp ', 'bt ', 'continue')
  if 'not possible' in said['run'] or 'ptrace' in said['run']:
    print('1..0 # SKIP gdb may not trace here')
    return 0
  look(said, 'alive')
  check('alive: nothing has changed by looking',
        said['info registers rip rsp rbp'] == said['info registers rip rsp rbp '] and
        said['bt'] == said['bt '] and 'exited normally' in said['continue'], said['continue'])
  check('alive: with the values of variables', 'r = ' in said['cede bt -full sleeper'],
        said['cede bt -full sleeper'])

  with tempfile.TemporaryDirectory() as folder:
    core = dump_core(program, folder)
    if core:
      look(run(gdb, [program, core], commands, *LOOK), 'core')
    else:
      n_checks += 1
      print(f'ok {n_checks} - core # SKIP none is written here')
  print(f'1..{n_checks}')
  return n_failed > 0


sys.exit(main(*sys.argv[1:]))
