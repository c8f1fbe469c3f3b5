(function (T) {
  // The text beside the results: one panel for each run, with a common cursor.
  T.reader = function (data, store, runs) {
    const holder = document.getElementById("reader");
    const panels = T.make("div", { class: "panels" + (runs.length > 1 ? " two" : "") });
    const list = runs.map((run, k) => {
      const element = T.make("div", { class: "panel" });
      panels.append(element);
      return T.panel(element, run, k, store);
    });
    const live = runs.every((run) => run.model),
      compose = T.make("div", { class: "composer" });
    holder.append(
      T.modes(store, [
        "surprise",
        "unit",
        ...(runs.some((r) => r.connectivity) ? ["past"] : []),
        ...(live ? ["change"] : []),
      ]),
      panels,
      compose,
    );
    const heats = [];
    const app = {
      runs,
      store,
      traces: [],
      say: (words) => list.forEach((panel) => panel.say(words)),
      // One text for each run; where it is empty, what the panel says remains.
      sayEach: (texts) => texts.forEach((words, k) => words && list[k].say(words)),
      unsay: (texts) => list.forEach((panel, k) => panel.said() === texts[k] && panel.say("")),
      compute(traces, done) {
        const before = app.traces;
        let left = traces.length;
        for (const trace of traces)
          trace.run(
            () => {},
            () => {
              if (--left === 0 && app.traces === before) done();
            },
          );
      },
      replace(traces) {
        app.traces = traces;
        traces.forEach((trace, k) => list[k].show(trace));
        traces.forEach((trace, k) => list[k].progress(0));
        heats.forEach((h) => h.refresh());
        store.set({ text: traces });
      },
      grew() {
        app.traces.forEach((trace, k) => list[k].progress(app.painted[k]));
        app.painted = app.traces.map((trace) => trace.ready);
        store.set({ at: Math.max(0, app.traces[0].length - 1) });
      },
      read(text, passage) {
        const before = app.traces;
        before.forEach((trace) => trace.stop());
        if (store.values.mode === "change" || (store.values.mode === "past" && !passage))
          store.set({ mode: "surprise" });
        app.traces = runs.map((run, k) => {
          if (!run.model) return Object.assign(T.storedTrace(run), { passage: true });
          const tokens = passage ? T.passage(run) : T.tokenise(run, text),
            trace = T.liveTrace(run, tokens, { previous: before[k] });
          const unknown = new Set();
          tokens.indices.forEach((index, t) => {
            if (index === run.unknown) unknown.add(t);
          });
          list[k].say(T.warning(run, tokens));
          return Object.assign(trace, { passage, unknown });
        });
        app.painted = app.traces.map(() => 0);
        app.traces.forEach((trace, k) => {
          list[k].show(trace);
          trace.run(
            () => {
              list[k].progress(app.painted[k]);
              app.painted[k] = trace.ready;
            },
            () => {
              heats.forEach((h) => h.refresh());
              if (passage && trace.live && runs[k].nats) T.confirm(runs[k], trace);
            },
          );
        });
        store.set({
          at: passage ? Math.min(store.values.at, app.traces[0].length - 1) : Math.max(0, app.traces[0].length - 1),
          text: app.traces,
        });
        experiment?.reset();
      },
    };
    let experiment = null;
    if (live) T.composer(compose, app);
    else compose.append(T.make("p", { class: "quiet", text: data.missing }));
    const section = document.getElementById("experiment");
    if (section && live) experiment = T.experiment(section, app);
    for (const holder of document.querySelectorAll("[data-heatmap]")) {
      const k = Number(holder.dataset.heatmap);
      heats.push(T.heatmap(holder, runs[k], k, store, () => app.traces[k]));
    }
    app.read("", true);
    return app;
  };
})(Tidegate);
