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
    let ticks;
    if (log) {
      ticks = [];
      const sparse = b - a > 3;
      for (let e = Math.floor(start); e <= Math.ceil(end); e++)
        for (const m of sparse ? [1] : b - a > 1.3 ? [1, 3] : [1, 2, 5])
          if (put(m * 10 ** e) >= start && put(m * 10 ** e) <= end) ticks.push(m * 10 ** e);
    } else if (axis.scale === "exponent")
      ticks = round(start, end, count).filter((v) => Number.isInteger(Math.round(v * 1e6) / 1e6));
    else ticks = round(start, end, count).filter((v) => v >= start && v <= end);
    const label =
      axis.scale === "exponent" ? (v) => power(Math.round(v)) : (v) => T.number(Math.abs(v) < 1e-12 ? 0 : v, 4);
    return { at, back, ticks, label, low, high };
  };

  T.text = (x, y, words, attributes) => T.draw("text", { x, y, text: words, ...attributes });
})(Tidegate);
