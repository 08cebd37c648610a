'use strict';

/*
 * What the add-on can do, with AbortSignals. All of these run as coroutines on Node's own
 * loop; each returns a promise. What a rejection carries: an Error with `code`, the name of
 * the code ("ECONNREFUSED"), and `errno`.
 */
const addon = require('./cede_addon.node');

/** Ties a promise of the add-on to a signal: an abort closes the task behind it. */
function abortable(promise, signal) {
  if (!signal) return promise;
  const abort = () => addon.cancel(promise);
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  return promise.finally(() => signal.removeEventListener('abort', abort)).catch((error) => {
    if (error.code === 'ECANCELED' && signal.aborted) {
      error.name = 'AbortError';
      error.cause = signal.reason;
    }
    throw error;
  });
}

/** Resolves in so many milliseconds. */
function sleep(ms, { signal } = {}) {
  return abortable(addon.sleep(ms), signal);
}

/**
 * Connects to "127.0.0.1:7000", sends a line, resolves with the line that comes back.
 * `timeout` bounds all of it, in milliseconds: ETIMEDOUT.
 */
function fetchLine(address, line, { signal, timeout = 0 } = {}) {
  return abortable(addon.fetchLine(address, line, timeout), signal);
}

class Server {
  #closed;

  constructor({ address, closed }) {
    /** Where it listens: "127.0.0.1:7000". */
    this.address = address;
    this.port = Number(address.slice(address.lastIndexOf(':') + 1));
    this.#closed = closed;
    closed.catch(() => {}); // told to those who ask
  }

  /** Resolves when the server has been stopped, rejects when it failed. */
  get closed() {
    return this.#closed.catch((error) => {
      if (error.code !== 'ECANCELED') throw error;
    });
  }

  /** Stops listening and cuts the connections. Resolves when all of that is done. */
  stop() {
    addon.cancel(this.#closed);
    return this.closed;
  }
}

/** Serves echo on "127.0.0.1:0", a coroutine a connection. Resolves, once it listens, with a Server. */
async function serveEcho(address = '127.0.0.1:0') {
  return new Server(await addon.serveEcho(address));
}

module.exports = { sleep, fetchLine, serveEcho };
