// The parts of the page that do not depend on thresholds: sets, sort orders, legend, lesion rule.
"use strict";

(() => {
  const LEGEND = [
    ["hit", "true positive", "1"],
    ["false", "false positive", "2"],
    ["missed", "false negative", "3"],
  ];

  // Groups of buttons, by the name of their data attribute: the part of the state that they choose.
  const CHOICES = { goto: "page", view: "view", plane: "plane", show: "show" };

  // Write the parts that are the same for all scans; chooseSet and hide are callbacks for clicks.
  cordlesion.writeStudy = (study, { chooseSet, hide }) => {
    const find = (id) => document.getElementById(id);
    find("title").textContent = study.title;
    find("rule").textContent =
      `Lesions: ${study.rule}. Tuned thresholds: highest ${study.objective} on the threshold set.`;
    find("version").textContent = `cordlesion ${study.version}`;
    for (const set of new Set(study.scans.map((scan) => scan.set))) find("sets").append(setButton(set, study, chooseSet));
    for (const [name, { label }] of Object.entries(cordlesion.ORDERS)) find("sort").append(new Option(label, name));
    for (const [name, { label }] of Object.entries(cordlesion.FILTERS)) find("filter").append(new Option(label, name));
    writeLegend(find("legend"), hide);
    cordlesion.describeKeys(find("key-list"));
  };

  // Write name and facts of a scan.
  cordlesion.writeScan = (scan, study) => {
    const find = (id) => document.getElementById(id);
    const volume = scan.volume_mm3 ? `${scan.volume_mm3.toFixed(0)} mm³ of lesions` : "no lesions";
    find("scan").textContent = scan.name;
    find("facts").textContent = [`${scan.set} set`, scan.site, volume].filter(Boolean).join(" · ");
    find("tuning").hidden = scan.set !== "threshold";
    document.title = `${scan.name} – ${study.title}`;
  };

  // Show an error message; hide it if the text is empty.
  cordlesion.showMessage = (text) => {
    const message = document.getElementById("message");
    message.textContent = text;
    message.hidden = !text;
  };

  // Say which parts of a link this study does not have, and what is shown instead.
  cordlesion.showUnknown = (unknown, study, scan) => {
    const what = `This study has no ${unknown.join(", no ")}.`;
    cordlesion.showMessage(`The link does not fit. ${what} Shown instead: ${study.scans[scan].name}, with the usual settings for the rest.`);
  };

  // Mark the buttons that are on.
  cordlesion.press = (selector, isPressed) => {
    for (const button of document.querySelectorAll(selector)) button.setAttribute("aria-pressed", isPressed(button.dataset));
  };

  // Mark every button and field of the toolbar according to the state.
  cordlesion.pressAll = (state) => {
    for (const [name, key] of Object.entries(CHOICES)) cordlesion.press(`[data-${name}]`, (button) => button[name] === state[key]);
    cordlesion.press("[data-hide]", (button) => !state.hidden.has(button.hide));
    document.getElementById("together").checked = state.together;
    document.getElementById("outline").checked = state.outline;
    document.getElementById("opacity").value = state.opacity;
    document.getElementById("legend").dataset.shown = state.show;
  };

  // Call the actions for the buttons and fields outside the two sides.
  cordlesion.listen = (actions) => {
    const find = (id) => document.getElementById(id);
    const on = (id, event, act) => find(id).addEventListener(event, act);
    const onEach = (name, act) => {
      for (const button of document.querySelectorAll(`button[data-${name}]`)) button.addEventListener("click", () => act(button.dataset[name]));
    };
    onEach("goto", actions.choosePage);
    onEach("view", actions.chooseView);
    onEach("plane", actions.choosePlane);
    onEach("show", actions.show);
    on("sort", "change", () => actions.list({ sort: find("sort").value }));
    on("filter", "change", () => actions.list({ filter: find("filter").value }));
    on("search", "input", () => actions.list({ query: find("search").value.trim() }));
    on("together", "change", actions.together);
    on("outline", "change", actions.outline);
    on("opacity", "input", () => actions.restyle({ opacity: Number(find("opacity").value) }));
    on("previous", "click", () => actions.step(-1));
    on("next", "click", () => actions.step(1));
    on("open", "click", actions.openElsewhere);
    on("keys", "click", actions.help);
    on("copy", "click", () => actions.copy(find("copy")));
  };

  function setButton(set, study, chooseSet) {
    const count = study.scans.filter((scan) => scan.set === set).length;
    const button = cordlesion.make("button", { type: "button" }, `${cordlesion.capitalized(set)} (${count})`);
    button.dataset.set = set;
    button.addEventListener("click", () => chooseSet(set));
    return button;
  }

  function writeLegend(legend, hide) {
    const { make } = cordlesion;
    for (const [name, label, key] of LEGEND) {
      const button = make("button", { type: "button", title: `Show or hide (key ${key})` });
      button.dataset.hide = name;
      button.append(make("span", { className: `swatch ${name}` }), label);
      button.addEventListener("click", () => hide(name));
      legend.append(button);
    }
    legend.append(
      make("span", { className: "scale" }, "p = 0 ", make("span", { className: "ramp" }), " 1, faint below t"),
      make("span", { className: "only-reference" }, make("span", { className: "swatch reference" }), "reference"),
    );
  }
})();
