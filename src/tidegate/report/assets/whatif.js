(function (T) {
  // The total variation distance of two predictions: half the sum of |p - p'| over all tokens.
  function distance(a, b) {
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum += Math.abs(Math.exp(a[i]) - Math.exp(b[i]));
    return sum / 2;
  }

  // How far the predictions of two traces of the same length differ, position by position.
  T.compare = function (before, after) {
    return Float32Array.from({ length: Math.min(before.ready, after.ready) }, (_, t) => {
      const a = before.logs(t),
        b = after.logs(t);
      return a && b ? distance(a, b) : NaN;
    });
  };

  // The first lag after `at` from which on the change stays below `level`, and the changes by lag.
  T.fading = function (change, at, level) {
    let last = -1;
    for (let t = at; t < change.length; t++) if (change[t] >= level) last = t - at;
    return last + 1;
  };

  // Holds unit `unit` of layer `layer` at the given values of its states.
  T.holding = (layer, unit, values) => (k, state) => {
    if (k === layer) for (const [name, value] of Object.entries(values)) state[name][unit] = value;
  };
})(Tidegate);
