(function (T) {
  const LEVEL = 0.05;

  // "What if": one character is changed, or one unit is held at its mean, and the predictions are compared.
  T.experiment = function (holder, app) {
    const { store, runs } = app,
      run = runs[0];
    const small = run.tokens.length <= 300;
    const choices = run.tokens.map((token, index) => ({ token, index })).filter(({ index }) => index !== run.unknown);
    const token = small
      ? T.make(
          "select",
          { "aria-label": "The new character" },
          ...choices.map(({ token: t }) => T.make("option", { value: t, text: T.shown(t) })),
        )
      : T.make("input", { "aria-label": "The new token", size: 10 });
    const marked = T.make("b"),
      unit = T.make("b"),
      result = T.make("p", { role: "status" }),
      plot = T.make("figure");
    const edit = T.make("button", { type: "button", text: "Change it" }),
      hold = T.make("button", { type: "button", text: "Hold it" });
    const undo = T.make("button", { type: "button", text: "Undo", disabled: true });
    const words = () => {
      const trace = app.traces[0],
        at = Math.min(store.values.at, trace.length - 1);
      marked.textContent = `“${T.shown(trace.shown[at] || "")}” (number ${T.number(at + 1)})`;
      unit.textContent = runs
        .map((r, k) => `unit ${store.values.chosen[k].unit}` + (runs.length > 1 ? ` of ${r.name}` : ""))
        .join(" and ");
    };
    store.on("at chosen text", words);

    function show(changed, at, what) {
      app.replace(changed);
      store.set({ mode: "change" });
      undo.disabled = false;
      const series = changed.map((trace, k) => {
        const y = Array.from(trace.change.slice(at, at + 120), (v) => (Number.isNaN(v) ? null : v));
        return { label: runs[k].name, role: runs[k].role, line: true, x: y.map((_, lag) => lag), y };
      });
      const sentences = changed.map((trace, k) => {
        const largest = trace.change.slice(at).reduce((a, b) => Math.max(a, b), 0),
          lag = T.fading(trace.change, at, LEVEL);
        const end =
          at + lag >= trace.change.length
            ? `and the change is still above ${T.percent(LEVEL)} at the end of the text`
            : `and the change is below ${T.percent(LEVEL)} from ${T.number(lag)} ${T.tokenName(run)}s later on`;
        return (
          (runs.length > 1 ? `${runs[k].name}: ` : "") +
          (largest < LEVEL
            ? `${what} changes no prediction by more than ${T.percent(largest)}.`
            : `${what} changes predictions by up to ${T.percent(largest)}, ${end}.`)
        );
      });
      result.textContent = sentences.join(" ");
      const spec = {
        id: "what-if",
        kind: "plot",
        sentence: result.textContent,
        series,
        marks: [{ axis: "y", at: LEVEL, label: "5 %" }],
        x: { label: `${T.tokenName(run)}s after the change` },
        y: { label: "change of the prediction", range: [0, 1] },
        height: 220,
      };
      plot.replaceChildren();
      T.plot(plot, spec);
      T.tools(plot, "what-if", () => T.tableOf(spec));
    }

    edit.addEventListener("click", () => {
      const at = Math.min(store.values.at, app.traces[0].length - 1);
      const changed = app.traces.map((before, k) => {
        const own = runs[k],
          index = own.tokens.indexOf(token.value);
        if (index < 0) return null;
        const indices = [...before.indices],
          shown = [...before.shown];
        [indices[at], shown[at]] = [index, token.value];
        const trace = T.liveTrace(own, { indices, shown }, { previous: before });
        return Object.assign(trace, { changedAt: at, base: before });
      });
      if (changed.includes(null)) {
        result.textContent = `“${token.value}” is not in the vocabulary.`;
        return;
      }
      app.compute(changed, () => {
        for (const trace of changed) trace.change = T.compare(trace.base, trace);
        show(changed, at, `This change`);
      });
    });
    hold.addEventListener("click", () => {
      const changed = app.traces.map((before, k) => {
        const { layer, unit: u } = store.values.chosen[k],
          values = {};
        for (const name of runs[k].states) {
          const column = before.column(layer, name, u);
          values[name] = column.reduce((a, b) => a + b, 0) / column.length;
        }
        const trace = T.liveTrace(runs[k], before, { hold: T.holding(layer, u, values) });
        return Object.assign(trace, { base: before });
      });
      app.compute(changed, () => {
        for (const trace of changed) trace.change = T.compare(trace.base, trace);
        show(changed, 0, "Holding the unit at its mean");
      });
    });
    undo.addEventListener("click", () => {
      app.replace(app.traces.map((trace) => trace.base || trace));
      store.set({ mode: "surprise" });
      result.textContent = "";
      plot.replaceChildren();
      undo.disabled = true;
    });
    holder.append(
      T.make("div", { class: "row" }, T.make("span", {}, `Change the marked ${T.tokenName(run)} `, marked, " into"), token, edit),
      T.make("div", { class: "row" }, T.make("span", {}, "Hold ", unit, " at its mean over the text"), hold, undo),
      result,
      plot,
    );
    return {
      reset() {
        result.textContent = "";
        plot.replaceChildren();
        undo.disabled = true;
        words();
      },
    };
  };
})(Tidegate);
