(function (T) {
  const ROW = 30, // height of a row, and of each further line of its label
    LINE = 14,
    TOP = 8,
    BOTTOM = 40,
    RIGHT = 58;

  // The words of a text in lines of at most `width` pixels; a longer word is divided.
  T.wrapped = function (text, width) {
    const lines = [""];
    for (const word of text.split(" ")) {
      const last = lines[lines.length - 1];
      if (last && T.widthOf(`${last} ${word}`) <= width) lines[lines.length - 1] = `${last} ${word}`;
      else {
        if (last) lines.push("");
        for (const c of word) {
          const now = lines[lines.length - 1];
          if (now && T.widthOf(now + c) > width) lines.push(c);
          else lines[lines.length - 1] = now + c;
        }
      }
    }
    return lines;
  };

  // One row for each label: a bar from zero, or a dot with its interval and the dots of others.
  T.rows = function (holder, spec, { pick } = {}) {
    const plot = T.make("div", {
      class: "plot",
      tabindex: "0",
      role: "img",
      "aria-label": spec.sentence + " Arrow keys move from row to row.",
    });
    const value = (v) => (spec.decimals === undefined ? T.number(v, 2) : v.toFixed(spec.decimals).replace("-", "−"));
    if (spec.caption) holder.append(T.make("figcaption", { text: spec.caption }));
    holder.append(
      T.make(
        "ul",
        { class: "keys" },
        ...spec.keys.map((k) => {
          const sample = T.draw("svg", { viewBox: "0 0 26 12", class: `role-${k.role}`, "aria-hidden": "true" });
          sample.append(
            spec.bars
              ? T.draw("rect", { x: 3, y: 2, width: 20, height: 8, class: "fill" })
              : T.draw("circle", { cx: 13, cy: 6, r: k.faint ? 3 : 4.5, class: "dot" + (k.faint ? " faint" : "") }),
          );
          return T.make("li", {}, sample, k.label);
        }),
      ),
      plot,
    );
    let at = null,
      width = 0;

    function render() {
      width = Math.max(280, plot.clientWidth);
      const left = Math.min(Math.max(...spec.rows.map((r) => T.widthOf(r.label))) + 14, width * 0.42);
      const labels = spec.rows.map((r) => T.wrapped(r.label, left - 12));
      const tops = [TOP];
      for (const lines of labels) tops.push(tops[tops.length - 1] + ROW + LINE * (lines.length - 1));
      const title = T.wrapped(spec.x.label, width - 8),
        end = tops[tops.length - 1],
        height = end + BOTTOM + LINE * (title.length - 1);
      const values = spec.rows
        .flatMap((r) => [r.value, r.low, r.high, ...(r.others || [])])
        .filter((v) => v !== null && v !== undefined);
      const x = T.axis({ ...spec.x, zero: true }, values, left, width - RIGHT, width / 110);
      const svg = T.draw("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
      for (const v of x.ticks)
        svg.append(
          T.draw("path", { class: "grid", d: `M${x.at(v)} ${TOP}V${end}` }),
          T.text(x.at(v), end + 16, x.label(v), { "text-anchor": "middle" }),
        );
      svg.append(
        T.draw("path", { class: "axis", d: `M${x.at(0)} ${TOP}V${end}` }),
        ...title.map((line, n) => {
          const half = T.widthOf(line) / 2 + 4,
            middle = Math.max(half, Math.min(width - half, (left + width - RIGHT) / 2));
          return T.text(middle, end + BOTTOM - 5 + LINE * n, line, { "text-anchor": "middle" });
        }),
      );
      spec.rows.forEach((r, k) => {
        const y = (tops[k] + tops[k + 1]) / 2,
          g = T.draw("g", { class: `role-${r.role}` });
        labels[k].forEach((line, n) =>
          g.append(
            T.text(left - 8, y + 4 + LINE * (n - (labels[k].length - 1) / 2), line, {
              "text-anchor": "end",
              class: k === at ? "mark-label" : "",
            }),
          ),
        );
        if (r.value === null) g.append(T.text(x.at(0) + 6, y + 4, r.missing || "not measured", {}));
        else if (spec.bars)
          g.append(
            T.draw("rect", {
              class: "fill",
              x: Math.min(x.at(0), x.at(r.value)),
              y: y - 8,
              width: Math.abs(x.at(r.value) - x.at(0)),
              height: 16,
            }),
            T.text(Math.max(x.at(0), x.at(r.value)) + 6, y + 4, value(r.value), { class: "mark-label" }),
          );
        else {
          (r.others || []).forEach((v, k) => {
            if (v === null) return;
            const off = spec.spread ? 3 * (((2 * k) % 7) - 3) : 0;
            g.append(T.draw("circle", { class: "dot faint role-baseline", cx: x.at(v), cy: y + off, r: 3 }));
          });
          if (r.low !== null && r.low !== undefined)
            g.append(T.draw("path", { class: "whisker", d: `M${x.at(r.low)} ${y}H${x.at(r.high)}` }));
          g.append(
            T.draw("circle", { class: "dot", cx: x.at(r.value), cy: y, r: 5 }),
            T.text(width - RIGHT + 6, y + 4, value(r.value), { class: "mark-label" }),
          );
        }
        if (pick && r.pick) {
          g.setAttribute("style", "cursor:pointer");
          g.addEventListener("click", () => pick(r.pick));
        }
        svg.append(g);
      });
      plot.replaceChildren(svg);
    }

    plot.addEventListener("keydown", (event) => {
      const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      if (event.key === "Enter" && at !== null && pick && spec.rows[at].pick) pick(spec.rows[at].pick);
      else if (!by) return;
      event.preventDefault();
      if (!by) return;
      at = at === null ? (by > 0 ? 0 : spec.rows.length - 1) : Math.max(0, Math.min(spec.rows.length - 1, at + by));
      render();
      const r = spec.rows[at];
      T.announce(
        `${r.label}: ${T.number(r.value, 4)}` +
          (r.low !== null && r.low !== undefined ? `, ${T.number(r.low)} to ${T.number(r.high)}` : ""),
      );
    });
    new ResizeObserver(() => {
      if (plot.clientWidth !== width) render();
    }).observe(plot);
    render();
  };
})(Tidegate);
