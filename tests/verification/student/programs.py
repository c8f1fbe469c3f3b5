"""Programs of students: BPTT in NumPy by hand for four cells, right, or with the mistake of the given name.

They use neither the traced equations nor the Adjoint. Each begins with the arrays of `tidegate.verification.arrays`.
"""

import numpy as np

from tidegate.cells import Cell, functions


class Leaky(Cell):
    """A cell of a user: two states, and a gate without a matrix U."""

    gates = ("k", "n")
    state = ("h", "m")

    def equations(a, U, h, m):
        k = functions.sigmoid(a.k)
        n = functions.tanh(a.n + U.n(h))
        m = k * m + (1 - k) * n
        return (functions.tanh(m) + h / 2, m), (k, n)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Totals:
    """The gradients of the parameters as sums over t; the mistakes of a sum are made here."""

    def __init__(self, arrays, mistake):
        names = [name for name in arrays if name.startswith(("weight", "bias"))]
        self.T, self.B = arrays["x"].shape[:2]
        self.total, self.mistake = {f"d{name}": np.zeros_like(arrays[name]) for name in names}, mistake

    def add(self, t, da, x, dq, p):
        """The terms of step t: da (B, G H) with x (B, D), dq (B, Q H) with p, one operand (B, H) for each gate."""
        if self.mistake == "first sequence only":
            da, x, dq, p = da[:1], x[:1], dq[:1], [one[:1] for one in p]
        H = p[0].shape[1]
        terms = {"dweight_ih": da.T @ x, "dbias_ih": da.sum(0), "dbias_hh": dq.sum(0)}
        terms["dweight_hh"] = np.concatenate([dq[:, k * H : (k + 1) * H].T @ one for k, one in enumerate(p)])
        for name, term in terms.items():
            if self.mistake in ("last step only", "first step only"):
                if t == {"last step only": self.T - 1, "first step only": 0}[self.mistake]:
                    self.total[name] = term
            elif self.mistake != "without step 0" or t > 0:
                self.total[name] += term

    def done(self):
        scale = {"mean over t": 1 / self.T, "mean over batch": 1 / self.B, "twice": 2}.get(self.mistake, 1)
        return {name: scale * total for name, total in self.total.items()}


def transposed_blocks(U, H):
    return np.concatenate([U[k : k + H].T for k in range(0, len(U), H)])


def rnn(arrays, mistake=""):
    x, h_0, W, U, b, c, dy = (arrays[n] for n in ("x", "h_0", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "dy"))
    T, h = len(x), [h_0 if mistake != "zero initial state" else 0 * h_0]
    forward = U.T if mistake == "U transposed in the forward pass" else U
    for t in range(T):
        h.append(np.tanh(x[t] @ W.T + b + h[t] @ forward.T + (0 if mistake == "no bias_hh" else c)))
    totals, dh, dx, every = Totals(arrays, mistake), np.zeros_like(h_0), np.zeros_like(x), np.zeros_like(dy)
    for t in reversed(range(T)):
        dh = dh + (dy[t] if mistake != "dy of the last step only" or t == T - 1 else 0)
        every[t] = dh
        slope = 1 - h[t + 1] ** 2
        slope = {"no derivative": 1, "derivative from h_{t-1}": 1 - h[t] ** 2, "tanh twice": 1 - np.tanh(h[t + 1]) ** 2,
                 "derivative of sigmoid": h[t + 1] * (1 - h[t + 1]), "1 + h^2": 1 + h[t + 1] ** 2,
                 }.get(mistake, slope)  # fmt: skip
        dz = dh * slope
        totals.add(t, dz, x[t], dz, [h[t + 1] if mistake == "h_t in dU" else h[t]])
        dx[t] = dz @ W
        back = U.T if mistake == "U transposed" else forward
        if mistake == "no derivative in the recurrence":
            dz = dh
        dh = {"no recurrence": 0, "wrong sign": -1}.get(mistake, 1) * dz @ back
    found = {"dx": dx, "dh_0": dh, **totals.done()}
    if mistake == "dU transposed":
        found["dweight_hh"] = found["dweight_hh"].T
    if mistake == "dx reversed":
        found["dx"] = dx[::-1]
    if mistake.startswith("truncated"):
        found = truncated_rnn(arrays, h, int(mistake.split()[1]))
    if mistake == "stepwise":
        found |= {"y": np.stack(h[1:]), "dh": every}
    return found


