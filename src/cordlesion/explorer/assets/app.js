// The page: its state, the actions of the user, and the updates of the page after a change.
"use strict";

(() => {
  const SIDES = ["a", "b"];
  const INITIAL_PAN = [0, 0, 0, 1]; // position and zoom
  const { showMessage, press } = cordlesion;
  const find = (id) => document.getElementById(id);

  let study;
  let rows = []; // [number, scan] in the order of the list
  let opened = 0; // if several scans are requested quickly, only the last one is shown
  const sides = {};
  const shown = {}; // the scan that is shown: {key, scan, data}
  const state = { scan: null, set: null, thresholdIndex: { a: null, b: null }, active: "a", place: null, pan: null, window: null };

  // --- open scans, models and views

  async function openScan(number, wanted = {}) {
    const ticket = ++opened;
    const scan = study.scans[number];
    const key = cordlesion.scanKey(number);
    Object.assign(state, { scan: number, set: scan.set });
    writeScans();
    document.body.classList.add("busy");
    try {
      const [data, ...models] = await Promise.all([
        cordlesion.load(`${key}/scan`),
        ...SIDES.map((side) => cordlesion.loadModel(key, state[side])),
      ]);
      const frame = await cordlesion.makeFrame(state.view, key, data);
      if (ticket === opened) await showScan({ key, scan, data }, frame, models, wanted);
    } catch (error) {
      if (ticket === opened) showMessage(error.message);
    } finally {
      if (ticket === opened) document.body.classList.remove("busy");
    }
  }

  async function showScan(scan, frame, models, wanted) {
    showMessage("");
    Object.assign(shown, scan);
    state.place = cordlesion.isInside(wanted.place, scan.data)
      ? wanted.place
      : cordlesion.firstPlace(scan.data, models, study.thresholds);
    state.window = wanted.window || scan.data.window;
    await showFrame(frame);
    SIDES.forEach((side, n) => takeModel(side, models[n], wanted[`t${side}`]));
    look(wanted.pan || INITIAL_PAN, state.window);
    cordlesion.writeScan(scan.scan, study);
    update();
    prefetch();
  }

  function takeModel(side, loaded, wanted) {
    const { threshold } = loaded.data;
    const own = cordlesion.indexOfThreshold(threshold ?? 1, study.thresholds);
    state.thresholdIndex[side] = threshold === null ? own : (wanted ?? own);
    sides[side].take(loaded, shown.scan.name);
  }

  async function showFrame(frame) {
    for (const side of SIDES) await sides[side].viewer.open(frame, state.window);
  }

  // Open the current scan again with the current state, except for the changes.
  function reopen(changes) {
    const { thresholdIndex, place, pan, window: range } = state;
    openScan(state.scan, { ta: thresholdIndex.a, tb: thresholdIndex.b, place, pan, window: range, ...changes });
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

  // --- actions of the user

  // Move a slider, and the other one too if they move together.
  function setThreshold(side, index) {
    const step = index - state.thresholdIndex[side];
    const moved = SIDES.filter((name) => (name === side || state.together) && !sides[name].isMask);
    for (const name of moved) {
      state.thresholdIndex[name] = cordlesion.clamp(state.thresholdIndex[name] + step, 0, study.thresholds.length - 1);
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

  // From now on, the keys move the slider of this side.
  function activate(side) {
    if (state.active === side) return;
    state.active = side;
    if (shown.data) update([]);
  }

  // Move the crosshair of both pictures.
  function goTo(place) {
    state.place = place;
    for (const side of SIDES) sides[side].viewer.goTo(place);
    update([]);
  }

  // The user changed zoom, position or brightness of one picture.
  function viewed(source) {
    if (!state.place) return;
    look(source.viewer.pan, source.viewer.window, source);
    address.update();
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
    const current = rows.findIndex(([number]) => number === state.scan);
    const next = rows[cordlesion.clamp(current + step, 0, rows.length - 1)];
    if (next && next[0] !== state.scan) openScan(next[0]);
  }

  function stepLesion(step) {
    const lesions = [...find("lesions").querySelectorAll("tbody tr:not(.subhead)")];
    const current = lesions.findIndex((row) => row.getAttribute("aria-current"));
    const next = current < 0 ? 0 : (current + step + lesions.length) % lesions.length;
    if (lesions.length) lesions[next].click();
  }

  function swapModels() {
    [state.a, state.b] = [state.b, state.a];
    reopen({ ta: state.thresholdIndex.b, tb: state.thresholdIndex.a });
  }

  const actions = {
    step: stepScan,
    move: (step) => setThreshold(state.active, cordlesion.clamp(state.thresholdIndex[state.active] + step, 0, study.thresholds.length - 1)),
    tuned: () => {
      for (const side of SIDES) state.thresholdIndex[side] = sides[side].tuned;
      update();
    },
    other: () => activate(state.active === "a" ? "b" : "a"),
    lesion: stepLesion,
    show,
    flip: () => show(state.show === "scan" ? state.last : "scan"),
    hide,
    view: () => chooseView({ cord: "stack", stack: "full", full: "cord" }[state.view]),
    swap: swapModels,
    together: () => {
      state.together = !state.together;
      update([]);
    },
    reset: () => {
      look(INITIAL_PAN, shown.data.window);
      address.update();
    },
    help: () => find("help").showModal(),
  };

  // --- updates of the page

  let pending = null; // sides whose overlay is painted in the next animation frame
  let drawn = 0;

  // Update everything that depends on the state, at most once per animation frame.
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
    address.update();
    document.body.dataset.ready = ++drawn; // tests wait for this
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
    const columns = SIDES.map((side) => ({ label: sides[side].model.label, data: sides[side].data, index: state.thresholdIndex[side] }));
    cordlesion.drawLesions(find("lesions"), shown.data, columns, state.place, goTo);
  }

  function writePlace() {
    const [x, y, z] = cordlesion.printedPlace(shown.data.affine, state.place);
    const text = `x ${x}  y ${y}  z ${z} mm`;
    for (const side of SIDES) sides[side].find(".place").textContent = text;
  }

  // Load the next scan of the list in the background.
  function prefetch() {
    const next = rows[rows.findIndex(([number]) => number === state.scan) + 1];
    if (!next) return;
    const names = ["scan", ...SIDES.map((side) => cordlesion.modelKey(state[side]))];
    // Errors are shown when the scan is opened.
    for (const name of names) cordlesion.load(`${cordlesion.scanKey(next[0])}/${name}`).catch(() => {});
  }

  // --- the link

  const address = new cordlesion.Address(() => cordlesion.writeLink(state, study));

  // Show the state of a link; if it names no scan, show the first one of the list.
  function follow(link) {
    address.cancel(); // the former state must not replace the link
    const { scan, ta, tb, place, pan, window: range, ...rest } = cordlesion.readLink(link, study);
    Object.assign(state, cordlesion.defaultState(study), { set: study.scans[scan ?? 0].set }, rest);
    if (state.show !== "scan") state.last = state.show;
    return openScan(scan ?? cordlesion.sortScans(study, state)[0][0], { ta, tb, place, pan, window: range });
  }

  // --- set up

  function listen() {
    const click = (id, act) => find(id).addEventListener("click", act);
    find("sort").addEventListener("change", () => {
      state.sort = find("sort").value;
      writeScans();
      address.update();
    });
    find("together").addEventListener("change", actions.together);
    click("previous", () => stepScan(-1));
    click("next", () => stepScan(1));
    click("keys", actions.help);
    click("copy", () => address.copy(find("copy")));
    for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => chooseView(button.dataset.view));
    for (const button of document.querySelectorAll("[data-show]")) button.addEventListener("click", () => show(button.dataset.show));
    window.addEventListener("hashchange", (event) => {
      const link = new URL(event.newURL).hash; // not location.hash, which may have changed since
      if (!address.isOwn(link)) follow(link);
    });
    cordlesion.listenToKeys(actions);
  }

  async function main() {
    try {
      study = await cordlesion.load("study");
      Object.assign(state, cordlesion.defaultState(study));
      cordlesion.writeStudy(study, { chooseSet, hide });
      for (const name of SIDES) sides[name] = new cordlesion.Side(name, { study, state, chooseModel, setThreshold, activate, moved: goTo, viewed });
      listen();
      await Promise.all(SIDES.map((side) => sides[side].viewer.start()));
      await follow(location.hash);
    } catch (error) {
      showMessage(error.message);
    }
  }

  main();
})();
