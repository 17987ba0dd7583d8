// URLs, headers and signals, as far as scripts that make requests need them.
(function (native, { parse, iterator, TypeError, String }) {
  const { DOMException } = globalThis;

  const encode = (text) =>
    encodeURIComponent(text.toWellFormed()).replace(/%20/g, '+')
      .replace(/[!'()~]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());
  const decode = (text) => {
    text = text.replace(/\+/g, ' ');
    try { return decodeURIComponent(text); } catch { return text; }
  };

  class URLSearchParams {
    #pairs = [];
    #changed;

    constructor(init = '', changed = undefined) {
      this.#changed = changed;
      if (typeof init === 'object' && init !== null) {
        const pairs = init[iterator] ? init : Object.entries(init);
        for (const [name, value] of pairs) this.#pairs.push([String(name), String(value)]);
        return;
      }
      for (const part of String(init).replace(/^\?/, '').split('&')) {
        if (!part) continue;
        const at = part.indexOf('=');
        this.#pairs.push(at < 0 ? [decode(part), ''] : [decode(part.slice(0, at)), decode(part.slice(at + 1))]);
      }
    }

    get size() { return this.#pairs.length; }
    append(name, value) { this.#pairs.push([String(name), String(value)]); this.#tell(); }
    delete(name) { this.#pairs = this.#pairs.filter(([each]) => each !== String(name)); this.#tell(); }
    get(name) { return this.#pairs.find(([each]) => each === String(name))?.[1] ?? null; }
    getAll(name) { return this.#pairs.filter(([each]) => each === String(name)).map(([, value]) => value); }
    has(name) { return this.#pairs.some(([each]) => each === String(name)); }
    set(name, value) {
      const first = this.#pairs.findIndex(([each]) => each === String(name));
      if (first < 0) return this.append(name, value);
      this.#pairs = this.#pairs.filter(([each], at) => at === first || each !== String(name));
      this.#pairs[first] = [String(name), String(value)];
      this.#tell();
    }
    sort() { this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)); this.#tell(); }
    forEach(callback) { for (const [name, value] of this.#pairs) callback(value, name, this); }
    *entries() { for (const [name, value] of this.#pairs) yield [name, value]; }
    *keys() { for (const [name] of this.#pairs) yield name; }
    *values() { for (const [, value] of this.#pairs) yield value; }
    toString() { return this.#pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&'); }
    #tell() { this.#changed?.(this.toString()); }
  }
  URLSearchParams.prototype[iterator] = URLSearchParams.prototype.entries;

  class URL {
    #parts;
    #params;

    constructor(text, base = undefined) {
      const parts = native.url(String(text).toWellFormed(), base === undefined ? undefined : String(base).toWellFormed());
      if (parts === undefined) throw new TypeError('Invalid URL');
      this.#parts = parse(parts);
    }

    static canParse(text, base = undefined) {
      try { new URL(text, base); return true; } catch { return false; }
    }

    get searchParams() {
      this.#params ??= new URLSearchParams(this.#parts.search, (search) => this.#set('search', search));
      return this.#params;
    }
    get origin() { return this.#parts.origin; }
    toString() { return this.#parts.href; }
    toJSON() { return this.#parts.href; }
    #set(part, value) {
      const parts = native.url(this.#parts.href, undefined, part, String(value).toWellFormed());
      if (parts !== undefined) this.#parts = parse(parts);
      else if (part === 'href') throw new TypeError('Invalid URL');
    }

    static {
      const parts = ['href', 'protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname', 'search', 'hash'];
      for (const part of parts) {
        Object.defineProperty(URL.prototype, part, {
          configurable: true, enumerable: true,
          get() { return this.#parts[part]; },
          set(value) {
            this.#set(part, value);
            if (part === 'search' || part === 'href') this.#params = undefined;
          },
        });
      }
    }
  }

  class Headers {
    #all = { __proto__: null };

    constructor(init = undefined) {
      if (init === undefined || init === null) return;
      const pairs = init instanceof Headers ? init.entries() : init[iterator] ? init : Object.entries(init);
      for (const [name, value] of pairs) this.append(name, value);
    }

    #name(name) {
      name = String(name).toLowerCase();
      if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) throw new TypeError(`Invalid header name: ${name}`);
      return name;
    }
    append(name, value) {
      name = this.#name(name);
      this.set(name, name in this.#all ? `${this.#all[name]}, ${value}` : value);
    }
    set(name, value) {
      value = String(value).trim();
      if (/[\0\r\n]/.test(value)) throw new TypeError(`Invalid value of the header ${name}`);
      this.#all[this.#name(name)] = value;
    }
    get(name) { return this.#all[this.#name(name)] ?? null; }
    has(name) { return this.#name(name) in this.#all; }
    delete(name) { delete this.#all[this.#name(name)]; }
    forEach(callback) { for (const [name, value] of this.entries()) callback(value, name, this); }
    *entries() { for (const name of Object.keys(this.#all).sort()) yield [name, this.#all[name]]; }
    *keys() { for (const [name] of this.entries()) yield name; }
    *values() { for (const [, value] of this.entries()) yield value; }
  }
  Headers.prototype[iterator] = Headers.prototype.entries;

  let abort;
  class AbortSignal {
    aborted = false;
    reason = undefined;
    onabort = null;
    #listeners = [];

    addEventListener(kind, listener) { if (kind === 'abort') this.#listeners.push(listener); }
    removeEventListener(kind, listener) { this.#listeners = this.#listeners.filter((each) => each !== listener); }
    throwIfAborted() { if (this.aborted) throw this.reason; }

    static abort(reason) { const signal = new AbortSignal(); abort(signal, reason); return signal; }
    static timeout(after) {
      const signal = new AbortSignal();
      setTimeout(() => abort(signal, new DOMException('The operation was aborted due to timeout', 'TimeoutError')), after);
      return signal;
    }
    static {
      abort = (signal, reason = new DOMException('This operation was aborted', 'AbortError')) => {
        if (signal.aborted) return;
        signal.aborted = true;
        signal.reason = reason;
        signal.onabort?.({ type: 'abort', target: signal });
        for (const listener of signal.#listeners) listener({ type: 'abort', target: signal });
      };
    }
  }
  class AbortController {
    signal = new AbortSignal();
    abort(reason) { abort(this.signal, reason); }
  }

  return { URL, URLSearchParams, Headers, AbortController, AbortSignal };
})
