// The model that runs in the explorer page: the same functions, names and equation numbers as in minilstm/layers/.
// There is no DOM in this file, so that tests can run it in a bare V8. All numbers are float64. One text is read at a
// time: a matrix {T, D, a} has T rows, one for each step, of D numbers, in the Float64Array a, row by row; a vector is a
// matrix of one row. So there is no padding to skip, and there are no lengths. The page does not train, so the backward
// functions leave out dW, dU and db and keep what the screens show: the gradients at every step.
//
// Functions that may take long are generators: they yield after every run of the model, so that the page can pause.
"use strict";

const zeros = (T, D) => ({ T, D, a: new Float64Array(T * D) });
const row = (m, t) => m.a.subarray(t * m.D, (t + 1) * m.D);
const dot = (u, v) => u.reduce((sum, u_j, j) => sum + u_j * v[j], 0);
const total = (numbers) => numbers.reduce((sum, n) => sum + n, 0);

/** out += x W, for a row x (D,) and W (D, H) from the number `start` on; as x @ W in NumPy. Eight rows of W at a time. */
function addProduct(out, x, W, start = 0) {
  const [D, H] = [x.length, out.length];
  let d = 0;
  for (; d + 8 <= D; d += 8) {
    const p = x[d], q = x[d + 1], r = x[d + 2], s = x[d + 3], u = x[d + 4], v = x[d + 5], w = x[d + 6], y = x[d + 7];
    for (let j = 0, k = start + d * H; j < H; j++, k++) {
      out[j] += p * W[k] + q * W[k + H] + (r * W[k + 2 * H] + s * W[k + 3 * H])
        + (u * W[k + 4 * H] + v * W[k + 5 * H] + (w * W[k + 6 * H] + y * W[k + 7 * H]));
    }
  }
  for (; d < D; d++) for (let j = 0, k = start + d * H; j < H; j++, k++) out[j] += x[d] * W[k];
}

/** out += dz Wᵀ, for a row dz (H,) and W (D, H) from the number `start` on; as dz @ W.T in NumPy. */
function addProductTransposed(out, dz, W, start = 0) {
  const [D, H] = [out.length, dz.length];
  let d = 0;
  for (; d + 4 <= D; d += 4) {
    let p = 0, q = 0, r = 0, s = 0; // four sums, since each addition waits for the one before
    for (let j = 0, k = start + d * H; j < H; j++, k++) {
      p += dz[j] * W[k];
      q += dz[j] * W[k + H];
      r += dz[j] * W[k + 2 * H];
      s += dz[j] * W[k + 3 * H];
    }
    out[d] += p, out[d + 1] += q, out[d + 2] += r, out[d + 3] += s;
  }
  for (; d < D; d++) for (let j = 0, k = start + d * H; j < H; j++, k++) out[d] += dz[j] * W[k];
}

// ---- Activations: minilstm/activations.py ----------------------------------------------------------------------------
// Each derivative is computed from the output y.

const ACTIVATIONS = {
  tanh: { forward: Math.tanh, backward: (dy, y) => dy * (1 - y * y) }, // (1), (1')
  sigmoid: { forward: (x) => 0.5 * (1 + Math.tanh(0.5 * x)), backward: (dy, y) => dy * y * (1 - y) }, // (2), (2')
  relu: { forward: (x) => Math.max(x, 0), backward: (dy, y) => (y > 0 ? dy : 0) }, // (3), (3')
  linear: { forward: (x) => x, backward: (dy) => dy }, // (4), (4')
};

function activationOf(name) {
  const phi = ACTIVATIONS[name ?? "linear"];
  if (!phi) throw new Error(`the page has no activation ${JSON.stringify(name)} at this place`);
  return phi;
}

/** (5) softmax over one row; subtracting the largest first changes nothing, and exp cannot overflow. */
function softmax(z) {
  const largest = Math.max(...z);
  const e = Array.from(z, (z_k) => Math.exp(z_k - largest));
  return e.map((e_k) => e_k / total(e));
}

function activationForward(z, name) {
  const y = zeros(z.T, z.D);
  if (name === "softmax") for (let t = 0; t < z.T; t++) row(y, t).set(softmax(row(z, t)));
  else y.a.set(z.a.map(activationOf(name).forward));
  return y;
}

function activationBackward(dy, y, name) {
  const dz = zeros(y.T, y.D);
  if (name === "softmax") {
    for (let t = 0; t < y.T; t++) {
      const [dy_t, y_t, sum] = [row(dy, t), row(y, t), dot(row(dy, t), row(y, t))];
      row(dz, t).set(y_t.map((y_k, k) => y_k * (dy_t[k] - sum))); // (5')
    }
  } else dz.a.set(dy.a.map((dy_k, k) => activationOf(name).backward(dy_k, y.a[k])));
  return dz;
}