def truncated_rnn(arrays, h, steps):
    """Each loss goes back over so many steps only."""
    x, U, W, dy = (arrays[name] for name in ("x", "weight_hh", "weight_ih", "dy"))
    totals, dh_0, dx = Totals(arrays, ""), np.zeros_like(h[0]), np.zeros_like(x)
    for t in range(len(x)):
        dh = dy[t]
        for k in range(t, max(-1, t - steps - 1), -1):
            dz = dh * (1 - h[k + 1] ** 2)
            totals.add(k, dz, x[k], dz, [h[k]])
            dx[k] += dz @ W
            dh = dz @ U
            if k == 0:
                dh_0 += dh
    return {"dx": dx, "dh_0": dh_0, **totals.done()}


def gru(arrays, mistake=""):
    x, h_0, W, U, b, c, dy = (arrays[n] for n in ("x", "h_0", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "dy"))
    T, H, states, steps = len(x), h_0.shape[1], [h_0], []
    order = [1, 0, 2] if mistake == "gates z, r, n" else [0, 1, 2]
    parts = [slice(k * H, (k + 1) * H) for k in order]
    r_, z_, n_ = parts
    before = mistake == "reset before"
    for t in range(T):
        h, a = states[-1], x[t] @ W.T + b
        q = h @ U.T + c
        r, z = sigmoid(a[:, r_] + q[:, r_]), sigmoid(a[:, z_] + q[:, z_])
        n = np.tanh(a[:, n_] + ((r * h) @ U[n_].T + c[n_] if before else r * q[:, n_]))
        steps.append((r, z, n, q[:, n_]))
        states.append(z * n + (1 - z) * h if mistake == "other convention" else (1 - z) * n + z * h)
    totals, dh, dx = Totals(arrays, mistake), np.zeros_like(h_0), np.zeros_like(x)
    for t in reversed(range(T)):
        (r, z, n, q), h, d = steps[t], states[t], dh + dy[t]
        dn, dz, direct = d * (1 - z), d * (h - n), d * (steps[max(t - 1, 0)][1] if mistake == "z of step t - 1" else z)
        if mistake == "other convention":
            dn, dz, direct = d * z, d * (n - h), d * (1 - z)
        dz = d * (n - h) if mistake == "sign of dz" else dz
        da_n = dn if mistake == "no derivative of n" else dn * (1 - n**2)
        dr = da_n * q
        da_z = dz if mistake == "no derivative of z" else dz * z * (1 - z)
        dq_n = da_n if mistake == "r left out of dq_n" else da_n * r
        if before:
            dp = da_n @ U[n_]
            dr, dq_n, direct = dp * h, da_n, direct + dp * r
        da_r = dr * r * (1 - r)
        da, dq = np.zeros((len(h), 3 * H)), np.zeros((len(h), 3 * H))
        for part, d_a, d_q in zip(parts, (da_r, da_z, da_n), (da_r, da_z, dq_n)):
            da[:, part], dq[:, part] = d_a, d_q
        totals.add(t, da, x[t], dq, [h, h, r * h if before else h])
        dx[t] = da @ W
        if mistake == "no derivative in the recurrence":
            dq[:, r_], dq[:, z_], dq[:, n_] = dr, dz, dn * r
        if before:
            dq = dq[:, : 2 * H]
        products = dq @ U[: dq.shape[1]]
        if mistake == "U transposed":
            products = sum(dq[:, part] @ U[part].T for part in parts)
        if mistake == "U_z left out":
            products = products - dq[:, z_] @ U[z_]
        dh = products + (0 if mistake == "direct path left out" else direct)
    return {"dx": dx, "dh_0": dh, **totals.done()}


