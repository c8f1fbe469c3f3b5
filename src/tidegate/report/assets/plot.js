(function (T) {
  const TITLE = 26, // width of the title of the y axis, with the space beside it
    RIGHT = 14,
    TOP = 10,
    BOTTOM = 42;
  const all = (spec, key) => spec.series.flatMap((s) => s[key] || []).filter((v) => v !== null);

  // Lines and points over a common x. `pick(unit)` is called for a point that has a unit.
  T.plot = function (holder, spec, { pick, chosen } = {}) {
    const plot = T.make("div", {
      class: "plot",
      tabindex: "0",
      role: "img",
      "aria-label": spec.sentence + " Arrow keys move the cursor.",
    });
    const keys = T.make(
      "ul",
      { class: "keys" },
      ...(spec.series.length > 1 || spec.series[0].line ? spec.series : []).map(T.key),
    );
    if (spec.caption) holder.append(T.make("figcaption", { text: spec.caption }));
    holder.append(keys, plot);
    // the places that the cursor can be at: single points where they can be picked, else the values of x
    const single = spec.series.some((s) => s.units);
    const stops = single
      ? spec.series
          .flatMap((s, n) => s.x.map((value, k) => ({ n, k, x: value, y: s.y[k] })))
          .filter((s) => s.x !== null && s.y !== null)
      : [...new Set(all(spec, "x"))].sort((a, b) => a - b).map((x) => ({ x }));
    const clip = `inside-${spec.id}`;
    let at = null,
      x,
      y,
      left = 60,
      width,
      height;

    function render() {
      width = Math.max(280, plot.clientWidth);
      height = Math.round(Math.min(spec.height || 270, width * 0.72));
      y = T.axis(
        spec.y,
        [
          ...all(spec, "y"),
          ...all(spec, "low"),
          ...all(spec, "high"),
          ...spec.marks.filter((m) => m.axis === "y").map((m) => m.at),
        ],
        height - BOTTOM,
        TOP,
        height / 45,
      );
      left = TITLE + 7 + Math.max(27, ...y.ticks.map((v) => T.widthOf(y.label(v))));
      x = T.axis(
        spec.x,
        [...all(spec, "x"), ...spec.marks.filter((m) => m.axis === "x").map((m) => m.at)],
        left,
        width - RIGHT,
        width / 90,
      );
      const svg = T.draw("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
      for (const v of y.ticks)
        svg.append(
          T.draw("path", { class: "grid", d: `M${left} ${y.at(v)}H${width - RIGHT}` }),
          T.text(left - 7, y.at(v) + 4, y.label(v), { "text-anchor": "end" }),
        );
      for (const v of x.ticks)
        svg.append(
          T.draw("path", { class: "axis", d: `M${x.at(v)} ${height - BOTTOM}v5` }),
          T.text(x.at(v), height - BOTTOM + 18, x.label(v), { "text-anchor": "middle" }),
        );
      svg.append(T.draw("path", { class: "axis", d: `M${left} ${height - BOTTOM}H${width - RIGHT}` }));
      svg.append(T.text((left + width - RIGHT) / 2, height - 5, spec.x.label, { "text-anchor": "middle" }));
      svg.append(
        T.text(0, 0, spec.y.label, {
          "text-anchor": "middle",
          transform: `translate(11 ${(TOP + height - BOTTOM) / 2}) rotate(-90)`,
        }),
      );
      // the lines of marks behind the series, their labels before them
      const marks = spec.marks.map((m, k) =>
        marked(m, spec.marks.slice(0, k).filter((other) => other.axis === m.axis).length),
      );
      svg.append(...marks, ...spec.series.map(group));
      for (const g of marks) svg.append(T.draw("g", { class: g.getAttribute("class") }, g.lastChild));
      svg.append(
        T.draw(
          "clipPath",
          { id: clip },
          T.draw("rect", { x: left - 6, y: 0, width: width - RIGHT - left + 12, height: height - BOTTOM + 6 }),
        ),
      );
      const guide = T.draw("path", { class: "cursor" });
      svg.append(guide);
      plot.replaceChildren(svg);
      plot.guide = guide;
      show();
    }

    // The labels of several marks are staggered, so that they can be read where the marks are close.
    function marked(m, number) {
      const g = T.draw("g", { class: `role-${m.role}` });
      if (m.axis === "x") {
        const right = x.at(m.at) > width - 150;
        g.append(
          T.draw("path", { class: "mark", d: `M${x.at(m.at)} ${TOP}V${height - BOTTOM}` }),
          T.text(x.at(m.at) + (right ? -5 : 5), TOP + 10 + 15 * number, m.label, {
            class: "mark-label halo",
            "text-anchor": right ? "end" : "start",
          }),
        );
      } else {
        g.append(
          T.draw("path", { class: "mark", d: `M${left} ${y.at(m.at)}H${width - RIGHT}` }),
          T.text(number % 2 ? left + 4 : width - RIGHT - 2, y.at(m.at) - 4, m.label, {
            class: "mark-label halo",
            "text-anchor": number % 2 ? "start" : "end",
          }),
        );
      }
      return g;
    }

    function group(s) {
      const g = T.draw("g", { class: `role-${s.role}`, "clip-path": `url(#${clip})` });
      if (s.low && s.line) g.append(T.draw("path", { class: "band", d: T.band(s, x, y) }));
      if (s.line) g.append(T.draw("path", { class: "line" + (s.dashed ? " dashed" : ""), d: T.path(s.x, s.y, x, y) }));
      if (s.points) {
        s.x.forEach((value, k) => {
          if (value === null || s.y[k] === null || !Number.isFinite(x.at(value))) return;
          const cx = x.at(value),
            cy = y.at(s.y[k]);
          if (s.low && !s.line && s.low[k] !== null)
            g.append(T.draw("path", { class: "whisker", d: `M${cx} ${y.at(s.low[k])}V${y.at(s.high[k])}` }));
          const shape = T.dot(s, cx, cy);
          if (s.units && chosen && chosen(s, k)) shape.classList.add("chosen");
          if (s.units) shape.addEventListener("click", () => pick(s, k));
          g.append(shape);
        });
      }
      return g;
    }

    function words() {
      const stop = stops[at];
      if (single) {
        const s = spec.series[stop.n];
        return [
          `${spec.series.length > 1 ? s.label + ", " : ""}unit ${s.units[stop.k]}`,
          `${spec.x.label}: ${x.label(stop.x)}`,
          `${spec.y.label}: ${y.label(stop.y)}`,
        ];
      }
      const value = (v) => (spec.y.scale === "exponent" ? T.number(10 ** v) : T.number(v));
      const lines = spec.series.flatMap((s) => {
        const k = s.x.indexOf(stop.x);
        if (k < 0 || s.y[k] === null) return [];
        const range = s.low && s.low[k] !== null ? ` (${value(s.low[k])} to ${value(s.high[k])})` : "";
        return [`${s.label}: ${value(s.y[k])}${range}`];
      });
      return [`${spec.x.label}: ${T.number(stop.x, 4)}`, ...lines];
    }

    function show() {
      plot.querySelector(".tip")?.remove();
      if (at === null) {
        plot.guide?.setAttribute("d", "");
        return;
      }
      const stop = stops[at],
        place = x.at(stop.x),
        lines = words();
      plot.guide.setAttribute(
        "d",
        single
          ? `M${place - 8} ${y.at(stop.y)}h16M${place} ${y.at(stop.y) - 8}v16`
          : `M${place} ${TOP}V${height - BOTTOM}`,
      );
      const tip = T.make("div", { class: "tip" }, ...lines.map((line) => T.make("div", { text: line })));
      plot.append(tip);
      const wide = tip.offsetWidth,
        beside = place + 12 + wide > width ? place - 12 - wide : place + 12;
      tip.style.left = `${Math.max(0, beside)}px`;
      tip.style.top = `${TOP + 16}px`;
      return lines;
    }

    function nearest(px, py) {
      let best = 0,
        distance = Infinity;
      stops.forEach((s, k) => {
        const d = single ? Math.hypot(x.at(s.x) - px, y.at(s.y) - py) : Math.abs(x.at(s.x) - px);
        if (d < distance) [best, distance] = [k, d];
      });
      return best;
    }

    plot.addEventListener("pointermove", (event) => {
      const box = plot.getBoundingClientRect();
      at = nearest(event.clientX - box.left, event.clientY - box.top);
      show();
    });
    plot.addEventListener("pointerleave", () => {
      if (document.activeElement !== plot) {
        at = null;
        show();
      }
    });
    plot.addEventListener("blur", () => {
      at = null;
      show();
    });
    plot.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10 }[event.key];
      if (by) at = at === null ? (by > 0 ? 0 : stops.length - 1) : Math.max(0, Math.min(stops.length - 1, at + by));
      else if (event.key === "Home") at = 0;
      else if (event.key === "End") at = stops.length - 1;
      else if (event.key === "Escape") at = null;
      else if ((event.key === "Enter" || event.key === " ") && single && at !== null)
        pick(spec.series[stops[at].n], stops[at].k);
      else return;
      event.preventDefault();
      const lines = show();
      if (lines) T.announce(lines.join(", "));
    });
    new ResizeObserver(() => {
      if (plot.clientWidth !== width) render();
    }).observe(plot);
    render();
    return { refresh: render };
  };
})(Tidegate);