// ---- LSTM: minilstm/layers/lstm.py ----------------------------------------------------------------------------------
// (1) z_t = x_t W + h_{t-1} U + b   (2) i, f, o = σ(z), g = φ(z_g)   (3) c_t = f c_{t-1} + i g   (4) h_t = o φ(c_t)
// The gates are in the order i, f, g, o. Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000.

/**
 * Run (1) to (4): x (T, D) to the cache with the gates i, f, g, o (T, H), h and c (T+1, H), where h[t] is the state
 * before step t, and the parts of z: zx = x W and zh = h U (T, 4H). `nudge` {kind, t, unit, by} adds to one number of
 * h_t or c_t, for finite differences. For speed, `products` keeps x_t W of words, where x has their ids, and the first
 * steps are copied from the run `before`, as far as it read the same.
 */
function lstmForward(x, W, U, b, activation, recurrentActivation, nudge, products, before) {
  const [T, H] = [x.T, b.length / 4];
  const [phi, sigma] = [activationOf(activation), activationOf(recurrentActivation)];
  const [i, f, g, o] = [zeros(T, H), zeros(T, H), zeros(T, H), zeros(T, H)];
  const [h, c, zx, zh] = [zeros(T + 1, H), zeros(T + 1, H), zeros(T, 4 * H), zeros(T, 4 * H)];
  const parts = { i, f, g, o, h, c, zx, zh };
  let start = 0;
  while (before && start < T && row(x, start).every((x_d, d) => x_d === before.x.a[start * x.D + d])) start++;
  for (const name in start ? parts : {}) parts[name].a.set(before[name].a.subarray(0, parts[name].a.length - (T - start) * parts[name].D));
  for (let t = start; t < T; t++) {
    const [zx_t, zh_t] = [row(zx, t), row(zh, t)];
    const known = x.ids && products.get(x.ids[t]);
    if (known) zx_t.set(x.scale === undefined ? known : known.map((v) => v * x.scale));
    else addProduct(zx_t, row(x, t), W); // (1), x_t W
    if (x.ids && !known && x.scale === undefined) products.set(x.ids[t], zx_t);
    addProduct(zh_t, row(h, t), U); // (1), h_{t-1} U
    for (let j = 0, k = t * H; j < H; j++, k++) {
      i.a[k] = sigma.forward(zx_t[j] + zh_t[j] + b[j]); // (2)
      f.a[k] = sigma.forward(zx_t[H + j] + zh_t[H + j] + b[H + j]);
      g.a[k] = phi.forward(zx_t[2 * H + j] + zh_t[2 * H + j] + b[2 * H + j]);
      o.a[k] = sigma.forward(zx_t[3 * H + j] + zh_t[3 * H + j] + b[3 * H + j]);
      let c_t = f.a[k] * c.a[k] + i.a[k] * g.a[k]; // (3); c.a[k] is c_{t-1}, since c has one row more
      if (nudge?.kind === "c" && nudge.t === t && nudge.unit === j) c_t += nudge.by;
      c.a[k + H] = c_t;
      h.a[k + H] = o.a[k] * phi.forward(c_t); // (4)
      if (nudge?.kind === "h" && nudge.t === t && nudge.unit === j) h.a[k + H] += nudge.by;
    }
  }
  return { x, ...parts };
}

/**
 * Undo lstmForward: dy (T, H), the gradient from outside at every step, to dx (T, D), and the whole gradients dh and dc
 * (T, H) of every state, with the parts of (0') that come back from step t+1: dh_path = dz_{t+1} Uᵀ and
 * dc_path = dc_{t+1} f_{t+1}.
 */
function lstmBackward(dy, cache, W, U, activation, recurrentActivation) {
  const { x, i, f, g, o, c } = cache;
  const [T, H] = [dy.T, dy.D];
  const [phi, sigma] = [activationOf(activation), activationOf(recurrentActivation)];
  const [dx, dh, dc] = [zeros(T, x.D), zeros(T, H), zeros(T, H)];
  const [dh_path, dc_path, dz] = [zeros(T, H), zeros(T, H), new Float64Array(4 * H)];
  for (let t = T - 1; t >= 0; t--) {
    for (let j = 0, k = t * H; j < H; j++, k++) {
      dh.a[k] = dh_path.a[k] + dy.a[k]; // (0')
      const phi_c = phi.forward(c.a[k + H]);
      const d_o = dh.a[k] * phi_c; // (4')
      const dc_t = dc_path.a[k] + phi.backward(dh.a[k] * o.a[k], phi_c); // (4')
      dc.a[k] = dc_t;
      dz[j] = sigma.backward(dc_t * g.a[k], i.a[k]); // (3'), (2'): di = dc_t g
      dz[H + j] = sigma.backward(dc_t * c.a[k], f.a[k]); // df = dc_t c_{t-1}
      dz[2 * H + j] = phi.backward(dc_t * i.a[k], g.a[k]); // dg = dc_t i
      dz[3 * H + j] = sigma.backward(d_o, o.a[k]);
      if (t > 0) dc_path.a[k - H] = dc_t * f.a[k]; // (0') of the step before, the path through c: no matrix, only f
    }
    addProductTransposed(row(dx, t), dz, W); // (1')
    if (t > 0) addProductTransposed(row(dh_path, t - 1), dz, U); // (0'), the path through h
  }
  return [dx, { dh, dc, dh_path, dc_path }];
}

