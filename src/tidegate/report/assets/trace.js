(function (T) {
  const TOP = 5,
    LN2 = Math.LN2,
    KEEP_LOGS = 600;
  T.LONGEST = 4000; // tokens of a text that the page runs a model on

  function logSoftmax(scores) {
    let top = -Infinity,
      sum = 0;
    for (const s of scores) if (s > top) top = s;
    for (const s of scores) sum += Math.exp(s - top);
    const all = top + Math.log(sum);
    return scores.map((s) => s - all);
  }

  function best(logs) {
    const found = [];
    for (let i = 0; i < logs.length; i++) {
      if (found.length === TOP && logs[i] <= found[TOP - 1].log) continue;
      found.push({ index: i, log: logs[i] });
      found.sort((a, b) => b.log - a.log);
      if (found.length > TOP) found.pop();
    }
    return found.map(({ index, log }) => ({ index, p: Math.exp(log) }));
  }

  // The values of a model on a text, for every position. Both kinds have these members: a live trace, which the model in
  // the page computes, and a stored one, computed in Python.
  //   length, ready      positions, and how many of them are computed
  //   shown, indices     the text and the token of each position
  //   bits(t)            surprise in bits: -log2 of the probability of token t given those before it; null at 0
  //   top(t)             the most likely tokens after position t, [{index, p}]
  //   value(layer, name, unit, t), column(layer, name, unit), has(layer, name, unit)
  //   ranges             by name: [low, high], or null where a value has no bounds

  // The model in the page on indices that can grow. `hold(layer, values)` may change states; see the program.
  T.liveTrace = function (run, tokens, { hold = null, previous = null } = {}) {
    const model = run.model,
      steps = [],
      logs = [],
      tops = [],
      surprise = [];
    const shown = tokens.shown.slice(0, T.LONGEST),
      indices = tokens.indices.slice(0, T.LONGEST);
    let timer = null,
      state = model.start(),
      lastLogs = null;

    // Positions that an earlier trace has computed for the same tokens are taken from it.
    function reuse(earlier) {
      let common = 0;
      while (common < Math.min(indices.length, earlier.ready) && earlier.indices[common] === indices[common]) common++;
      while (common && !earlier.logs(common - 1)) common--;
      for (let t = 0; t < common; t++) {
        const kept = earlier.kept(t);
        steps.push(kept.step);
        logs.push(kept.logs);
        tops.push(kept.top);
        surprise.push(kept.bits);
      }
      if (common) [state, lastLogs] = [steps[common - 1].state, logs[common - 1]];
    }

    function advance() {
      const t = steps.length,
        index = indices[t],
        made = model.step(state, index, hold);
      const log = logSoftmax(made.scores);
      surprise.push(t ? -lastLogs[index] / LN2 : null);
      state = made.state;
      steps.push({ state, gates: made.gates });
      tops.push(best(log));
      logs.push(log.length <= KEEP_LOGS ? log : null);
      lastLogs = log;
    }

    const trace = {
      live: true,
      hold,
      shown,
      indices,
      ranges: run.ranges,
      get length() {
        return indices.length;
      },
      get ready() {
        return steps.length;
      },
      bits: (t) => surprise[t] ?? null,
      top: (t) => tops[t] || [],
      logs: (t) => logs[t] || null,
      lastLogs: () => lastLogs,
      has: () => true,
      value(layer, name, unit, t) {
        const step = steps[t];
        return step ? (step.state[layer][name] || step.gates[layer][name])[unit] : NaN;
      },
      column: (layer, name, unit) => Float32Array.from(steps, (_, t) => trace.value(layer, name, unit, t)),
      kept: (t) => ({ step: steps[t], logs: logs[t], top: tops[t], bits: surprise[t] }),
      // Append one token and compute it.
      push(index, text) {
        indices.push(index);
        shown.push(text);
        advance();
      },
      // Compute in short turns, so that the page remains responsive; `progress` is called after each, `done` at the end.
      run(progress, done) {
        const turn = () => {
          const until = performance.now() + 24;
          while (steps.length < indices.length && performance.now() < until) advance();
          progress();
          timer = null;
          if (steps.length < indices.length) timer = setTimeout(turn, 0);
          else if (done) done();
        };
        turn();
      },
      stop() {
        clearTimeout(timer);
      },
    };
    if (previous && previous.live && !previous.hold && !hold) reuse(previous);
    return trace;
  };

  // The stored passage: surprise and most likely tokens at every position, and values of some units.
  T.storedTrace = function (run) {
    const { shown, indices } = run.passage,
      { best, probability } = run.stored;
    const values = run.stored.values.map((v) => ({
      ...v,
      data: T.unpack(v),
      at: new Map(v.units.map((u, k) => [u, k])),
    }));
    const find = (layer, name) => values.find((v) => v.layer === layer && v.name === name);
    const length = indices.length;
    const trace = {
      live: false,
      shown,
      indices,
      length,
      ready: length,
      ranges: run.ranges,
      bits: (t) => (run.nats && t ? run.nats[t - 1] / LN2 : null),
      top: (t) => (best && best[t] ? best[t].map((index, k) => ({ index, p: probability[t][k] })) : []),
      logs: () => null,
      has: (layer, name, unit) => Boolean(find(layer, name)?.at.has(unit)),
      value(layer, name, unit, t) {
        const v = find(layer, name),
          k = v?.at.get(unit);
        return k === undefined ? NaN : v.data[t * v.units.length + k];
      },
      column: (layer, name, unit) => Float32Array.from({ length }, (_, t) => trace.value(layer, name, unit, t)),
      run(progress, done) {
        progress();
        if (done) done();
      },
      stop() {},
    };
    return trace;
  };

  // The largest difference between the log-probabilities of the model in the page and those stored by Python, in nats,
  // and relative to those that exceed 1 nat.
  T.replay = function (run, trace) {
    let largest = 0,
      relative = 0,
      compared = 0;
    for (let t = 1; t < trace.ready && t <= run.nats.length; t++) {
      const difference = Math.abs(trace.bits(t) * LN2 - run.nats[t - 1]);
      if (!(difference <= largest)) largest = difference;
      if (!(difference / Math.max(1, run.nats[t - 1]) <= relative))
        relative = difference / Math.max(1, run.nats[t - 1]);
      compared++;
    }
    return { largest, relative, compared };
  };
})(Tidegate);
