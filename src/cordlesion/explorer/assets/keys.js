// The keyboard: one table of keys, which the help also shows.
"use strict";

(() => {
  // [keys as in KeyboardEvent, as printed, description, name of the action, its argument]
  const KEYS = [
    [["n", "ArrowDown"], "n, ↓", "next scan", "step", 1],
    [["p", "ArrowUp"], "p, ↑", "previous scan", "step", -1],
    [["ArrowRight", "."], "→, .", "threshold up by one step", "move", 1],
    [["ArrowLeft", ","], "←, ,", "threshold down by one step", "move", -1],
    [[">"], "shift + .", "threshold up by five steps", "move", 5],
    [["<"], "shift + ,", "threshold down by five steps", "move", -5],
    [["t"], "t", "tuned thresholds", "tuned"],
    [["s"], "s", "the arrow keys move the other slider", "other"],
    [["]"], "]", "next lesion", "lesion", 1],
    [["["], "[", "previous lesion", "lesion", -1],
    [["a"], "a", "overlay: agreement", "show", "agreement"],
    [["m"], "m", "overlay: probability map", "show", "probability"],
    [["r"], "r", "overlay: reference", "show", "reference"],
    [[" ", "o"], "space, o", "scan only, and back", "flip"],
    [["1"], "1", "true positives on or off", "hide", "hit"],
    [["2"], "2", "false positives on or off", "hide", "false"],
    [["3"], "3", "false negatives on or off", "hide", "missed"],
    [["v"], "v", "cord, cord stack, full scan", "view"],
    [["k"], "k", "sagittal, coronal, both", "plane"],
    [["u"], "u", "outlines or areas", "outline"],
    [["c"], "c", "cohort, and back to the scan", "page"],
    [["/"], "/", "search the scans", "search"],
    [["+"], "+", "note: pass", "note", "pass"],
    [["-"], "-", "note: fail", "note", "fail"],
    [["x"], "x", "swap the models", "swap"],
    [["l"], "l", "sliders move together, or not", "together"],
    [["0"], "0", "reset the view", "reset"],
    [["?"], "?", "these keys", "help"],
  ];
  const MOUSE = [
    ["click, drag", "move the crosshair"],
    ["wheel", "change the slice"],
    ["ctrl + wheel", "zoom"],
    ["shift + drag", "move the picture"],
    ["right drag", "brightness and contrast"],
  ];

  // Call actions[name](argument) for each key, unless a form field needs the key itself.
  cordlesion.listenToKeys = (actions) => {
    const byKey = new Map(KEYS.flatMap((entry) => entry[0].map((key) => [key, entry])));
    const listen = (event) => {
      const onPicture = event.target instanceof HTMLCanvasElement;
      if (onPicture && event.key !== "Tab") event.stopImmediatePropagation();  // NiiVue has its own keys
      const entry = byKey.get(event.key);
      if (!entry || event.ctrlKey || event.metaKey || event.altKey || needsKey(event)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (event.type === "keydown") actions[entry[3]](entry[4]);
    };
    document.addEventListener("keydown", listen, { capture: true });
    document.addEventListener("keyup", listen, { capture: true });
  };

  cordlesion.describeKeys = (list) => {
    for (const [printed, text] of [...KEYS.map((entry) => entry.slice(1, 3)), ...MOUSE]) {
      list.append(cordlesion.make("dt", {}, printed), cordlesion.make("dd", {}, text));
    }
  };

  function needsKey({ target, key }) {
    if (document.querySelector("dialog[open]")) return true;
    if (target instanceof HTMLSelectElement) return true;
    if (target instanceof HTMLInputElement && target.type === "range") return key.startsWith("Arrow");
    if (target instanceof HTMLInputElement && ["text", "search"].includes(target.type)) return key !== "Escape";
    return key === " " && (target instanceof HTMLButtonElement || target instanceof HTMLInputElement);
  }
})();