function flip(x) {
  const y = { ...zeros(x.T, x.D), ids: x.ids?.toReversed(), scale: x.scale };
  for (let t = 0; t < x.T; t++) row(y, t).set(row(x, x.T - 1 - t));
  return y;
}

/** One LSTM with its weights, as the class LSTM: all states (T, H), or the last one (1, H). */
function makeLSTM(config, { W, U, b }) {
  const { activation, recurrent_activation: recurrent, return_sequences: all, go_backwards: backwards } = config;
  let [products, before] = [new Map(), null];
  return {
    forward(x, nudge) {
      const cache = lstmForward(backwards ? flip(x) : x, W, U, b, activation, recurrent, nudge, products, nudge ? null : before);
      if (!nudge) before = cache;
      const [T, H] = [x.T, cache.h.D];
      const y = all ? { T, D: H, a: cache.h.a.subarray(H) } : { T: 1, D: H, a: row(cache.h, T) };
      return [y, cache];
    },
    backward(dy, cache) {
      const dy_t = all ? dy : zeros(cache.x.T, dy.D);
      if (!all && dy_t.T) row(dy_t, dy_t.T - 1).set(dy.a);
      const [dx, grads] = lstmBackward(dy_t, cache, W, U, activation, recurrent);
      return [backwards ? flip(dx) : dx, { ...grads, dy: dy_t }];
    },
  };
}

// ---- Bidirectional: minilstm/layers/bidirectional.py ----------------------------------------------------------------
function mergeForward(f, r, mode) {
  const y = zeros(f.T, mode === "concat" ? 2 * f.D : f.D);
  for (let t = 0; t < f.T; t++) {
    const [f_t, r_t] = [row(f, t), row(r, t)];
    if (mode === "concat") row(y, t).set([...f_t, ...r_t]); // (3)
    else row(y, t).set(f_t.map((f_tj, j) => (mode === "mul" ? f_tj * r_t[j] : (f_tj + r_t[j]) / (mode === "ave" ? 2 : 1))));
  }
  return y;
}

function mergeBackward(dy, f, r, mode) {
  const [df, dr] = [zeros(f.T, f.D), zeros(f.T, f.D)];
  for (let t = 0; t < f.T; t++) {
    const [dy_t, df_t, dr_t] = [row(dy, t), row(df, t), row(dr, t)];
    for (let j = 0; j < f.D; j++) {
      const half = mode === "ave" ? dy_t[j] / 2 : dy_t[j];
      df_t[j] = mode === "mul" ? dy_t[j] * row(r, t)[j] : half; // (3')
      dr_t[j] = mode === "mul" ? dy_t[j] * row(f, t)[j] : mode === "concat" ? dy_t[f.D + j] : half;
    }
  }
  return [df, dr];
}

function makeBidirectional(config, params) {
  const inner = config.layer.config;
  const weights = (run) => ({ W: params[`${run}.W`], U: params[`${run}.U`], b: params[`${run}.b`] });
  const [lstm_f, lstm_r] = [makeLSTM(inner, weights("forward")), makeLSTM(inner, weights("backward"))];
  const turn = (m) => (inner.return_sequences ? flip(m) : m);
  return {
    forward(x, nudge) {
      const at = (run) => (nudge?.run === run ? nudge : null);
      const [f, f_cache] = lstm_f.forward(x, at("forward")); // (1)
      const [r_read, r_cache] = lstm_r.forward(flip(x), at("backward")); // (2)
      const r = turn(r_read); // (2)
      return [mergeForward(f, r, config.merge_mode), { f, r, forward: f_cache, backward: r_cache }]; // (3)
    },
    backward(dy, cache) {
      const [df, dr] = mergeBackward(dy, cache.f, cache.r, config.merge_mode); // (3')
      const [dx_r, backward] = lstm_r.backward(turn(dr), cache.backward); // (2')
      const [dx_f, forward] = lstm_f.backward(df, cache.forward); // (1')
      const dx = flip(dx_r); // (2')
      dx.a.forEach((_, k) => (dx.a[k] += dx_f.a[k])); // (1')
      return [dx, { forward, backward }];
    },
  };
}

