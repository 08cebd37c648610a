'use strict';

/*
 * The Node.js host: coroutines on Node's own loop, beside Node's own timers and sockets.
 *
 * usage: node --expose-gc node_test.js DIRECTORY    where cede.js and its add-on are
 *
 * Nothing here waits by sleeping: what has no end of its own is ended by the test, and
 * node:test fails a test whose promise stays pending when the loop has nothing left.
 */
const assert = require('node:assert');
const { AsyncLocalStorage } = require('node:async_hooks');
const { execFile } = require('node:child_process');
const { getEventListeners, once } = require('node:events');
const net = require('node:net');
const path = require('node:path');
const test = require('node:test');
const { promisify } = require('node:util');
const { Worker } = require('node:worker_threads');

const directory = process.argv[2] || process.env.CEDE_NODE_DIRECTORY;
const modulePath = path.resolve(directory, 'cede.js');
const cede = require(modulePath);

/** A server of Node's on a port of the system's choice; destroyed after the test. */
async function listen(t, onConnection) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${server.address().port}`;
}

/** A server of coroutines; stopped after the test. */
async function serve(t, address) {
  const server = await cede.serveEcho(address);
  t.after(() => server.stop());
  return server;
}

/** Runs a program in a process of its own: { code, stdout, stderr }. */
async function run(program) {
  const source = `const cede = require(${JSON.stringify(modulePath)});\n${program}`;
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['-e', source],
      { timeout: 60000 });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, signal, stdout, stderr } = error;
    return { code: signal || code, stdout, stderr };
  }
}

// ---- beside Node's own ----

test("sleeps and Node's timers go on beside each other", async () => {
  const nodes = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  let rounds = 0; // of whoever is ahead, and how far
  const repeat = async (sleep, step) => {
    for (let i = 0; i < 20; i++) {
      const began = performance.now();
      await sleep(3);
      assert.ok(step < 0 || performance.now() - began >= 1.9, 'too short'); // Node's may be
      rounds += step;
      assert.ok(Math.abs(rounds) < 20, 'one of them stands still');
    }
  };
  await Promise.all([repeat(cede.sleep, 1), repeat(nodes, -1)]);
});

test('a thousand sleeps at a time', async () => {
  const began = process.hrtime.bigint();
  const results = await Promise.all(Array.from({ length: 1000 }, (_, i) => cede.sleep(i % 50)));
  const ms = Number(process.hrtime.bigint() - began) / 1e6;
  assert.strictEqual(results.length, 1000);
  assert.ok(results.every((result) => result === undefined));
  assert.ok(ms >= 48, `${ms} ms for sleeps of up to 49`);
  assert.ok(ms < 10000, `${ms} ms: one after the other`);
});

test("what waits for a promise runs before the next one's, as after any callback of Node's", async () => {
  const order = [];
  const note = (name) => () => {
    order.push(name);
    process.nextTick(() => order.push(`${name}, tick`));
    Promise.resolve().then(() => order.push(`${name}, microtask`));
  };
  await Promise.all([cede.sleep(5).then(note('a')), cede.sleep(5).then(note('b'))]);
  assert.deepStrictEqual(order.filter((name) => name.startsWith('a')),
    ['a', 'a, microtask', 'a, tick']);
  assert.ok(order.indexOf('a, tick') < order.indexOf('b'), order.join('; '));
});

test('an AsyncLocalStorage goes along', async () => {
  const storage = new AsyncLocalStorage();
  const seen = await storage.run('mine', async () => {
    await cede.sleep(1);
    return storage.getStore();
  });
  assert.strictEqual(seen, 'mine');
});

test("coroutines talk to a server of Node's", async (t) => {
  const address = await listen(t, (socket) => {
    socket.on('data', (data) => socket.write(`you said ${data}`));
  });
  const lines = await Promise.all(
    Array.from({ length: 100 }, (_, i) => cede.fetchLine(address, `line ${i}, ä`)));
  assert.deepStrictEqual(lines, lines.map((_, i) => `you said line ${i}, ä`));
});

test('a client of Node talks to coroutines, more than fits any buffer', async (t) => {
  const server = await serve(t);
  const sent = Buffer.alloc(4 << 20, 'what goes there comes back. ');
  const socket = net.connect(server.port, '127.0.0.1');
  const received = [];
  socket.end(sent);
  for await (const chunk of socket) received.push(chunk);
  assert.ok(Buffer.concat(received).equals(sent));
});

test("all at once: servers and clients of both sides, and Node's timers meanwhile", async (t) => {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  t.after(() => clearInterval(timer));
  const theirs = await listen(t, (socket) => socket.pipe(socket));
  const ours = await serve(t);
  const byNode = (port) => new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write('from node\n'));
    socket.on('error', reject);
    socket.on('data', (data) => { socket.end(); resolve(String(data)); });
  });
  for (let round = 0; round < 10; round++) {
    const results = await Promise.all([
      cede.fetchLine(theirs, 'a'), cede.fetchLine(ours.address, 'b'),
      byNode(ours.port), byNode(Number(theirs.split(':')[1])), cede.sleep(2),
    ]);
    assert.deepStrictEqual(results, ['a', 'b', 'from node\n', 'from node\n', undefined]);
  }
  assert.ok(ticks > 0);
});

test('a server that is stopped cuts its connections and frees its port', async (t) => {
  const server = await serve(t);
  const socket = net.connect(server.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.on('error', () => {});
  socket.write('x');
  await once(socket, 'data');
  const isClosed = once(socket, 'close').catch(() => {});
  await Promise.all([server.stop(), server.closed, isClosed]);
  await server.stop();
  const again = await serve(t, server.address);
  assert.strictEqual(again.port, server.port);
});

// ---- errors ----

test('what goes wrong is an Error with a code, an errno and a sentence', async (t) => {
  const server = await serve(t);
  await server.stop();
  await assert.rejects(cede.fetchLine(server.address, 'x'), (error) => {
    assert.ok(error instanceof Error);
    assert.strictEqual(error.code, 'ECONNREFUSED');
    assert.ok(error.errno < 0);
    assert.strictEqual(error.message, `${server.address}: connection refused`);
    return true;
  });
  await assert.rejects(cede.fetchLine('nonsense', 'x'), { code: 'EINVAL' });
  const taken = await listen(t, () => {});
  await assert.rejects(cede.serveEcho(taken), { code: 'EADDRINUSE' });
  const silent = await listen(t, () => {});
  await assert.rejects(cede.fetchLine(silent, 'x', { timeout: 20 }), { code: 'ETIMEDOUT' });
  const short = await listen(t, (socket) => socket.end('no end of line'));
  await assert.rejects(cede.fetchLine(short, 'x'), { code: 'EOF' });
  const endless = await listen(t, (socket) => socket.write(Buffer.alloc(100000, '.')));
  await assert.rejects(cede.fetchLine(endless, 'x'), { code: 'ENOBUFS', message: /65536 bytes/ });
  const resetting = await listen(t, (socket) => socket.on('data', () => socket.resetAndDestroy()));
  await assert.rejects(cede.fetchLine(resetting, 'x'), { code: 'ECONNRESET' });
});

test('an argument that is none is thrown, and nothing is started', () => {
  assert.throws(() => cede.sleep('soon'), /number/);
  assert.throws(() => cede.fetchLine(7, 'x'), /string/);
  assert.throws(() => cede.fetchLine('127.0.0.1:1', {}), /string/);
  assert.throws(() => cede.fetchLine('1'.repeat(100), 'x'), /address/);
  const addon = require(path.resolve(directory, 'cede_addon.node'));
  assert.throws(() => addon.sleep(), TypeError);
  assert.throws(() => addon.cancel(Promise.resolve()), TypeError);
  assert.throws(() => addon.cancel(), TypeError);
});

// ---- aborting ----

test('an abort closes the coroutine', async (t) => {
  const silent = await listen(t, () => {});
  for (const start of [
    (signal) => cede.sleep(1e9, { signal }),
    (signal) => cede.fetchLine(silent, 'x', { signal }),
    (signal) => cede.fetchLine(silent, 'x', { signal, timeout: 1e9 }),
  ]) {
    for (const when of ['before', 'at once', 'later']) {
      const controller = new AbortController();
      const reason = new Error('enough');
      if (when === 'before') controller.abort(reason);
      const promise = start(controller.signal);
      if (when === 'at once') controller.abort(reason);
      if (when === 'later') setTimeout(() => controller.abort(reason), 5);
      await assert.rejects(promise,
        { name: 'AbortError', code: 'ECANCELED', cause: reason }, when);
      assert.strictEqual(getEventListeners(controller.signal, 'abort').length, 0);
    }
  }
});

test('an abort that comes late changes nothing', async () => {
  const controller = new AbortController();
  await cede.sleep(1, { signal: controller.signal });
  assert.strictEqual(getEventListeners(controller.signal, 'abort').length, 0);
  controller.abort();
  const addon = require(path.resolve(directory, 'cede_addon.node'));
  const promise = addon.sleep(1);
  await promise;
  assert.strictEqual(addon.cancel(promise), false);
  const other = addon.sleep(1e9);
  assert.strictEqual(addon.cancel(other), true);
  assert.strictEqual(addon.cancel(other), false);
  await assert.rejects(other, { code: 'ECANCELED' });
});

test('a timeout signal of the platform', async () => {
  await assert.rejects(cede.sleep(1e9, { signal: AbortSignal.timeout(5) }),
    (error) => error.name === 'AbortError' && error.cause.name === 'TimeoutError');
});

// ---- memory ----

test('the heap does not grow', async (t) => {
  const server = await serve(t);
  const batch = async () => { // 1,400 calls
    await Promise.all(Array.from({ length: 1000 }, (_, i) => cede.sleep(i % 3)));
    for (let i = 0; i < 10; i++)
      await Promise.all(
        Array.from({ length: 20 }, () => cede.fetchLine(server.address, 'x'.repeat(1000))));
    await Promise.allSettled(Array.from({ length: 200 },
      () => cede.sleep(1e9, { signal: AbortSignal.abort() })));
  };
  const settle = async () => { // finalizers run in turns of the loop
    for (let i = 0; i < 5; i++) {
      global.gc();
      await new Promise(setImmediate);
    }
    return process.memoryUsage();
  };
  for (let i = 0; i < 5; i++) await batch();
  const grown = { heap: [], rss: [] };
  let before = await settle();
  for (let segment = 0; segment < 3; segment++) {
    for (let i = 0; i < 10; i++) await batch();
    const after = await settle();
    grown.heap.push(after.heapUsed - before.heapUsed);
    grown.rss.push(after.rss - before.rss);
    before = after;
  }
  // What a call leaves behind it leaves in every segment: 14,000 times 600 bytes in one of these.
  assert.ok(Math.min(...grown.heap) < 1 << 20, `bytes of heap: ${grown.heap}`);
  assert.ok(Math.min(...grown.rss) < 5 << 20, `bytes of memory: ${grown.rss}`);
});

// ---- workers ----

const workerSource = `
  const { parentPort, workerData } = require('node:worker_threads');
  const cede = require(workerData.modulePath);
  const net = require('node:net');
  const busy = () => {
    for (let i = 0; i < 100; i++) cede.sleep(1e9).catch(() => {});
  };
  (async () => {
    const server = await cede.serveEcho();
    const lines = await Promise.all(
      Array.from({ length: 20 }, (_, i) => cede.fetchLine(server.address, 'line ' + i)));
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (workerData.how !== 'by itself') busy();
    else await server.stop();
    parentPort.postMessage(lines.length);
    if (workerData.how === 'exit') process.exit(7);
    if (workerData.how === 'throw') throw new Error('on purpose');
  })();`;

function startWorker(how) {
  return new Worker(workerSource, { eval: true, workerData: { modulePath, how } });
}

for (const [how, code] of [['by itself', 0], ['exit', 7], ['throw', 1], ['terminate', 1]]) {
  test(`workers have loops of their own, and end: ${how}`, async () => {
    for (let round = 0; round < 3; round++) {
      const workers = Array.from({ length: 3 }, () => startWorker(how));
      await Promise.all(workers.map(async (worker) => {
        const exited = new Promise((resolve) => worker.on('exit', resolve));
        const failed = new Promise((resolve) => worker.on('error', resolve));
        const said = new Promise((resolve) => worker.on('message', resolve));
        assert.strictEqual(await said, 20);
        if (how === 'terminate') worker.terminate();
        if (how === 'throw') assert.match((await failed).message, /on purpose/);
        assert.strictEqual(await exited, code);
      }));
      await cede.sleep(1); // ours goes on
    }
  });
}

test('a worker is the only one that has loaded the add-on', async () => {
  const program = `
    const { Worker } = require('node:worker_threads');
    (async () => {
      for (let i = 0; i < 3; i++) {
        const worker = new Worker(${JSON.stringify(workerSource)}, { eval: true,
          workerData: { modulePath: ${JSON.stringify(modulePath)}, how: 'by itself' } });
        const code = await new Promise((resolve) => worker.on('exit', resolve));
        if (code !== 0) process.exit(3);
      }
      console.log('done');
    })();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', program]);
  assert.strictEqual(stdout, 'done\n');
});

