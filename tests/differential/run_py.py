#!/usr/bin/env python3
"""Runs programs of the differential test with Python's own coroutines, and
prints what happens: the other half of run_c.c. README.md has the language.

Programs come on stdin, one a line.

A coroutine is one frame of `async def`, as it is one stack in C: the blocks of
its `try` are nested in the text of that one function, which is made below, four
deep. A step that can't suspend is a plain function. What must not happen is
that anything here keeps a coroutine or a frame alive: no local variable holds a
coroutine, and tracebacks are cut off where an error is caught.
"""
import gc
import sys
import warnings

STEPS_MAX = 300
CHAIN_MAX = 12
DEPTH_MAX = 3
CALLS_MAX = 10

has_close_values = '--no-close-values' not in sys.argv
objects_drive = '--no-driving-objects' not in sys.argv
forgets_to_hide = sys.version_info < (3, 13)   # what a coroutine awaits while it is thrown into


class A(Exception):
  pass


class B(Exception):
  pass


class K(BaseException):
  pass


class Invalid(Exception):
  """Refused by cede, where Python has no such refusal: see DIFFERENCES in differential.py."""


def by_character(table, default):
  row = [default] * 128
  for character, value in table.items():
    row[ord(character)] = value
  return row


RAISED = by_character({'A': A, 'B': B, 'G': GeneratorExit, 'I': StopIteration,
                      'J': StopAsyncIteration}, K)
CATCHES = by_character({
  '*': BaseException, 'E': Exception, 'R': RuntimeError, 'V': (ValueError, TypeError),
  'A': A, 'B': B, 'K': K, 'G': GeneratorExit, 'I': StopIteration}, ())
NAMES = {A: 'A', B: 'B', K: 'K', GeneratorExit: 'G', StopIteration: 'I', StopAsyncIteration: 'J'}
VALUES = [None] * 49 + list(range(1, 80))

slots = [None] * 128
kept = [None] * 128
blocks = []
lines = []
log = lines.append
steps = [0]          # left
births = [0]
errors = [0]
calls = [0]


def chain(error, left):
  """An error, its causes in braces, its contexts after it."""
  text = ''
  while True:
    left[0] -= 1
    if left[0] < 0:
      return text + '...'
    kind = type(error)
    text += f'{NAMES.get(kind) or kind.__name__}({error})'
    cause = error.__cause__
    context = error.__context__
    if cause is not None:
      text += '=' if cause is context else '{' + chain(cause, left) + '}'
    if context is None:
      return text
    text += '<'
    error = context


def cut(error):
  """Drops the tracebacks of a chain: they keep frames alive, and those what they await."""
  for _ in range(CHAIN_MAX):
    error.__traceback__ = None
    if error.__cause__ is not None:
      error.__cause__.__traceback__ = None
    error = error.__context__
    if error is None:
      break


def seen(error):
  """The text of a caught error."""
  cut(error)
  if error.__context__ is None and error.__cause__ is None:
    return f'{NAMES.get(type(error)) or type(error).__name__}({error})'
  return chain(error, [CHAIN_MAX])


def new_error(kind):
  errors[0] += 1
  return RAISED[kind](str(errors[0]))


def raise_from(kind, cause):
  member = cause
  while member is not None:
    member.is_cause = True
    member = member.__context__
  raise new_error(kind) from cause


def kept_or_new(where):
  error = kept[where]
  return new_error(65) if error is None or hasattr(error, 'is_cause') else error


def handled():
  error = sys.exc_info()[1]
  error.__traceback__ = None
  return error


# ---- steps that need no coroutine to run in: three arguments, characters as numbers ----

def new_coro(block):
  name = f'c{births[0]}'
  births[0] += 1
  coro = body(blocks[block - 48], name)
  coro.__qualname__ = name
  return coro


def step_new(slot, block, _):
  slots[slot] = new_coro(block)


