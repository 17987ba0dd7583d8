// Evaluated before the script: takes away what scripts must not have and gives them what they may use. `native` is the
// host's side. Everything needed later is kept in variables here, since scripts can change what they see.
(function (native) {
  'use strict';
  const { parse, stringify } = JSON;
  const { defineProperty, getPrototypeOf } = Object;
  const { iterator } = Symbol;
  const { isFinite } = Number;
  const { EvalError, RangeError, TypeError, Error, InternalError, Promise, String } = globalThis;
  const { call } = Function.prototype;
  const slice = call.bind(String.prototype.slice);
  const toWellFormed = call.bind(String.prototype.toWellFormed);
  const shortened = (text) => toWellFormed(slice(text, 0, native.letters));

  const give = (name, value) =>
    defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });

  // No code out of text.
  const refuse = () => {
    throw new EvalError('Code generation from strings disallowed for this context');
  };
  give('eval', function () { refuse(); });
  for (const kind of [function () {}, async function () {}, function* () {}, async function* () {}]) {
    const prototype = getPrototypeOf(kind);
    const constructor = function () { refuse(); };
    defineProperty(constructor, 'prototype', { value: prototype, writable: false });
    defineProperty(prototype, 'constructor', { value: constructor, writable: true, configurable: true });
  }
  give('Function', getPrototypeOf(refuse).constructor);

  // What flows were written against has these names, without a value.
  for (const name of ['Symbol', 'process', 'fs', 'child_process', 'util']) give(name, undefined);
  for (const name of ['Atomics', 'SharedArrayBuffer']) delete globalThis[name];
  give('global', globalThis);

  // The engine does not look at the clock inside these. What fits into the memory of a script does not keep them busy
  // for long, but an array that is longer than that does, and a search for one huge text in another.
  const { apply } = Reflect;
  const guard = (target, names, check) => {
    for (const name of names) {
      const original = target[name];
      const guarded = { [name](...values) {
        check(name, this, values);
        return apply(original, this, values);
      } }[name];
      defineProperty(target, name, { value: guarded, writable: true, configurable: true });
    }
  };
  const checkLength = (name, list) => {
    const length = list?.length;
    if (length > native.longest) throw new RangeError(`an array of the length ${length} is too long for ${name}`);
  };
  guard(Array.prototype, ['copyWithin', 'flat', 'join', 'reverse', 'shift', 'slice', 'sort', 'splice', 'unshift'], checkLength);
  guard(Array.prototype, ['concat'], (name, list, values) => {
    checkLength(name, list);
    for (let at = 0; at < values.length; at += 1) checkLength(name, values[at]);
  });
  guard(String.prototype, ['includes', 'indexOf', 'lastIndexOf', 'replace', 'replaceAll', 'split'], (name, text, [search]) => {
    if (typeof text === 'string' && typeof search === 'string' && text.length * search.length > 1e9) {
      throw new RangeError(`texts of ${text.length} and ${search.length} characters are too long for ${name}`);
    }
  });

  // Helpers that few scripts use are read when they are asked for.
  const later = (source, names) => {
    for (const name of names) {
      defineProperty(globalThis, name, {
        configurable: true,
        get() {
          const helpers = native.load(source)(native, iterator);
          for (const each of names) give(each, helpers[each]);
          return helpers[name];
        },
        set(value) { give(name, value); },
      });
    }
  };
  later('web', ['URL', 'URLSearchParams', 'Headers', 'AbortController', 'AbortSignal']);
  later('bytes', ['Buffer', 'TextEncoder', 'TextDecoder', 'atob', 'btoa']);

  const modules = {
    __proto__: null,
    buffer: () => ({ Buffer, atob, btoa }),
    url: () => ({ URL, URLSearchParams }),
    timers: () => ({ setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate }),
  };
  give('require', function require(name) {
    name = String(name);
    const module = modules[name.startsWith('node:') ? name.slice(5) : name];
    if (module) return module();
    const hint = name === 'axios' || name === 'node-fetch' ? '; fetch makes requests' : '';
    throw new Error(`Cannot find module '${name}': scripts here have no modules${hint}`);
  });

  const describe = (value) => {
    if (typeof value === 'string') return value;
    try {
      if (typeof value !== 'object' || value === null || value instanceof Error) return String(value);
      return stringify(value) ?? String(value);
    } catch {
      return `[${typeof value}]`;
    }
  };

  // console
  let lines = native.lines;
  const say = (level, values) => {
    if (lines <= 0) return;
    lines -= 1;
    let text = '';
    for (let at = 0; at < values.length; at += 1) {
      text += (at ? ' ' : '') + describe(values[at]);
      if (text.length > native.letters) break;
    }
    native.log(level, shortened(text));
  };
  const console = {};
  for (const level of ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table', 'group']) {
    console[level] = function (...values) { say(level, values); };
  }
  console.assert = function (holds, ...values) {
    if (!holds) say('assert', ['Assertion failed', ...values]);
  };
  for (const name of ['groupEnd', 'groupCollapsed', 'time', 'timeEnd', 'timeLog', 'count', 'countReset', 'clear']) {
    console[name] = function () {};
  }
  give('console', console);

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
  give('setTimeout', function setTimeout(callback, after, ...values) { return setTimer(callback, after, false, values); });
  give('setInterval', function setInterval(callback, after, ...values) { return setTimer(callback, after, true, values); });
  give('setImmediate', function setImmediate(callback, ...values) { return setTimer(callback, 0, false, values); });
  for (const name of ['clearTimeout', 'clearInterval', 'clearImmediate']) give(name, function (id) { clear(id); });

  // Requests
  const waiting = { __proto__: null };
  let lastRequest = 0;
  const answer = (head, body) => {
    const { status, statusText, url, headers } = parse(head);
    return {
      status, statusText, url,
      ok: status >= 200 && status <= 299,
      redirected: false,
      headers: new Headers(headers),
      text: async () => body,
      json: async () => parse(body),
    };
  };
  give('fetch', function fetch(target, options) {
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
        if (!waiting[id]) return;
        delete waiting[id];
        native.abort(id);
        reject(signal.reason);
      });
    });
  });

  // What the host calls.
  return {
    globals(values) {
      for (const name in values) give(name, values[name]);
    },
    // The result as JSON; undefined if there is none.
    value(value) {
      if (typeof value === 'number' && !isFinite(value)) return stringify(String(value));
      return stringify(value);
    },
    // What was thrown, in words; undefined if it is that there is no more memory.
    words(thrown) {
      if (thrown instanceof InternalError && thrown.message === 'out of memory') return undefined;
      let text;
      try {
        text = String(thrown);
        if (text === '[object Object]') text = stringify(thrown) ?? text;
      } catch {
        text = `[${typeof thrown}]`;
      }
      return shortened(text);
    },
    fire(id) {
      const timer = timers[id];
      if (!timer) return;
      if (timer.again) native.timer(id, timer.again);
      else delete timers[id];
      timer.callback(...timer.values);
    },
    answered(id, head, body) {
      const { resolve } = waiting[id] ?? {};
      delete waiting[id];
      resolve?.(answer(head, body));
    },
    failed(id, message) {
      const { reject } = waiting[id] ?? {};
      delete waiting[id];
      reject?.(new TypeError(message));
    },
  };
})