// ---- Windows, Conv1D and pooling: minilstm/layers/windows.py, conv1d.py, pooling.py ----------------------------------
function makeWindows(size, stride = 1, dilation = 1, padding = "valid") {
  const span = (size - 1) * dilation + 1;
  const count = (n) => Math.max(1, padding === "valid" ? Math.floor((n - span) / stride) + 1 : Math.ceil(n / stride));
  const left = (n) => {
    if (padding === "valid") return 0;
    if (padding === "causal") return span - 1;
    return Math.floor(Math.max(0, (count(n) - 1) * stride + span - n) / 2);
  };
  /** The step of a text of n steps that is tap k of window t; below 0 or from n on, it is a zero around the text. */
  const step = (t, k, n) => t * stride + k * dilation - left(n);
  /** The steps of the text that window t sees. */
  const seen = (t, n) => Array.from({ length: size }, (_, k) => step(t, k, n)).filter((j) => j >= 0 && j < n);
  return { size, count, step, seen };
}

function makeConv1D(config, { W, b }) {
  const [F, K] = [config.filters, config.kernel_size];
  const windows = makeWindows(K, config.strides, config.dilation_rate, config.padding);
  return {
    windows,
    forward(x) {
      const z = zeros(windows.count(x.T), F);
      for (let t = 0; t < z.T; t++) {
        row(z, t).set(b); // (1)
        for (let k = 0; k < K; k++) {
          const j = windows.step(t, k, x.T);
          if (j >= 0 && j < x.T) addProduct(row(z, t), row(x, j), W, k * x.D * F); // (1), x_{t s + k δ} W_k
        }
      }
      const y = activationForward(z, config.activation); // (2)
      return [y, { x, y }];
    },
    backward(dy, { x, y }) {
      const [dz, dx] = [activationBackward(dy, y, config.activation), zeros(x.T, x.D)]; // (2')
      for (let t = 0; t < y.T; t++) {
        for (let k = 0; k < K; k++) {
          const j = windows.step(t, k, x.T);
          if (j >= 0 && j < x.T) addProductTransposed(row(dx, j), row(dz, t), W, k * x.D * F); // (1')
        }
      }
      return [dx, {}];
    },
  };
}

/** Max and average pooling; with `windows` null they are global, with one window, the whole text. */
function makePooling(windows, mean) {
  const over = (T) => windows ?? makeWindows(Math.max(1, T));
  return {
    windows,
    forward(x) {
      const w = over(x.T);
      const y = zeros(w.count(x.T), x.D);
      const from = []; // for window t and feature d, the steps that the gradient goes back to
      for (let t = 0; t < y.T; t++) {
        const steps = w.seen(t, x.T);
        for (let d = 0; d < x.D; d++) {
          const values = steps.map((j) => x.a[j * x.D + d]);
          const largest = steps.length ? values.indexOf(Math.max(...values)) : 0; // the first of ties
          from.push(mean ? steps : steps.slice(largest, largest + 1));
          if (steps.length) y.a[t * x.D + d] = mean ? total(values) / steps.length : values[largest]; // (2), (1)
        }
      }
      return [y, { x, y, from }];
    },
    backward(dy, { x, from }) {
      const dx = zeros(x.T, x.D);
      from.forEach((steps, k) => steps.forEach((j) => (dx.a[j * x.D + (k % x.D)] += dy.a[k] / steps.length))); // (1'), (2')
      return [dx, {}];
    },
  };
}

// ---- Embedding, Dense, Activation, Dropout, Flatten ------------------------------------------------------------------
function makeEmbedding(config, { E }) {
  const D = config.output_dim;
  return {
    forward(ids) {
      const y = zeros(ids.length, D);
      ids.forEach((n, t) => {
        if (!(n >= 0 && n < config.input_dim)) throw new Error(`id ${n} is outside the vocabulary of ${config.input_dim}`);
        row(y, t).set(E.subarray(n * D, (n + 1) * D)); // (1), the n-th row of E
      });
      return [{ ...y, ids }, y];
    },
    backward: () => [null, {}],
  };
}

function makeDense(config, { W, b }) {
  return {
    forward(x) {
      const z = zeros(x.T, config.units);
      for (let t = 0; t < x.T; t++) {
        row(z, t).set(b);
        addProduct(row(z, t), row(x, t), W); // (1)
      }
      const y = activationForward(z, config.activation); // (2)
      return [y, { x, y }];
    },
    backward(dy, { x, y }) {
      const [dz, dx] = [activationBackward(dy, y, config.activation), zeros(x.T, x.D)]; // (2')
      for (let t = 0; t < x.T; t++) addProductTransposed(row(dx, t), row(dz, t), W); // (1')
      return [dx, {}];
    },
  };
}

