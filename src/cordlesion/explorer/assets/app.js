// The page: one state, and what changes when a part of it does.
"use strict";

(() => {
  const SIDES = ["a", "b"];
  const LINK_DELAY_MS = 150;
  const find = (id) => document.getElementById(id);

  let study;
  let rows = []; // [number, scan] in the order of the list
  let opened = 0; // of several scans that were asked for quickly, the last one counts
  const sides = {};
  const shown = {}; // what belongs to the scan that is seen: {key, scan}
  const state = { scan: null, set: null, cuts: { a: null, b: null }, active: "a", place: null, pan: null, window: null };

  // What is seen where a link says nothing else.
  function defaults() {
    return {
      a: 0, b: Math.min(1, study.models.length - 1), sort: "errors", together: false,
      view: "cord", show: "agreement", last: "agreement", hidden: new Set(),
    };
  }

  class Side {
    constructor(name) {
      this.name = name;
      this.section = document.querySelector(`[data-side="${name}"]`);
      this.section.append(find("side").content.cloneNode(true));
      [this.select] = this.section.getElementsByTagName("select");
      [this.input] = this.section.getElementsByTagName("input");
      this.chart = new cordlesion.Chart(this.section.querySelector(".chart"));
      this.viewer = new cordlesion.Viewer(this.section.querySelector("canvas"), {
        moved: (place) => moveCross(place, this),
        viewed: () => takeView(this),
      });
      this.select.setAttribute("aria-label", name === "a" ? "Left model" : "Right model");
      this.select.addEventListener("change", () => chooseModel(name, this.select.selectedIndex));
      this.input.addEventListener("input", () => cut(name, Number(this.input.value)));
      this.section.addEventListener("pointerdown", () => (state.active = name));
      this.section.addEventListener("focusin", () => (state.active = name));
      this.section.querySelector(".tuned").addEventListener("click", () => cut(name, this.tuned));
    }

    get model() {
      return study.models[state[this.name]];
    }

    // Number of the model's own threshold; of a mask, which has none, that of 1: its voxels are above any.
    get tuned() {
      return this.data.threshold === null ? study.thresholds.length - 1 : level(this.data.threshold);
    }

    take(data, levels) {
      this.data = data;
      this.part = levels;
      const isMask = this.model.kind === "mask";
      this.input.disabled = isMask;
      this.input.max = study.thresholds.length - 1;
      this.section.classList.toggle("mask", isMask);
      const t = isMask ? "" : `${this.model.kind} t = ${data.threshold.toFixed(2)}`;
      this.section.querySelector(".tuned").textContent = t;
      this.section.querySelector(".tuned").hidden = isMask;
      this.viewer.canvas.setAttribute("aria-label", `${shown.scan.name} with what ${this.model.label} makes of it`);
      this.drawChart();
    }

    drawChart() {
      const width = this.section.querySelector(".chart").clientWidth;
      this.chart.draw(this.data.metrics, study.thresholds, this.model.kind === "mask" ? null : this.tuned, width);
      this.chart.move(state.cuts[this.name]);
    }

    fill() {
      this.levels = this.viewer.frame.fill(this.part);
    }

    paint() {
      const look = { show: state.show, hidden: state.hidden, thresholds: study.thresholds };
      this.viewer.paint(this.levels, state.cuts[this.name], look);
    }

    write() {
      const n = state.cuts[this.name];
      const { metrics } = this.data;
      const t = study.thresholds[n];
      this.input.value = n;
      this.input.setAttribute("aria-label", `Threshold of ${this.model.label}`);
      this.input.setAttribute("aria-valuetext", `t = ${t}, voxel F1 ${cordlesion.format(metrics.voxel_f1[n])}`);
      this.section.querySelector("output").textContent = this.model.kind === "mask" ? "a mask: no threshold" : `t = ${t.toFixed(2)}`;
      for (const cell of this.section.querySelectorAll("[data-metric]")) {
        const value = metrics[cell.dataset.metric][n];
        cell.textContent = cordlesion.format(value);
        cell.dataset.value = value;
      }
      this.section.querySelector(".counts.voxels").textContent = describeVolumes(metrics, n);
      this.section.querySelector(".counts.lesions").textContent = describeCounts(metrics, n);
      this.chart.move(n);
    }
  }

  function describeVolumes(metrics, n) {
    return `${metrics.predicted_volume_mm3[n].toFixed(0)} mm³, reference ${metrics.reference_volume_mm3[n].toFixed(0)} mm³`;
  }

  function describeCounts(metrics, n) {
    const wrong = metrics.n_predicted_lesions[n] - metrics.n_true_predicted_lesions[n];
    const detected = `${metrics.n_detected_lesions[n]} of ${metrics.n_reference_lesions[n]} detected`;
    return `${detected}, ${wrong} of ${metrics.n_predicted_lesions[n]} false`;
  }

  function level(threshold) {
    const distances = study.thresholds.map((t) => Math.abs(t - threshold));
    return distances.indexOf(Math.min(...distances));
  }

  // --- what the user does

  async function openScan(number, wanted = {}) {
    const ticket = ++opened;
    const scan = study.scans[number];
    const key = `s${String(number).padStart(4, "0")}`;
    Object.assign(state, { scan: number, set: scan.set });
    writeScans();
    document.body.classList.add("busy");
    try {
      const [data, ...models] = await Promise.all([cordlesion.load(`${key}/scan`), ...SIDES.map((side) => loadModel(key, state[side]))]);
      const frame = await cordlesion.makeFrame(state.view, key, data);
      if (ticket !== opened) return;
      Object.assign(shown, { key, scan, data });
      say("");
      state.place = wanted.place || firstPlace(data, models);
      state.window = wanted.window || data.window;
      await showFrame(frame);
      SIDES.forEach((side, n) => takeModel(side, models[n], wanted[`t${side}`]));
      view(wanted.pan || [0, 0, 0, 1], state.window);
      writeHeading();
      update();
      prefetch();
    } catch (error) {
      if (ticket === opened) say(error.message);
    } finally {
      if (ticket === opened) document.body.classList.remove("busy");
    }
  }

  async function loadModel(key, number) {
    const data = await cordlesion.load(`${key}/m${String(number).padStart(2, "0")}`);
    return { data, levels: await cordlesion.unpack(data.levels) };
  }

  function takeModel(side, { data, levels }, wanted) {
    state.cuts[side] = data.threshold === null ? study.thresholds.length - 1 : (wanted ?? level(data.threshold));
    sides[side].take(data, levels);
    sides[side].fill();
  }

  async function showFrame(frame) {
    for (const side of SIDES) await sides[side].viewer.open(frame, state.window);
  }

  async function chooseModel(side, number) {
    state[side] = number;
    try {
      takeModel(side, await loadModel(shown.key, number));
      writeScans();
      update();
    } catch (error) {
      say(error.message);
    }
  }

  async function chooseView(name) {
    state.view = name;
    try {
      const frame = await cordlesion.makeFrame(name, shown.key, shown.data);
      await showFrame(frame);
      for (const side of SIDES) sides[side].fill();
      view([0, 0, 0, 1], state.window);
      update();
    } catch (error) {
      say(error.message);
    }
  }

  // Move a slider; the other one too where they move together.
  function cut(side, number) {
    const step = number - state.cuts[side];
    for (const name of SIDES) {
      if (name !== side && !state.together) continue;
      if (sides[name].model.kind === "mask") continue;
      state.cuts[name] = cordlesion.clamp(state.cuts[name] + step, 0, study.thresholds.length - 1);
    }
    update();
  }

  function show(name) {
    if (name !== "scan") state.last = name;
    state.show = name;
    update();
  }

  function goTo(place) {
    state.place = place;
    for (const side of SIDES) sides[side].viewer.goTo(place);
    update({ picture: false });
  }

  function moveCross(place, source) {
    state.place = place;
    for (const side of SIDES) if (sides[side] !== source) sides[side].viewer.goTo(place);
    writePlace();
    keepLink();
  }

  // Zoom, position and brightness of one picture become those of the other.
  function takeView(source) {
    view(source.viewer.pan, source.viewer.window, source);
    keepLink();
  }

  function view(pan, range, source) {
    Object.assign(state, { pan, window: range });
    for (const side of SIDES) {
      if (sides[side] === source) continue;
      sides[side].viewer.window = range;
      sides[side].viewer.pan = pan;
      sides[side].viewer.goTo(state.place);
    }
  }

  function stepScan(step) {
    const now = rows.findIndex(([number]) => number === state.scan);
    const next = rows[cordlesion.clamp(now + step, 0, rows.length - 1)];
    if (next && next[0] !== state.scan) openScan(next[0]);
  }

  function stepLesion(step) {
    const buttons = [...find("lesions").querySelectorAll("tbody tr:not(.subhead)")];
    const now = buttons.findIndex((row) => row.getAttribute("aria-current"));
    const next = buttons[(now < 0 && step < 0 ? 0 : now) + step] || buttons.at(step > 0 ? 0 : -1);
    if (next) next.click();
  }

  // --- what is written

  let pending = null;

  // Write everything that depends on thresholds and looks, once per frame of the screen however often it is asked for.
  function update({ picture = true } = {}) {
    pending = { picture: picture || Boolean(pending && pending.picture), frame: pending ? pending.frame : requestAnimationFrame(draw) };
  }

  function draw() {
    const { picture } = pending;
    const start = performance.now();
    pending = null;
    for (const side of SIDES) {
      if (picture) sides[side].paint();
      sides[side].write();
    }
    writeLesions();
    writePlace();
    press("[data-view]", (button) => button.dataset.view === state.view);
    press("[data-show]", (button) => button.dataset.show === state.show);
    press("[data-hide]", (button) => !state.hidden.has(button.dataset.hide));
    find("together").checked = state.together;
    find("legend").dataset.show = state.show;
    keepLink();
    cordlesion.lastDrawMs = performance.now() - start;
    document.body.dataset.ready = `${shown.scan.name} ${++drawn}`;
  }

  let drawn = 0;

  function writeScans() {
    rows = cordlesion.sortScans(study, state);
    cordlesion.drawScans(find("scans"), rows, study, state, openScan);
    press("[data-set]", (button) => button.dataset.set === state.set);
    for (const side of SIDES) sides[side].select.selectedIndex = state[side];
    find("sort").value = state.sort;
    find("sort-note").textContent = `Scores of ${study.models[state.a].label} (left) at its own threshold.`;
    find("scans").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  function writeHeading() {
    const { scan } = shown;
    find("scan").textContent = scan.name;
    const facts = [`${scan.set} set`, scan.site, scan.volume_mm3 ? `${scan.volume_mm3.toFixed(0)} mm³ of lesions` : "no lesions"];
    find("facts").textContent = facts.filter(Boolean).join(" · ");
    find("tuning").hidden = scan.set !== "threshold";
    document.title = `${scan.name} – ${study.title}`;
  }

  function writeLesions() {
    const columns = SIDES.map((side) => ({ label: sides[side].model.label, data: sides[side].data, cut: state.cuts[side] }));
    cordlesion.drawLesions(find("lesions"), shown.data.lesions, columns, state.place, goTo);
  }

  function writePlace() {
    const [x, y, z] = state.place;
    const world = shown.data.affine.slice(0, 3).map((row) => row[0] * x + row[1] * y + row[2] * z + row[3]);
    const text = `x ${world[0].toFixed(1)}  y ${world[1].toFixed(1)}  z ${world[2].toFixed(1)} mm`;
    for (const side of SIDES) sides[side].section.querySelector(".place").textContent = text;
  }

  function press(selector, isPressed) {
    for (const button of document.querySelectorAll(selector)) button.setAttribute("aria-pressed", isPressed(button));
  }

  function say(text) {
    find("message").textContent = text;
    find("message").hidden = !text;
  }

  let linkTimer = 0;
  let ownLink = "";

  function keepLink() {
    clearTimeout(linkTimer);
    linkTimer = setTimeout(() => {
      ownLink = cordlesion.writeLink(state, study);
      history.replaceState(null, "", ownLink);
    }, LINK_DELAY_MS);
  }

  // The largest lesion of the reference; in a scan without, what is most probable.
  function firstPlace(data, models) {
    const [largest] = [...data.lesions].sort((a, b) => b.volume_mm3 - a.volume_mm3);
    if (largest) return largest.place;
    const found = models.flatMap((model) => model.data.predicted[level(model.data.threshold ?? 1)]);
    const [first] = found.sort((a, b) => b[4] - a[4]);
    return first ? first.slice(0, 3) : data.shape.map((n) => Math.floor(n / 2));
  }

  // The next scan of the list is loaded while this one is looked at.
  function prefetch() {
    const now = rows.findIndex(([number]) => number === state.scan);
    if (!rows[now + 1]) return;
    const key = `s${String(rows[now + 1][0]).padStart(4, "0")}`;
    const names = ["scan", ...SIDES.map((side) => `m${String(state[side]).padStart(2, "0")}`)];
    for (const name of names) cordlesion.load(`${key}/${name}`).catch(() => {}); // told when it is opened
  }

  // --- set up

  const actions = {
    step: stepScan,
    move: (step) => cut(state.active, cordlesion.clamp(state.cuts[state.active] + step, 0, study.thresholds.length - 1)),
    tuned: () => {
      for (const side of SIDES) state.cuts[side] = sides[side].tuned;
      update();
    },
    other: () => (state.active = state.active === "a" ? "b" : "a"),
    lesion: stepLesion,
    show,
    flip: () => show(state.show === "scan" ? state.last : "scan"),
    hide: (name) => {
      if (!state.hidden.delete(name)) state.hidden.add(name);
      update();
    },
    view: () => chooseView({ cord: "stack", stack: "full", full: "cord" }[state.view]),
    exchange: () => {
      [state.a, state.b] = [state.b, state.a];
      openScan(state.scan, { ...state, ta: state.cuts.b, tb: state.cuts.a });
    },
    together: () => {
      state.together = !state.together;
      update();
    },
    reset: () => {
      view([0, 0, 0, 1], shown.data.window);
      keepLink();
    },
    help: () => find("help").showModal(),
  };

  function setUp() {
    find("title").textContent = study.title;
    find("rule").textContent = `Lesions: ${study.rule}. Tuned thresholds: highest ${study.objective} on the threshold set. cordlesion ${study.version}.`;
    find("lesion-note").textContent = "Click a lesion to go there. States are those at the sliders’ thresholds; peak: highest probability within.";
    for (const set of new Set(study.scans.map((scan) => scan.set))) {
      const count = study.scans.filter((scan) => scan.set === set).length;
      const button = cordlesion.make("button", { type: "button" }, `${set[0].toUpperCase()}${set.slice(1)} set (${count})`);
      button.dataset.set = set;
      button.addEventListener("click", () => {
        state.set = set;
        openScan(cordlesion.sortScans(study, state)[0][0]);
      });
      find("sets").append(button);
    }
    for (const [name, { label }] of Object.entries(cordlesion.ORDERS)) find("sort").append(new Option(label, name));
    for (const side of SIDES) {
      sides[side] = new Side(side);
      for (const model of study.models) sides[side].select.append(new Option(model.label));
    }
    drawLegend();
    listen();
    cordlesion.describeKeys(find("key-list"));
    cordlesion.listenToKeys(actions);
  }

  function drawLegend() {
    const entries = [
      ["hit", "true positive", "1"],
      ["false", "false positive (chequered)", "2"],
      ["missed", "false negative", "3"],
    ];
    for (const [name, label, key] of entries) {
      const button = cordlesion.make("button", { type: "button", title: `Show or hide (key ${key})` });
      button.dataset.hide = name;
      button.append(cordlesion.make("span", { className: `swatch ${name}` }), label);
      button.addEventListener("click", () => actions.hide(name));
      find("legend").append(button);
    }
    const scale = cordlesion.make("span", { className: "scale" }, "p = 0 ", cordlesion.make("span", { className: "ramp" }), " 1, faint below t");
    find("legend").append(scale, cordlesion.make("span", { className: "only-reference" }, cordlesion.make("span", { className: "swatch reference" }), "reference"));
  }

  function listen() {
    find("sort").addEventListener("change", () => {
      state.sort = find("sort").value;
      writeScans();
      keepLink();
    });
    find("previous").addEventListener("click", () => stepScan(-1));
    find("next").addEventListener("click", () => stepScan(1));
    find("together").addEventListener("change", actions.together);
    find("keys").addEventListener("click", actions.help);
    find("copy").addEventListener("click", copyLink);
    for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => chooseView(button.dataset.view));
    for (const button of document.querySelectorAll("[data-show]")) button.addEventListener("click", () => show(button.dataset.show));
    new ResizeObserver(() => SIDES.forEach((side) => sides[side].data && sides[side].drawChart())).observe(document.body);
    window.addEventListener("hashchange", () => {
      if (location.hash !== ownLink) follow();
    });
  }

  async function copyLink() {
    const link = new URL(cordlesion.writeLink(state, study), location.href).href;
    try {
      await navigator.clipboard.writeText(link);
      find("copy").textContent = "Copied";
    } catch {
      window.prompt("The link", link); // browsers may refuse the clipboard to pages that are opened as files
    }
    setTimeout(() => (find("copy").textContent = "Copy link"), 1500);
  }

  // Show what the address says, and the scan that went worst where it says nothing.
  function follow() {
    const wanted = cordlesion.readLink(location.hash, study);
    const { scan, ta, tb, place, pan, window: range, ...rest } = wanted;
    Object.assign(state, defaults(), { set: study.scans[scan ?? 0].set }, rest);
    if (state.show !== "scan") state.last = state.show;
    return openScan(scan ?? cordlesion.sortScans(study, state)[0][0], { ta, tb, place, pan, window: range });
  }

  async function main() {
    try {
      study = await cordlesion.load("study");
      setUp();
      await Promise.all(SIDES.map((side) => sides[side].viewer.start()));
      await follow();
    } catch (error) {
      say(error.message);
    }
  }

  main();
})();
