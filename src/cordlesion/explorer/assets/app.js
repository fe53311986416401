// The page: its state, the actions of the user, and the updates of the page after a change.
"use strict";

(() => {
  const SIDES = ["a", "b"];
  const { showMessage, press } = cordlesion;
  const find = (id) => document.getElementById(id);

  let study, board, notes, noteForm, address, pictures;
  let opened = 0; // if several scans are requested quickly, only the last one is shown
  let started = null; // a promise: whether the browser can draw scans
  let isSettled = false; // whether everything that the state names is loaded
  const sides = {};
  const cohorts = {}; // the counts of both models on all scans
  const shown = {}; // the scan that is shown: {key, scan, data}
  const state = { scan: null, set: null, cut: { a: null, b: null }, active: "a", place: null, pan: null, window: null };

  // --- open scans, models, views and pages

  // Show the state. wanted: {cut, place, pan, window}, which stay as they are only if they are given; isFirst: show the
  // first scan of the list; unknown: what a link names and this study does not have.
  async function open(wanted = {}) {
    const ticket = ++opened;
    isSettled = false;
    document.body.classList.add("busy");
    document.body.dataset.page = state.page;
    try {
      await board.load();
      if (ticket !== opened) return;
      if (wanted.isFirst) state.scan = cordlesion.listScans(study, state, cohorts, notes)[0] ?? board.set[0];
      takeModels(wanted.cut || {});
      board.arrange();
      if (state.page === "cohort") showCohort();
      else await openScan(ticket, wanted);
      if (ticket === opened && wanted.unknown?.length) cordlesion.showUnknown(wanted.unknown, study, state.scan);
    } catch (error) {
      if (ticket === opened) showMessage(error.message);
    } finally {
      if (ticket === opened) document.body.classList.remove("busy");
    }
  }

  function takeModels(wanted) {
    for (const side of SIDES) {
      const own = cohorts[side].ownCut(state.scan);
      state.cut[side] = sides[side].isMask ? own : wanted[side] || own;
      sides[side].select.selectedIndex = state[side];
      sides[side].takeModel();
    }
  }

  // Start both pictures when the first scan is shown, because that takes seconds without a graphics card.
  function startPictures() {
    started ||= Promise.all(SIDES.map((side) => sides[side].viewer.start())).then(() => true, () => false);
    return started;
  }

  async function openScan(ticket, wanted) {
    if (!(await startPictures())) throw new Error("Pictures of scans need WebGL 2, which this browser does not offer. The cohort needs no pictures.");
    const key = cordlesion.scanKey(state.scan);
    const [data, ...models] = await Promise.all([
      cordlesion.load(`${key}/scan`),
      ...SIDES.map((side) => cordlesion.loadModel(key, state[side])),
    ]);
    const frame = await cordlesion.makeFrame(state.view, key, data);
    if (ticket !== opened) return;
    Object.assign(shown, { key, scan: study.scans[state.scan], data });
    const cuts = SIDES.map((side) => state.cut[side]);
    state.place = cordlesion.isInside(wanted.place, data) ? wanted.place : cordlesion.firstPlace(data, models, cuts);
    state.window = wanted.window || data.window;
    for (const side of SIDES) await sides[side].viewer.open(frame, state.window, state.view === "cord");
    SIDES.forEach((side, n) => sides[side].takeScan(models[n], shown.scan.name));
    pictures.look(wanted.pan || cordlesion.INITIAL_PAN, state.window);
    cordlesion.writeScan(shown.scan, study);
    isSettled = true;
    update();
    prefetch();
  }

  function showCohort() {
    for (const side of SIDES) sides[side].takeSet(board.set);
    document.title = `Cohort – ${study.title}`;
    isSettled = true;
    update([]);
  }

  // Show the current scan again after a change that leaves position and brightness as they are.
  function reopen(changes = {}) {
    const { cut, place, pan, window: range } = state;
    showMessage("");
    open({ cut: { ...cut }, place, pan, window: range, ...changes });
  }

  // Show another scan, at the thresholds of the sliders unless they are the own ones of the last scan.
  function chooseScan(number) {
    if (number === undefined) return;
    const kept = SIDES.map((side) => [side, state.cut[side] && !cordlesion.sameCut(state.cut[side], sides[side].ownCut) ? state.cut[side] : null]);
    Object.assign(state, { scan: number, set: study.scans[number].set, page: "scan" });
    showMessage("");
    open({ cut: Object.fromEntries(kept) });
  }

  function chooseModel(side, number) {
    state[side] = number;
    reopen({ cut: { ...state.cut, [side]: null } });
  }

  function chooseView(name) {
    state.view = name;
    reopen({ pan: null });
  }

  function choosePage(name) {
    state.page = name;
    reopen();
  }

  function chooseSet(set) {
    state.set = set;
    state.scan = board.set[0];
    reopen({ place: null, pan: null, window: null, isFirst: true });
  }

  // --- actions of the user

  const isScanShown = () => isSettled && state.page === "scan";

  // Drag a slider to a position. With all scans, it stops at the thresholds of the tables.
  function setCut(side, parameter, index) {
    const step = index - state.cut[side]?.[parameter];
    moveSliders(side, cordlesion.moveCut, parameter, step);
  }

  // Move a slider by steps: of the tables' thresholds where all scans are shown.
  function stepCut(side, parameter, step) {
    moveSliders(side, cordlesion.stepCut, parameter, step);
  }

  // Move the slider of a side, and the other one too if they move together. Masks have none.
  function moveSliders(side, move, parameter, step) {
    const moved = SIDES.filter((name) => (name === side || state.together) && state.cut[name] && !sides[name].isMask);
    for (const name of moved) {
      state.cut[name] = move(state.cut[name], parameter, step, study, state.page === "cohort" && cohorts[name]);
    }
    update(moved);
    board.settle();
  }

  function reset(...names) {
    const known = names.filter((side) => state.cut[side]);
    for (const side of known) state.cut[side] = sides[side].ownCut;
    update(known);
    board.settle();
  }

  // Change the look of the overlay.
  function restyle(changes) {
    Object.assign(state, changes);
    if (state.show !== "scan") state.last = state.show;
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
    if (cohorts.a) update([]);
  }

  function stepScan(step) {
    const next = board.step(step);
    if (next !== state.scan) chooseScan(next);
  }

  function swapModels() {
    [state.a, state.b] = [state.b, state.a];
    reopen({ cut: { a: state.cut.b, b: state.cut.a } });
  }

  // Change which scans are listed, or in which order.
  function list(changes) {
    Object.assign(state, changes);
    if (!cohorts.a) return; // this is done when they are loaded
    board.arrange();
    update([]);
  }

  function openElsewhere() {
    if (!isScanShown()) return;
    const models = SIDES.map((side) => ({ ...sides[side].model, data: sides[side].data, t: study.thresholds[state.cut[side].t] }));
    cordlesion.showCommands(find("elsewhere"), study, cordlesion.viewerCommands(shown.data, state.place, models));
  }

  const following = (names, name) => names[(names.indexOf(name) + 1) % names.length];
  const actions = {
    step: stepScan,
    move: (step) => stepCut(state.active, "t", step),
    tuned: () => reset(...SIDES),
    other: () => activate(state.active === "a" ? "b" : "a"),
    lesion: (step) => isScanShown() && cordlesion.stepLesion(find("lesions"), step),
    show: (name) => restyle({ show: name }),
    flip: () => restyle({ show: state.show === "scan" ? state.last : "scan" }),
    outline: () => restyle({ outline: !state.outline }),
    hide,
    view: () => chooseView(following(["cord", "stack", "full"], state.view)),
    plane: () => pictures.choosePlane(following(["sagittal", "coronal", "both"], state.plane)),
    page: () => choosePage(following(["scan", "cohort"], state.page)),
    swap: swapModels,
    together: () => {
      state.together = !state.together;
      update([]);
    },
    reset: () => {
      if (!isScanShown()) return;
      pictures.look(cordlesion.INITIAL_PAN, shown.data.window);
      address.update();
    },
    note: (verdict) => state.page === "scan" && noteForm.toggle(verdict),
    search: () => find("search").focus(),
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
    if (!isSettled) return; // this is done when it is
    board.refresh();
    if (state.page === "scan" && shown.data) cordlesion.drawScan(shown, state, sides, painted, pictures);
    if (shown.data) noteForm.show(shown.scan);
    for (const side of SIDES) sides[side].section.classList.toggle("active", state.active === side && !state.together);
    cordlesion.pressAll(state);
    address.update();
    document.body.dataset.ready = ++drawn; // tests wait for this
  }

  // Load the next scan of the list in the background.
  function prefetch() {
    const next = board.step(1);
    if (next === undefined || next === state.scan) return;
    const names = ["scan", ...SIDES.map((side) => cordlesion.modelKey(state[side]))];
    // Errors are shown when the scan is opened.
    for (const name of names) cordlesion.load(`${cordlesion.scanKey(next)}/${name}`).catch(() => {});
  }

  // --- links and set up

  // Show the state of a link; if it names no scan, show the first one of the list.
  function follow(link) {
    address.follow(); // the former state must not replace the link
    const { scan, cut, place, pan, window: range, unknown, ...rest } = cordlesion.readLink(link, study);
    Object.assign(state, cordlesion.defaultState(study), { scan: scan ?? 0, set: study.scans[scan ?? 0].set, cut }, rest);
    if (state.show !== "scan") state.last = state.show;
    for (const side of SIDES) sides[side].viewer.plane = state.plane;
    showMessage("");
    return open({ cut, place, pan, window: range, unknown, isFirst: scan === undefined });
  }

  async function main() {
    try {
      study = await cordlesion.load("study");
      Object.assign(state, cordlesion.defaultState(study));
      cordlesion.writeStudy(study, { chooseSet, hide });
      const moved = (place) => String(place) !== String(state.place) && pictures.goTo(place);
      const page = { study, state, cohorts, chooseModel, setCut, stepCut, reset, activate, moved, viewed: (side) => pictures.viewed(side) };
      for (const name of SIDES) sides[name] = new cordlesion.Side(name, page);
      notes = new cordlesion.Notes(study);
      address = new cordlesion.Address(state, study);
      pictures = new cordlesion.Pictures(state, sides, { update: () => update([]), changed: () => address.update() });
      board = new cordlesion.Board({ study, state, cohorts, sides, notes, choose: chooseScan, sort: (sort) => list({ sort }), changed: () => update([]) });
      noteForm = new cordlesion.NoteForm(find("note"), find("export"), notes, (scan) => board.noted(scan));
      cordlesion.listen({ ...actions, chooseView, choosePlane: (plane) => pictures.choosePlane(plane), choosePage, restyle, list, openElsewhere, copy: (button) => address.copy(button) });
      cordlesion.listenToKeys(actions);
      window.addEventListener("hashchange", (event) => {
        const link = new URL(event.newURL).hash; // not location.hash, which may have changed since
        if (!address.isOwn(link)) follow(link);
      });
      await follow(location.hash);
    } catch (error) {
      showMessage(error.message);
    }
  }

  main();
})();