def lstm(arrays, mistake=""):
    x, h_0, c_0, W, U, b, c_, dy = (
        arrays[n] for n in ("x", "h_0", "c_0", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "dy")
    )
    T, H, hs, cs, steps = len(x), h_0.shape[1], [h_0], [c_0], []
    for t in range(T):
        z = x[t] @ W.T + b + hs[-1] @ U.T + c_
        i, f, g, o = (z[:, k * H : (k + 1) * H] for k in range(4))
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        cs.append(f * cs[-1] + i * g)
        hs.append(o * (cs[-1] if mistake == "no tanh of c" else np.tanh(cs[-1])))
        steps.append((i, f, g, o))
    totals, dh, dc, dx = Totals(arrays, mistake), np.zeros_like(h_0), np.zeros_like(c_0), np.zeros_like(x)
    for t in reversed(range(T)):
        (i, f, g, o), d = steps[t], dh + dy[t]
        tanh = np.tanh(cs[t + 1])
        slope = 1 if mistake in ("no derivative of tanh(c)", "no tanh of c") else 1 - tanh**2
        dct = (0 if mistake == "dc of the next step left out" else dc) + (
            0 if mistake == "dh left out of dc" else d * o * slope
        )
        df = dct * (cs[t + 1] if mistake == "c_t in df" else cs[t])
        do = d * (cs[t + 1] if mistake in ("no tanh of c", "no tanh in do") else tanh)
        if mistake == "i and f exchanged":
            i, f = f, i
        da = [dct * g * i * (1 - i), df * f * (1 - f), dct * i * (1 - g**2), do * o * (1 - o)]
        if mistake == "derivative of tanh for sigmoid":
            da[3] = do * (1 - o**2)
        if mistake == "rows of i and f exchanged":
            da[:2] = da[1::-1]
        da = np.concatenate(da, 1)
        totals.add(t, da, x[t], da, [hs[t]] * 4)
        dx[t], dh = da @ W, da @ U
        before = {
            "f of step t - 1": steps[t - 1][1],
            "f of step t + 1": steps[t + 1][1] if t + 1 < T else 0,
        }
        dc = dct if mistake == "f left out of dc" else dct * before.get(mistake, f)
    return {"dx": dx, "dh_0": 0 * dh if mistake == "dh_0 zero" else dh, "dc_0": dc, **totals.done()}


def leaky(arrays, mistake=""):
    x, h_0, m_0, W, U, b, c, dy = (
        arrays[n] for n in ("x", "h_0", "m_0", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "dy")
    )
    T, H, hs, ms, steps = len(x), h_0.shape[1], [h_0], [m_0], []
    for t in range(T):
        a = x[t] @ W.T + b
        k, n = sigmoid(a[:, :H]), np.tanh(a[:, H:] + hs[-1] @ U.T + c)
        ms.append(k * ms[-1] + (1 - k) * n)
        hs.append(np.tanh(ms[-1]) + hs[-1] / 2)
        steps.append((k, n))
    totals, dh, dm, dx = Totals(arrays, mistake), np.zeros_like(h_0), np.zeros_like(m_0), np.zeros_like(x)
    for t in reversed(range(T)):
        (k, n), d = steps[t], dh + dy[t]
        dmt = dm + d * (1 - np.tanh(ms[t + 1]) ** 2)
        dk = dmt * ((ms[t + 1] if mistake == "m_t in dk" else ms[t]) - n)
        da_k = dk if mistake == "no derivative of k" else dk * k * (1 - k)
        da_n = dmt * (1 - k) * (1 - n**2)
        totals.add(t, np.concatenate([da_k, da_n], 1), x[t], da_n, [hs[t]])
        dx[t] = (0 if mistake == "k left out of dx" else da_k @ W[:H]) + da_n @ W[H:]
        dh = (0 if mistake == "U left out" else da_n @ U) + (0 if mistake == "h / 2 left out" else d / 2)
        dm = 0 * dmt if mistake == "dm of the next step left out" else dmt * k
    return {"dx": dx, "dh_0": dh, "dm_0": dm, **totals.done()}
