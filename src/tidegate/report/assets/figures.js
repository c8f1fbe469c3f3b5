(function (T) {
  // Draws every figure of the page into its place, and connects the units in them with the text.
  T.figures = function (data, store) {
    const choose = (k, part, from, what) => {
      const chosen = [...store.values.chosen];
      chosen[k] = { ...chosen[k], ...part };
      store.set({ chosen, mode: "unit" });
      T.reveal(k, from, what);
    };
    for (const holder of document.querySelectorAll("[data-figure]")) {
      const spec = data.figures[holder.dataset.figure];
      if (spec.kind === "rows")
        T.rows(holder, spec, {
          pick: (p) => choose(p.run, { unit: p.unit, layer: p.layer, name: p.name }, holder, "figure"),
        });
      else {
        const same = (s, k) => {
          const c = store.values.chosen[s.run];
          return c.unit === s.units[k] && c.layer === s.layer;
        };
        const plot = T.plot(holder, spec, {
          chosen: same,
          pick: (s, k) => choose(s.run, { unit: s.units[k], layer: s.layer, name: s.name }, holder, "figure"),
        });
        if (spec.series.some((s) => s.units)) store.on("chosen", plot.refresh);
      }
      T.tools(holder, spec);
    }
    for (const button of document.querySelectorAll("button[data-unit]")) {
      const { run, unit, layer, state } = button.dataset;
      button.addEventListener("click", () =>
        choose(Number(run), { unit: Number(unit), layer: Number(layer), name: state }, button, "table"),
      );
    }
  };
})(Tidegate);
