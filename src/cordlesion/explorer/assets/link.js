// The link: the state of the page in the part of the address after "#". It contains names, which stay valid when a study
// gets more scans or models.
"use strict";

(() => {
  const DELAY_MS = 150;
  const CHOICES = {
    page: ["scan", "cohort"],
    view: ["cord", "stack", "full"],
    plane: ["sagittal", "coronal", "both"],
    show: ["agreement", "probability", "reference", "scan"],
  };
  // These make a new entry in the history of the browser; other changes replace the entry.
  const STEPS = ["page", "scan", "set", "a", "b", "view"];
  const MOST_NAMES = 12; // that a message lists

  // Return the state for everything that a link does not define.
  cordlesion.defaultState = (study) => ({
    page: "scan",
    a: 0,
    b: Math.min(1, study.models.length - 1),
    sort: "errors",
    filter: "all",
    query: "",
    together: false,
    view: "cord",
    plane: "sagittal",
    show: "agreement",
    last: "agreement",
    hidden: new Set(),
    outline: false,
    opacity: 1,
  });

  // Return the link to the current state; a value that is the usual one is left out where older links have none.
  cordlesion.writeLink = (state, study) => {
    const link = new URLSearchParams();
    if (state.page !== "scan") link.set("page", state.page);
    link.set("scan", study.scans[state.scan].name);
    link.set("set", state.set);
    link.set("a", study.models[state.a].name);
    link.set("b", study.models[state.b].name);
    for (const side of ["a", "b"]) {
      for (const [name, { values }] of Object.entries(cordlesion.PARAMETERS)) {
        const isShown = name === "t" || cordlesion.hasParameter(study.models[state[side]].kind, name);
        if (state.cut[side] && isShown) link.set(name + side, values(study)[state.cut[side][name]]);
      }
    }
    link.set("view", state.view);
    if (state.plane !== "sagittal") link.set("plane", state.plane);
    link.set("show", state.show);
    if (state.hidden.size) link.set("hide", [...state.hidden].join(","));
    if (state.outline) link.set("outline", "1");
    if (state.opacity !== 1) link.set("opacity", state.opacity);
    if (state.together) link.set("together", "1");
    link.set("sort", state.sort);
    if (state.filter !== "all") link.set("filter", state.filter);
    if (state.query) link.set("q", state.query);
    if (state.place) link.set("at", state.place.join(","));
    if (state.pan) link.set("pan", state.pan.map((number) => +number.toFixed(3)).join(","));
    if (state.window) link.set("window", state.window.map((number) => +number.toFixed(2)).join(","));
    return `#${link}`;
  };

  // Read the values of a link. Values that this study does not have are left out and named in "unknown".
  cordlesion.readLink = (hash, study) => {
    const link = new URLSearchParams(hash.slice(1));
    const found = { cut: {} };
    const unknown = [];
    // Keep a value that was found; name it where it stands in the link but was not, with the names that there are.
    const keep = (name, value, key = name, what = key, names = []) => {
      const there = names.length && names.length <= MOST_NAMES ? ` (there are ${names.join(", ")})` : "";
      if (value !== undefined && value !== -1) found[name] = value;
      else if (link.has(key)) unknown.push(`${what} “${link.get(key)}”${there}`);
    };
    const keepOneOf = (key, allowed, what = key) => keep(key, allowed.find((value) => value === link.get(key)), key, what, allowed);
    keepOneOf("set", [...new Set(study.scans.map((scan) => scan.set))]);
    keep("scan", study.scans.findIndex((scan) => scan.name === link.get("scan") && scan.set === (found.set ?? scan.set)));
    for (const side of ["a", "b"]) {
      const models = study.models.map((model) => model.name);
      keep(side, models.indexOf(link.get(side)), side, "model", models);
      found.cut[side] = readCut(link, side, study, unknown);
    }
    for (const [name, allowed] of Object.entries(CHOICES)) keepOneOf(name, allowed);
    keepOneOf("sort", Object.keys(cordlesion.ORDERS), "order");
    keepOneOf("filter", Object.keys(cordlesion.FILTERS));
    const opacity = Number(link.get("opacity"));
    keep("opacity", opacity > 0 && opacity <= 1 ? opacity : undefined);
    keep("place", list(link.get("at"), 3, (place) => place.every(Number.isInteger)), "at", "position");
    keep("pan", list(link.get("pan"), 4, ([, , , scale]) => scale >= 1 && scale <= cordlesion.LARGEST_ZOOM), "pan", "zoom");
    keep("window", list(link.get("window"), 2, ([low, high]) => low < high), "window", "brightness");
    found.query = link.get("q") || "";
    found.together = link.get("together") === "1";
    found.outline = link.get("outline") === "1";
    found.hidden = new Set((link.get("hide") || "").split(",").filter((name) => name in cordlesion.COLORS));
    return { ...found, unknown };
  };

  // Return the cut of one side; null without all of its parameters.
  function readCut(link, side, study, unknown) {
    const cut = cordlesion.makeCut((name) => {
      const key = name + side;
      const values = cordlesion.PARAMETERS[name].values(study);
      const missing = name === "t" ? -1 : 0; // links to models without the other sliders have a threshold only
      const index = link.has(key) ? values.indexOf(Number(link.get(key))) : missing;
      if (link.has(key) && index < 0) unknown.push(`${cordlesion.PARAMETERS[name].label.toLowerCase()} “${link.get(key)}”`);
      return index;
    });
    return Object.values(cut).every((index) => index >= 0) ? cut : null;
  }

  // The address of the page, which is updated a short time after the state. The browser's Back leads to the scan, models
  // and page before.
  cordlesion.Address = class {
    constructor(state, study) {
      Object.assign(this, { state, study, own: "", step: null });
    }

    update() {
      this.cancel();
      document.body.dataset.link = "late";
      this.timer = setTimeout(() => {
        this.own = cordlesion.writeLink(this.state, this.study);
        const step = STEPS.map((name) => this.state[name]).join(" ");
        const isNew = this.step !== null && this.step !== step;
        history[isNew ? "pushState" : "replaceState"](null, "", this.own);
        this.step = step;
        document.body.dataset.link = "written"; // tests wait for this
      }, DELAY_MS);
    }

    cancel() {
      clearTimeout(this.timer);
    }

    // The state is now that of the entry in the history, so the next update replaces it.
    follow() {
      this.cancel();
      Object.assign(this, { own: "", step: null });
    }

    // Return whether the page itself wrote this link.
    isOwn(link) {
      return link === this.own;
    }

    copy(button) {
      cordlesion.copyText(new URL(cordlesion.writeLink(this.state, this.study), location.href).href, button);
    }
  };

  function list(text, n, makesSense) {
    const numbers = (text || "").split(",").map(Number);
    return text && numbers.length === n && numbers.every(Number.isFinite) && makesSense(numbers) ? numbers : undefined;
  }
})();
