// The explorer page: what one sees of the model that engine.js runs. Labels, words and texts are data from a file, so
// they only ever become text nodes. The state of the page is one flat object, kept in the hash of the URL.
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  const DEFAULTS = { text: "", t: -1, screen: "step", unit: 0, run: -1, shift: 0, reader: "trained", k: -1, show: "c", what: "", tour: 0 };
  const SLICE = 40; // ms of work at most between two looks at the keyboard
  let state = { ...DEFAULTS };
  let models = {};
  let about = null;
  let playing = 0;

  // ---- Elements ------------------------------------------------------------------------------------------------------

  const solid = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined);

  /** Make an element: its properties, of which a function listens and others are attributes, and its children. */
  function make(tag, ...rest) {
    const [properties, children] = rest[0]?.constructor === Object ? [rest[0], rest.slice(1)] : [{}, rest];
    const svg = ["svg", "g", "path", "line", "rect", "text", "title"].includes(tag);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (typeof value === "function") node.addEventListener(name, value);
      else if (name.startsWith("--")) node.style.setProperty(name, value);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...solid(children));
    return node;
  }

  /** Replace the children of an element. A text or slider in use stays where it is, with its caret and the pointer. */
  function fill(parent, children) {
    const used = document.activeElement;
    const old = used.matches("textarea, input") && parent !== used ? [...parent.children].find((node) => node.contains(used)) : null;
    const n = old ? children.findIndex((node) => node.id === used.id || node.querySelector?.(`#${used.id}`)) : -1;
    if (n < 0) return parent.replaceChildren(...children);
    for (const node of [...parent.childNodes]) if (node !== old) node.remove();
    old.before(...children.slice(0, n));
    old.after(...children.slice(n + 1));
    if (old !== used) fill(old, [...children[n].childNodes]);
  }

  const button = (text, click, properties = {}) => make("button", { type: "button", click, ...properties }, text);
  const option = (value, text, chosen) => make("option", { value, selected: String(value) === String(chosen) }, text);
  const cut = (text, n = 24) => (text.length > n ? `${text.slice(0, n - 1)}…` : text);
  const quote = (word) => `“${cut(word)}”`;
  const width = () => Math.max(260, byId("main").clientWidth);

  /** A number with a printed sign and about three digits. */
  function signed(x, sign = true) {
    if (!Number.isFinite(x)) return "–";
    if (x === 0) return "0";
    const size = Math.abs(x);
    const digits = size >= 0.001 && size < 1000 ? size.toFixed(size < 0.1 ? 4 : size < 10 ? 3 : 1) : size.toExponential(1);
    return (x < 0 ? "−" : sign ? "+" : "") + digits.replace("e-", "e−");
  }
  const plain = (x) => signed(x, false);
  const percent = (p) => (p < 1e-5 ? "< 0.001 %" : p > 0.99999 && p < 1 ? "> 99.999 %" : `${(100 * p).toFixed(p > 0.001 && p < 0.999 ? 1 : 3)} %`);
  const fraction = (x) => (x < 1e-5 ? `${plain(100 * x)} %` : `${(100 * x).toFixed(x < 0.01 ? 3 : 1)} %`); // may exceed 1
  const narrow = () => width() < 480;
  const tint = (x, largest) => ({ class: x < 0 ? "down" : "up", "--amount": `${Math.round(70 * Math.min(1, Math.abs(x) / (largest || 1)))}%` });
  function table(heads, rows, caption) {
    const line = (cells) => (cells instanceof Node ? cells : make("tr", cells.map((cell) => make("td", cell))));
    const head = make("tr", heads.map((name) => make("th", { scope: "col" }, name)));
    return make("table", caption ? make("caption", { class: "soft left" }, caption) : null, make("thead", head), make("tbody", rows.map(line)));
  }

  /** Lines over the steps of a text, each with its own colour and dashes; with `log`, on a logarithmic scale. */
  function chart(series, { at = -1, log = false, low = null, high = null, labels = [], name, pick = null, height = 180 }) {
    const [W, left, right, top, bottom] = [width(), 52, 8, 8, 22];
    const floor = 1e-12; // below, a logarithm says no more than "nothing is left"
    const value = (v) => (log ? Math.log10(Math.max(floor, Math.abs(v))) : v);
    const all = series.flatMap(({ values }) => values.map(value)).filter(Number.isFinite);
    let [a, b] = [low ?? Math.min(...all), high ?? Math.max(...all)];
    if (log) [a, b] = [Math.floor(a), Math.ceil(b)];
    if (!(b > a)) [a, b] = [a - 0.5, a + 0.5];
    const n = Math.max(...series.map(({ values }) => values.length));
    const x = (t) => left + ((W - left - right) * (t + 0.5)) / n;
    const y = (v) => top + ((height - top - bottom) * (b - value(v))) / (b - a);
    const tick = (v) => (log ? `1e${v}` : String(Number(v.toPrecision(2)))).replace("-", "−");
    const ticks = [a, (a + b) / 2, b].map((v) => (log ? Math.round(v) : v));
    const clicked = (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      const t = Math.floor((((event.clientX - box.left) * W) / box.width - left) / ((W - left - right) / n));
      if (pick && t >= 0 && t < n) pick(t);
    };
    return make(
      "figure",
      make(
        "svg",
        { viewBox: `0 0 ${W} ${height}`, width: W, height, role: "img", "aria-label": name, click: clicked },
        ticks.map((v) => {
          const y_v = top + ((height - top - bottom) * (b - v)) / (b - a);
          return make(
            "g",
            make("line", { class: "axis", x1: left, x2: W - right, y1: y_v, y2: y_v }),
            make("text", { class: "soft", x: left - 5, y: y_v + 4, "text-anchor": "end" }, tick(v)),
          );
        }),
        at >= 0 ? make("line", { class: "now", x1: x(at), x2: x(at), y1: top, y2: height - bottom }) : null,
        at >= 0 && labels[at] !== undefined
          ? make(
              "text",
              {
                x: Math.min(W - right, Math.max(left, x(at))),
                y: height - 6,
                "text-anchor": x(at) < W / 4 ? "start" : x(at) > (3 * W) / 4 ? "end" : "middle",
              },
              cut(labels[at], 18),
            )
          : null,
        series.map(({ values, line }) =>
          make("path", { class: `line s${line}`, d: values.map((v, t) => `${t ? "L" : "M"}${x(t).toFixed(1)} ${y(v).toFixed(1)}`).join("") }),
        ),
      ),
      make(
        "figcaption",
        series.map(({ name: label, line }) =>
          make(
            "span",
            make("svg", { class: "key", viewBox: "0 0 34 12", width: 34, height: 12, "aria-hidden": "true" }, make("path", { class: `line s${line}`, d: "M0 6L34 6" })),
            `${label}  `,
          ),
        ),
      ),
    );
  }

  // ---- State ---------------------------------------------------------------------------------------------------------

  const readers = () => ["trained", "untrained", ...(models.other ? ["other"] : [])];

  function fromHash() {
    const found = { ...DEFAULTS, text: about.texts[0]?.text ?? "" };
    for (const [key, value] of new URLSearchParams(location.hash.slice(1))) {
      if (!Object.hasOwn(DEFAULTS, key)) continue;
      const number = Number(value);
      if (typeof DEFAULTS[key] === "string") found[key] = value.slice(0, 20000);
      else if (Number.isFinite(number)) found[key] = number;
    }
    if (!readers().includes(found.reader)) found.reader = "trained";
    found.shift = Math.max(-6, Math.min(6, found.shift));
    return found;
  }

  function toHash() {
    const hash = new URLSearchParams();
    for (const [key, value] of Object.entries(state)) if (value !== DEFAULTS[key]) hash.set(key, value);
    history.replaceState(null, "", `#${hash}`);
  }

  /** Change the state and draw what depends on it. The focus stays where it was, by the id of the element. */
  function set(patch, focus = document.activeElement?.id) {
    state = { ...state, ...patch };
    toHash();
    draw();
    if (focus) byId(focus)?.focus();
  }

  // ---- Work in slices ------------------------------------------------------------------------------------------------

  const jobs = new Map(); // by name: a number that grows when the job is replaced

  /** Run a generator a few milliseconds at a time, unless another job of this name replaces it; then call `done`. */
  function work(name, steps, done, progress = () => {}) {
    const turn = (jobs.get(name) ?? 0) + 1;
    jobs.set(name, turn);
    const go = () => {
      if (jobs.get(name) !== turn) return;
      const start = performance.now();
      for (let before = start, longest = 0; ;) {
        const { done: finished, value } = steps.next();
        if (finished) return done(value);
        longest = Math.max(longest, performance.now() - before);
        before = performance.now();
        if (before + longest > start + SLICE) {
          progress(value);
          return setTimeout(go, 0);
        }
      }
    };
    go();
  }

  // ---- Reading a text ------------------------------------------------------------------------------------------------

  const readings = new Map();

  /** A model, by default that of the state: trained, untrained or the other one, with its forget bias shifted. */
  function modelNow(reader = state.reader) {
    const key = `${reader} ${state.shift}`;
    if (!models[key]) {
      if (reader === "untrained") models.untrained ??= untrained(models.trained);
      const base = models[reader];
      for (const old of Object.keys(models).filter((name) => name.includes(" ") && !name.endsWith(` ${state.shift}`))) delete models[old];
      models[key] = state.shift ? shiftForgetBias(base, state.shift) : base;
    }
    return models[key];
  }

  /** Everything that the screens show of one text: words, run, gradients, LSTM runs, and the logits of the prefixes. */
  function readingOf(text, reader = state.reader) {
    const model = modelNow(reader);
    const key = [reader, state.shift, state.k, text].join(" ");
    if (readings.has(key)) return readings.get(key);
    const { tokens, ids, words } = readText(model, text);
    const { x, logits, caches } = forward(model, ids);
    const chosen = state.k >= 0 && state.k < logits.length ? state.k : logits.indexOf(Math.max(...logits));
    const { dx, dys, grads } = backward(model, caches, chosen);
    const reading = { key, model, tokens, ids, words, x, logits, k: chosen, caches, dx, dys, grads, offset: x.T - ids.length, prefixes: null };
    reading.runs = recurrentRuns(reading);
    if (readings.size > 8) readings.clear();
    readings.set(key, reading);
    return reading;
  }

  /** The LSTMs of a model, each with the words that it reads at each of its steps. */
  function recurrentRuns(reading) {
    const { model, caches, grads, x, offset, words } = reading;
    let spans = Array.from({ length: x.T }, (_, t) => [t - offset, t - offset]); // the words that each step has seen
    const runs = [];
    model.layers.forEach((layer, n) => {
      if (isRecurrent(layer)) {
        for (const run of runsOf(model, caches, grads, n)) {
          const seen = run.backwards ? spans.toReversed() : spans;
          const labels = seen.map(([a, b]) => (b < 0 ? "(padding)" : words.slice(Math.max(0, a), b + 1).join(" ")));
          runs.push({ ...run, n, seen, labels, name: layer.name + (run.run ? `, ${run.run}` : "") });
        }
        if (layer.class === "LSTM" && layer.config.go_backwards) spans = spans.toReversed();
      } else if (layer.windows) {
        spans = Array.from({ length: layer.windows.count(spans.length) }, (_, t) => {
          const within = layer.windows.seen(t, spans.length).flatMap((j) => spans[j]);
          return within.length ? [Math.min(...within), Math.max(...within)] : [-1, -1];
        });
      }
    });
    return runs;
  }

  const now = () => readingOf(state.text);
  const labelOf = (reading) => reading.model.about.labels[reading.logits.length === 1 ? 1 : reading.k];
  const wordNow = (reading) => (state.t < 0 ? reading.words.length - 1 : Math.min(state.t, reading.words.length - 1));
  /** The number of the LSTM run of the state: by default the one that reads forwards, of the last layer. */
  const runNumber = ({ runs }) => (runs[state.run] ? state.run : runs.findIndex(({ n }) => n === runs.at(-1).n));
  const runNow = (reading) => reading.runs[runNumber(reading)];
  const unitNow = (run) => Math.min(Math.max(0, state.unit), run.cache.h.D - 1);
  /** The step of a run at which it reads the word of the state, -1 where there is none. */
  const stepNow = (reading, run) => run.seen.findIndex(([a, b]) => a <= wordNow(reading) && wordNow(reading) <= b);
  const pickStep = (run) => (s) => set({ t: Math.max(0, run.seen[s][1]) });

  // ---- Read ----------------------------------------------------------------------------------------------------------

  function drawRead(reading) {
    const { tokens, words, model } = reading;
    const typed = make("textarea", {
      id: "text",
      rows: 3,
      maxlength: 20000,
      spellcheck: "false",
      input: () => {
        clearTimeout(drawRead.wait);
        drawRead.wait = setTimeout(() => set({ text: typed.value, t: -1 }), 150);
      },
    });
    typed.value = state.text;
    const picked = make(
      "select",
      { id: "texts", change: () => set({ text: about.texts[Number(picked.value)].text, t: -1 }) },
      about.texts.some(({ text }) => text === state.text) ? null : option("", "(your own text)", ""),
      about.texts.map(({ text, label }, n) =>
        option(
          n,
          `${label ? `${cut(label, 14)}: ` : ""}${cut(text, 60)}`,
          about.texts.findIndex((one) => one.text === state.text),
        ),
      ),
    );
    const t = wordNow(reading);
    const slider = make("input", {
      id: "position",
      type: "range",
      min: 0,
      max: Math.max(0, words.length - 1),
      value: Math.max(0, t),
      "aria-label": "word",
      input: () => set({ t: Number(slider.value) }),
    });
    const kept = model.about.maxlen;
    const missed = tokens.filter((token) => !token.kept || !token.known).length;
    const unknown = tokens.filter((token) => !token.known).length;
    const reads = { trained: "this model", untrained: "the same layers with untrained weights", other: "the other model" };
    fill(
      byId("read"),
      solid([
        make("h2", { id: "read-title" }, "How does the prediction change from word to word?"),
        make("label", { for: "text" }, "Type a text, or pick one:"),
        typed,
        make(
          "div",
          { class: "row" },
          picked,
          make(
            "span",
            make("label", { for: "reader" }, "read by "),
            choice(
              "reader",
              readers().map((name) => [name, reads[name]]),
            ),
          ),
          reading.logits.length > 1
            ? choice("k", [[-1, "explain the prediction"], ...model.about.labels.map((label, n) => [n, `explain ${cut(label)}`])])
            : null,
        ),
        state.shift
          ? make(
              "p",
              { class: "note" },
              `The forget bias of every LSTM is shifted by ${signed(state.shift)}. `,
              button("Undo", () => set({ shift: 0 }), { id: "undo" }),
            )
          : null,
        make(
          "div",
          { class: "words", role: "radiogroup", "aria-label": "The words of the text; arrow keys move between them", id: "words", keydown: moved },
          wordButtons(reading),
        ),
        make("div", { class: "row" }, button(playing ? "Pause" : "Play", play, { id: "play", disabled: words.length < 2 }), slider),
        make("p", { class: "answer", id: "answer" }, answer(reading)),
        make("div", { id: "curve" }, curve(reading)),
        missed
          ? make(
              "p",
              { class: "soft" },
              `${missed} of ${tokens.length} words are struck through: ${[unknown ? `the model does not know ${unknown} of them` : "", missed > unknown ? `it reads only the last ${kept} words that it knows` : ""].filter(Boolean).join("; ")}.`,
            )
          : null,
        notes(
          "The number under each word shows how much it changed the logit when it was read; the probability would hide changes near 0 % and 100 %.",
          "That a word moved the prediction does not mean that it did so alone: it may only complete what came before it. Delete words to find out.",
        ),
      ]),
    );
  }

  const choice = (key, options, chosen = state[key]) => {
    const list = make(
      "select",
      { id: key, change: () => set({ [key]: typeof DEFAULTS[key] === "number" ? Number(list.value) : list.value }) },
      options.map(([value, text]) => option(value, text, chosen)),
    );
    return list;
  };

  const stepsOf = ({ prefixes, k }) => prefixes && prefixes.slice(1).map((row_t, t) => row_t[k] - prefixes[t][k]);

  function wordButtons(reading, current = wordNow(reading), chosen = (t) => set({ t }, `word-${t}`)) {
    const steps = stepsOf(reading);
    let t = -1;
    return reading.tokens.map((token) => {
      if (!token.kept) return make("s", { class: "word", title: token.known ? "cut off" : "unknown" }, cut(token.word));
      t++;
      const [here, step] = [t, steps?.[t]];
      const shade = steps ? tint(step, 4) : {};
      const inside = [token.known ? cut(token.word) : make("s", cut(token.word)), make("small", steps ? shortSigned(step) : "…")];
      if (!chosen) return make("span", { ...shade, class: `word ${shade.class ?? ""}` }, inside);
      return make(
        "button",
        {
          type: "button",
          role: "radio",
          id: `word-${here}`,
          ...shade,
          class: `word ${shade.class ?? ""}`,
          tabindex: here === current ? 0 : -1,
          "aria-checked": String(here === current),
          click: () => chosen(here),
        },
        inside,
      );
    });
  }
  const shortSigned = (x) => (Number.isFinite(x) ? (x < 0 ? "−" : "+") + Math.abs(x).toFixed(2) : "–");

  function answer(reading) {
    const t = wordNow(reading);
    if (!reading.prefixes) return "…";
    const after = reading.prefixes[t + 1];
    const p = probabilities(reading.model, after);
    const best = p.indexOf(Math.max(...p));
    const label = labelOf(reading);
    const place = t < 0 ? "Before any word" : `After word ${t + 1} of ${reading.words.length}, ${quote(reading.words[t])}`;
    const step = t < 0 ? "" : `, ${signed(after[reading.k] - reading.prefixes[t][reading.k])} from this word`;
    return `${place}: ${percent(p[best])} ${cut(reading.model.about.labels[best])}. Logit of ${cut(label)}: ${signed(after[reading.k])}${step}.`;
  }

  /** The probability of the label that is explained, from some logits, and after each word. */
  const chance = ({ model, k }, logits) => probabilities(model, logits)[logits.length === 1 ? 1 : k];
  const course = (reading) => reading.prefixes.slice(1).map((logits) => chance(reading, logits));

  const curve = (reading) => {
    if (!reading.prefixes || !reading.words.length) return make("span");
    return chart([{ name: `probability of ${cut(labelOf(reading))} after each word`, values: course(reading), line: 0 }], {
      at: wordNow(reading),
      low: 0,
      high: 1,
      labels: reading.words,
      name: "The probability after each word",
      pick: (t) => set({ t }),
      height: 120,
    });
  };

  function moved(event) {
    const [reading, n] = [now(), now().words.length];
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -n, End: n }[event.key];
    if (!move || !n) return;
    event.preventDefault();
    const t = Math.max(0, Math.min(n - 1, wordNow(reading) + move));
    set({ t }, `word-${t}`);
  }

  function play() {
    clearInterval(playing);
    if (playing) {
      playing = 0;
      return set({});
    }
    if (wordNow(now()) >= now().words.length - 1) state.t = 0;
    playing = setInterval(() => {
      const t = wordNow(now()) + 1;
      if (t >= now().words.length - 1) {
        clearInterval(playing);
        playing = 0;
      }
      set({ t: Math.min(t, now().words.length - 1) });
    }, 600);
    set({});
  }

  const notes = (conclude, not) =>
    make("div", { class: "note" }, make("p", make("strong", "What to conclude. "), conclude), make("p", make("strong", "What not to conclude. "), not));

  /** The choice of LSTM and unit, which several screens share. */
  function pickers(reading, run, units = true) {
    const unit = unitNow(run);
    return make(
      "div",
      { class: "row" },
      reading.runs.length > 1
        ? [make("label", { for: "run" }, "LSTM"), choice("run", reading.runs.map((one, n) => [n, one.name]), runNumber(reading))]
        : null,
      units
        ? [make("label", { for: "unit" }, "unit"), choice("unit", Array.from({ length: run.cache.h.D }, (_, j) => [j, String(j)]), unit)]
        : null,
      units ? button("Previous unit", () => set({ unit: Math.max(0, unit - 1) }), { id: "unit-back", disabled: unit === 0 }) : null,
      units ? button("Next unit", () => set({ unit: unit + 1 }), { id: "unit-next", disabled: unit === run.cache.h.D - 1 }) : null,
    );
  }

  // ---- Inside one step -----------------------------------------------------------------------------------------------

  function drawStep(reading) {
    const run = runNow(reading);
    const [s, j, H] = [stepNow(reading, run), unitNow(run), run.cache.h.D];
    if (s < 0) return [pickers(reading, run), make("p", "No step of this LSTM reads this word. Choose another word.")];
    const { i, f, g, o, h, c, zx, zh } = run.cache;
    const of = (m, t = s) => row(m, t)[j];
    const b = reading.model.layers[run.n].weights[run.run ? `${run.run}.b` : "b"];
    const gates = [
      ["i", "input gate, how much to write", i, "σ"],
      ["f", "forget gate, how much to keep", f, "σ"],
      ["g", "candidate, what to write", g, "φ"],
      ["o", "output gate, how much to show", o, "σ"],
    ];
    const [kept, written, phi_c] = [of(f) * of(c), of(i) * of(g), activationOf(run.config.activation).forward(of(c, s + 1))];
    const number = narrow() ? shortSigned : signed;
    const change = Array.from(row(c, s + 1), (c_j, u) => c_j - row(c, s)[u]);
    const most = change.map((_, u) => u).sort((u, v) => Math.abs(change[v]) - Math.abs(change[u]));
    const names = { σ: run.config.recurrent_activation ?? "linear", φ: run.config.activation ?? "linear" };
    return [
      pickers(reading, run),
      make("p", `${run.name} reads ${quote(run.labels[s])}, its step ${s + 1} of ${i.T}; unit ${j}. σ is ${names.σ}, φ is ${names.φ}.`),
      make("p", { class: "soft" }, `Here c changes most in ${Array.from(most.slice(0, 3), (u) => `unit ${u}, by ${signed(change[u])}`).join("; ")}.`),
      make("p", { class: "equation" }, "(1) z = x W + h U + b, (2) the gates from z:"),
      table(
        ["gate", "x W", "+ h U", "+ b", "= z", "gate"],
        gates.map(([name, meaning, gate, phi], n) => [
          [make("strong", name), narrow() ? null : make("span", { class: "soft" }, ` ${meaning}`)],
          number(row(zx, s)[n * H + j]),
          number(row(zh, s)[n * H + j]),
          number(b[n * H + j]),
          number(row(zx, s)[n * H + j] + row(zh, s)[n * H + j] + b[n * H + j]),
          [narrow() ? `${phi} ` : `${phi}(z) = `, make("strong", plain(of(gate)))],
        ]),
      ),
      make("p", { class: "equation" }, `(3) c = f c_before + i g = ${plain(of(f))} × ${plain(of(c))} + ${plain(of(i))} × ${plain(of(g))}`),
      make("p", { class: "equation" }, `      = ${signed(kept)} kept ${signed(written)} written = `, make("strong", signed(of(c, s + 1)))),
      bars([
        ["before", of(c)],
        ["kept", kept],
        ["written", written],
        ["after", of(c, s + 1)],
      ]),
      make("p", { class: "equation" }, `(4) h = o φ(c) = ${plain(of(o))} × ${plain(phi_c)} = `, make("strong", signed(of(h, s + 1)))),
      sourceOf("forward", "The lines of the library that this shows"),
      notes(
        "A gate near 0 is closed and one near 1 is open. The forget gate says how much of the memory survives this word, the input gate how much of the candidate enters it.",
        "One unit at one word is a small part of the model. Whether it matters for the prediction is shown by the parts of the logit under “Who wrote the memory”.",
      ),
    ];
  }

  const sourceOf = (part, title) => make("details", make("summary", `${title} (${about.source.file})`), make("pre", about.source[part].join("\n")));

  function bars(rows, largest = Math.max(1e-9, ...rows.map(([, v]) => Math.abs(v)))) {
    const [W, H, left] = [width(), 20 * rows.length, 70];
    const half = (W - left - 70) / 2;
    return make(
      "svg",
      { viewBox: `0 0 ${W} ${H}`, width: W, height: H, role: "img", "aria-label": rows.map(([name, v]) => `${name} ${signed(v)}`).join(", ") },
      rows.map(([name, v], n) => [
        make("text", { x: 0, y: 20 * n + 14 }, name),
        make("rect", {
          class: v < 0 ? "minus" : "plus",
          x: left + half + Math.min(0, (half * v) / largest),
          y: 20 * n + 3,
          width: (half * Math.abs(v)) / largest,
          height: 14,
        }),
        make("text", { x: W, y: 20 * n + 14, "text-anchor": "end" }, signed(v)),
      ]),
      make("line", { class: "axis", x1: left + half, x2: left + half, y1: 0, y2: H }),
    );
  }

  // ---- Who wrote the memory ------------------------------------------------------------------------------------------

  function drawMemory(reading) {
    const run = runNow(reading);
    const { cache, grads, labels } = run;
    const [T, H] = [cache.i.T, cache.h.D];
    if (!T) return [make("p", "This text has no words that the model reads.")];
    const parts = writtenAndKept(cache);
    const last = row(grads.dh, T - 1);
    const units = Array.from({ length: H }, (_, j) => {
      const wrote = Array.from({ length: T }, (_, s) => parts.a[s * H + j]);
      return { j, wrote, c: row(cache.c, T)[j], h: row(cache.h, T)[j], part: last[j] * row(cache.h, T)[j] };
    }).sort((a, b) => Math.abs(b.part) - Math.abs(a.part));
    const widest = Math.max(...units.map(({ wrote }) => Math.max(total(wrote.filter((v) => v > 0)), -total(wrote.filter((v) => v < 0)))), 1e-9);
    const shown = units.slice(0, 16);
    return [
      pickers(reading, run, false),
      make("p", { class: "equation" }, "c at the end = Σ over words of (∏ f of all later words) × i × g"),
      make(
        "p",
        { class: "soft" },
        `Units of ${run.name}, sorted by their part of the logit, ∂logit/∂h × h at the last step. A segment is what one word wrote into c and later words kept: positive to the right, negative to the left; the layer after it may read the unit with the opposite sign. If only a Dense layer follows, the parts and its bias add up to the logit. The number in parentheses is the step at which the word was read.`,
      ),
      shown.map(({ j, wrote, c, h, part }) => {
        const order = wrote.map((_, s) => s).sort((a, b) => Math.abs(wrote[b]) - Math.abs(wrote[a]));
        const rest = total(order.slice(4).map((s) => wrote[s]));
        return make(
          "div",
          make(
            "h3",
            button(`unit ${j}`, () => set({ unit: j, screen: "step" }, "screen-title"), { class: "pick", id: `memory-${j}` }),
            ` ${signed(part)} of the logit; c = ${signed(c)}, h = ${signed(h)}`,
          ),
          stacked(wrote, labels, widest),
          make(
            "p",
            { class: "soft" },
            `${order
              .slice(0, 4)
              .map((s) => `${quote(labels[s])} (${s + 1}) ${signed(wrote[s])}`)
              .join(", ")}${order.length > 4 ? `, ${order.length - 4} others ${signed(rest)}` : ""}`,
          ),
        );
      }),
      units.length > shown.length
        ? make(
            "p",
            { class: "soft" },
            `The other ${units.length - shown.length} units account for ${signed(total(units.slice(16).map(({ part }) => part)))} of the logit.`,
          )
        : null,
      notes(
        "Each bar adds up to c exactly: the words named are those whose writing is still in the memory at the end.",
        "What is in the memory need not be used: look at the unit's part of the logit. And what a word wrote depends on the words before it, through h.",
      ),
    ];
  }

  function stacked(values, labels, widest) {
    const [W, H] = [width(), 24];
    const scale = (W / 2 - 2) / widest;
    let [up, down] = [W / 2, W / 2];
    const biggest = values.map((v, s) => [Math.abs(v), s]).sort((a, b) => b[0] - a[0]);
    return make(
      "svg",
      {
        viewBox: `0 0 ${W} ${H}`,
        width: W,
        height: H,
        role: "img",
        "aria-label": Array.from(biggest.slice(0, 3), ([, s]) => `${labels[s]} ${signed(values[s])}`).join(", "),
      },
      values.map((v, s) => {
        const size = Math.abs(v) * scale;
        if (size < 0.3) return null;
        const x = v < 0 ? (down -= size) : (up += size) - size;
        const room = size > 8 * Math.min(labels[s].length, 18) + 6;
        return make(
          "g",
          make("rect", { class: v < 0 ? "minus" : "plus", x, y: 2, width: size, height: 20 }, make("title", `${labels[s]} ${signed(v)}`)),
          room ? make("text", { class: "in", x: x + size / 2, y: 16, "text-anchor": "middle" }, cut(labels[s], 18)) : null,
        );
      }),
      make("line", { class: "axis", x1: W / 2, x2: W / 2, y1: 0, y2: H }),
    );
  }

  // ---- What if -------------------------------------------------------------------------------------------------------

  function drawWhatIf(reading) {
    const { words, model } = reading;
    const { level = "word", split } = model.about.tokenizer;
    const separator = level === "word" ? split : " ";
    const t = wordNow(reading);
    const whole = level === "pair" || level === "char"; // put together, such tokens would be cut into others
    const changed = state.what || (whole ? state.text : words.join(separator));
    const to = (list) => set({ what: list.join(separator) || separator });
    const typed = make("textarea", { id: "what", rows: 3, maxlength: 20000, spellcheck: "false", change: () => set({ what: typed.value }) });
    typed.value = changed;
    const other = make("input", { id: "by", "aria-label": "another word", size: 12, value: "" });
    const knows = (word) => !whole && model.ids.has(word);
    const after = readingOf(changed);
    const presets = [
      ["not good", "not bad"],
      ["good not bad", "bad not good"],
    ].filter((pair) => pair.every((text) => text.split(" ").every(knows)));
    const shown = make("div", "Computing …");
    work("what if", both(reading, after), () => {
      const [p, q] = [reading, after].map(({ logits }) => chance(reading, logits));
      const difference = after.logits[reading.k] - reading.logits[reading.k];
      shown.replaceChildren(
        table(
          ["", `logit of ${cut(labelOf(reading))}`, "its probability"],
          [
            ["before", signed(reading.logits[reading.k]), percent(p)],
            ["changed", signed(after.logits[reading.k]), percent(q)],
            ["difference", signed(difference), ""],
          ],
        ),
        make("h3", "The changed text, word by word"),
        make("div", { class: "words" }, wordButtons({ ...after, k: reading.k }, -1, null)),
        tokensBetween(reading, after),
      );
    });
    return [
      whole
        ? make("p", "The tokens of this model are pieces of words, so type the changed text below.")
        : [
            make("p", t < 0 ? "This text has no words that the model reads." : `The current word is ${quote(words[t])}; choose another one above.`),
            make(
              "div",
              { class: "row" },
              button("Delete it", () => to(words.toSpliced(t, 1)), { id: "delete", disabled: t < 0 }),
              button("Swap it with the next", () => to(words.toSpliced(t, 2, words[t + 1], words[t])), { id: "swap", disabled: t + 1 >= words.length }),
              knows("not") ? button("Put “not” before it", () => to(words.toSpliced(t, 0, "not")), { id: "negate", disabled: t < 0 }) : null,
              button("Reverse the order", () => to(words.toReversed()), { id: "reverse" }),
            ),
            make(
              "div",
              { class: "row" },
              make("label", { for: "by" }, "Replace it with"),
              other,
              button("Replace", () => other.value && to(words.toSpliced(t, 1, other.value)), { id: "replace", disabled: t < 0 }),
            ),
          ],
      presets.length
        ? make(
            "div",
            { class: "row" },
            "Two texts:",
            presets.map(([a, b], n) => button(`${quote(a)} and ${quote(b)}`, () => set({ text: a, what: b, t: -1 }), { id: `preset-${n}` })),
          )
        : null,
      make("label", { for: "what" }, whole ? "The changed text:" : "The changed text, without the words that the model does not read:"),
      typed,
      make(
        "div",
        { class: "row" },
        button("Undo all changes", () => set({ what: "" }), { id: "as-before" }),
        button("Read the changed text", () => set({ text: changed, what: "", t: -1 }), { id: "keep" }),
      ),
      shown,
      notes(
        "A difference in the logit is what the model really does with the other text: it is an experiment, not an estimate.",
        "Deleting a word makes a text that perhaps nobody has ever written; the model may react to that, too.",
      ),
    ];
  }

  function* both(...pair) {
    for (const reading of pair) reading.prefixes ??= yield* prefixLogits(reading.model, reading.ids);
  }

  const tokensBetween = (before, after) => {
    const [a, b] = [new Set(before.words), new Set(after.words)];
    const unknown = after.tokens.filter((token) => !token.kept).map((token) => quote(token.word));
    const fresh = [...b].filter((word) => !a.has(word)).map(quote);
    return make(
      "p",
      { class: "soft" },
      [fresh.length ? `New: ${fresh.slice(0, 8).join(", ")}. ` : "", unknown.length ? `Not read: ${unknown.slice(0, 8).join(", ")}.` : ""].join(""),
    );
  };

  // ---- Two models ----------------------------------------------------------------------------------------------------

  function drawModels() {
    const pair = ["trained", "other"].map((reader) => readingOf(state.text, reader));
    const names = pair.map((one, n) => `${n ? "the other model" : "this model"}, ${one.model.about.title}`);
    const same = pair[0].words.length && pair[0].words.join(" ") === pair[1].words.join(" ");
    const shown = make("div", "Computing …");
    work("models", both(...pair), () => {
      const lines = pair.map((one, n) => ({ name: `probability of ${cut(labelOf(one))}: ${names[n]}`, values: course(one), line: n }));
      const options = { at: wordNow(pair[0]), low: 0, high: 1, labels: pair[0].words, name: "The probability after each word", pick: (t) => set({ t }) };
      shown.replaceChildren(
        same ? chart(lines, options) : make("p", { class: "soft" }, "They read different words of this text."),
        ...pair.flatMap((one, n) => [
          make("h3", names[n]),
          make("div", { class: "words" }, wordButtons(one, -1, null)),
          make("p", `At the end: ${percent(chance(one, one.logits))} ${cut(labelOf(one))}, logit ${signed(one.logits[one.k])}.`),
        ]),
      );
    });
    return [
      shown,
      notes(
        "Where the lines part, the models read something differently. To see why, choose the other model above and look at the other screens.",
        "Two models trained with different random numbers differ, too, so a small difference says nothing about their architecture or texts.",
      ),
    ];
  }

  // ---- Backwards -----------------------------------------------------------------------------------------------------

  function drawBackwards(reading) {
    const run = runNow(reading);
    const { grads, cache } = run;
    const [T, H, s, j] = [cache.i.T, cache.h.D, stepNow(reading, run), unitNow(run)];
    if (!T) return [make("p", "This text has no words that the model reads.")];
    const norms = (m) => Array.from({ length: T }, (_, t) => Math.sqrt(dot(row(m, t), row(m, t))));
    const [dh, dc, h_path, c_path] = [grads.dh, grads.dc, grads.dh_path, grads.dc_path].map(norms);
    const kept = new Array(T).fill(1); // the mean over units of ∏ f of the later steps
    const product = new Float64Array(H).fill(1);
    for (let t = T - 1; t >= 0; t--) {
      kept[t] = total(product) / H;
      product.forEach((_, u) => (product[u] *= cache.f.a[t * H + u]));
    }
    const slider = make("input", {
      id: "shift",
      type: "range",
      min: -4,
      max: 4,
      step: 0.5,
      value: state.shift,
      input: () => set({ shift: Number(slider.value) }),
    });
    const checked = make("p", { id: "checked", role: "status" });
    const check = (kind) => () => {
      const place = { layer: run.n, run: run.run, kind, t: s, unit: j };
      const [by, numeric] = [row(grads[`d${kind}`], s)[j], finiteDifference(reading.model, reading.ids, reading.k, place)];
      checked.replaceChildren(
        `∂logit/∂${kind} of unit ${j} at ${quote(run.labels[s])}: ${by.toExponential(6)} by the equations, ${numeric.toExponential(6)} by (f(x + ε) − f(x − ε)) / 2ε with ε = 1e−4; they differ by ${Math.abs(by - numeric).toExponential(1)}.`,
      );
    };
    const earlier = s - 20;
    return [
      pickers(reading, run),
      make("div", { class: "row" }, make("label", { for: "shift" }, `shift of the forget bias: ${signed(state.shift)}`), slider),
      chart(
        [
          { name: "‖∂logit/∂c‖", values: dc, line: 0 },
          { name: "‖∂logit/∂h‖", values: dh, line: 1 },
          { name: "∏ f of later steps, mean", values: kept, line: 2 },
        ],
        { at: s, log: true, labels: run.labels, name: "Norms of the gradients at every step, on a logarithmic scale", pick: pickStep(run) },
      ),
      T < 2
        ? null
        : [
            make("h3", "The two paths back from the next step, (0′)"),
            chart(
              [
                { name: "through c: dc f", values: c_path.slice(0, -1), line: 0 },
                { name: "through h: dz Uᵀ", values: h_path.slice(0, -1), line: 1 },
              ],
              { at: s < T - 1 ? s : -1, log: true, labels: run.labels, name: "Norms of the two paths of (0′)", pick: pickStep(run), height: 150 },
            ),
          ],
      s < 0
        ? null
        : table(
            [`at ${quote(run.labels[s])}, step ${s + 1}`, "norm", `unit ${j}`],
            [
              ["∂logit/∂h", plain(dh[s]), signed(row(grads.dh, s)[j])],
              ["  of which through h: dz Uᵀ", plain(h_path[s]), signed(row(grads.dh_path, s)[j])],
              ["∂logit/∂c", plain(dc[s]), signed(row(grads.dc, s)[j])],
              ["  of which through c: dc f", plain(c_path[s]), signed(row(grads.dc_path, s)[j])],
              ["∏ f of later steps, mean", plain(kept[s]), ""],
            ],
          ),
      s < 0
        ? null
        : make(
            "p",
            `At this step, ${fraction(dc[s] / dc[T - 1])} of the last step’s ‖∂logit/∂c‖ is left.${earlier < 0 ? "" : ` Of this step’s, ${fraction(dc[earlier] / dc[s])} is left 20 steps earlier, at step ${earlier + 1}, ${quote(run.labels[earlier])}.`}`,
          ),
      s < 0
        ? null
        : make(
            "div",
            { class: "row" },
            button("Check ∂logit/∂c", check("c"), { id: "check-c" }),
            button("Check ∂logit/∂h", check("h"), { id: "check-h" }),
          ),
      checked,
      sourceOf("backward", "The lines of the library that compute this"),
      notes(
        "Where a line falls steeply, the model could hardly learn from earlier words: their gradient has vanished. It falls with the product of the forget gates; shift the bias and watch.",
        "A small gradient does not mean that a word had no effect. It says how the logit would change with a small change there, and a gate that is wide open or closed has no slope.",
      ),
    ];
  }

  // ---- What a unit follows -------------------------------------------------------------------------------------------

  const SCALES = { c: [-2, 2], h: [-1, 1], i: [0, 1], f: [0, 1], g: [-1, 1], o: [0, 1] };

  function drawUnits(reading) {
    const run = runNow(reading);
    const [T, H, s, j] = [run.cache.i.T, run.cache.h.D, stepNow(reading, run), unitNow(run)];
    if (!T) return [make("p", "This text has no words that the model reads.")];
    const show = Object.hasOwn(SCALES, state.show) ? state.show : "c";
    const [m, shift, [low, high]] = [run.cache[show], show === "c" || show === "h" ? 1 : 0, SCALES[show]];
    const value = (t, u) => m.a[(t + shift) * H + u];
    const number = low < 0 ? signed : plain;
    const canvas = make("canvas", {
      width: width(),
      height: Math.min(480, Math.max(100, H * 14)),
      role: "img",
      "aria-label": `${show} of ${H} units at ${T} steps; the numbers of unit ${j} follow below`,
      click: (event) => {
        const box = canvas.getBoundingClientRect();
        const t = Math.min(T - 1, Math.floor(((event.clientX - box.left) / box.width) * T));
        set({ unit: Math.min(H - 1, Math.floor(((event.clientY - box.top) / box.height) * H)), t: Math.max(0, run.seen[t][1]) });
      },
    });
    paint(canvas, T, H, (t, u) => (low < 0 ? value(t, u) / high : 2 * value(t, u) - 1), j, s);
    const name = reading.model.layers[run.n].name;
    const context = reading.model === models.trained ? about.contexts[name]?.[j + (run.run === "backward" ? H : 0)] : null;
    const spoken = (one) =>
      make(
        "li",
        one.words.map((word, n) => (n === one.at ? make("strong", `${cut(word)} `) : `${cut(word)} `)),
        signed(one.change),
      );
    const values = Array.from({ length: T }, (_, t) => value(t, j));
    return [
      pickers(reading, run),
      make(
        "div",
        { class: "row" },
        make("label", { for: "show" }, "show"),
        choice("show", [
          ["c", "c, the cell"],
          ["h", "h, the output"],
          ["i", "i, the input gate"],
          ["f", "f, the forget gate"],
          ["g", "g, the candidate"],
          ["o", "o, the output gate"],
        ]),
      ),
      make(
        "figure",
        canvas,
        make(
          "figcaption",
          `There is a row for each unit, with unit 0 at the top, and a column for each step. The scale is fixed: ${signed(low)} has the colour of “−”, ${signed(high)} that of “+”, and numbers beyond have the colour of the nearer end. The frames mark unit ${j} and the current word.`,
        ),
      ),
      chart([{ name: `${show} of unit ${j}`, values, line: 0 }], {
        at: s,
        low: Math.min(low, ...values),
        high: Math.max(high, ...values),
        labels: run.labels,
        name: `${show} of unit ${j} at every step`,
        pick: pickStep(run),
        height: 140,
      }),
      s < 0
        ? null
        : make(
            "p",
            `At ${quote(run.labels[s])}: ${show} of unit ${j} is ${number(value(s, j))}${s > 0 ? `; it was ${number(value(s - 1, j))} one step earlier, so it changes by ${signed(value(s, j) - value(s - 1, j))}` : ""}.`,
          ),
      context
        ? [
            make("h3", `Words (bold) that raise c of unit ${j} most, shown with the words read before them, in the texts that the page was made with`),
            make("ul", context.raises.map(spoken)),
            make("h3", "Words (bold) that lower c most"),
            make("ul", context.lowers.map(spoken)),
          ]
        : null,
      notes(
        "A unit whose cell moves at the same kind of word in all contexts follows that kind of word.",
        "Most units follow several things at once, and what looks like a meaning may be one frequent word. Look at untrained weights, too: what looks the same there was not learned.",
      ),
    ];
  }

  /** Draw T by H cells for numbers from -1 to 1, with their signs where there is room, and frame a unit and a step. */
  function paint(canvas, T, H, value, unit, step) {
    const style = getComputedStyle(document.documentElement);
    const [plus, minus, text] = ["--raise", "--lower", "--text"].map((name) => style.getPropertyValue(name).trim());
    const context = canvas.getContext("2d");
    const [w, h] = [canvas.width / T, canvas.height / H];
    Object.assign(context, { font: "11px sans-serif", textAlign: "center", textBaseline: "middle", lineWidth: 2, strokeStyle: text });
    for (let u = 0; u < H; u++) {
      for (let t = 0; t < T; t++) {
        const v = Math.max(-1, Math.min(1, value(t, u)));
        Object.assign(context, { globalAlpha: Math.abs(v), fillStyle: v < 0 ? minus : plus });
        context.fillRect(t * w, u * h, w + 0.5, h + 0.5);
        Object.assign(context, { globalAlpha: 1, fillStyle: text });
        if (w > 9 && h > 11 && Math.abs(v) > 0.25) context.fillText(v < 0 ? "−" : "+", (t + 0.5) * w, (u + 0.5) * h);
      }
    }
    context.strokeRect(1, unit * h, canvas.width - 2, h);
    if (step >= 0) context.strokeRect(step * w, 1, w, canvas.height - 2);
  }

  // ---- Filters -------------------------------------------------------------------------------------------------------

  function drawFilters(reading) {
    const fired = filterFirings(reading.model, reading.caches, reading.dys).sort((a, b) => Math.abs(b.part) - Math.abs(a.part));
    const words = (steps) => steps.map((s) => reading.words[s - reading.offset] ?? "(padding)").join(" ");
    return [
      make("p", "Each filter of the first convolution looks for the same pattern of a few words at every place. Its part of the logit is Σ over places of y × ∂logit/∂y."),
      table(
        ["filter", "strongest at", "y there", "part of the logit"],
        fired
          .slice(0, 24)
          .map(({ filter, steps, fired: y, t, part }) => [
            String(filter),
            make("span", { class: "left" }, quote2(words(steps))),
            plain(y[t]),
            [signed(part), make("span", bar(part, fired[0].part))],
          ]),
      ),
      fired.length > 24 ? make("p", { class: "soft" }, `${fired.length - 24} more filters have smaller parts.`) : null,
      notes(
        "The words named are the window in which the filter was strongest in this text: with max pooling, only that place counts.",
        "A strong filter need not matter: look at its part of the logit. A filter that is silent here may be the deciding one in another text.",
      ),
    ];
  }
  const quote2 = (text) => `“${cut(text, 60)}”`;
  const bar = (v, largest) => ({ ...tint(v, largest), class: `bar ${v < 0 ? "down" : "up"}` });

  // ---- Which word did it ---------------------------------------------------------------------------------------------

  const METHODS = [
    ["leave one out", (r) => leaveOneOut(r.model, r.ids, r.k), "the logit minus that of the text without the word; the sum means nothing"],
    ["gradient × input", (r) => at_once(gradientTimesInput(r.model, r.ids, r.k)), "the word vector times the slope at this text; the sum means nothing"],
    ["integrated gradients", (r) => integratedGradients(r.model, r.ids, r.k), "the word vector times the mean slope on the way from 0 to it; the sum is the logit minus that for word vectors of 0"],
    ["memory account", (r) => at_once(memoryAccount(r.model, r.ids, r.k)), "what the word wrote and the last LSTM kept and showed; the sum is the logit minus that with empty cells, if the layers above are linear"],
  ];
  function* at_once(value) {
    yield 0;
    return value;
  }

  function drawWords(reading) {
    if (!reading.words.length) return [make("p", "This text has no words that the model reads.")];
    const shown = make("div", make("p", { id: "progress" }, "Computing …"));
    const { offset, words } = reading;
    const done = (found) => {
      reading.found = found;
      const used = METHODS.map(([name, , meaning], n) => ({ name, meaning, ...found[n] })).filter(({ values }) => values);
      const columns = used.map(({ values }) => ({ values: values.slice(offset), largest: Math.max(...values.map(Math.abs)) }));
      const pick = (t) => button(cut(words[t], narrow() ? 11 : 24), () => set({ t }), { class: "pick", id: `row-${t}` });
      const rows = words.map((_, t) =>
        make(
          "tr",
          { "aria-selected": String(t === wordNow(reading)) },
          make("td", pick(t)),
          columns.map(({ values, largest }) => make("td", shortSigned(values[t]), make("span", bar(values[t], largest)))),
        ),
      );
      const strongest = used.map(
        ({ name }, n) => `${name}: ${quote(words[columns[n].values.reduce((best, v, t, all) => (Math.abs(v) > Math.abs(all[best]) ? t : best), 0)])}`,
      );
      shown.replaceChildren(
        make("p", `The strongest word by ${strongest.join("; by ")}.`),
        table(["word", ...used.map(({ name }) => name)], rows),
        make("h3", "Checks"),
        make(
          "ul",
          used.map(({ name, meaning, values, sum }) =>
            make(
              "li",
              `${name}: ${meaning}. Sum ${signed(total(values))}${sum === null ? "" : `; it must be ${signed(sum)}: ${Math.abs(total(values) - sum) < 0.01 * Math.max(1, Math.abs(sum)) ? "✓" : "✗, too coarse here"}`}.`,
            ),
          ),
        ),
        make("h3", "Rank correlation of each pair of methods"),
        table(
          ["", ...used.slice(1).map(({ name }) => name)],
          used
            .slice(0, -1)
            .map(({ name }, a) => [
              name,
              ...used.slice(1).map((_, b) => (b < a ? "" : shortSigned(rankCorrelation(columns[a].values, columns[b + 1].values)))),
            ]),
        ),
      );
    };
    if (reading.found) done(reading.found);
    else
      work(
        "attributions",
        all(METHODS.map(([, method]) => method(reading))),
        done,
        (fraction) => (shown.firstChild.textContent = `Computing … ${Math.round(100 * fraction)} %`),
      );
    return [
      make("p", `The table shows how much of the logit of ${quote(labelOf(reading))}, ${signed(reading.logits[reading.k])}, each word accounts for, by several methods.`),
      shown,
      notes(
        "Where the methods agree, the word matters. Only leaving it out is an experiment; the others are estimates from slopes or from the memory.",
        "Do not rely on one method alone: gradients make late words look important. Compare with untrained weights, chosen above: a map that looks the same there explains nothing.",
      ),
    ];
  }

  function* all(generators) {
    const found = [];
    for (const [n, steps] of generators.entries()) {
      let step = steps.next();
      for (; !step.done; step = steps.next()) yield (n + step.value) / generators.length;
      found.push(step.value);
    }
    return found;
  }

  // ---- Screens and tour ----------------------------------------------------------------------------------------------

  const hasLSTM = () => modelNow().layers.some(isRecurrent);
  const hasFilters = () => modelNow().layers.slice(1).find((layer) => layer.class !== "Dropout")?.class === "Conv1D";
  const SCREENS = [
    { id: "step", name: "Inside one step", question: "What happens in one unit while one word is read?", draw: drawStep, if: hasLSTM },
    { id: "memory", name: "Who wrote the memory", question: "Which words are in the memory at the end?", draw: drawMemory, if: hasLSTM },
    { id: "filters", name: "Filters", question: "Which filter fired where?", draw: drawFilters, if: hasFilters },
    { id: "whatif", name: "What if", question: "How would the model read another text?", draw: drawWhatIf },
    { id: "models", name: "Two models", question: "Do the two models read the text in the same way?", draw: drawModels, if: () => models.other },
    { id: "backwards", name: "Backwards", question: "How much gradient is left at the early words?", draw: drawBackwards, if: hasLSTM },
    { id: "units", name: "What a unit follows", question: "What does a unit follow?", draw: drawUnits, if: hasLSTM },
    { id: "words", name: "Which word decided", question: "Which word decided, and do the methods agree?", draw: drawWords },
  ];
  const screens = () => SCREENS.filter((screen) => !screen.if || screen.if());

  const TOUR = [
    [
      { t: 0 },
      "This page runs the model itself. It has read one word. The number under a word says how much it changed the logit, the number from which the probability is computed.",
    ],
    [{ t: -1 }, "Now it has read the whole text. Look for the words with the largest numbers. Arrow keys move from word to word."],
    [
      { screen: "step", t: -1 },
      "Inside the LSTM, each unit has a memory cell c and three gates. These are the equations with the numbers for this word filled in.",
    ],
    [{ screen: "step", t: 0 }, "At the first word there is no memory yet: what was kept is 0, and c is what was written."],
    [{ screen: "memory" }, "At the end, each cell is a sum over the words: what each wrote, times how much of it every later forget gate kept."],
    [{ screen: "filters" }, "The convolution looks at a few words at a time. These are the places where each filter was strongest."],
    [{ screen: "whatif" }, "Change the text and see what the model really does. Delete the word that you think decides, or put “not” before it."],
    [
      { screen: "backwards", shift: 0 },
      "Learning needs the gradient to flow back. The lines show how much is left at each word; they fall towards the early ones.",
    ],
    [
      { screen: "backwards", shift: -2 },
      "With the forget bias lowered by 2, the gates close, the memory fades, and the gradient of the early words vanishes.",
    ],
    [{ screen: "units", shift: 0 }, "There is a row for each unit. Some units change at single words and then stay. Choose one and read which words move it most."],
    [{ screen: "words" }, "Several methods say how much each word contributed. They do not always agree, so do not rely on one of them alone."],
    [{ screen: "words", reader: "untrained" }, "These are the same layers, untrained. Whatever looks the same as before in this table was not learned."],
  ];
  const tour = () => TOUR.filter(([patch]) => !patch.screen || screens().some(({ id }) => id === patch.screen));

  function drawTour() {
    const steps = tour();
    const n = Math.min(state.tour, steps.length);
    const step = (to) => {
      const [patch] = steps[to - 1] ?? [{}];
      set({ reader: "trained", shift: 0, ...patch, tour: to }, to ? "tour-next" : "tour-start");
      if (to) byId(patch.screen ? "screen" : "read").scrollIntoView();
    };
    byId("tour").hidden = n < 1;
    byId("tour-start").onclick = () => step(1);
    if (n < 1) return;
    byId("tour").replaceChildren(
      make("p", make("strong", `${n} of ${steps.length}. `), steps[n - 1][1]),
      make(
        "div",
        { class: "row" },
        button("Back", () => step(n - 1), { id: "tour-back", disabled: n === 1 }),
        button(n === steps.length ? "Finish" : "Next", () => step(n === steps.length ? 0 : n + 1), { id: "tour-next" }),
        button("Close", () => step(0), { id: "tour-close" }),
      ),
    );
  }

  function draw() {
    const reading = now();
    const spoken = () => (byId("live").textContent = answer(reading));
    drawTour();
    drawRead(reading);
    const fresh = () => {
      const focus = document.activeElement?.id;
      byId("words").replaceChildren(...wordButtons(reading));
      byId("answer").textContent = answer(reading);
      byId("curve").replaceChildren(curve(reading));
      if (focus?.startsWith("word-")) byId(focus)?.focus();
      spoken();
    };
    work("prefixes", both(reading), reading.prefixes ? spoken : fresh); // in any case, so that an older job ends
    const screen = screens().find(({ id }) => id === state.screen) ?? screens()[0];
    byId("screens").replaceChildren(
      ...screens().map(({ id, name }) =>
        button(name, () => set({ screen: id }, `to-${id}`), { id: `to-${id}`, "aria-current": String(id === screen.id) }),
      ),
    );
    fill(byId("screen"), [make("h2", { id: "screen-title", tabindex: -1 }, screen.question), ...solid(screen.draw(reading))]);
  }

  function start() {
    about = JSON.parse(byId("model").textContent);
    const numbers = decodeWeights(byId("weights").textContent, about.dtype);
    models = { trained: loadModel(about, numbers) };
    if (about.compare) models.other = loadModel(about.compare, numbers);
    const count = total(Object.values(models.trained.weights).flatMap((arrays) => Object.values(arrays).map((array) => array.length)));
    byId("about").textContent =
      `${about.title}; predicts ${about.labels.map((label) => cut(label)).join(" or ")}; ${about.tokenizer.words.length.toLocaleString("en")} words, ${count.toLocaleString("en")} weights.`;
    state = fromHash();
    addEventListener("hashchange", () => {
      state = fromHash();
      draw();
    });
    let wait = 0;
    addEventListener("resize", () => {
      clearTimeout(wait);
      wait = setTimeout(draw, 100);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    draw();
    document.documentElement.dataset.ready = "yes";
  }

  try {
    start();
  } catch (error) {
    byId("read").replaceChildren(make("p", { class: "note error", role: "alert" }, `This page cannot show the model: ${error.message}`));
  }
})();
