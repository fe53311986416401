// The link: all that is seen, in the part of the address behind "#", by names that stay true when a study grows.
"use strict";

(() => {
  cordlesion.writeLink = (state, study) => {
    const link = new URLSearchParams();
    link.set("scan", study.scans[state.scan].name);
    link.set("set", state.set);
    link.set("a", study.models[state.a].name);
    link.set("b", study.models[state.b].name);
    link.set("ta", study.thresholds[state.cuts.a]);
    link.set("tb", study.thresholds[state.cuts.b]);
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

  // Read what a link says; what it does not say, or what this study has not, is left out.
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

  function list(text, n, makesSense) {
    const numbers = (text || "").split(",").map(Number);
    return text && numbers.length === n && numbers.every(Number.isFinite) && makesSense(numbers) ? numbers : undefined;
  }
})();