const makeActivation = ({ activation }) => ({
  forward: (x) => [activationForward(x, activation), activationForward(x, activation)],
  backward: (dy, y) => [activationBackward(dy, y, activation), {}],
});

const makeFlatten = () => ({
  forward: (x) => [{ T: 1, D: x.T * x.D, a: x.a }, { T: x.T, D: x.D }], // (1)
  backward: (dy, { T, D }) => [{ T, D, a: dy.a }, {}], // (1')
});

const poolWindows = ({ pool_size, strides, padding }) => makeWindows(pool_size, strides ?? pool_size, 1, padding);
const LAYERS = {
  Embedding: makeEmbedding,
  LSTM: makeLSTM,
  Bidirectional: makeBidirectional,
  Conv1D: makeConv1D,
  MaxPooling1D: (config) => makePooling(poolWindows(config), false),
  AveragePooling1D: (config) => makePooling(poolWindows(config), true),
  GlobalMaxPooling1D: () => makePooling(null, false),
  GlobalAveragePooling1D: () => makePooling(null, true),
  Dense: makeDense,
  Activation: makeActivation,
  Dropout: () => ({ forward: (x) => [x, {}], backward: (dy) => [dy, {}] }), // y = x outside training
  Flatten: makeFlatten,
};

// ---- Loading ----------------------------------------------------------------------------------------------------------
/** Decode base64 into bytes. */
function decodeBase64(text) {
  const codes = new Uint8Array(128);
  [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].forEach((c, n) => (codes[c.charCodeAt(0)] = n));
  const length = text.trimEnd().replace(/=+$/, "").length;
  const bytes = new Uint8Array((length * 3) >> 2);
  for (let k = 0, n = 0, bits = 0; k < length; k++) {
    bits = (bits << 6) | codes[text.charCodeAt(k)];
    if (k % 4) bytes[n++] = bits >> (6 - 2 * (k % 4));
  }
  return bytes;
}

/** The number with these bits in float16; NaN for infinity, too. */
function half(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return NaN;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

/** Decode the weights: base64 of little-endian float16 or float32 to float64, without loss. */
function decodeWeights(text, dtype) {
  const { buffer } = decodeBase64(text);
  const table = Float64Array.from({ length: 65536 }, (_, bits) => half(bits));
  const numbers = dtype === "float32" ? new Float64Array(new Float32Array(buffer)) : new Float64Array(new Uint16Array(buffer)).map((bits) => table[bits]);
  if (!numbers.every(Number.isFinite)) throw new Error("the weights of this model are not all finite numbers");
  return numbers;
}

const size = (shape) => shape.reduce((a, n) => a * n, 1);
const mapObject = (object, f) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, f(value, name)]));
/** The forget part of the bias `name` of an LSTM, which alone has U; of another bias, nothing. */
const forgetPart = (arrays, name) =>
  name.endsWith("b") && arrays[name.replace(/b$/, "U")] ? [arrays[name].length / 4, arrays[name].length / 2] : [0, 0];

/** Make a model from its description (see write_page) and the numbers of decodeWeights. */
function loadModel(about, numbers) {
  const array = ({ shape, offset }) => numbers.subarray(offset, offset + size(shape));
  return buildModel(about, about.layers.map(({ params }) => mapObject(params, array)));
}

/** Put the layers together. The last activation is kept apart, since the page explains the logit, its input. */
function buildModel(about, weights) {
  const described = about.layers.map((layer, n) => ({ ...layer, weights: weights[n] }));
  while (described.at(-1).class === "Dropout") described.pop();
  const last = described.at(-1);
  let activation = "linear";
  if (last.class === "Activation") activation = described.pop().config.activation;
  if (last.class === "Dense") {
    activation = last.config.activation ?? "linear";
    described[described.length - 1] = { ...last, config: { ...last.config, activation: null } };
  }
  const layers = described.map((layer) => {
    const make = LAYERS[layer.class];
    if (!make) throw new Error(`the page has no layer ${JSON.stringify(layer.class)}`);
    return { ...layer, ...make(layer.config, layer.weights) };
  });
  if (layers[0].class !== "Embedding") throw new Error("the first layer must be an Embedding");
  const ids = new Map(about.tokenizer.words.map((word, n) => [word, n + 1]));
  return { about, weights, layers, activation, ids };
}

/** The model with `shift` added to the forget part of every LSTM's bias. */
function shiftForgetBias(model, shift) {
  const shifted = (arrays) => mapObject(arrays, (array, name) => {
    const [first, end] = forgetPart(arrays, name);
    return end ? array.map((b, k) => (k >= first && k < end ? b + shift : b)) : array;
  });
  return buildModel(model.about, model.weights.map(shifted));
}

