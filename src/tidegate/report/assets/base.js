"use strict";
// The one global name of a page; every file adds its functions to it.
const Tidegate = {};

(function (T) {
  const SVG = "http://www.w3.org/2000/svg";

  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "text") element.textContent = value;
      else if (value !== undefined && value !== null && value !== false)
        element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  }

  // An HTML element; texts become text nodes, never markup.
  T.make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  T.draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

  // A number with about `digits` significant digits, a true minus sign, and no exponent unless it is very small or large.
  T.number = function (x, digits = 3) {
    if (x === null || x === undefined || Number.isNaN(x)) return "–";
    if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
    const size = Math.abs(x);
    let text;
    if (x === 0) text = "0";
    else if (Number.isInteger(x) && size < 1e7) text = size.toLocaleString("en");
    else if (size < 1e-4 || size >= 1e6)
      text = size
        .toExponential(digits - 1)
        .replace(/\.?0*e\+?/, "e")
        .replace("-", "−");
    else text = size.toLocaleString("en", { maximumSignificantDigits: digits });
    return x < 0 ? "−" + text : text;
  };

  T.percent = function (p) {
    if (p === null || p === undefined || Number.isNaN(p)) return "–";
    const value = 100 * p;
    return (value >= 10 ? value.toFixed(0) : value >= 0.1 ? value.toFixed(1) : value > 0 ? "<0.1" : "0") + " %";
  };

  const NAMES = { " ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍" };
  // Characters without a sign of their own that change the direction of the text around them.
  T.DIRECTIONAL = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
  const code = (c) => "U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");

  // A token as a label: white space has a visible sign, a directional character its number.
  T.shown = function (token) {
    if (token in NAMES) return NAMES[token];
    if (/[\u0000-\u001f\u007f-\u009f]/.test(token)) return "·";
    return T.DIRECTIONAL.test(token) ? Array.from(token, (c) => (T.DIRECTIONAL.test(c) ? code(c) : c)).join("") : token;
  };

  T.announce = function (words) {
    const region = document.getElementById("announcements");
    if (region.textContent !== words) region.textContent = words;
  };

  // The numbers of a base64 text of bytes, mapped from 0..255 to low..high.
  T.unpack = function (packed) {
    const text = atob(packed.base64),
      scale = (packed.high - packed.low) / 255;
    return Float32Array.from({ length: text.length }, (_, i) => packed.low + text.charCodeAt(i) * scale);
  };

  // State that several views share: `set` calls the listeners of the keys whose value changed.
  T.store = function (values) {
    const listeners = [];
    return {
      values,
      on(keys, listener) {
        listeners.push([keys.split(" "), listener]);
      },
      set(changes) {
        const changed = Object.keys(changes).filter((key) => values[key] !== changes[key]);
        Object.assign(values, changes);
        for (const [keys, listener] of listeners) if (keys.some((key) => changed.includes(key))) listener(values);
      },
    };
  };
})(Tidegate);