def new_gen(block):
  name = f'g{births[0]}'
  births[0] += 1
  gen = generator_body(blocks[block - 48], name)
  gen.__qualname__ = name
  return gen


def step_new_gen(slot, block, _):
  slots[slot] = new_gen(block)


def step_drop(slot, _, __):
  slots[slot] = None


def step_copy(slot, other, _):
  slots[slot] = slots[other]


def step_send(slot, value, guard):
  if slots[slot] is None:
    return
  name = slots[slot].__qualname__
  try:
    value = slots[slot].send(VALUES[value])
  except StopIteration as stop:
    log(f'S {name} returned {stop.value}')
  except BaseException as error:
    if guard != 49:
      raise
    log(f'S {name} raised {seen(error)}')
  else:
    log(f'S {name} yielded {value}')


def throw(letter, slot, thrown, guard):
  name = slots[slot].__qualname__
  try:
    if type(thrown) is StopIteration:
      if state(slots[slot]) == 'CREATED':
        raise Invalid('invalid argument')
      thrown.value = thrown
      thrown.thrower_handles = sys.exc_info()[1]
    value = slots[slot].throw(thrown)
  except StopIteration as stop:
    if stop is not thrown:
      log(f'{letter} {name} returned {stop.value}')
    elif guard != 49:
      raise
    else:
      log(f'{letter} {name} raised {seen(stop)}')
  except BaseException as error:
    if guard != 49:
      raise
    log(f'{letter} {name} raised {seen(error)}')
  else:
    log(f'{letter} {name} yielded {value}')
  finally:
    thrown.__traceback__ = None
    if type(thrown) is StopIteration:
      thrown.value = thrown.thrower_handles = None


def step_throw(slot, kind, guard):
  if slots[slot] is not None:
    throw('H', slot, new_error(kind), guard)


def step_throw_code(slot, kind, guard):
  if slots[slot] is not None:
    throw('h', slot, RAISED[kind](), guard)


def step_throw_kept(slot, where, guard):
  if slots[slot] is not None:
    throw('J', slot, kept_or_new(where), guard)


def step_close(slot, _, guard):
  if slots[slot] is None:
    return
  name = slots[slot].__qualname__
  try:
    value = slots[slot].close()
  except BaseException as error:
    if guard != 49:
      raise
    log(f'C {name} raised {seen(error)}')
  else:
    log(f'C {name} closed {value if has_close_values else "-"}')


def state(any):
  """inspect.getcoroutinestate() and inspect.getgeneratorstate(), which are slow."""
  return inspected(any)[0]


def inspected(any):
  if any.__qualname__[0] == 'c':
    running, suspended, frame, awaits = any.cr_running, any.cr_suspended, any.cr_frame, any.cr_await
  else:
    running, suspended, frame, awaits = any.gi_running, any.gi_suspended, any.gi_frame, any.gi_yieldfrom
  if running:
    return 'RUNNING', None if forgets_to_hide else awaits
  if frame is None:
    return 'CLOSED', awaits
  return 'SUSPENDED' if suspended else 'CREATED', awaits


def step_query(slot, _, __):
  if slots[slot] is not None:
    word, awaits = inspected(slots[slot])
    log(f'Q {slots[slot].__qualname__} {word} {getattr(awaits, "__qualname__", "-")}')


def step_call(block, _, __):
  if calls[0] == CALLS_MAX:
    return
  calls[0] += 1
  try:
    main_block(blocks[block - 48], 'call')
  finally:
    calls[0] -= 1


def step_raise(kind, _, __):
  raise new_error(kind)


def step_raise_bare(kind, _, __):
  raise RAISED[kind]()


def step_raise_from(kind, where, _):
  raise_from(kind, kept[where])


def step_raise_from_handled(kind, _, __):
  raise_from(kind, handled())


def step_raise_kept(where, _, __):
  raise kept_or_new(where)


