// Texts and bytes.
(function (_native, { TypeError, String }) {
  const { RangeError, DOMException } = globalThis;
  const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

  const toUtf8 = (text) => {
    text = text.toWellFormed();
    const bytes = [];
    for (const letter of text) {
      const code = letter.codePointAt(0);
      if (code < 0x80) bytes.push(code);
      else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
      else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
    return bytes;
  };
  const fromUtf8 = (bytes) => {
    let text = '';
    for (let at = 0; at < bytes.length;) {
      const first = bytes[at];
      at += 1;
      let more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : -1;
      if (more < 0) { text += '\ufffd'; continue; }
      let code = more === 0 ? first : first & (0x3f >> more);
      let low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
      let high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
      while (more > 0 && at < bytes.length && bytes[at] >= low && bytes[at] <= high) {
        code = (code << 6) | (bytes[at] & 63);
        at += 1;
        more -= 1;
        low = 0x80;
        high = 0xbf;
      }
      text += more > 0 ? '\ufffd' : String.fromCodePoint(code);
    }
    return text;
  };
  const toBase64 = (bytes, letters = LETTERS, pad = '=') => {
    let text = '';
    for (let at = 0; at < bytes.length; at += 3) {
      const group = (bytes[at] << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
      text += letters[group >> 18] + letters[(group >> 12) & 63]
        + (at + 1 < bytes.length ? letters[(group >> 6) & 63] : pad)
        + (at + 2 < bytes.length ? letters[group & 63] : pad);
    }
    return text;
  };
  const values = { __proto__: null, '-': 62, _: 63 };
  for (let at = 0; at < 64; at += 1) values[LETTERS[at]] = at;
  // Letters that are none of base64 are passed over, as Node does it.
  const fromBase64 = (text) => {
    const bytes = [];
    let group = 0;
    let bits = 0;
    for (const letter of text) {
      if (letter === '=') break;
      const value = values[letter];
      if (value === undefined) continue;
      group = ((group << 6) | value) & 0xffffff;
      bits += 6;
      if (bits >= 8) {
        bits -= 8;
        bytes.push((group >> bits) & 255);
      }
    }
    return bytes;
  };
  const latin = (bytes, mask = 255) => {
    let text = '';
    for (const byte of bytes) text += String.fromCharCode(byte & mask);
    return text;
  };
  const toHex = (bytes) => {
    let text = '';
    for (const byte of bytes) text += (byte < 16 ? '0' : '') + byte.toString(16);
    return text;
  };
  const fromHex = (text) => {
    const bytes = [];
    for (let at = 0; at + 1 < text.length; at += 2) {
      const pair = text.slice(at, at + 2);
      if (!/^[0-9a-f]{2}$/i.test(pair)) break;
      bytes.push(parseInt(pair, 16));
    }
    return bytes;
  };
  const letters = (text) => { const bytes = []; for (let at = 0; at < text.length; at += 1) bytes.push(text.charCodeAt(at) & 255); return bytes; };
  const codings = {
    __proto__: null,
    utf8: [toUtf8, fromUtf8],
    base64: [fromBase64, (bytes) => toBase64(bytes)],
    base64url: [fromBase64, (bytes) => toBase64(bytes, `${LETTERS.slice(0, 62)}-_`, '')],
    hex: [fromHex, toHex],
    latin1: [letters, (bytes) => latin(bytes)],
    ascii: [letters, (bytes) => latin(bytes, 127)],
  };
  const coding = (name = 'utf8') => {
    const key = String(name).toLowerCase();
    const found = codings[key] ?? codings[{ __proto__: null, 'utf-8': 'utf8', binary: 'latin1' }[key]];
    if (!found) throw new TypeError(`Unknown encoding: ${name}`);
    return found;
  };

  class Buffer extends Uint8Array {
    static from(value, encoding) {
      if (typeof value === 'string') value = coding(encoding)[0](value);
      else if (value?.type === 'Buffer') value = value.data;
      else if (typeof value !== 'object' || value === null) throw new TypeError('Buffer.from takes a text, an array or bytes');
      const source = value instanceof ArrayBuffer ? new Uint8Array(value) : value;
      const buffer = new Buffer(source.length ?? 0);
      buffer.set(source);
      return buffer;
    }
    static alloc(size, fill = 0) {
      const buffer = new Buffer(size);
      if (fill !== 0) buffer.fill(fill);
      return buffer;
    }
    static byteLength(value, encoding) { return typeof value === 'string' ? coding(encoding)[0](value).length : value.byteLength; }
    static isBuffer(value) { return value instanceof Buffer; }
    static concat(list) {
      let size = 0;
      for (const each of list) size += each.length;
      const whole = new Buffer(size);
      let at = 0;
      for (const each of list) {
        whole.set(each, at);
        at += each.length;
      }
      return whole;
    }
    equals(other) { return this.length === other.length && this.every((byte, at) => byte === other[at]); }
    toString(encoding, from = 0, to = this.length) { return coding(encoding)[1](this.subarray(from, to)); }
    toJSON() { return { type: 'Buffer', data: Array.from(this) }; }
  }

  class TextEncoder {
    encoding = 'utf-8';
    encode(text = '') { return Uint8Array.from(toUtf8(String(text))); }
  }
  class TextDecoder {
    encoding = 'utf-8';
    constructor(encoding = 'utf-8') {
      if (!/^utf-?8$/i.test(encoding)) throw new RangeError(`The encoding ${encoding} is not supported`);
    }
    decode(bytes = []) { return fromUtf8(bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes).replace(/^\ufeff/, ''); }
  }
  const invalid = (message) => new DOMException(message, 'InvalidCharacterError');
  function btoa(text) {
    text = String(text);
    if (/[^\0-\xff]/.test(text)) throw invalid('Invalid character');
    return toBase64(letters(text));
  }
  function atob(text) {
    text = String(text).replace(/[\t\n\f\r ]/g, '');
    if (text.length % 4 === 0) text = text.replace(/={1,2}$/, '');
    if (text.length % 4 === 1 || /[^A-Za-z0-9+/]/.test(text)) throw invalid('The string to be decoded is not correctly encoded.');
    return latin(fromBase64(text));
  }

  return { Buffer, TextEncoder, TextDecoder, atob, btoa };
})
