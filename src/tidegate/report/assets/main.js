(function (T) {
  T.start = function (programs) {
    const data = JSON.parse(document.getElementById("data").textContent);
    T.themes(document.getElementById("theme"));
    const runs = data.runs.map((run, number) => ({
      ...run,
      number,
      model: run.live ? programs[number](run.live.base64) : null,
    }));
    const store = T.store({ runs, mode: "surprise", at: data.at, chosen: runs.map((run) => run.first), text: null });
    const { values, refused } = T.readAddress(runs);
    store.set(values);
    T.app = T.reader(data, store, runs);
    T.figures(data, store);
    T.keepAddress(T.app, store, refused);
  };
})(Tidegate);