/** The model with weights as they are drawn before training (see minilstm/initializers.py; other random numbers). */
function untrained(model, seed = 1) {
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // a linear congruential generator
    return state / 2 ** 32;
  };
  const uniform = (count, limit) => Float64Array.from({ length: count }, () => (2 * random() - 1) * limit);
  const draw = ({ shape }, name) => {
    const [count, kind] = [size(shape), name.split(".").at(-1)];
    if (kind === "E") return uniform(count, 0.05);
    if (kind === "U") return orthogonal(uniform(count, 1), ...shape);
    if (kind === "W") return uniform(count, Math.sqrt(6 / (count / shape.at(-1) + count / shape.at(-2)))); // Glorot
    return new Float64Array(count);
  };
  const weights = model.about.layers.map(({ params }) => {
    const arrays = mapObject(params, draw);
    for (const name in arrays) if (forgetPart(arrays, name)[1]) arrays[name].fill(1, ...forgetPart(arrays, name));
    return arrays;
  });
  return buildModel(model.about, weights);
}

/** Make the rows of a (rows, columns) orthonormal, one after the other (Gram and Schmidt). */
function orthogonal(a, rows, columns) {
  for (let n = 0; n < rows; n++) {
    const v = a.subarray(n * columns, (n + 1) * columns);
    for (let m = 0; m < n; m++) {
      const u = a.subarray(m * columns, (m + 1) * columns);
      const along = dot(u, v);
      v.forEach((_, k) => (v[k] -= along * u[k]));
    }
    const norm = Math.sqrt(dot(v, v));
    v.forEach((_, k) => (v[k] /= norm));
  }
  return a;
}

// ---- Text: minilstm/data/text.py and, for all levels but "word", data/cutting.py -------------------------------------
const UNSPACED = String.raw`\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\u30fc\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}`;
const LETTER = String.raw`[[\p{L}\p{M}\p{N}\u200c\u200d]--[${UNSPACED}]]`;
const RUN = String.raw`[${UNSPACED}][${UNSPACED}\p{M}]*`;
const EMOJI = String.raw`[\p{Extended_Pictographic}\p{Regional_Indicator}]`;
const TOKEN = new RegExp(`(?<run>${RUN})|${LETTER}+(?:'${LETTER}+)*|(?<emoji>${EMOJI})`, "gv");
const characters = (text) => Array.from(new Intl.Segmenter("en").segment(text), (found) => found.segment);
const pairs = (all) => (all.length > 1 ? all.slice(1).map((character, n) => all[n] + character) : all);

/** Cut a text into tokens as Tokenizer does. */
function splitWords({ level = "word", lower, filters, split }, text) {
  if (level !== "word") text = text.replace(/<br\s*\/?>/gi, " ");
  if (lower) text = text.toLowerCase();
  const blank = (sign) => (filters.includes(sign) ? split : sign);
  if (level === "word") return Array.from(text, blank).join("").split(split).filter(Boolean);
  text = text.normalize("NFC").replaceAll("\u2019", "'").replace(/[\p{Cf}--[\u200c\u200d\u{e0020}-\u{e007f}]]+/gv, "");
  const [all, tokens] = [characters(text.replace(/[\s\p{Cc}]+/gu, " ").replace(/^ +| +$/g, "")), []];
  if (level !== "script") return level === "pair" ? pairs(all) : all;
  for (let found, rest = text; (found = rest.match(new RegExp(TOKEN, "v"))); ) {
    const [token] = found.groups.emoji ? characters(rest.slice(found.index)) : found;
    tokens.push(...(found.groups.run ? pairs(characters(token)) : [token]));
    rest = rest.slice(found.index + token.length);
  }
  return tokens;
}

/**
 * Read a text as the model sees it: `tokens`, all words with their ids, 0 where they are left out; `known` and `kept`
 * say of each whether the model knows it and whether it is read; `ids`, those that are read; `words`, their words.
 */
function readText(model, text) {
  const { tokenizer, maxlen } = model.about;
  const limit = tokenizer.num_words ?? Infinity;
  const unknown = tokenizer.oov_token === null ? 0 : 1;
  const tokens = splitWords(tokenizer, text).map((word) => {
    const id = model.ids.get(word) ?? 0;
    const known = id > 0 && id < limit;
    return { word, known, id: known ? id : unknown };
  });
  let left = maxlen ?? Infinity;
  for (const token of tokens.toReversed()) token.kept = token.id > 0 && left-- > 0; // the last maxlen words
  const kept = tokens.filter((token) => token.kept);
  return { tokens, ids: kept.map((token) => token.id), words: kept.map((token) => token.word) };
}