// ---- the end of the process ----

test('the process ends by itself when JavaScript has nothing left', async () => {
  for (const program of [
    '',
    "cede.sleep(5).then(() => console.log('slept'));",
    `(async () => {
      const server = await cede.serveEcho();
      console.log(await cede.fetchLine(server.address, 'slept'));
      await server.stop();
    })();`,
  ]) {
    const { code, stdout, stderr } = await run(program);
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: '' });
    assert.strictEqual(stdout, program && 'slept\n');
  }
});

test('process.exit() with coroutines that wait', async () => {
  const { code, stderr } = await run(`
    for (let i = 0; i < 100; i++) cede.sleep(1e9);
    cede.serveEcho().then((server) => {
      cede.fetchLine(server.address, 'x').then(() => process.exit(9));
    });`);
  assert.deepStrictEqual({ code, stderr }, { code: 9, stderr: '' });
});

test('an exception in what waits for a promise ends the process as any does', async () => {
  for (const program of [
    "cede.sleep(1).then(() => { throw new Error('on purpose'); }); cede.sleep(1e9);",
    "cede.sleep(1).then(() => process.nextTick(() => { throw new Error('on purpose'); }));"
      + 'cede.sleep(1e9);',
    "cede.fetchLine('on purpose', 'x'); cede.sleep(1e9);",
  ]) {
    const { code, stderr } = await run(program);
    assert.strictEqual(code, 1, stderr);
    assert.match(stderr, /on purpose/);
  }
});

test('a server keeps the process alive until it is told to end', async () => {
  const { code, stdout } = await run(`
    process.on('exit', () => console.log('exit'));
    cede.serveEcho().then((server) => {
      setTimeout(() => server.stop().then(() => console.log('stopped')), 20);
    });`);
  assert.deepStrictEqual({ code, stdout }, { code: 0, stdout: 'stopped\nexit\n' });
});
