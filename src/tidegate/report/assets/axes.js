(function (T) {
  // Steps of 1, 2 or 5 times a power of ten: about `count` of them from low to high.
  function round(low, high, count) {
    const raw = (high - low) / Math.max(1, count) || 1,
      power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
    return found;
  }

  const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const power = (n) => "10" + (n < 0 ? "⁻" : "") + [...String(Math.abs(n))].map((d) => SUPERSCRIPTS[d]).join("");

  // The scale of an axis from values to pixels. axis.scale: "linear"; "log", values are drawn by their logarithm; or
  // "exponent", the values are decimal logarithms and the labels are powers of ten.
  T.axis = function (axis, values, from, to, count) {
    const log = axis.scale === "log",
      put = log ? Math.log10 : (v) => v;
    let [low, high] = axis.range || [Infinity, -Infinity];
    if (!axis.range)
      for (const v of values)
        if (Number.isFinite(v) && (!log || v > 0)) {
          low = Math.min(low, v);
          high = Math.max(high, v);
        }
    if (!axis.range && axis.zero) [low, high] = [Math.min(0, low), Math.max(0, high)];
    if (!Number.isFinite(low)) [low, high] = log ? [1, 10] : [0, 1];
    if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
    const a = put(low),
      b = put(high),
      margin = axis.range || (axis.zero && low === 0) ? 0 : 0.03 * (b - a);
    const start = a - margin,
      end = b + (axis.range ? 0 : 0.03 * (b - a));
    const at = (v) => from + ((put(v) - start) / (end - start)) * (to - from);
    const back = (pixel) => {
      const v = start + ((pixel - from) / (to - from)) * (end - start);
      return log ? 10 ** v : v;
    };
    const inside = (v) => v >= start && v <= end;
    const decades = (multiples) => {
      const found = [];
      for (let e = Math.floor(start); e <= Math.ceil(end); e++)
        for (const m of multiples) if (inside(Math.log10(m * 10 ** e))) found.push(m * 10 ** e);
      return found;
    };
    // At least two ticks: a linear division where decades and their simple multiples do not give them.
    const atLeastTwo = (ticks, from, until) => {
      for (let n = count; ticks.length < 2 && n < 64; n *= 2) ticks = round(from, until, n);
      return ticks;
    };
    let ticks,
      label = (v) => T.number(Math.abs(v) < 1e-9 * (high - low) ? 0 : v, 4);
    if (log) ticks = atLeastTwo(decades(b - a > 3 ? [1] : b - a > 1.3 ? [1, 3] : [1, 2, 5]), 10 ** start, 10 ** end);
    else if (axis.scale === "exponent") {
      ticks = round(start, end, count).filter((v) => Number.isInteger(Math.round(v * 1e6) / 1e6));
      const whole = ticks.length > 1;
      if (!whole) ticks = atLeastTwo([], 10 ** start, 10 ** end).map(Math.log10);
      label = (v) => (whole ? power(Math.round(v)) : T.number(10 ** v, 4));
    } else ticks = atLeastTwo(round(start, end, count).filter(inside), start, end);
    return { at, back, ticks, label, low, high };
  };

  const context = document.createElement("canvas").getContext("2d");
  context.font = `12px ${getComputedStyle(document.documentElement).getPropertyValue("--sans")}`;
  // The width in pixels of a text in a figure.
  T.widthOf = (words) => context.measureText(words).width;

  T.text = (x, y, words, attributes) => T.draw("text", { x, y, text: words, ...attributes });
})(Tidegate);
