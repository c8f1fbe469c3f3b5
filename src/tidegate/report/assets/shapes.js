(function (T) {
  // The path of a line; it is interrupted where a value is missing.
  T.path = function (xs, ys, x, y) {
    let text = "",
      drawing = false;
    xs.forEach((value, k) => {
      const v = ys[k];
      if (v === null || !Number.isFinite(v) || !Number.isFinite(x.at(value))) drawing = false;
      else {
        text += `${drawing ? "L" : "M"}${x.at(value).toFixed(1)} ${y.at(v).toFixed(1)}`;
        drawing = true;
      }
    });
    return text;
  };

  T.band = function (series, x, y) {
    const known = series.x.map((_, k) => k).filter((k) => series.low[k] !== null && series.high[k] !== null);
    const side = (values, keys) =>
      keys.map((k) => `${x.at(series.x[k]).toFixed(1)} ${y.at(values[k]).toFixed(1)}`).join("L");
    return known.length ? `M${side(series.high, known)}L${side(series.low, known.reverse())}Z` : "";
  };

  // An entry of the key of a plot.
  T.key = function (series) {
    const sample = T.draw("svg", { viewBox: "0 0 26 12", class: `role-${series.role}`, "aria-hidden": "true" });
    if (series.line) sample.append(T.draw("path", { d: "M1 6H25", class: "line" + (series.dashed ? " dashed" : "") }));
    const inside = series.dashed ? " hollow" : "";
    if (!series.line && series.role === "second")
      sample.append(T.draw("rect", { x: 9, y: 2, width: 8, height: 8, class: "dot" + inside }));
    else if (!series.line) sample.append(T.draw("circle", { cx: 13, cy: 6, r: 4, class: "dot" + inside }));
    return T.make("li", {}, sample, series.label);
  };

  // The second of two runs has squares, so that the colour is not needed to tell them apart.
  T.dot = function (s, cx, cy) {
    const size = s.units ? 4 : 3.4,
      square = s.role === "second";
    const shape = square
      ? T.draw("rect", { x: cx - size, y: cy - size, width: 2 * size, height: 2 * size })
      : T.draw("circle", { cx, cy, r: size });
    shape.setAttribute("class", "dot" + (s.dashed ? " hollow" : "") + (s.units ? " pick faint" : ""));
    return shape;
  };
})(Tidegate);
