// The console, timers, requests, and modules as far as there are any.
(function (native, tools) {
  'use strict';
  const { parse, stringify, hooks, shortened, toWellFormed, TypeError, Error, Promise, String } = tools;

  function require(name) {
    name = String(name);
    switch (name.startsWith('node:') ? name.slice(5) : name) {
      case 'buffer': return { Buffer, atob, btoa };
      case 'url': return { URL, URLSearchParams };
      case 'timers': return { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate };
    }
    const hint = name === 'axios' || name === 'node-fetch' ? '; fetch makes requests' : '';
    throw new Error(`Cannot find module '${name}': scripts here have no modules${hint}`);
  }

  // Console
  const describe = (value) => {
    if (typeof value === 'string') return value;
    try {
      if (typeof value !== 'object' || value === null || value instanceof Error) return String(value);
      return stringify(value) ?? String(value);
    } catch {
      return `[${typeof value}]`;
    }
  };
  let lines = native.lines;
  const say = (level, values) => {
    if (lines <= 0) return;
    lines -= 1;
    let text = '';
    for (let at = 0; at < values.length && text.length <= native.letters; at += 1) {
      text += (at ? ' ' : '') + describe(values[at]);
    }
    native.log(level, shortened(text));
  };
  const console = {
    assert(holds, ...values) { if (!holds) say('assert', ['Assertion failed', ...values]); },
  };
  for (const level of ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table', 'group']) {
    console[level] = function (...values) { say(level, values); };
  }
  for (const name of ['groupEnd', 'groupCollapsed', 'time', 'timeEnd', 'timeLog', 'count', 'countReset', 'clear']) {
    console[name] = function () {};
  }

  // Timers
  const timers = { __proto__: null };
  let lastTimer = 0;
  const setTimer = (callback, after, again, values) => {
    if (typeof callback !== 'function') throw new TypeError('The "callback" argument must be of type function');
    after = +after;
    after = after >= 1 && after <= 2147483647 ? after : 1;
    lastTimer += 1;
    timers[lastTimer] = { callback, values, again: again ? after : 0 };
    native.timer(lastTimer, after);
    return lastTimer;
  };
  const clear = (id) => {
    if (typeof id === 'number' && timers[id]) {
      delete timers[id];
      native.forget(id);
    }
  };
  hooks.fire = (id) => {
    const timer = timers[id];
    if (!timer) return;
    if (timer.again) native.timer(id, timer.again);
    else delete timers[id];
    timer.callback(...timer.values);
  };
  function setTimeout(callback, after, ...values) { return setTimer(callback, after, false, values); }
  function setInterval(callback, after, ...values) { return setTimer(callback, after, true, values); }
  function setImmediate(callback, ...values) { return setTimer(callback, 0, false, values); }
  function clearTimeout(id) { clear(id); }
  function clearInterval(id) { clear(id); }
  function clearImmediate(id) { clear(id); }

  // Requests
  const waiting = { __proto__: null };
  let lastRequest = 0;
  const take = (id) => {
    const taken = waiting[id];
    delete waiting[id];
    return taken;
  };
  hooks.answered = (id, head, body) => {
    const { status, statusText, url, headers } = parse(head);
    take(id)?.resolve({
      status, statusText, url,
      ok: status >= 200 && status <= 299,
      redirected: false,
      headers: new Headers(headers),
      text: async () => body,
      json: async () => parse(body),
    });
  };
  hooks.failed = (id, message) => take(id)?.reject(new TypeError(message));
  function fetch(target, options) {
    return new Promise((resolve, reject) => {
      const { method = 'GET', headers: given, body, signal } = options ?? {};
      const headers = new Headers(given);
      let text;
      if (body !== undefined && body !== null) {
        const form = body instanceof URLSearchParams;
        if (typeof body !== 'string' && !form) {
          throw new TypeError('the body of a request must be a text or URLSearchParams; JSON.stringify makes a text of a value');
        }
        text = toWellFormed(String(body));
        if (!headers.has('content-type')) {
          headers.set('content-type', `${form ? 'application/x-www-form-urlencoded' : 'text/plain'};charset=UTF-8`);
        }
      }
      const request = { method: String(method).toUpperCase(), url: String(target), headers: [...headers.entries()], body: text };
      if (text !== undefined && (request.method === 'GET' || request.method === 'HEAD')) {
        throw new TypeError('Request with GET/HEAD method cannot have body.');
      }
      if (signal?.aborted) throw signal.reason;
      lastRequest += 1;
      const id = lastRequest;
      native.fetch(id, stringify(request));
      waiting[id] = { resolve, reject };
      signal?.addEventListener('abort', () => {
        if (!take(id)) return;
        native.abort(id);
        reject(signal.reason);
      });
    });
  }

  return {
    console, fetch, require, setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate,
  };
})
