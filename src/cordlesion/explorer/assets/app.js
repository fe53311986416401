// The page: one state, what the user does to it, and what is drawn anew when it changes.
"use strict";

(() => {
  const SIDES = ["a", "b"];
  const LINK_DELAY_MS = 150;
  const AS_AT_FIRST = [0, 0, 0, 1]; // position and zoom
  const { say, press } = cordlesion;
  const find = (id) => document.getElementById(id);

  let study;
  let rows = []; // [number, scan] in the order of the list
  let opened = 0; // of several scans that were asked for quickly, the last one counts
  const sides = {};
  const shown = {}; // what belongs to the scan that is seen: {key, scan, data}
  const state = { scan: null, set: null, cuts: { a: null, b: null }, active: "a", place: null, pan: null, window: null };

  // What is seen where a link says nothing else.
  function defaults() {
    return {
      a: 0, b: Math.min(1, study.models.length - 1), sort: "errors", together: false,
      view: "cord", show: "agreement", last: "agreement", hidden: new Set(),
    };
  }

  // --- what is opened

  async function openScan(number, wanted = {}) {
    const ticket = ++opened;
    const scan = study.scans[number];
    const key = scanKey(number);
    Object.assign(state, { scan: number, set: scan.set });
    writeScans();
    document.body.classList.add("busy");
    try {
      const [data, ...models] = await Promise.all([
        cordlesion.load(`${key}/scan`),
        ...SIDES.map((side) => loadModel(key, state[side])),
      ]);
      const frame = await cordlesion.makeFrame(state.view, key, data);
      if (ticket === opened) await showScan({ key, scan, data }, frame, models, wanted);
    } catch (error) {
      if (ticket === opened) say(error.message);
    } finally {
      if (ticket === opened) document.body.classList.remove("busy");
    }
  }

  async function showScan(scan, frame, models, wanted) {
    say("");
    Object.assign(shown, scan);
    state.place = isInside(wanted.place, scan.data) ? wanted.place : firstPlace(scan.data, models);
    state.window = wanted.window || scan.data.window;
    await showFrame(frame);
    SIDES.forEach((side, n) => takeModel(side, models[n], wanted[`t${side}`]));
    look(wanted.pan || AS_AT_FIRST, state.window);
    cordlesion.writeScan(scan.scan, study);
    update();
    prefetch();
  }

  async function loadModel(key, number) {
    const data = await cordlesion.load(`${key}/${modelKey(number)}`);
    return { data, levels: await cordlesion.unpack(data.levels) };
  }

  function takeModel(side, loaded, wanted) {
    const { threshold } = loaded.data;
    const own = cordlesion.levelOf(threshold ?? 1, study.thresholds);
    state.cuts[side] = threshold === null ? own : (wanted ?? own);
    sides[side].take(loaded, shown.scan.name);
  }

  async function showFrame(frame) {
    for (const side of SIDES) await sides[side].viewer.open(frame, state.window);
  }

  // Open the scan that is seen once more, with all that is seen but for the changes.
  function reopen(changes) {
    const { cuts, place, pan, window: range } = state;
    openScan(state.scan, { ta: cuts.a, tb: cuts.b, place, pan, window: range, ...changes });
  }

  function chooseModel(side, number) {
    state[side] = number;
    reopen({ [`t${side}`]: null });
  }

  function chooseView(name) {
    state.view = name;
    reopen({ pan: null });
  }

  function chooseSet(set) {
    state.set = set;
    openScan(cordlesion.sortScans(study, state)[0][0]);
  }

  // --- what the user does

  // Move a slider; the other one too where they move together.
  function cut(side, level) {
    const step = level - state.cuts[side];
    const moved = SIDES.filter((name) => (name === side || state.together) && !sides[name].isMask);
    for (const name of moved) {
      state.cuts[name] = cordlesion.clamp(state.cuts[name] + step, 0, study.thresholds.length - 1);
    }
    update(moved);
  }

  function show(name) {
    if (name !== "scan") state.last = name;
    state.show = name;
    update();
  }

  function hide(name) {
    if (!state.hidden.delete(name)) state.hidden.add(name);
    update();
  }

  // The keys move this side's slider from now on.
  function activate(side) {
    if (state.active === side) return;
    state.active = side;
    if (shown.data) update([]);
  }

  function goTo(place) {
    state.place = place;
    for (const side of SIDES) sides[side].viewer.goTo(place);
    update([]);
  }

  // The cross was moved in one picture.
  function moved(place) {
    state.place = place;
    for (const side of SIDES) sides[side].viewer.goTo(place);
    update([]);
  }

  // Zoom, position or brightness of one picture were changed.
  function viewed(source) {
    if (!state.place) return;
    look(source.viewer.pan, source.viewer.window, source);
    keepLink();
  }

  function look(pan, range, source) {
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
    const lesions = [...find("lesions").querySelectorAll("tbody tr:not(.subhead)")];
    const now = lesions.findIndex((row) => row.getAttribute("aria-current"));
    const next = now < 0 ? 0 : (now + step + lesions.length) % lesions.length;
    if (lesions.length) lesions[next].click();
  }

  function exchange() {
    [state.a, state.b] = [state.b, state.a];
    reopen({ ta: state.cuts.b, tb: state.cuts.a });
  }

  const actions = {
    step: stepScan,
    move: (step) => cut(state.active, cordlesion.clamp(state.cuts[state.active] + step, 0, study.thresholds.length - 1)),
    tuned: () => {
      for (const side of SIDES) state.cuts[side] = sides[side].tuned;
      update();
    },
    other: () => activate(state.active === "a" ? "b" : "a"),
    lesion: stepLesion,
    show,
    flip: () => show(state.show === "scan" ? state.last : "scan"),
    hide,
    view: () => chooseView({ cord: "stack", stack: "full", full: "cord" }[state.view]),
    exchange,
    together: () => {
      state.together = !state.together;
      update([]);
    },
    reset: () => {
      look(AS_AT_FIRST, shown.data.window);
      keepLink();
    },
    help: () => find("help").showModal(),
  };

  // --- what is drawn

  let pending = null; // sides to be painted in the next frame of the screen
  let drawn = 0;

  // Draw anew what depends on the state, once per frame of the screen however often it is asked for.
  function update(painted = SIDES) {
    if (!pending) requestAnimationFrame(draw);
    pending = new Set([...(pending || []), ...painted]);
  }

  function draw() {
    const painted = pending;
    pending = null;
    for (const side of painted) sides[side].paint();
    for (const side of SIDES) {
      sides[side].write();
      sides[side].section.classList.toggle("active", state.active === side && !state.together);
    }
    writeLesions();
    writePlace();
    press("[data-view]", ({ view }) => view === state.view);
    press("[data-show]", (button) => button.show === state.show);
    press("[data-hide]", (button) => !state.hidden.has(button.hide));
    find("together").checked = state.together;
    find("legend").dataset.shown = state.show;
    keepLink();
    document.body.dataset.ready = ++drawn; // for whoever waits for it
  }

  function writeScans() {
    rows = cordlesion.sortScans(study, state);
    cordlesion.drawScans(find("scans"), rows, study, state, openScan);
    press("[data-set]", ({ set }) => set === state.set);
    for (const side of SIDES) sides[side].select.selectedIndex = state[side];
    find("sort").value = state.sort;
    find("sort-note").textContent = `Scores of ${study.models[state.a].label} (left) at its own threshold.`;
    find("scans").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  function writeLesions() {
    const columns = SIDES.map((side) => ({ label: sides[side].model.label, data: sides[side].data, cut: state.cuts[side] }));
    cordlesion.drawLesions(find("lesions"), shown.data, columns, state.place, goTo);
  }

  function writePlace() {
    const [x, y, z] = cordlesion.printedPlace(shown.data.affine, state.place);
    const text = `x ${x}  y ${y}  z ${z} mm`;
    for (const side of SIDES) sides[side].find(".place").textContent = text;
  }

  // A link may have been written for another scan of this name.
  function isInside(place, { shape }) {
    return place !== undefined && place.every((index, axis) => index >= 0 && index < shape[axis]);
  }

  // The largest lesion of the reference; in a scan without, what is most probable.
  function firstPlace(data, models) {
    const [largest] = [...data.lesions].sort((a, b) => b.volume_mm3 - a.volume_mm3);
    if (largest) return largest.place;
    const found = models.flatMap((model) => model.data.predicted[cordlesion.levelOf(model.data.threshold ?? 1, study.thresholds)]);
    const [first] = found.sort((a, b) => b[4] - a[4]);
    return first ? first.slice(0, 3) : data.shape.map((n) => Math.floor(n / 2));
  }

  // The next scan of the list is loaded while this one is looked at.
  function prefetch() {
    const next = rows[rows.findIndex(([number]) => number === state.scan) + 1];
    if (!next) return;
    const names = ["scan", ...SIDES.map((side) => modelKey(state[side]))];
    for (const name of names) cordlesion.load(`${scanKey(next[0])}/${name}`).catch(() => {}); // told when it is opened
  }

  function scanKey(number) {
    return `s${String(number).padStart(4, "0")}`;
  }

  function modelKey(number) {
    return `m${String(number).padStart(2, "0")}`;
  }

  // --- the link

  let linkTimer = 0;
  let ownLink = "";

  function keepLink() {
    clearTimeout(linkTimer);
    document.body.dataset.link = "late";
    linkTimer = setTimeout(() => {
      ownLink = cordlesion.writeLink(state, study);
      history.replaceState(null, "", ownLink);
      document.body.dataset.link = "written"; // for whoever waits for it
    }, LINK_DELAY_MS);
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

  // Show what a link says, and the scan that went worst where it names none.
  function follow(link) {
    clearTimeout(linkTimer); // what was seen before is not to be written over it
    const { scan, ta, tb, place, pan, window: range, ...rest } = cordlesion.readLink(link, study);
    Object.assign(state, defaults(), { set: study.scans[scan ?? 0].set }, rest);
    if (state.show !== "scan") state.last = state.show;
    return openScan(scan ?? cordlesion.sortScans(study, state)[0][0], { ta, tb, place, pan, window: range });
  }

  // --- set up

  function listen() {
    const click = (id, act) => find(id).addEventListener("click", act);
    find("sort").addEventListener("change", () => {
      state.sort = find("sort").value;
      writeScans();
      keepLink();
    });
    find("together").addEventListener("change", actions.together);
    click("previous", () => stepScan(-1));
    click("next", () => stepScan(1));
    click("keys", actions.help);
    click("copy", copyLink);
    for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => chooseView(button.dataset.view));
    for (const button of document.querySelectorAll("[data-show]")) button.addEventListener("click", () => show(button.dataset.show));
    window.addEventListener("hashchange", (event) => {
      const link = new URL(event.newURL).hash; // the address may have been written since
      if (link !== ownLink) follow(link);
    });
    cordlesion.listenToKeys(actions);
  }

  async function main() {
    try {
      study = await cordlesion.load("study");
      Object.assign(state, defaults());
      cordlesion.writeStudy(study, { chooseSet, hide });
      for (const name of SIDES) sides[name] = new cordlesion.Side(name, { study, state, chooseModel, cut, activate, moved, viewed });
      listen();
      await Promise.all(SIDES.map((side) => sides[side].viewer.start()));
      await follow(location.hash);
    } catch (error) {
      say(error.message);
    }
  }

  main();
})();
