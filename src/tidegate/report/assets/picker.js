(function (T) {
  // The feature that a unit tracks, as a sentence; empty if there is none.
  T.meaning = (run, { layer, unit }) =>
    run.named.find((n) => n.unit === unit && n.layer === layer && n.said)?.said || "";

  // The controls that choose a layer, a state or gate, and a unit; and the list of units that were found to track something.
  T.unitPicker = function (run, number, store) {
    const change = (part) => {
      const chosen = [...store.values.chosen];
      chosen[number] = { ...chosen[number], ...part };
      store.set({ chosen, mode: "unit" });
    };
    const option = (value, words) => T.make("option", { value, text: words });
    const described = (name, kind) => `${kind} ${name}` + (run.notes[name] ? `: ${run.notes[name]}` : "");
    const names = T.make(
      "select",
      { "aria-label": "State or gate", onchange: () => change({ name: names.value }) },
      ...run.states.map((s) => option(s, described(s, "state"))),
      ...run.gates.map((g) => option(g, described(g, "gate"))),
    );
    const unit = T.make("input", {
      type: "number",
      min: 0,
      max: run.hidden - 1,
      "aria-label": "Number of the unit",
      onchange: () => {
        const wanted = Math.round(Number(unit.value));
        if (Number.isFinite(wanted)) change({ unit: Math.max(0, Math.min(run.hidden - 1, wanted)) });
      },
    });
    const step = (by) => () => {
      const { unit: now, layer } = store.values.chosen[number],
        list = run.stored?.units[layer];
      if (list) change({ unit: list[(list.indexOf(now) + by + list.length) % list.length] });
      else change({ unit: (now + by + run.hidden) % run.hidden });
    };
    const layers = T.make(
      "select",
      { "aria-label": "Layer", onchange: () => change({ layer: Number(layers.value) }) },
      ...Array.from({ length: run.layers }, (_, k) => option(k, `layer ${k}`)),
    );
    const named = T.make(
      "select",
      {
        "aria-label": "Units that track a feature",
        onchange: () => {
          const found = run.named[Number(named.value)];
          if (found) change({ layer: found.layer, name: found.state, unit: found.unit });
        },
      },
      option("", "units that track a feature …"),
      ...run.named.map((n, k) => option(k, n.label)),
    );
    const parts = [
      ...(run.layers > 1 ? [layers] : []),
      T.make("label", {}, "unit", unit),
      T.make("button", { type: "button", text: "‹", "aria-label": "Previous unit", onclick: step(-1) }),
      T.make("button", { type: "button", text: "›", "aria-label": "Next unit", onclick: step(1) }),
      names,
      ...(run.named.length ? [named] : []),
    ];
    const said = T.make("p", { class: "quiet" }),
      element = T.make("div", {}, T.make("div", { class: "row" }, ...parts), said);
    const refresh = () => {
      const chosen = store.values.chosen[number];
      unit.value = chosen.unit;
      names.value = chosen.name;
      layers.value = chosen.layer;
      const k = run.named.findIndex((n) => n.unit === chosen.unit && n.layer === chosen.layer);
      named.value = k < 0 ? "" : k;
      said.textContent = T.meaning(run, chosen);
      said.hidden = !said.textContent;
      element.hidden = store.values.mode !== "unit";
    };
    store.on("chosen mode", refresh);
    refresh();
    return { element };
  };
})(Tidegate);
