(function (T) {
  const LEVEL = 0.05,
    NAMED = "5 %";

  const SHOWN = 120; // positions after a changed token that the figure shows at least

  // "What if": one character is changed, or one unit is held at its mean, and the predictions are compared.
  // Every experiment begins from the unchanged model and text.
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
    const unchanged = () => app.traces.map((trace) => trace.base || trace);
    const words = () => {
      const trace = unchanged()[0],
        at = Math.min(store.values.at, trace.length - 1);
      marked.textContent = `“${T.shown(trace.shown[at] || "")}” (number ${T.number(at + 1)})`;
      unit.textContent = runs
        .map((r, k) => T.unitName(r, store.values.chosen[k]) + (runs.length > 1 ? ` of ${r.name}` : ""))
        .join(" and ");
    };
    store.on("at chosen text", words);

    const highest = (values) => values.reduce((a, b) => Math.max(a, b), 0);

    // What a changed token at `at` does to the predictions after it.
    function effectOfToken(trace, at) {
      const change = trace.change.slice(at),
        largest = highest(change),
        lag = T.fading(trace.change, at, LEVEL);
      if (largest < LEVEL) return `changes no prediction by more than ${T.percent(largest)}.`;
      const end =
        lag >= change.length
          ? `is still above ${NAMED} at the end of the text`
          : `is below ${NAMED} from ${T.number(lag)} ${T.tokenName(run)}s later on`;
      return `changes predictions by up to ${T.percent(largest)}, and the change ${end}.`;
    }

    // What a held unit does to the predictions of the whole text.
    function effectOfUnit(trace) {
      const known = trace.change.filter((v) => !Number.isNaN(v)),
        mean = known.reduce((a, b) => a + b, 0) / known.length;
      const above = known.filter((v) => v >= LEVEL).length;
      return (
        `changes the prediction by ${T.percent(mean)} on average and by ${T.percent(highest(known))} at most; ` +
        `${T.number(above)} of ${T.number(known.length)} predictions change by ${NAMED} or more.`
      );
    }

    // `from` is the first position that the figure shows, and `origin` the number that its axis has there.
    function show(changed, { from, until, origin, label, said }) {
      app.replace(changed);
      store.set({ mode: "change" });
      undo.disabled = false;
      const series = changed.map((trace, k) => {
        const y = Array.from(trace.change.slice(from, until), (v) => (Number.isNaN(v) ? null : v));
        return { label: runs[k].name, role: runs[k].role, line: true, x: y.map((_, lag) => origin + lag), y };
      });
      const sentences = changed.map((trace, k) => (runs.length > 1 ? `${runs[k].name}: ` : "") + said(trace, k));
      result.textContent = sentences.join(" ");
      const spec = {
        id: "what-if",
        kind: "plot",
        sentence: result.textContent,
        series,
        marks: [{ axis: "y", at: LEVEL, label: NAMED, role: "ink" }],
        x: { label },
        y: { label: "change of the prediction", zero: true },
        height: 220,
      };
      plot.replaceChildren();
      T.plot(plot, spec);
      T.tools(plot, spec);
    }

    edit.addEventListener("click", () => {
      const given = unchanged(),
        at = Math.min(store.values.at, given[0].length - 1);
      const changed = given.map((before, k) => {
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
        const longest = Math.max(...changed.map((trace) => T.fading(trace.change, at, LEVEL)));
        const what = `“${T.shown(token.value)}” instead of “${T.shown(given[0].shown[at])}” at ${T.tokenName(run)} ${T.number(at + 1)}`;
        show(changed, {
          from: at,
          until: at + Math.max(SHOWN, Math.ceil(1.2 * longest)),
          origin: 0,
          label: `${T.tokenName(run)}s after the change`,
          said: (trace) => `${what} ${effectOfToken(trace, at)}`,
        });
      });
    });
    hold.addEventListener("click", () => {
      const chosen = [...store.values.chosen];
      const changed = unchanged().map((before, k) => {
        const { layer, unit: u } = chosen[k],
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
        show(changed, {
          from: 0,
          until: Infinity,
          origin: 1,
          label: `number of the ${T.tokenName(run)} in the text`,
          said: (trace, k) => `Holding ${T.unitName(runs[k], chosen[k])} at its mean ${effectOfUnit(trace)}`,
        });
      });
    });
    undo.addEventListener("click", () => {
      app.replace(unchanged());
      store.set({ mode: "surprise" });
      result.textContent = "";
      plot.replaceChildren();
      undo.disabled = true;
    });
    holder.append(
      T.make("div", { class: "row" }, T.make("span", {}, `Change the marked ${T.tokenName(run)} `, marked, " into"), token, edit),
      T.make("div", { class: "row" }, T.make("span", {}, "Hold ", unit, " at its mean over the text"), hold, undo),
      T.make("p", { class: "quiet", text: "Each experiment begins from the unchanged model and text." }),
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
