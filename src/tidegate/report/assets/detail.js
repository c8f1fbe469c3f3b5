(function (T) {
  // "unit 17", with the layer where there are several
  T.unitName = (run, { layer, unit }) => `unit ${unit}` + (run.layers > 1 ? ` of layer ${layer}` : "");

  T.label = (run, chosen) =>
    `${run.states.includes(chosen.name) ? "state" : "gate"} ${chosen.name} of ${T.unitName(run, chosen)}`;

  const token = (run, index) => (index === run.unknown ? "unknown" : T.shown(run.tokens[index]));

  function bar(from, to, colour) {
    const inside = T.make("i");
    inside.style.left = `${100 * Math.min(from, to)}%`;
    inside.style.width = `${100 * Math.abs(to - from)}%`;
    if (colour) inside.style.background = colour;
    return T.make("span", { class: "bar" }, inside);
  }

  function guesses(run, list, truth) {
    const rows = T.make("div", { class: "bars" });
    for (const { index, p } of list) {
      rows.append(
        T.make("span", { class: "token" + (index === truth ? " true" : ""), text: token(run, index) }),
        bar(0, p),
        T.make("span", { class: "value", text: T.percent(p) }),
      );
    }
    return rows;
  }

  // Every state and gate of one unit, each on its own range.
  function values(run, trace, t, { layer, unit }) {
    const rows = T.make("div", { class: "bars named" });
    for (const name of [...run.states, ...run.gates]) {
      if (!trace.has(layer, name, unit)) continue;
      const value = trace.value(layer, name, unit, t),
        range = trace.ranges[name];
      const column = range ? null : trace.column(layer, name, unit);
      const scale = range ? T.scaleOf(range[0], range[1], []) : T.scaleOf(null, null, column);
      const place = (v) => (v - scale.low) / (scale.high - scale.low);
      rows.append(
        T.make("span", { text: (run.states.includes(name) ? "state " : "gate ") + name, title: run.notes[name] || "" }),
        bar(
          place(Math.max(0, scale.low)),
          Math.max(0, Math.min(1, place(value))),
          scale.diverging ? `var(${value < 0 ? "--low" : "--high"})` : null,
        ),
        T.make("span", { class: "value", text: T.number(value) }),
      );
    }
    return rows;
  }

  // The predictions of the tokens at t and t + 1, and the values of the chosen unit.
  T.details = function (container, run, trace, t, chosen) {
    if (t >= trace.ready) return;
    const bits = trace.bits(t),
      what = T.tokenName(run);
    const first = T.make(
      "p",
      {},
      T.make("b", { text: `“${T.shown(trace.shown[t] || run.tokens[trace.indices[t]])}”` }),
      ` ${what} ${T.number(t + 1)} of ${T.number(trace.length)}`,
      bits === null
        ? ": the first, so there is no prediction for it."
        : `: the model gave it a probability of ${T.percent(2 ** -bits)} (${bits.toFixed(2)} bits of surprise).`,
    );
    const before = T.make(
      "div",
      {},
      T.make("h4", { text: "Expected here" }),
      t ? guesses(run, trace.top(t - 1), trace.indices[t]) : "",
    );
    const after = T.make(
      "div",
      {},
      T.make("h4", { text: "Expected next" }),
      guesses(run, trace.top(t), trace.indices[t + 1]),
    );
    const known = trace.has(chosen.layer, run.states[0], chosen.unit);
    const unit = T.make(
      "div",
      {},
      T.make("h4", {
        text: `U${T.unitName(run, chosen).slice(1)} after reading “${T.shown(trace.shown[t])}”`,
      }),
      known ? values(run, trace, t, chosen) : "The values of this unit are not stored in the page.",
    );
    container.replaceChildren(first, T.make("div", { class: "columns" }, before, after), unit);
  };

  T.sentenceAt = function (run, trace, t, chosen) {
    const bits = trace.bits(t),
      value = trace.value(chosen.layer, chosen.name, chosen.unit, t);
    const expected = trace
      .top(t)
      .slice(0, 3)
      .map(({ index, p }) => `${token(run, index)} ${T.percent(p)}`)
      .join(", ");
    return (
      `${T.shown(trace.shown[t])}` +
      (bits === null ? "" : `, probability ${T.percent(2 ** -bits)}`) +
      (Number.isNaN(value) ? "" : `, ${T.label(run, chosen)} ${T.number(value)}`) +
      `. Expected next: ${expected}.`
    );
  };
})(Tidegate);
