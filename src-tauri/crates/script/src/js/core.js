// Evaluated before each script: takes away what scripts must not have and gives them what they may use. `native` is the
// host's side. What is needed later is kept in variables here, since scripts can change what they see. This file is read
// for every run, so it is short; the others are read when a script asks for something in them.
(function (native) {
  'use strict';
  const { parse, stringify } = JSON;
  const { defineProperty, getPrototypeOf } = Object;
  const { apply } = Reflect;
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

  // Flows were written where these names exist and have no value.
  for (const name of ['Symbol', 'process', 'fs', 'child_process', 'util']) give(name, undefined);
  delete globalThis.Atomics;
  delete globalThis.SharedArrayBuffer;
  give('global', globalThis);

  // The engine does not look at the clock inside these. What fits into the memory of a script does not keep them busy
  // for long, but an array that is longer than that does, and a search for one huge text in another.
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

  // What the host calls. `outside.js` adds to it.
  const hooks = {
    globals(values) {
      for (const name in values) give(name, values[name]);
    },
    // The result as JSON; undefined if there is none.
    value(value) {
      if (typeof value === 'number' && !isFinite(value)) return stringify(String(value));
      const json = stringify(value);
      // A Date, for example: its quotes belong to the result.
      return typeof value === 'object' && typeof json === 'string' && json[0] === '"' ? stringify(json) : json;
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
  };

  const tools = { parse, stringify, iterator, give, hooks, shortened, toWellFormed, TypeError, Error, Promise, String };
  const later = (source, names) => {
    for (const name of names) {
      defineProperty(globalThis, name, {
        configurable: true,
        get() {
          const made = native.load(source)(native, tools);
          // A name that was given a value meanwhile keeps it.
          for (const each of names) {
            if (waiting[each]) give(each, made[each]);
            delete waiting[each];
          }
          return made[name];
        },
        set(value) {
          delete waiting[name];
          give(name, value);
        },
      });
      waiting[name] = true;
    }
  };
  const waiting = { __proto__: null };
  later('outside', [
    'console', 'fetch', 'require', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'clearImmediate',
  ]);
  later('web', ['URL', 'URLSearchParams', 'Headers', 'AbortController', 'AbortSignal']);
  later('bytes', ['Buffer', 'TextEncoder', 'TextDecoder', 'atob', 'btoa']);
  return hooks;
})