/** Pad ids with 0 before the text where the model has a fixed length. */
function pad(model, ids) {
  const { padded, maxlen } = model.about;
  return padded ? [...Array(Math.max(0, maxlen - ids.length)).fill(0), ...ids] : ids;
}

// ---- The whole model: minilstm/training.py ----------------------------------------------------------------------------
/** Run the layers from number `first` on: x to the logits, a row for each text, and the caches. */
function runLayers(model, x, first = 0, nudge = null) {
  const caches = [];
  let y = x;
  for (let n = first; n < model.layers.length; n++) [y, caches[n]] = model.layers[n].forward(y, nudge?.layer === n ? nudge : null);
  return { y, caches };
}

/** Run the model on ids (not yet padded): the embedded words x, the logits and the caches. */
function forward(model, ids, nudge = null) {
  const { y, caches } = runLayers(model, pad(model, ids), 0, nudge);
  return { x: caches[0], logits: y.a, caches };
}

/** The gradients of logit k: dx of the embedded words, dys of each layer's output, and what each layer returns. */
function backward(model, caches, k) {
  const [dys, grads] = [[], []];
  let dy = zeros(1, outputs(model));
  dy.a[k] = 1;
  for (let n = model.layers.length - 1; n > 0; n--) {
    dys[n] = dy;
    [dy, grads[n]] = model.layers[n].backward(dy, caches[n]);
  }
  return { dx: dy, dys, grads };
}

/** The number of logits: one for two labels, else one for each label. */
const outputs = (model) => (model.about.labels.length === 2 && model.activation !== "softmax" ? 1 : model.about.labels.length);

/** The probability of each label. */
function probabilities(model, logits) {
  const [...p] = activationForward({ T: 1, D: logits.length, a: Float64Array.from(logits) }, model.activation).a;
  return p.length === 1 ? [1 - p[0], p[0]] : p;
}

const AT_ONE_STEP = new Set(["Embedding", "Dense", "Activation", "Dropout"]);

/** Whether a prediction after each word can be read off the state: all layers read forwards, one word at a time. */
function isCausal(model) {
  const [last, ...before] = model.layers.filter((layer) => !AT_ONE_STEP.has(layer.class)).toReversed();
  const reads = ({ class: kind, config: c }, all) => kind === "LSTM" && !c.go_backwards && c.return_sequences === all;
  return !model.about.padded && Boolean(last) && reads(last, false) && before.every((layer) => reads(layer, true));
}

/** The logits after 0, 1, ..., N words: an array of N + 1 rows. Read off the state, or the model run on each prefix. */
function* prefixLogits(model, ids) {
  if (isCausal(model)) {
    const n = model.layers.findLastIndex((layer) => layer.class === "LSTM");
    const { y } = runLayers(model, runLayers(model, ids).caches[n].h, n + 1);
    return Array.from({ length: y.T }, (_, t) => [...row(y, t)]);
  }
  const logits = [];
  for (let n = 0; n <= ids.length; n++) {
    logits.push([...runLayers(model, pad(model, ids.slice(0, n))).y.a]);
    yield n / ids.length;
  }
  return logits;
}

/** (f(x + ε) - f(x - ε)) / 2ε of logit k, for one number of h_t or c_t of a layer: {layer, run, kind, t, unit}. */
function finiteDifference(model, ids, k, place, epsilon = 1e-4) {
  const [up, down] = [epsilon, -epsilon].map((by) => forward(model, ids, { ...place, by }).logits[k]);
  return (up - down) / (2 * epsilon);
}

// ---- Attributions: how much each word did for logit k -----------------------------------------------------------------
// One number for each step of the text as the model reads it, with the zeros before it where the model pads. `sum` is
// what they must add up to, or null.

const IG_STEPS = 50;

/** The logit minus the logit of the text without word t. Zeroes for padding. */
function* leaveOneOut(model, ids, k) {
  const whole = forward(model, ids).logits[k];
  const values = new Array(pad(model, ids).length - ids.length).fill(0);
  for (let t = 0; t < ids.length; t++) {
    values.push(whole - runLayers(model, pad(model, ids.toSpliced(t, 1))).y.a[k]);
    yield t / ids.length;
  }
  return { values, sum: null };
}

/** Gradient times input: the slope at the text itself, followed down to a word vector of 0. */
function gradientTimesInput(model, ids, k) {
  const { x, caches } = forward(model, ids);
  const { dx } = backward(model, caches, k);
  return { values: Array.from({ length: x.T }, (_, t) => dot(row(x, t), row(dx, t))), sum: null };
}