def step_keep(where, _, __):
  error = handled()
  if error.__cause__ is None and not hasattr(error, 'is_cause') and \
      type(error) is not StopIteration:
    kept[where] = error


def step_reraise(_, __, ___):
  raise


PLAIN = by_character({
  'N': step_new, 'G': step_new_gen, 'D': step_drop, 'M': step_copy, 'S': step_send, 'H': step_throw,
  'h': step_throw_code, 'J': step_throw_kept, 'C': step_close, 'E': step_call, 'Q': step_query,
  'X': step_raise, 'x': step_raise_bare, 'F': step_raise_from, 'f': step_raise_from_handled,
  'U': step_raise_kept, 'V': step_keep, 'W': step_reraise}, None)


# ---- awaitables ----

class Yield:
  """Suspends once. Without throw() and close(): those are the coroutine's own affair."""
  __slots__ = ('value',)

  def __init__(self, value):
    self.value = (value,)

  def __await__(self):
    return self

  def __iter__(self):
    return self

  def __next__(self):
    if self.value:
      value = self.value[0]
      self.value = None
      return value
    raise StopIteration

  def send(self, value):
    raise StopIteration(value)


def received(value):
  """A StopIteration at `await` of what has no throw() ends that. cede_yield() is a bare `yield`: it raises."""
  if type(value) is not StopIteration:
    return value
  context = value.__context__
  try:
    raise value
  except StopIteration:
    value.__traceback__ = None
    if sys.exc_info()[1].__context__ is value.thrower_handles:
      value.__context__ = context
    raise


class Object:
  """Each call goes on in the object's block where the last one stopped."""
  def __init__(self, block, me):
    self.code = blocks[block - 48]
    self.pc = 0
    self.me = me

  def __await__(self):
    return self

  def __iter__(self):
    return self

  def go_on(self, call):
    """(True, value): yields it; (False, value): is done with it; None: nothing was said."""
    log(f'{self.me}.{call}')
    code = self.code
    while code[self.pc] != 46 and steps[0] > 0:
      op, a, b, c = code[self.pc:self.pc + 4]
      self.pc += 4
      steps[0] -= 1
      if op == 89:
        return True, VALUES[a]
      if op == 82:
        return False, VALUES[a]
      if op == 80:
        return None
      if objects_drive or op in b'Xx':
        PLAIN[op](a, b, c)

  def send(self, _):
    return self.say(self.go_on('send') or (False, None))

  def say(self, answer):
    if not answer[0]:
      raise StopIteration(answer[1])
    return answer[1]

  def __next__(self):
    return self.send(None)


class Throwable:
  def throw(self, error, *_):
    answer = self.go_on('throw')
    if answer is None:
      raise error
    return self.say(answer)


class Closable:
  def close(self):
    self.go_on('close')


class ObjectThrow(Object, Throwable):
  pass


class ObjectClose(Object, Closable):
  pass


class ObjectBoth(Object, Throwable, Closable):
  pass


OBJECTS = [None] * 48 + [Object, ObjectThrow, ObjectClose, ObjectBoth]


def refuse_running(slot):
  if slots[slot].cr_running:
    raise ValueError('coroutine already executing')


# ---- blocks ----

