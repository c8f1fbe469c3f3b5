(function (T) {
  const PIXELS = 3; // the least width of a column

  // A gate or state of all units over the text: rows are units in a given order, columns are tokens.
  T.heatmap = function (holder, run, number, store, current) {
    const order = run.order || {};
    const option = (name, kind) => T.make("option", { value: name, text: `${kind} ${name}` });
    const names = T.make(
      "select",
      { "aria-label": "State or gate of the heatmap", onchange: () => paint() },
      ...run.states.map((s) => option(s, "state")),
      ...run.gates.map((g) => option(g, "gate")),
    );
    names.value = run.keeps || run.states[0];
    const legend = T.make("div", { class: "legend" });
    const canvas = T.make("canvas", { class: "heat", "aria-hidden": "true" });
    const vertical = T.make("div", { class: "cross" }),
      horizontal = T.make("div", { class: "cross" });
    const plot = T.make(
      "div",
      {
        class: "plot",
        tabindex: "0",
        role: "img",
        "aria-label": `${run.name}: one row for each unit, one column for each ${T.tokenName(run)} of a part of the text. The left and right arrow keys move along the text, up and down from unit to unit.`,
      },
      canvas,
      vertical,
      horizontal,
    );
    const words = `${run.name}: each row is a unit, the longest time constant at the top; each column is a ${T.tokenName(run)}.`;
    holder.append(
      T.make("figcaption", { text: words }),
      T.make("div", { class: "row" }, T.make("label", {}, "show", names), legend),
      plot,
    );
    T.download(holder, `${run.name}-units`, () => {
      const trace = current(),
        { layer } = store.values.chosen[number];
      const rows = units.map((u) => [u, ...trace.column(layer, names.value, u)]);
      return { columns: [`unit, ${names.value}`, ...trace.shown.slice(0, trace.ready)], rows };
    });
    let units = [],
      shownFor = null,
      begin = 0,
      count = 1;

    function paint() {
      const trace = current();
      if (!trace || !trace.ready) return;
      const layer = store.values.chosen[number].layer,
        name = names.value;
      const sorted = order[`${store.values.chosen[number].layer}`] || Array.from({ length: run.hidden }, (_, u) => u);
      units = sorted.filter((u) => trace.has(layer, name, u));
      const most = holder.clientWidth < 600 ? 40 : units.length;
      if (units.length > most)
        units = Array.from({ length: most }, (_, k) => units[Math.floor((k * units.length) / most)]);
      const range = trace.ranges[name] || [];
      const wide = Math.min(trace.ready, Math.max(60, Math.floor(holder.clientWidth / PIXELS)));
      begin = Math.min(Math.floor(store.values.at / wide) * wide, trace.ready - wide);
      count = wide;
      canvas.width = count;
      canvas.height = units.length;
      const columns = units.map((u) => trace.column(layer, name, u));
      let limit = 0;
      if (range[0] === undefined)
        for (const c of columns) for (const v of c) if (Math.abs(v) > limit) limit = Math.abs(v);
      const scale = T.scaleOf(range[0], range[1], [limit]);
      const levels = Array.from({ length: 256 }, (_, k) =>
        T.channels(scale.low + ((scale.high - scale.low) * k) / 255, scale),
      );
      const context = canvas.getContext("2d"),
        image = context.createImageData(count, units.length),
        pixels = image.data;
      const factor = 255 / (scale.high - scale.low);
      columns.forEach((column, row) => {
        for (let t = 0; t < count; t++) {
          const [r, g, b] = levels[Math.max(0, Math.min(255, Math.round((column[begin + t] - scale.low) * factor)))];
          const k = 4 * (row * count + t);
          pixels[k] = r;
          pixels[k + 1] = g;
          pixels[k + 2] = b;
          pixels[k + 3] = 255;
        }
      });
      context.putImageData(image, 0, 0);
      T.legend(
        legend,
        `${T.number(units.length)} units, ${T.tokenName(run)}s ${T.number(begin + 1)} to ${T.number(begin + count)}`,
        scale,
      );
      shownFor = trace;
      place();
    }

    function follow() {
      if (shownFor && (store.values.at < begin || store.values.at >= begin + count)) paint();
      else place();
    }

    function place() {
      const row = units.indexOf(store.values.chosen[number].unit),
        wide = canvas.clientWidth,
        high = canvas.clientHeight;
      if (!shownFor) return;
      vertical.style.cssText = `left:${((store.values.at - begin + 0.5) / count) * wide}px;top:0;height:${high}px;border-left-width:1px`;
      horizontal.style.cssText =
        row < 0
          ? "display:none"
          : `top:${((row + 0.5) / units.length) * high}px;left:0;width:${wide}px;border-top-width:1px`;
    }

    function choose(unit) {
      const chosen = [...store.values.chosen];
      chosen[number] = { ...chosen[number], unit, name: names.value };
      store.set({ chosen, mode: "unit" });
    }
    plot.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect();
      store.set({
        at: begin + Math.max(0, Math.min(count - 1, Math.floor(((event.clientX - box.left) / box.width) * count))),
      });
    });
    plot.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect(),
        row = Math.floor(((event.clientY - box.top) / box.height) * units.length);
      if (units[row] !== undefined) choose(units[row]);
    });
    plot.addEventListener("keydown", (event) => {
      const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key],
        across = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!along && !across) return;
      event.preventDefault();
      if (along) store.set({ at: Math.max(0, Math.min(shownFor.ready - 1, store.values.at + along)) });
      else
        choose(
          units[Math.max(0, Math.min(units.length - 1, units.indexOf(store.values.chosen[number].unit) + across))],
        );
      T.announce(T.sentenceAt(run, shownFor, store.values.at, store.values.chosen[number]));
    });
    store.on("at chosen", follow);
    document.addEventListener("theme", paint);
    new ResizeObserver(place).observe(plot);
    return { refresh: paint };
  };
})(Tidegate);