/** Integrated gradients (Sundararajan et al. 2017): the mean slope on the way from word vectors of 0 to the text. */
function* integratedGradients(model, ids, k) {
  const { x, logits } = forward(model, ids);
  const values = new Array(x.T).fill(0);
  const run = (scale) => runLayers(model, { ...x, a: x.a.map((v) => v * scale), ids: pad(model, ids), scale }, 1);
  for (let m = 0; m < IG_STEPS; m++) {
    const { caches } = run((m + 0.5) / IG_STEPS);
    yield m / IG_STEPS;
    const { dx } = backward(model, caches, k);
    for (let t = 0; t < x.T; t++) values[t] += dot(row(x, t), row(dx, t)) / IG_STEPS;
    yield m / IG_STEPS;
  }
  return { values, sum: logits[k] - run(0).y.a[k] };
}

/** The LSTMs of layer n: name, cache, gradients and settings of each of its runs, and whether it reads backwards. */
function runsOf(model, caches, grads, n) {
  const { class: kind, config } = model.layers[n];
  if (kind === "LSTM") return [{ run: "", config, cache: caches[n], grads: grads[n], backwards: Boolean(config.go_backwards) }];
  const one = (run) => ({ run, config: config.layer.config, cache: caches[n][run], grads: grads[n][run], backwards: run === "backward" });
  return ["forward", "backward"].map(one);
}

const isRecurrent = (layer) => layer.class === "LSTM" || layer.class === "Bidirectional";

/** The memory account of the last LSTM: by c_T = Σ_t (∏_{s>t} f_s) i_t g_t, what each word wrote and what was kept. */
function memoryAccount(model, ids, k) {
  const n = model.layers.findLastIndex(isRecurrent);
  if (n < 0 || model.layers.slice(1, n).some((layer) => !isRecurrent(layer) && layer.class !== "Dropout")) return null;
  const { caches } = forward(model, ids);
  const { grads } = backward(model, caches, k);
  const values = new Array(pad(model, ids).length).fill(0);
  let sum = 0;
  for (const { config, cache, grads: d, backwards } of runsOf(model, caches, grads, n)) {
    const [{ i, f, g, o, h, c }, phi] = [cache, activationOf(config.activation)];
    const phi_0 = phi.forward(0);
    for (let j = 0; j < h.D; j++) {
      let A = 0; // the gradient of what reads the cell, with the cell's own nonlinearity as a secant
      for (let t = i.T - 1, at = t * h.D + j; t >= 0; t--, at -= h.D) {
        const c_t = c.a[at + h.D];
        const read = h.a[at + h.D] - o.a[at] * phi_0; // h_t minus what an empty cell would give
        A += d.dy.a[at] * (c_t === 0 ? o.a[at] * phi.backward(1, phi_0) : read / c_t);
        values[backwards ? i.T - 1 - t : t] += A * i.a[at] * g.a[at];
        sum += d.dy.a[at] * read;
        A *= f.a[at];
      }
    }
  }
  return { values, sum };
}

/** What each step wrote into the last cell of one LSTM run and was kept: (T, H), c_T = the sum over T. Exact. */
function writtenAndKept({ i, f, g }) {
  const parts = zeros(i.T, i.D);
  const kept = new Float64Array(i.D).fill(1); // ∏_{s>t} f_s
  for (let t = i.T - 1; t >= 0; t--) {
    for (let j = 0, k = t * i.D; j < i.D; j++, k++) {
      parts.a[k] = kept[j] * i.a[k] * g.a[k];
      kept[j] *= f.a[k];
    }
  }
  return parts;
}

/** Spearman's rank correlation, with mean ranks for ties; NaN where one side is constant. */
function rankCorrelation(a, b) {
  const ranks = (v) => v.map((x) => v.filter((y) => y < x).length + (v.filter((y) => y === x).length - 1) / 2);
  const [u, v] = [a, b].map(ranks).map((r) => r.map((x) => x - total(r) / r.length));
  return dot(u, v) / Math.sqrt(dot(u, u) * dot(v, v));
}

/** For a Conv1D on words: where each filter was strongest, the steps it saw there, and its part of logit k. */
function filterFirings(model, caches, dys) {
  const n = model.layers.findIndex((layer) => layer.class === "Conv1D");
  if (n < 0 || model.layers.slice(1, n).some((layer) => layer.class !== "Dropout")) return [];
  const [{ windows }, { x, y }] = [model.layers[n], caches[n]];
  return Array.from({ length: y.D }, (_, filter) => {
    const fired = Array.from({ length: y.T }, (_, t) => y.a[t * y.D + filter]);
    const t = fired.indexOf(Math.max(...fired));
    return { filter, fired, t, steps: windows.seen(t, x.T), part: total(fired.map((v, s) => v * dys[n].a[s * y.D + filter])) };
  });
}