BLOCK = '''
while True:
  o = code[pc]
  if o == 46 or steps[0] <= 0:
    break
  steps[0] -= 1
  f = PLAIN[o]
  if f is not None:
    f(code[pc + 1], code[pc + 2], code[pc + 3])
'''
SUSPEND = '''
  elif o == 89:
    value = received(await Yield(VALUES[code[pc + 1]]))
    log(f'{me} got {value}')
  elif o == 66:
    value = await new_coro(code[pc + 1])
    log(f'{me} awaited {value}')
  elif o == 65:
    if slots[code[pc + 1]] is not None and slots[code[pc + 1]].__qualname__[0] == 'c':
      if forgets_to_hide:
        refuse_running(code[pc + 1])
      value = await slots[code[pc + 1]]
      log(f'{me} awaited {value}')
  elif o == 79:
    value = await OBJECTS[code[pc + 1]](code[pc + 2], me)
    if type(value) is not int:
      value = None
    log(f'{me} awaited {value}')
'''
DELEGATE = '''
  elif o == 89:
    value = yield VALUES[code[pc + 1]]
    log(f'{me} got {value}')
  elif o == 66:
    value = yield from new_gen(code[pc + 1])
    if type(value) is StopIteration:
      value = None
    log(f'{me} awaited {value}')
  elif o == 65:
    if slots[code[pc + 1]] is not None and slots[code[pc + 1]].__qualname__[0] == 'g':
      value = yield from slots[code[pc + 1]]
      if type(value) is StopIteration:
        value = None
      log(f'{me} awaited {value}')
  elif o == 79:
    value = yield from OBJECTS[code[pc + 1]](code[pc + 2], me)
    if type(value) is not int:
      value = None
    log(f'{me} awaited {value}')
'''
RETURN = '''
  elif o == 82:
    result = VALUES[code[pc + 1]]
    returns = True
    break
'''
# finally: a return that is under way waits; an error that is under way is dropped by `break`.
TRY = '''
  elif o == 84:
    kinds@ = CATCHES[code[pc + 1]]
    except@ = pc + 4 + 4 * (code[pc + 2] - 48)
    finally@ = except@ + 4 * (code[pc + 3] - 48)
    pc += 4
    try:
@BLOCK
    except kinds@ as error:
      log(f'{me} caught {seen(error)}')
      pc = except@
@BLOCK
    finally:
      log(f'{me} finally')
      if sys.exc_info()[1] is not None:
        cut(sys.exc_info()[1])
      returns@ = returns
      result@ = result
      returns = False
      pc = finally@
@BLOCK
      if returns:
        break
      if returns@:
        returns = True
        result = result@
        break
'''
END = '''
  pc += 4
'''


def indent(text, by):
  return ''.join(' ' * by + line + '\n' for line in text.splitlines() if line)


def block(level, suspends):
  text = BLOCK + suspends + RETURN
  if level < DEPTH_MAX:
    inner = indent(block(level + 1, suspends), 6)
    text += TRY.replace('@BLOCK', inner).replace('@', str(level))
  return text + END


def function(head, suspends):
  return (head + '\n  pc = 0\n  returns = False\n  result = None\n' +
          indent(block(0, suspends), 2) + '  return result if returns else None\n')


exec(function('async def body(code, me):\n  log(f"{me} starts")', SUSPEND))
exec(function('def generator_body(code, me):\n  log(f"{me} starts")', DELEGATE))
exec(function('def main_block(code, me):', ''))


# ---- programs ----

def on_unraisable(what):
  error = what.exc_value
  log(f'unraisable {getattr(what.object, "__qualname__", what.object)} {seen(error)}')


def run_program(text):
  blocks[:] = [block.encode() for block in text.split('|')]
  steps[0] = STEPS_MAX
  births[0] = errors[0] = 0
  try:
    main_block(blocks[0], 'main')
  except BaseException as error:
    log(f'main raised {seen(error)}')
  while any(slots):
    for i, coro in enumerate(slots):
      if coro is not None:
        del coro
        slots[i] = None
        break
  for i in range(48, 58):
    kept[i] = None
  log(f'= {STEPS_MAX - steps[0]}')


def main():
  gc.disable()
  warnings._warn_unawaited_coroutine = \
    lambda coro: log(f"warning: coroutine '{coro.__qualname__}' was never awaited")
  sys.unraisablehook = on_unraisable
  for count, line in enumerate(sys.stdin, 1):
    run_program(line.strip())
    if count % 500 == 0:
      flush()
  flush()


def flush():
  lines.append('')
  sys.stdout.write('\n'.join(lines))
  lines.clear()
  gc.collect()


main()
