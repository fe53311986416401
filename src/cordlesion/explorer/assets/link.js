// The link: the state of the page in the part of the address after "#". It contains names, which stay valid when a study
// gets more scans or models.
"use strict";

(() => {
  const DELAY_MS = 150;

  // Return the state for everything that a link does not define.
  cordlesion.defaultState = (study) => ({
    a: 0,
    b: Math.min(1, study.models.length - 1),
    sort: "errors",
    together: false,
    view: "cord",
    show: "agreement",
    last: "agreement",
    hidden: new Set(),
  });

  // Return the link to the current state.
  cordlesion.writeLink = (state, study) => {
    const link = new URLSearchParams();
    link.set("scan", study.scans[state.scan].name);
    link.set("set", state.set);
    link.set("a", study.models[state.a].name);
    link.set("b", study.models[state.b].name);
    link.set("ta", study.thresholds[state.thresholdIndex.a]);
    link.set("tb", study.thresholds[state.thresholdIndex.b]);
    link.set("view", state.view);
    link.set("show", state.show);
    if (state.hidden.size) link.set("hide", [...state.hidden].join(","));
    if (state.together) link.set("together", "1");
    link.set("sort", state.sort);
    if (state.place) link.set("at", state.place.join(","));
    if (state.pan) link.set("pan", state.pan.map((number) => +number.toFixed(3)).join(","));
    if (state.window) link.set("window", state.window.map((number) => +number.toFixed(2)).join(","));
    return `#${link}`;
  };

  // Read the values of a link; values that are missing or unknown in this study are left out.
  cordlesion.readLink = (hash, study) => {
    const link = new URLSearchParams(hash.slice(1));
    const found = {};
    const keep = (name, value) => {
      if (value !== undefined && value !== -1) found[name] = value;
    };
    const oneOf = (name, allowed) => allowed.find((value) => value === link.get(name));
    keep("set", oneOf("set", [...new Set(study.scans.map((scan) => scan.set))]));
    keep("scan", study.scans.findIndex((scan) => scan.name === link.get("scan") && scan.set === (found.set ?? scan.set)));
    for (const side of ["a", "b"]) {
      keep(side, study.models.findIndex((model) => model.name === link.get(side)));
      keep(`t${side}`, study.thresholds.findIndex((t) => link.has(`t${side}`) && t === Number(link.get(`t${side}`))));
    }
    keep("view", oneOf("view", ["cord", "stack", "full"]));
    keep("show", oneOf("show", ["agreement", "probability", "reference", "scan"]));
    keep("sort", oneOf("sort", Object.keys(cordlesion.ORDERS)));
    keep("place", list(link.get("at"), 3, (place) => place.every(Number.isInteger)));
    keep("pan", list(link.get("pan"), 4, ([, , , scale]) => scale >= 1 && scale <= cordlesion.LARGEST_ZOOM));
    keep("window", list(link.get("window"), 2, ([low, high]) => low < high));
    found.together = link.get("together") === "1";
    found.hidden = new Set((link.get("hide") || "").split(",").filter((name) => name in cordlesion.COLORS));
    return found;
  };

  // The address of the page, which is updated a short time after the state.
  cordlesion.Address = class {
    constructor(writeLink) {
      this.writeLink = writeLink;
      this.own = "";
    }

    update() {
      this.cancel();
      document.body.dataset.link = "late";
      this.timer = setTimeout(() => {
        this.own = this.writeLink();
        history.replaceState(null, "", this.own);
        document.body.dataset.link = "written"; // tests wait for this
      }, DELAY_MS);
    }

    cancel() {
      clearTimeout(this.timer);
    }

    // Return whether the page itself wrote this link.
    isOwn(link) {
      return link === this.own;
    }

    // Copy the link, and confirm it on the button.
    async copy(button) {
      const link = new URL(this.writeLink(), location.href).href;
      try {
        await navigator.clipboard.writeText(link);
        button.textContent = "Copied";
      } catch {
        window.prompt("The link", link); // browsers may deny clipboard access to pages that are opened as files
      }
      setTimeout(() => (button.textContent = "Copy link"), 1500);
    }
  };

  function list(text, n, makesSense) {
    const numbers = (text || "").split(",").map(Number);
    return text && numbers.length === n && numbers.every(Number.isFinite) && makesSense(numbers) ? numbers : undefined;
  }
})();
